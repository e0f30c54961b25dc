//! What a TLS key schedule hashes with: `Running`, `hmac`, `hkdf_extract`, `hkdf_expand`, `prf_tls12`.
//!
//! SHA-256 and SHA-384 of the `sha2` crate, which takes SHA-NI where the CPU has it and has no branch
//! or index that depends on data. Everything lies on the stack. States and secrets are wiped when
//! dropped; a `Digest` is public.

use std::fmt;
use std::ops::Deref;

use sha2::{Digest as _, Sha256, Sha384};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the longest hash.
pub const MAX_HASH_LEN: usize = 48;

/// Bytes of the longest block (SHA-384, FIPS 180-4 section 1).
const MAX_BLOCK_LEN: usize = 128;

/// The hash of a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes of a digest.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length of the algorithm, not of a collection")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    const fn block_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 128,
        }
    }

    /// The digest of the concatenation of `parts`.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        let mut running = Running::new(self);
        parts.iter().for_each(|part| running.update(part));
        running.peek()
    }
}

/// A digest, or a message authentication code, of 32 or 48 bytes; public.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; MAX_HASH_LEN],
    len: u8,
}

impl Digest {
    const fn zero(hash: Hash) -> Self {
        let len = match hash {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        };
        Self { bytes: [0; MAX_HASH_LEN], len }
    }

    fn place(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// Whether `other` is the same, in time that depends on lengths alone.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        bool::from(self.ct_eq(other))
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret as long as a hash; wiped when dropped.
#[derive(Clone)]
pub struct SecretDigest(Digest);

impl SecretDigest {
    /// `hash.len()` zero bytes, to be written through [`SecretDigest::as_mut`].
    #[must_use]
    pub const fn zero(hash: Hash) -> Self {
        Self(Digest::zero(hash))
    }
}

impl AsMut<[u8]> for SecretDigest {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.place()
    }
}

impl Deref for SecretDigest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretDigest {
    fn drop(&mut self) {
        self.0.bytes.zeroize();
    }
}

impl ZeroizeOnDrop for SecretDigest {}

/// A hash over bytes that keep coming: a transcript.
#[derive(Clone)]
pub struct Running(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
}

impl Running {
    /// The hash of no bytes.
    #[must_use]
    pub fn new(hash: Hash) -> Self {
        Self(match hash {
            Hash::Sha256 => State::Sha256(Sha256::new()),
            Hash::Sha384 => State::Sha384(Sha384::new()),
        })
    }

    /// The algorithm.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self.0 {
            State::Sha256(_) => Hash::Sha256,
            State::Sha384(_) => Hash::Sha384,
        }
    }

    /// Takes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
        }
    }

    /// The digest of the bytes so far; more may follow.
    #[must_use]
    pub fn peek(&self) -> Digest {
        let mut digest = Digest::zero(self.hash());
        self.clone().finish(digest.place());
        digest
    }

    /// Writes the digest into `out`, which has its length.
    fn finish(self, out: &mut [u8]) {
        match self.0 {
            State::Sha256(state) => {
                let mut digest = state.finalize();
                out.copy_from_slice(&digest);
                digest.zeroize();
            }
            State::Sha384(state) => {
                let mut digest = state.finalize();
                out.copy_from_slice(&digest);
                digest.zeroize();
            }
        }
    }
}

/// A key of HMAC (RFC 2104) with the first block of both hashes done, for several messages under it.
#[derive(Clone)]
pub struct HmacKey {
    inner: Running,
    outer: Running,
}

impl HmacKey {
    /// The key in `bytes`, of any length.
    #[must_use]
    pub fn new(hash: Hash, bytes: &[u8]) -> Self {
        let mut block = [0; MAX_BLOCK_LEN];
        // RFC 2104 section 2: a key longer than a block is hashed first.
        if bytes.len() > hash.block_len() {
            let mut long = Running::new(hash);
            long.update(bytes);
            long.finish(&mut block[..hash.len()]);
        } else {
            block[..bytes.len()].copy_from_slice(bytes);
        }
        let block_bytes = &mut block[..hash.block_len()];
        let (mut inner, mut outer) = (Running::new(hash), Running::new(hash));
        block_bytes.iter_mut().for_each(|byte| *byte ^= 0x36);
        inner.update(block_bytes);
        block_bytes.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        outer.update(block_bytes);
        block.zeroize();
        Self { inner, outer }
    }

    /// The code of the concatenation of `parts`.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut code = Digest::zero(self.inner.hash());
        self.sign_into(parts, code.place());
        code
    }

    /// Writes the code into `out`, which has the length of the hash.
    fn sign_into(&self, parts: &[&[u8]], out: &mut [u8]) {
        let mut inner = self.inner.clone();
        parts.iter().for_each(|part| inner.update(part));
        self.close(inner, out);
    }

    /// Writes the code of what went into `inner`, which began as a clone of our own.
    fn close(&self, inner: Running, out: &mut [u8]) {
        inner.finish(out);
        let mut outer = self.outer.clone();
        outer.update(out);
        outer.finish(out);
    }
}

/// HMAC (RFC 2104) of the concatenation of `parts`.
#[must_use]
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Digest {
    HmacKey::new(hash, key).sign(parts)
}

/// HKDF-Extract (RFC 5869 section 2.2).
#[must_use]
pub fn hkdf_extract(hash: Hash, salt: &[u8], ikm: &[u8]) -> SecretDigest {
    let mut prk = SecretDigest::zero(hash);
    HmacKey::new(hash, salt).sign_into(&[ikm], prk.as_mut());
    prk
}

/// HKDF-Expand (RFC 5869 section 2.3) to `out.len()` bytes, with the concatenation of the parts of
/// `info`.
///
/// # Panics
/// When `out` is longer than 255 hashes.
pub fn hkdf_expand(hash: Hash, prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= 255 * hash.len(), "HKDF-Expand gives at most 255 hashes");
    let key = HmacKey::new(hash, prk);
    // RFC 5869 section 2.3: T(n) = HMAC-Hash(PRK, T(n-1) | info | n), and T(0) is empty.
    let mut block = SecretDigest::zero(hash);
    for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(hash.len())) {
        let mut inner = key.inner.clone();
        if counter > 1 {
            inner.update(&block);
        }
        info.iter().for_each(|part| inner.update(part));
        inner.update(&[counter]);
        key.close(inner, block.as_mut());
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
}

/// The PRF of TLS 1.2 (RFC 5246 section 5) to `out.len()` bytes; `seed` is the concatenation of its
/// parts.
pub fn prf_tls12(hash: Hash, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let key = HmacKey::new(hash, secret);
    let mut block = SecretDigest::zero(hash);
    // RFC 5246 section 5: A(0) = seed, A(i) = HMAC_hash(secret, A(i-1)), and label stands before seed.
    let mut chain = SecretDigest::zero(hash);
    let labelled = |first: &[u8]| {
        let mut inner = key.inner.clone();
        inner.update(first);
        inner.update(label);
        seed.iter().for_each(|part| inner.update(part));
        inner
    };
    key.close(labelled(&[]), chain.as_mut());
    for chunk in out.chunks_mut(hash.len()) {
        key.close(labelled(&chain), block.as_mut());
        chunk.copy_from_slice(&block[..chunk.len()]);
        let mut next = key.inner.clone();
        next.update(&chain);
        key.close(next, chain.as_mut());
    }
}

#[cfg(test)]
mod tests;

//! What a TLS key schedule hashes with: `Running`, `hmac`, `hkdf_extract`, `hkdf_expand`, `prf_tls12`.
//!
//! SHA-256 and SHA-384 of the `sha2` crate, which takes SHA-NI where the CPU has it and has no branch
//! or index that depends on data. Everything lies on the stack. States and secrets are wiped when
//! dropped; a `Digest` is public.

use std::fmt;
use std::ops::Deref;

use sha2::digest::array::Array;
use sha2::digest::block_api::BlockSizeUser;
use sha2::digest::{Digest as _, Output};
use sha2::{Sha256, Sha384};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of the longest hash.
pub const MAX_HASH_LEN: usize = 48;

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
        match &self.0 {
            State::Sha256(state) => digest.place().copy_from_slice(&state.clone().finalize()),
            State::Sha384(state) => digest.place().copy_from_slice(&state.clone().finalize()),
        }
        digest
    }
}

/// HMAC (RFC 2104) of the concatenation of `parts`.
#[must_use]
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut code = Digest::zero(hash);
    hmac_into(hash, key, parts, code.place());
    code
}

/// HKDF-Extract (RFC 5869 section 2.2).
#[must_use]
pub fn hkdf_extract(hash: Hash, salt: &[u8], ikm: &[u8]) -> SecretDigest {
    let mut prk = SecretDigest::zero(hash);
    hmac_into(hash, salt, &[ikm], prk.as_mut());
    prk
}

/// HKDF-Expand (RFC 5869 section 2.3) to `out.len()` bytes, with the concatenation of the parts of
/// `info`.
///
/// # Panics
/// When `out` is longer than 255 hashes.
pub fn hkdf_expand(hash: Hash, prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
    fn run<D: Algorithm>(prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
        let key = Hmac::<D>::new(prk);
        // RFC 5869 section 2.3: T(n) = HMAC-Hash(PRK, T(n-1) | info | n), and T(0) is empty.
        let mut block = Block::<D>::default();
        for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(block.len())) {
            let last: &[u8] = if counter == 1 { &[] } else { &block };
            let inner = absorb(absorb(key.inner.clone(), &[last]), info);
            block = key.finish(absorb(inner, &[&[counter]]));
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
    assert!(out.len() <= 255 * hash.len(), "HKDF-Expand gives at most 255 hashes");
    match hash {
        Hash::Sha256 => run::<Sha256>(prk, info, out),
        Hash::Sha384 => run::<Sha384>(prk, info, out),
    }
}

/// The PRF of TLS 1.2 (RFC 5246 section 5) to `out.len()` bytes; `seed` is the concatenation of its
/// parts.
pub fn prf_tls12(hash: Hash, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    fn run<D: Algorithm>(secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
        let key = Hmac::<D>::new(secret);
        let labelled = |first: &[u8]| key.finish(absorb(absorb(key.inner.clone(), &[first, label]), seed));
        // RFC 5246 section 5: A(0) = label | seed, A(i) = HMAC_hash(secret, A(i-1)).
        let mut chain = labelled(&[]);
        let length = chain.len();
        for chunk in out.chunks_mut(length) {
            chunk.copy_from_slice(&labelled(&chain)[..chunk.len()]);
            chain = key.finish(absorb(key.inner.clone(), &[&chain]));
        }
    }
    match hash {
        Hash::Sha256 => run::<Sha256>(secret, label, seed, out),
        Hash::Sha384 => run::<Sha384>(secret, label, seed, out),
    }
}

fn hmac_into(hash: Hash, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
    fn run<D: Algorithm>(key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
        let key = Hmac::<D>::new(key);
        out.copy_from_slice(&key.finish(absorb(key.inner.clone(), parts)));
    }
    match hash {
        Hash::Sha256 => run::<Sha256>(key, parts, out),
        Hash::Sha384 => run::<Sha384>(key, parts, out),
    }
}

trait Algorithm: sha2::Digest + BlockSizeUser + Clone {}

impl<D: sha2::Digest + BlockSizeUser + Clone> Algorithm for D {}

type Block<D> = Zeroizing<Output<D>>;

/// A key of HMAC with the first block of both hashes done.
struct Hmac<D> {
    inner: D,
    outer: D,
}

impl<D: Algorithm> Hmac<D> {
    fn new(key: &[u8]) -> Self {
        let mut padded = Zeroizing::new(Array::<u8, D::BlockSize>::default());
        // RFC 2104 section 2: a key longer than a block is hashed first.
        if key.len() > padded.len() {
            let short = Zeroizing::new(D::digest(key));
            padded[..short.len()].copy_from_slice(&short);
        } else {
            padded[..key.len()].copy_from_slice(key);
        }
        padded.iter_mut().for_each(|byte| *byte ^= 0x36);
        let inner = absorb(D::new(), &[&padded]);
        padded.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        Self { inner, outer: absorb(D::new(), &[&padded]) }
    }

    /// The code of what went into `inner`, which began as a clone of our own.
    fn finish(&self, inner: D) -> Block<D> {
        let inner = Zeroizing::new(inner.finalize());
        Zeroizing::new(absorb(self.outer.clone(), &[&inner]).finalize())
    }
}

fn absorb<D: Algorithm>(mut state: D, parts: &[&[u8]]) -> D {
    parts.iter().for_each(|part| state.update(part));
    state
}

#[cfg(test)]
mod tests;

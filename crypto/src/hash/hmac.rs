//! HMAC, HKDF and the PRF of TLS 1.2 over the compression functions themselves: `HmacKey`.
//!
//! A key is two chaining values, made once; a code of a short message is two compressions from there, and
//! nothing is buffered twice.

use sha2::block_api::{compress256, compress512};
use zeroize::{Zeroize, ZeroizeOnDrop, optimization_barrier};

use super::{Digest, Hash, SecretDigest};

/// A key of HMAC (RFC 2104) with the first block of both hashes done; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HmacKey {
    inner: Chaining,
    outer: Chaining,
}

/// The chaining value of a hash.
#[derive(Clone, Copy, Zeroize)]
enum Chaining {
    Sha256([u32; 8]),
    Sha384([u64; 8]),
}

/// Bytes of the longest block.
const MAX_BLOCK: usize = 128;

impl HmacKey {
    /// `key` as one of `hash`.
    #[must_use]
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        let mut block = [0; MAX_BLOCK];
        let block_len = Chaining::initial(hash).block_len();
        // RFC 2104 section 2: a key longer than a block is hashed first.
        if key.len() > block_len {
            let mut short = hash.digest(&[key]);
            block[..short.len()].copy_from_slice(&short);
            short.bytes.zeroize();
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        block.iter_mut().for_each(|byte| *byte ^= 0x36);
        let mut inner = Chaining::initial(hash);
        inner.compress(&block);
        block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        let mut outer = Chaining::initial(hash);
        outer.compress(&block);
        block = [0; MAX_BLOCK];
        optimization_barrier(&block);
        Self { inner, outer }
    }

    /// The hash.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self.inner {
            Chaining::Sha256(_) => Hash::Sha256,
            Chaining::Sha384(_) => Hash::Sha384,
        }
    }

    /// The code of the concatenation of `parts`.
    #[must_use]
    pub fn code(&self, parts: &[&[u8]]) -> SecretDigest {
        let mut code = SecretDigest::zero(self.hash());
        self.write(parts, &[], code.as_mut());
        code
    }

    /// HKDF-Expand (RFC 5869 section 2.3) to `out.len()` bytes, with the concatenation of the parts of `info`.
    ///
    /// # Panics
    /// When `out` is longer than 255 hashes.
    pub fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        assert!(out.len() <= 255 * self.hash().len(), "HKDF-Expand gives at most 255 hashes");
        // RFC 5869 section 2.3: T(n) = HMAC-Hash(PRK, T(n-1) | info | n), and T(0) is empty.
        let mut block = SecretDigest::zero(self.hash());
        for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(self.hash().len())) {
            let mut inner = Message::after_one(self.inner);
            if counter > 1 {
                inner.absorb(&block);
            }
            info.iter().for_each(|part| inner.absorb(part));
            inner.absorb(&[counter]);
            self.finish(inner, block.as_mut());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    /// The code of the concatenation of `parts` and `more`, to a place as long as the hash.
    fn write(&self, parts: &[&[u8]], more: &[&[u8]], code: &mut [u8]) {
        let mut inner = Message::after_one(self.inner);
        parts.iter().chain(more).for_each(|part| inner.absorb(part));
        self.finish(inner, code);
    }

    fn finish(&self, inner: Message, code: &mut [u8]) {
        inner.finish(code);
        let mut outer = Message::after_one(self.outer);
        outer.absorb(code);
        outer.finish(code);
    }
}

/// HMAC of the concatenation of `parts`.
#[must_use]
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Digest {
    let code = HmacKey::new(hash, key).code(parts);
    code.0
}

/// HKDF-Extract (RFC 5869 section 2.2).
#[must_use]
pub fn hkdf_extract(hash: Hash, salt: &[u8], ikm: &[u8]) -> SecretDigest {
    HmacKey::new(hash, salt).code(&[ikm])
}

/// HKDF-Expand with the key `prk`, as [`HmacKey::expand`].
///
/// # Panics
/// When `out` is longer than 255 hashes.
pub fn hkdf_expand(hash: Hash, prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
    HmacKey::new(hash, prk).expand(info, out);
}

/// The PRF of TLS 1.2 (RFC 5246 section 5) to `out.len()` bytes; `seed` is the concatenation of its
/// parts.
pub fn prf_tls12(hash: Hash, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let key = HmacKey::new(hash, secret);
    // RFC 5246 section 5: A(0) = label | seed, A(i) = HMAC_hash(secret, A(i-1)).
    let (mut chain, mut block) = (SecretDigest::zero(hash), SecretDigest::zero(hash));
    key.write(&[label], seed, chain.as_mut());
    for chunk in out.chunks_mut(hash.len()) {
        key.write(&[&chain, label], seed, block.as_mut());
        chunk.copy_from_slice(&block[..chunk.len()]);
        chain = key.code(&[&chain]);
    }
}

/// A message on its way into a hash, one block of it at most waiting.
struct Message {
    state: Chaining,
    block: [u8; MAX_BLOCK],
    filled: usize,
    /// Bytes of the message so far.
    length: u64,
}

impl Message {
    /// A message of which `state` has taken the first block.
    fn after_one(state: Chaining) -> Self {
        Self { state, block: [0; MAX_BLOCK], filled: 0, length: state.block_len() as u64 }
    }

    fn absorb(&mut self, mut bytes: &[u8]) {
        let block_len = self.state.block_len();
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(block_len - self.filled));
            self.block[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled == block_len {
                self.state.compress(&self.block);
                self.filled = 0;
            }
        }
    }

    /// FIPS 180-4 section 5.1: a bit, zeros, and the length in bits, which is far below 2^64.
    fn finish(mut self, digest: &mut [u8]) {
        let block_len = self.state.block_len();
        let length_at = block_len - 8;
        self.block[self.filled] = 0x80;
        self.block[self.filled + 1..block_len].fill(0);
        // The length of SHA-384 has 16 bytes.
        if self.filled + 1 > block_len - block_len / 8 {
            self.state.compress(&self.block);
            self.block[..block_len].fill(0);
        }
        self.block[length_at..block_len].copy_from_slice(&(8 * self.length).to_be_bytes());
        self.state.compress(&self.block);
        self.state.store(digest);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // `Zeroize` would write byte after byte, which takes as long as the hash.
        self.block = [0; MAX_BLOCK];
        optimization_barrier(&self.block);
        self.state.zeroize();
    }
}

impl Chaining {
    /// FIPS 180-4 sections 5.3.3 and 5.3.4.
    const fn initial(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256([
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ]),
            Hash::Sha384 => Self::Sha384([
                0xcbbb_9d5d_c105_9ed8,
                0x629a_292a_367c_d507,
                0x9159_015a_3070_dd17,
                0x152f_ecd8_f70e_5939,
                0x6733_2667_ffc0_0b31,
                0x8eb4_4a87_6858_1511,
                0xdb0c_2e0d_64f9_8fa7,
                0x47b5_481d_befa_4fa4,
            ]),
        }
    }

    const fn block_len(&self) -> usize {
        match self {
            Self::Sha256(_) => 64,
            Self::Sha384(_) => 128,
        }
    }

    /// Takes the first `block_len` bytes of `block`.
    fn compress(&mut self, block: &[u8; MAX_BLOCK]) {
        match self {
            Self::Sha256(state) => compress256(state, &block.as_chunks::<64>().0[..1]),
            Self::Sha384(state) => compress512(state, std::slice::from_ref(block)),
        }
    }

    /// Writes as much of the digest as there is room for, which is all of it.
    fn store(&self, digest: &mut [u8]) {
        match self {
            Self::Sha256(state) => {
                for (place, word) in digest.chunks_mut(4).zip(state) {
                    place.copy_from_slice(&word.to_be_bytes());
                }
            }
            Self::Sha384(state) => {
                for (place, word) in digest.chunks_mut(8).zip(state) {
                    place.copy_from_slice(&word.to_be_bytes());
                }
            }
        }
    }
}

//! HMAC, HKDF and the PRF of TLS 1.2 over the compression functions themselves: `HmacKey`, `Label`.
//!
//! A key is two chaining values, made once; a code of a short message is two compressions from there. What can
//! be compressed side by side is: the two values of a key, and the codes of two messages.

use zeroize::{ZeroizeOnDrop, optimization_barrier};

use super::chaining::{Block, Chaining, block_len, put_length};
use super::{Digest, Hash, Running, SecretDigest};

/// A key of HMAC (RFC 2104) with the first block of both hashes done; wiped when dropped.
#[derive(Clone)]
pub struct HmacKey {
    inner: Chaining,
    outer: Chaining,
}

impl HmacKey {
    /// `key` as one of `hash`.
    #[must_use]
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        let mut block = [0; 128];
        // RFC 2104 section 2: a key longer than a block is hashed first.
        if key.len() > block_len(hash) {
            let short = SecretDigest(hash.digest(&[key]));
            block[..short.len()].copy_from_slice(&short);
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let mut outer_block = block.map(|byte| byte ^ 0x5c);
        block = block.map(|byte| byte ^ 0x36);
        let (mut inner, mut outer) = (Chaining::initial(hash), Chaining::initial(hash));
        Chaining::compress_both([&mut inner, &mut outer], [&block, &outer_block]);
        wipe(&mut block);
        wipe(&mut outer_block);
        Self { inner, outer }
    }

    /// The hash.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.inner.hash()
    }

    /// The code of the concatenation of `parts`.
    #[must_use]
    pub fn code(&self, parts: &[&[u8]]) -> SecretDigest {
        self.code_of(parts, &[])
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
            let mut inner = Running::after_one(self.inner);
            if counter > 1 {
                inner.update(&block);
            }
            info.iter().for_each(|part| inner.update(part));
            inner.update(&[counter]);
            block = self.finish(&inner);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    /// HKDF-Expand-Label (RFC 8446 section 7.1) to at most a hash.
    ///
    /// # Panics
    /// When `out` or `context` is longer than a hash.
    pub fn expand_label(&self, label: &Label, context: &[u8], out: &mut [u8]) {
        let mut block = label.block(self.hash(), context, out.len());
        let (mut inner, mut outer) = (self.inner, self.outer);
        inner.compress_one(&block);
        outer.compress_one(outer_block(&mut block, &inner));
        out.copy_from_slice(&outer.bytes()[..out.len()]);
        wipe(&mut block);
        inner.wipe();
        outer.wipe();
    }

    /// [`HmacKey::expand_label`] of two keys of one hash.
    ///
    /// # Panics
    /// As [`HmacKey::expand_label`].
    pub fn expand_labels(keys: [&Self; 2], labels: [&Label; 2], context: &[u8], out: [&mut [u8]; 2]) {
        let [mut first, mut second] =
            [0, 1].map(|index| labels[index].block(keys[index].hash(), context, out[index].len()));
        let mut inner = keys.map(|key| key.inner);
        let mut outer = keys.map(|key| key.outer);
        Chaining::compress_both(inner.each_mut(), [&first, &second]);
        outer_block(&mut first, &inner[0]);
        outer_block(&mut second, &inner[1]);
        Chaining::compress_both(outer.each_mut(), [&first, &second]);
        for (out, state) in out.into_iter().zip(&outer) {
            out.copy_from_slice(&state.bytes()[..out.len()]);
        }
        wipe(&mut first);
        wipe(&mut second);
        inner.each_mut().into_iter().chain(outer.each_mut()).for_each(Chaining::wipe);
    }

    fn code_of(&self, parts: &[&[u8]], more: &[&[u8]]) -> SecretDigest {
        let mut inner = Running::after_one(self.inner);
        parts.iter().chain(more).for_each(|part| inner.update(part));
        self.finish(&inner)
    }

    fn finish(&self, inner: &Running) -> SecretDigest {
        let (mut inner, mut block, mut outer) = (inner.end(), [0; 128], self.outer);
        outer.compress_one(outer_block(&mut block, &inner));
        let code = SecretDigest(Digest::of(&outer));
        wipe(&mut block);
        inner.wipe();
        outer.wipe();
        code
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.wipe();
        self.outer.wipe();
    }
}

impl ZeroizeOnDrop for HmacKey {}

/// Makes of `block` the one that follows a key's in the outer hash: the digest `inner`, padded.
#[inline]
fn outer_block<'a>(block: &'a mut Block, inner: &Chaining) -> &'a Block {
    let hash = inner.hash();
    *block = inner.bytes();
    block[hash.len()] = 0x80;
    put_length(hash, block, (block_len(hash) + hash.len()) as u64);
    block
}

#[inline]
fn wipe(block: &mut Block) {
    *block = [0; 128];
    optimization_barrier(block);
}

/// A label of HKDF-Expand-Label (RFC 8446 section 7.1), with its prefix and length.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    bytes: [u8; LABEL],
    len: usize,
}

/// Bytes of the longest label, its length and prefix.
const LABEL: usize = 20;

impl Label {
    /// `label` behind "tls13 ".
    ///
    /// # Panics
    /// When it is longer than the longest of RFC 8446, which has 12 bytes.
    #[must_use]
    pub const fn new(label: &[u8]) -> Self {
        let (mut bytes, prefix) = ([0; LABEL], b"tls13 ");
        let (mut at, mut length) = (1, 0_u8);
        while length < 6 {
            bytes[at] = prefix[length as usize];
            (at, length) = (at + 1, length + 1);
        }
        while at < 7 + label.len() {
            bytes[at] = label[at - 7];
            (at, length) = (at + 1, length + 1);
        }
        bytes[0] = length;
        Self { bytes, len: at }
    }

    /// The block that follows a key's in the inner hash, for `length` bytes: HkdfLabel, the counter of the first
    /// and only round, and padding.
    #[inline]
    fn block(&self, hash: Hash, context: &[u8], length: usize) -> Block {
        assert!(length.max(context.len()) <= hash.len(), "one round gives one hash, of one block");
        let mut block = [0; 128];
        block[1] = length.to_le_bytes()[0];
        block[2..2 + LABEL].copy_from_slice(&self.bytes);
        let at = 2 + self.len;
        block[at] = context.len().to_le_bytes()[0];
        block[at + 1..][..context.len()].copy_from_slice(context);
        let end = at + 1 + context.len();
        block[end] = 1;
        block[end + 1] = 0x80;
        put_length(hash, &mut block, (block_len(hash) + end + 1) as u64);
        block
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
pub fn prf_tls12(key: &HmacKey, label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    // RFC 5246 section 5: A(0) = label | seed, A(i) = HMAC_hash(secret, A(i-1)).
    let mut chain = key.code_of(&[label], seed);
    let mut chunks = out.chunks_mut(key.hash().len()).peekable();
    while let Some(chunk) = chunks.next() {
        let block = key.code_of(&[&chain, label], seed);
        chunk.copy_from_slice(&block[..chunk.len()]);
        if chunks.peek().is_some() {
            chain = key.code(&[&chain]);
        }
    }
}

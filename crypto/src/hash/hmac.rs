//! HMAC, HKDF and the PRF of TLS 1.2 over the compression functions themselves: `HmacKey`, `Label`.
//!
//! A key is two chaining values, made once; a code of a short message is two compressions from there. What can
//! be compressed side by side is: the two values of a key, and the codes of two messages.

use zeroize::ZeroizeOnDrop;

use super::compression::{Compression, Sha256, Sha384, block_len, least_padding, pad, put, wipe};
use super::running::Stream;
use super::{Digest, Hash, SecretDigest};

/// A key of HMAC (RFC 2104) with the first block of both hashes done; wiped when dropped.
#[derive(Clone)]
pub struct HmacKey(Either);

#[derive(Clone)]
enum Either {
    Sha256(Keyed<Sha256>),
    Sha384(Keyed<Sha384>),
}

impl HmacKey {
    /// `key` as one of `hash`.
    #[must_use]
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        Self(match hash {
            Hash::Sha256 => Either::Sha256(Keyed::new(key)),
            Hash::Sha384 => Either::Sha384(Keyed::new(key)),
        })
    }

    /// The hash.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match &self.0 {
            Either::Sha256(_) => Hash::Sha256,
            Either::Sha384(_) => Hash::Sha384,
        }
    }

    /// The code of the concatenation of `parts`.
    #[must_use]
    pub fn code(&self, parts: &[&[u8]]) -> SecretDigest {
        self.code_over(&[parts])
    }

    /// HKDF-Expand (RFC 5869 section 2.3) to `out.len()` bytes, with the concatenation of the parts of `info`.
    ///
    /// # Panics
    /// When `out` is longer than 255 hashes.
    pub fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        assert!(out.len() <= 255 * self.hash().len(), "HKDF-Expand gives at most 255 hashes");
        // RFC 5869 section 2.3: T(n) = HMAC-Hash(PRK, T(n-1) | info | n), and T(0) is empty.
        let mut block: Option<SecretDigest> = None;
        for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(self.hash().len())) {
            let (before, counter): (&[u8], &[u8]) = (block.as_deref().unwrap_or_default(), &[counter]);
            let next = self.code_over(&[&[before], info, &[counter]]);
            chunk.copy_from_slice(&next[..chunk.len()]);
            block = Some(next);
        }
    }

    /// HKDF-Expand-Label (RFC 8446 section 7.1) to at most a hash.
    ///
    /// # Panics
    /// When `out` or `context` is longer than a hash.
    pub fn expand_label(&self, label: &Label, context: &[u8], out: &mut [u8]) {
        match &self.0 {
            Either::Sha256(key) => key.expand_label(label, context, out),
            Either::Sha384(key) => key.expand_label(label, context, out),
        }
    }

    /// [`HmacKey::expand_label`] of two keys of one hash.
    ///
    /// # Panics
    /// As [`HmacKey::expand_label`], and when the hashes differ.
    pub fn expand_labels(keys: [&Self; 2], labels: [&Label; 2], context: &[u8], out: [&mut [u8]; 2]) {
        match keys.map(|key| &key.0) {
            [Either::Sha256(first), Either::Sha256(second)] => {
                Keyed::expand_labels([first, second], labels, context, out);
            }
            [Either::Sha384(first), Either::Sha384(second)] => {
                Keyed::expand_labels([first, second], labels, context, out);
            }
            _ => panic!("keys of one hash"),
        }
    }

    fn code_over(&self, parts: Parts<'_>) -> SecretDigest {
        match &self.0 {
            Either::Sha256(key) => key.code(parts),
            Either::Sha384(key) => key.code(parts),
        }
    }
}

impl ZeroizeOnDrop for HmacKey {}

/// The pieces of a message, and of those the pieces.
type Parts<'a> = &'a [&'a [&'a [u8]]];

/// A key for one of the hashes; wiped when dropped.
struct Keyed<C: Compression> {
    inner: C::State,
    outer: C::State,
}

impl<C: Compression> Keyed<C> {
    #[inline]
    fn new(key: &[u8]) -> Self {
        let mut block = C::BLANK;
        // RFC 2104 section 2: a key longer than a block is hashed first.
        if key.len() > block_len::<C>() {
            put(block.as_mut(), &SecretDigest(C::HASH.digest(&[key])));
        } else {
            put(block.as_mut(), key);
        }
        let mut outer_block = block;
        block.as_mut().iter_mut().for_each(|byte| *byte ^= 0x36);
        outer_block.as_mut().iter_mut().for_each(|byte| *byte ^= 0x5c);
        let mut this = Self { inner: C::INITIAL, outer: C::INITIAL };
        C::compress_both([&mut this.inner, &mut this.outer], [&block, &outer_block]);
        wipe(&mut block, C::BLANK);
        wipe(&mut outer_block, C::BLANK);
        this
    }

    fn code(&self, parts: Parts<'_>) -> SecretDigest {
        let mut inner = self.inner(parts);
        let mut block = Self::outer_block(&inner);
        let mut outer = self.outer;
        C::compress(&mut outer, std::slice::from_ref(&block));
        let code = SecretDigest(Digest::of::<C>(&outer));
        wipe(&mut block, C::BLANK);
        wipe(&mut inner, C::INITIAL);
        wipe(&mut outer, C::INITIAL);
        code
    }

    /// The inner hash behind the last block.
    fn inner(&self, parts: Parts<'_>) -> C::State {
        let mut inner = self.inner;
        let mut message = C::SHORT;
        let Some(used) = Self::write_short(&mut message, parts) else {
            let mut stream = Stream::<C>::new(inner, block_len::<C>() as u64);
            parts.iter().copied().flatten().for_each(|part| stream.update(part));
            return stream.end();
        };
        C::compress(&mut inner, C::blocks(&message.as_ref()[..used]).0);
        wipe(&mut message, C::SHORT);
        inner
    }

    /// Makes of `message` one for the inner hash behind the block of the key, padded, and says the bytes of its
    /// blocks; `None` when it is not short.
    fn write_short(message: &mut C::Short, parts: Parts<'_>) -> Option<usize> {
        let length: usize = parts.iter().copied().flatten().map(|part| part.len()).sum();
        if length + least_padding::<C>() > message.as_ref().len() {
            return None;
        }
        let mut at = 0;
        for part in parts.iter().copied().flatten() {
            put(&mut message.as_mut()[at..], part);
            at += part.len();
        }
        Some(pad::<C>(message.as_mut(), length, (block_len::<C>() + length) as u64).len())
    }

    /// The codes of two messages.
    fn codes(&self, first: Parts<'_>, second: Parts<'_>) -> [SecretDigest; 2] {
        let (mut message, mut other_message) = (C::SHORT, C::SHORT);
        let used = Self::write_short(&mut message, first);
        let other_used = Self::write_short(&mut other_message, second);
        let (Some(used), Some(other_used)) = (used, other_used) else {
            wipe(&mut message, C::SHORT);
            wipe(&mut other_message, C::SHORT);
            return [self.code(first), self.code(second)];
        };
        let (mut state, mut other_state) = (self.inner, self.inner);
        let (blocks, _) = C::blocks(&message.as_ref()[..used]);
        let (other_blocks, _) = C::blocks(&other_message.as_ref()[..other_used]);
        for (block, other) in blocks.iter().zip(other_blocks) {
            C::compress_both([&mut state, &mut other_state], [block, other]);
        }
        let both = blocks.len().min(other_blocks.len());
        C::compress(&mut state, &blocks[both..]);
        C::compress(&mut other_state, &other_blocks[both..]);
        let (mut block, mut other_block) = (Self::outer_block(&state), Self::outer_block(&other_state));
        (state, other_state) = (self.outer, self.outer);
        C::compress_both([&mut state, &mut other_state], [&block, &other_block]);
        let codes = [&state, &other_state].map(|state| SecretDigest(Digest::of::<C>(state)));
        wipe(&mut message, C::SHORT);
        wipe(&mut other_message, C::SHORT);
        wipe(&mut block, C::BLANK);
        wipe(&mut other_block, C::BLANK);
        wipe(&mut state, C::INITIAL);
        wipe(&mut other_state, C::INITIAL);
        codes
    }

    fn prf(&self, label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
        // RFC 5246 section 5: A(0) = label | seed, A(i) = HMAC_hash(secret, A(i-1)).
        let mut chain = self.code(&[&[label], seed]);
        let mut chunks = out.chunks_mut(C::HASH.len()).peekable();
        while let Some(chunk) = chunks.next() {
            let block;
            if chunks.peek().is_some() {
                [block, chain] = self.codes(&[&[&chain, label], seed], &[&[&chain]]);
            } else {
                block = self.code(&[&[&chain, label], seed]);
            }
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn expand_label(&self, label: &Label, context: &[u8], out: &mut [u8]) {
        let mut block = label.block::<C>(context, out.len());
        let (mut inner, mut outer) = (self.inner, self.outer);
        C::compress(&mut inner, std::slice::from_ref(&block));
        block = Self::outer_block(&inner);
        C::compress(&mut outer, std::slice::from_ref(&block));
        block = C::digest(&outer);
        out.copy_from_slice(&block.as_ref()[..out.len()]);
        wipe(&mut block, C::BLANK);
        wipe(&mut inner, C::INITIAL);
        wipe(&mut outer, C::INITIAL);
    }

    fn expand_labels(keys: [&Self; 2], labels: [&Label; 2], context: &[u8], out: [&mut [u8]; 2]) {
        let ([key, other_key], [out, other_out]) = (keys, out);
        let mut block = labels[0].block::<C>(context, out.len());
        let mut other_block = labels[1].block::<C>(context, other_out.len());
        let (mut state, mut other_state) = (key.inner, other_key.inner);
        C::compress_both([&mut state, &mut other_state], [&block, &other_block]);
        (block, other_block) = (Self::outer_block(&state), Self::outer_block(&other_state));
        (state, other_state) = (key.outer, other_key.outer);
        C::compress_both([&mut state, &mut other_state], [&block, &other_block]);
        (block, other_block) = (C::digest(&state), C::digest(&other_state));
        out.copy_from_slice(&block.as_ref()[..out.len()]);
        other_out.copy_from_slice(&other_block.as_ref()[..other_out.len()]);
        wipe(&mut block, C::BLANK);
        wipe(&mut other_block, C::BLANK);
        wipe(&mut state, C::INITIAL);
        wipe(&mut other_state, C::INITIAL);
    }

    /// The block that follows a key's in the outer hash: the digest `inner`, padded.
    #[inline]
    fn outer_block(inner: &C::State) -> C::Block {
        let mut block = C::digest(inner);
        let used = C::HASH.len();
        pad::<C>(block.as_mut(), used, (block_len::<C>() + used) as u64);
        block
    }
}

impl<C: Compression> Clone for Keyed<C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner, outer: self.outer }
    }
}

impl<C: Compression> Drop for Keyed<C> {
    fn drop(&mut self) {
        wipe(&mut self.inner, C::INITIAL);
        wipe(&mut self.outer, C::INITIAL);
    }
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
    fn block<C: Compression>(&self, context: &[u8], length: usize) -> C::Block {
        assert!(length.max(context.len()) <= C::HASH.len(), "one round gives one hash, of one block");
        let mut block = C::BLANK;
        let place = block.as_mut();
        place[1] = length.to_le_bytes()[0];
        place[2..2 + LABEL].copy_from_slice(&self.bytes);
        let at = 2 + self.len;
        place[at] = context.len().to_le_bytes()[0];
        put(&mut place[at + 1..], context);
        let end = at + 1 + context.len();
        place[end] = 1;
        pad::<C>(place, end + 1, (block_len::<C>() + end + 1) as u64);
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
    match &key.0 {
        Either::Sha256(key) => key.prf(label, seed, out),
        Either::Sha384(key) => key.prf(label, seed, out),
    }
}

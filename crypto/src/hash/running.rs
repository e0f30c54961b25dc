//! A hash over bytes that keep coming: `Running`.

use super::compression::{Compression, Sha256, Sha384, block_len, pad, put, wipe};
use super::{Digest, Hash};

/// A hash over bytes that keep coming, a transcript; wiped when dropped.
#[derive(Clone)]
pub struct Running(Either);

#[derive(Clone)]
enum Either {
    Sha256(Stream<Sha256>),
    Sha384(Stream<Sha384>),
}

impl Running {
    /// The hash of no bytes.
    #[must_use]
    pub const fn new(hash: Hash) -> Self {
        Self(match hash {
            Hash::Sha256 => Either::Sha256(Stream::new(Sha256::INITIAL, 0)),
            Hash::Sha384 => Either::Sha384(Stream::new(Sha384::INITIAL, 0)),
        })
    }

    /// The algorithm.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match &self.0 {
            Either::Sha256(_) => Hash::Sha256,
            Either::Sha384(_) => Hash::Sha384,
        }
    }

    /// Takes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Either::Sha256(stream) => stream.update(bytes),
            Either::Sha384(stream) => stream.update(bytes),
        }
    }

    /// The digest of the bytes so far; more may follow.
    #[must_use]
    pub fn peek(&self) -> Digest {
        match &self.0 {
            Either::Sha256(stream) => Digest::of::<Sha256>(&stream.end()),
            Either::Sha384(stream) => Digest::of::<Sha384>(&stream.end()),
        }
    }
}

/// One of the hashes over bytes that keep coming; wiped when dropped.
pub(super) struct Stream<C: Compression> {
    state: C::State,
    /// The bytes that do not fill a block, then zeros.
    block: C::Block,
    filled: usize,
    /// Bytes so far.
    length: u64,
}

impl<C: Compression> Stream<C> {
    /// A hash of which `state` has taken `length` bytes, whole blocks.
    pub(super) const fn new(state: C::State, length: u64) -> Self {
        Self { state, block: C::BLANK, filled: 0, length }
    }

    /// Takes further bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.filled > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(block_len::<C>() - self.filled));
            put(&mut self.block.as_mut()[self.filled..], now);
            self.filled += now.len();
            bytes = rest;
            if self.filled < block_len::<C>() {
                return;
            }
            C::compress(&mut self.state, std::slice::from_ref(&self.block));
            self.block = C::BLANK;
            self.filled = 0;
        }
        let (blocks, rest) = C::blocks(bytes);
        C::compress(&mut self.state, blocks);
        put(self.block.as_mut(), rest);
        self.filled = rest.len();
    }

    /// The state behind the last block.
    pub(super) fn end(&self) -> C::State {
        let (mut state, mut end) = (self.state, C::SHORT);
        put(end.as_mut(), &self.block.as_ref()[..self.filled]);
        let (blocks, _) = C::blocks(pad::<C>(end.as_mut(), self.filled, self.length));
        C::compress(&mut state, blocks);
        wipe(&mut end, C::SHORT);
        state
    }
}

impl<C: Compression> Clone for Stream<C> {
    fn clone(&self) -> Self {
        Self { state: self.state, block: self.block, filled: self.filled, length: self.length }
    }
}

impl<C: Compression> Drop for Stream<C> {
    fn drop(&mut self) {
        wipe(&mut self.block, C::BLANK);
        wipe(&mut self.state, C::INITIAL);
    }
}

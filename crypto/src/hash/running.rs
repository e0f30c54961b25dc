//! A hash over bytes that keep coming: `Running`.

use zeroize::optimization_barrier;

use super::chaining::{Block, Chaining, one_block, put_length};
use super::{Digest, Hash};

/// A hash over bytes that keep coming, a transcript; wiped when dropped.
#[derive(Clone)]
pub struct Running {
    state: Chaining,
    /// The bytes that do not fill a block, then zeros.
    block: Block,
    filled: usize,
    /// Bytes so far.
    length: u64,
}

impl Running {
    /// The hash of no bytes.
    #[must_use]
    pub const fn new(hash: Hash) -> Self {
        Self { state: Chaining::initial(hash), block: [0; 128], filled: 0, length: 0 }
    }

    /// A hash of which `state` has taken the first block.
    pub(super) const fn after_one(state: Chaining) -> Self {
        Self { state, block: [0; 128], filled: 0, length: state.block_len() as u64 }
    }

    /// The algorithm.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.state.hash()
    }

    /// Takes further bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let block_len = self.state.block_len();
        self.length += bytes.len() as u64;
        if self.filled > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(block_len - self.filled));
            self.block[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled < block_len {
                return;
            }
            self.state.compress_one(&self.block);
            self.block = [0; 128];
            self.filled = 0;
        }
        let bytes = self.state.compress(bytes);
        self.block[..bytes.len()].copy_from_slice(bytes);
        self.filled = bytes.len();
    }

    /// The digest of the bytes so far; more may follow.
    #[must_use]
    pub fn peek(&self) -> Digest {
        Digest::of(&self.end())
    }

    /// The chaining value behind the last block.
    pub(super) fn end(&self) -> Chaining {
        let (mut state, mut block, hash) = (self.state, self.block, self.hash());
        // FIPS 180-4 section 5.1: a bit, zeros, and the length.
        block[self.filled] = 0x80;
        if self.filled > one_block(hash) {
            state.compress_one(&block);
            block = [0; 128];
        }
        put_length(hash, &mut block, self.length);
        state.compress_one(&block);
        block = [0; 128];
        optimization_barrier(&block);
        state
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `Zeroize` would write byte after byte, which takes as long as the hash.
        self.block = [0; 128];
        optimization_barrier(&self.block);
        self.state.wipe();
    }
}

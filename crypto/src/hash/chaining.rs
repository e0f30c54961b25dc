//! The compression functions of both hashes, and the value that they hand from block to block: `Chaining`.

use sha2::block_api::{compress256, compress512};
use zeroize::optimization_barrier;

#[cfg(target_arch = "x86_64")]
use crate::batch::ShaNi;

use super::Hash;

/// Room for the longest block; SHA-256 takes the first half of it.
pub(super) type Block = [u8; 128];

/// The chaining value of a hash.
#[derive(Clone, Copy)]
pub(super) enum Chaining {
    Sha256([u32; 8]),
    Sha384([u64; 8]),
}

impl Chaining {
    /// FIPS 180-4 sections 5.3.3 and 5.3.4.
    pub(super) const fn initial(hash: Hash) -> Self {
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

    pub(super) const fn hash(&self) -> Hash {
        match self {
            Self::Sha256(_) => Hash::Sha256,
            Self::Sha384(_) => Hash::Sha384,
        }
    }

    pub(super) const fn block_len(&self) -> usize {
        block_len(self.hash())
    }

    /// Takes the whole blocks of `bytes`, and gives back the rest.
    pub(super) fn compress<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Sha256(state) => {
                let (blocks, rest) = bytes.as_chunks();
                sha256(state, blocks);
                rest
            }
            Self::Sha384(state) => {
                let (blocks, rest) = bytes.as_chunks();
                compress512(state, blocks);
                rest
            }
        }
    }

    /// Takes a block into each of two values of one hash.
    pub(super) fn compress_both(pair: [&mut Self; 2], blocks: [&Block; 2]) {
        let [first, second] = pair;
        #[cfg(target_arch = "x86_64")]
        if let (Self::Sha256(first), Self::Sha256(second)) = (&mut *first, &mut *second)
            && let [Some(a), Some(b)] = blocks.map(|block| block.first_chunk())
            && let Some(cpu) = ShaNi::detect()
        {
            return cpu.compress_both([first, second], [a, b]);
        }
        first.compress_one(blocks[0]);
        second.compress_one(blocks[1]);
    }

    /// Takes the block in `block`.
    pub(super) fn compress_one(&mut self, block: &Block) {
        self.compress(&block[..self.block_len()]);
    }

    /// The digest at the start of a block of zeros.
    #[inline]
    pub(super) fn bytes(&self) -> Block {
        let mut block = [0; 128];
        match self {
            Self::Sha256(state) => {
                for (place, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
                    *place = word.to_be_bytes();
                }
            }
            // SHA-384 is the first six words of eight.
            Self::Sha384(state) => {
                for (place, word) in block.as_chunks_mut::<8>().0.iter_mut().zip(&state[..6]) {
                    *place = word.to_be_bytes();
                }
            }
        }
        block
    }

    /// Overwrites it.
    #[inline]
    pub(super) fn wipe(&mut self) {
        match self {
            Self::Sha256(state) => *state = [0; 8],
            Self::Sha384(state) => *state = [0; 8],
        }
        optimization_barrier(self);
    }
}

/// Bytes of a block.
pub(super) const fn block_len(hash: Hash) -> usize {
    match hash {
        Hash::Sha256 => 64,
        Hash::Sha384 => 128,
    }
}

/// The most bytes of a message whose padding is in the same block.
pub(super) const fn one_block(hash: Hash) -> usize {
    match hash {
        Hash::Sha256 => 55,
        Hash::Sha384 => 111,
    }
}

/// FIPS 180-4 section 5.1: the last block ends with the length of the message in bits.
#[inline]
pub(super) fn put_length(hash: Hash, block: &mut Block, bytes: u64) {
    let end = block_len(hash);
    block[end - 8..end].copy_from_slice(&(8 * bytes).to_be_bytes());
}

#[inline]
fn sha256(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = ShaNi::detect() {
        return cpu.compress(state, blocks);
    }
    compress256(state, blocks);
}

//! The compression functions of both hashes, as what is built on them sees one: `Compression`.

use sha2::block_api::{compress256, compress512};
use zeroize::optimization_barrier;

#[cfg(target_arch = "x86_64")]
use crate::batch::ShaNi;

use super::Hash;

/// A hash of FIPS 180-4 as it goes from block to block.
pub(super) trait Compression {
    /// Which one.
    const HASH: Hash;
    /// FIPS 180-4 sections 5.3.3 and 5.3.4.
    const INITIAL: Self::State;
    /// A block of zeros.
    const BLANK: Self::Block;
    /// Zeros in which a short message has room with its padding.
    const SHORT: Self::Short;

    /// What it hands from block to block.
    type State: Copy;
    /// A block.
    type Block: Copy + AsRef<[u8]> + AsMut<[u8]>;
    /// A few blocks.
    type Short: Copy + AsRef<[u8]> + AsMut<[u8]>;

    /// The whole blocks of `bytes`, and the rest.
    fn blocks(bytes: &[u8]) -> (&[Self::Block], &[u8]);

    /// Takes `blocks`.
    fn compress(state: &mut Self::State, blocks: &[Self::Block]);

    /// Takes a block into each of two states.
    fn compress_both(states: [&mut Self::State; 2], blocks: [&Self::Block; 2]) {
        let [first, second] = states;
        Self::compress(first, std::slice::from_ref(blocks[0]));
        Self::compress(second, std::slice::from_ref(blocks[1]));
    }

    /// The digest at the start of a block of zeros.
    fn digest(state: &Self::State) -> Self::Block;
}

/// Bytes of a block.
pub(super) const fn block_len<C: Compression>() -> usize {
    size_of::<C::Block>()
}

/// Bytes of padding, at the least: a bit, and the length of the message (FIPS 180-4 section 5.1).
pub(super) const fn least_padding<C: Compression>() -> usize {
    1 + block_len::<C>() / 8
}

/// Pads the `used` bytes in `place`, the end of a message of `length` bytes, to whole blocks, which it gives back.
/// What lies behind them is zero; there is room.
#[inline]
pub(super) fn pad<C: Compression>(place: &mut [u8], used: usize, length: u64) -> &[u8] {
    // FIPS 180-4 section 5.1: a bit, zeros, and the length in bits.
    let end = (used + least_padding::<C>()).next_multiple_of(block_len::<C>());
    place[used] = 0x80;
    place[end - 8..end].copy_from_slice(&(8 * length).to_be_bytes());
    &place[..end]
}

/// Copies `bytes` to the start of `place`. Most are a digest of SHA-256, for which no loop is needed.
#[inline]
pub(super) fn put(place: &mut [u8], bytes: &[u8]) {
    match <&[u8; 32]>::try_from(bytes) {
        Ok(bytes) => place[..32].copy_from_slice(bytes),
        Err(_) => place[..bytes.len()].copy_from_slice(bytes),
    }
}

/// Overwrites a state, a block or a message. `Zeroize` would write byte after byte, which takes as long as the hash.
#[inline]
pub(super) fn wipe<T: Copy>(value: &mut T, blank: T) {
    *value = blank;
    optimization_barrier(value);
}

/// SHA-256, by SHA-NI where the CPU has it.
pub(super) struct Sha256;

impl Compression for Sha256 {
    const HASH: Hash = Hash::Sha256;
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    const BLANK: [u8; 64] = [0; 64];
    const SHORT: [u8; 192] = [0; 192];

    type State = [u32; 8];
    type Block = [u8; 64];
    type Short = [u8; 192];

    #[inline]
    fn blocks(bytes: &[u8]) -> (&[[u8; 64]], &[u8]) {
        bytes.as_chunks()
    }

    #[inline]
    fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = ShaNi::detect() {
            return cpu.compress(state, blocks);
        }
        compress256(state, blocks);
    }

    #[inline]
    fn compress_both([first, second]: [&mut [u32; 8]; 2], blocks: [&[u8; 64]; 2]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = ShaNi::detect() {
            return cpu.compress_both([first, second], blocks);
        }
        compress256(first, &[*blocks[0]]);
        compress256(second, &[*blocks[1]]);
    }

    #[inline]
    fn digest(state: &[u32; 8]) -> [u8; 64] {
        let mut block = [0; 64];
        for (place, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *place = word.to_be_bytes();
        }
        block
    }
}

/// SHA-384.
pub(super) struct Sha384;

impl Compression for Sha384 {
    const HASH: Hash = Hash::Sha384;
    const INITIAL: [u64; 8] = [
        0xcbbb_9d5d_c105_9ed8,
        0x629a_292a_367c_d507,
        0x9159_015a_3070_dd17,
        0x152f_ecd8_f70e_5939,
        0x6733_2667_ffc0_0b31,
        0x8eb4_4a87_6858_1511,
        0xdb0c_2e0d_64f9_8fa7,
        0x47b5_481d_befa_4fa4,
    ];
    const BLANK: [u8; 128] = [0; 128];
    const SHORT: [u8; 384] = [0; 384];

    type State = [u64; 8];
    type Block = [u8; 128];
    type Short = [u8; 384];

    #[inline]
    fn blocks(bytes: &[u8]) -> (&[[u8; 128]], &[u8]) {
        bytes.as_chunks()
    }

    #[inline]
    fn compress(state: &mut [u64; 8], blocks: &[[u8; 128]]) {
        compress512(state, blocks);
    }

    #[inline]
    fn digest(state: &[u64; 8]) -> [u8; 128] {
        let mut block = [0; 128];
        // SHA-384 is the first six words of eight.
        for (place, word) in block.as_chunks_mut::<8>().0.iter_mut().zip(&state[..6]) {
            *place = word.to_be_bytes();
        }
        block
    }
}

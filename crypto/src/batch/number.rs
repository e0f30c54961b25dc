//! Eight long numbers, one in each lane: `Number`.
//!
//! 5 `B` limbs of 52 bits in blocks of five. vpmadd52 reads the low 52 bits of a limb and no others, so
//! carries are moved up and not masked away: what lies above bit 52 of a limb means nothing.

use core::arch::x86_64::*;
use core::hint::black_box;

use zeroize::Zeroize;

use super::lanes::{LANES, Lanes, MASK, array, lanes, splat};
use super::rows::row;

/// Limbs of a block.
pub(super) const WIDTH: usize = 5;

/// Words that hold the longest number, and one more for the reading of limbs.
const WORDS: usize = 66;

/// Five limbs, or five columns of a product.
pub(super) type Block = [Lanes; WIDTH];

/// Eight numbers of `5 * B` limbs.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Number<const B: usize>(pub(super) [Block; B]);

impl<const B: usize> Number<B> {
    /// Bits of the limbs.
    pub(super) const BITS: usize = 52 * WIDTH * B;

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero() -> Self {
        Self([[_mm512_setzero_si512(); WIDTH]; B])
    }

    /// The big-endian numbers of `bytes`, each at most 512 bytes, one for each lane.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read(bytes: [&[u8]; LANES]) -> Self {
        let mut words = bytes.map(words);
        let mut number = Self::zero();
        for (index, limb) in number.0.as_flattened_mut().iter_mut().enumerate() {
            let (word, shift) = (52 * index / 64, 52 * index % 64);
            *limb = lanes(words.each_ref().map(|words| {
                // Without the barrier the compiler makes gathers of these.
                let (low, high) = (black_box(words[word]), words[word + 1]);
                (low >> shift | high << 1 << (63 - shift)) & MASK
            }));
        }
        words.zeroize();
        number
    }

    /// `bytes` as read above, in lanes 0 to 3 those of `low`, in 4 to 7 those of `high`.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read_halves(low: &[u8], high: &[u8]) -> Self {
        Self::read([low, low, low, low, high, high, high, high])
    }

    /// Fills `place`, whose length is a multiple of eight, with the number of `lane`, big-endian; its
    /// limbs have nothing above bit 52.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn write(&self, lane: usize, place: &mut [u8]) {
        let mut limbs = self.0.as_flattened().iter();
        let (mut buffer, mut bits) = (0_u128, 0);
        for word in place.as_rchunks_mut::<8>().1.iter_mut().rev() {
            while bits < 64 {
                let limb = limbs.next().map_or(0, |limb| array(*limb)[lane % LANES]);
                buffer |= u128::from(limb) << bits;
                bits += 52;
            }
            #[expect(clippy::cast_possible_truncation, reason = "the low word is meant")]
            let low = buffer as u64;
            *word = low.to_be_bytes();
            buffer >>= 64;
            bits -= 64;
        }
    }

    /// Limbs that `next` makes one after the other.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn from_fn(mut next: impl FnMut() -> [u64; LANES]) -> Self {
        let mut number = Self::zero();
        for limb in number.0.as_flattened_mut() {
            *limb = lanes(next());
        }
        number
    }

    /// The low and the high half of the limbs; `N` is twice `B`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn split<const N: usize>(number: &Number<N>, low: &mut Self, high: &mut Self) {
        const { assert!(N == 2 * B) };
        low.0.copy_from_slice(&number.0[..B]);
        high.0.copy_from_slice(&number.0[B..]);
    }

    /// Lanes 0 to 3 in lanes 4 to 7 too.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn spread(&mut self) {
        for limb in self.0.as_flattened_mut() {
            *limb = _mm512_shuffle_i64x2::<0x44>(*limb, *limb);
        }
    }

    /// Lanes 4 to 7 in 0 to 3 and the other way round.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn swap(&mut self) {
        for limb in self.0.as_flattened_mut() {
            *limb = _mm512_shuffle_i64x2::<0x4e>(*limb, *limb);
        }
    }

    /// Adds `other`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn add(&mut self, other: &Self) {
        let mut carry = _mm512_setzero_si512();
        for (limb, other) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            *limb = sum(sum(low_bits(*limb), low_bits(*other)), carry);
            carry = _mm512_srli_epi64::<52>(*limb);
        }
    }

    /// The lanes in which both are the same number.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn equal(&self, other: &Self) -> u8 {
        let mut difference = _mm512_setzero_si512();
        for (limb, other) in self.0.as_flattened().iter().zip(other.0.as_flattened()) {
            difference = _mm512_or_si512(difference, low_bits(_mm512_xor_si512(*limb, *other)));
        }
        _mm512_cmpeq_epi64_mask(difference, _mm512_setzero_si512())
    }
}

/// `sum + x y`, of twice as many limbs.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn multiply_add<const B: usize, const N: usize>(
    result: &mut Number<N>,
    sum: &Number<B>,
    x: &Number<B>,
    y: &Number<B>,
) {
    const { assert!(N == 2 * B) };
    result.0[..B].copy_from_slice(&sum.0);
    result.0[..B].as_flattened_mut().iter_mut().for_each(|limb| *limb = low_bits(*limb));
    for (index, block) in y.0.iter().enumerate() {
        row::<B, false>(&mut result.0[index..], &x.0, block, |_| {});
    }
    let mut carry = _mm512_setzero_si512();
    for limb in result.0.as_flattened_mut() {
        *limb = self::sum(*limb, carry);
        carry = _mm512_srli_epi64::<52>(*limb);
    }
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn sum(a: Lanes, b: Lanes) -> Lanes {
    _mm512_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn low_bits(limb: Lanes) -> Lanes {
    _mm512_and_si512(limb, splat(MASK))
}

/// The words of a big-endian number, the lowest first.
fn words(bytes: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.rchunks(8)) {
        *word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

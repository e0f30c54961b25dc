//! Eight long numbers, one in each lane: `Number`.
//!
//! 5 `B` + 1 limbs of 51 bits, the low one and blocks of five. vpmadd52 multiplies numbers of 52 bits: two limbs may be
//! added before.

use core::arch::x86_64::*;
use core::hint::black_box;

use zeroize::Zeroize;

use super::lanes::{LANES, Lanes, array, lanes, madd_hi, madd_lo, splat};

/// Bits of a limb.
pub(super) const RADIX: usize = 51;

/// The bits of a limb.
pub(super) const MASK: u64 = (1 << RADIX) - 1;

/// Limbs of a block.
pub(super) const WIDTH: usize = 5;

/// Words that hold the longest number, and one more for the reading of limbs.
const WORDS: usize = 66;

/// Five limbs, or five columns of a product.
pub(super) type Block = [Lanes; WIDTH];

/// Eight numbers of `5 * B + 1` limbs.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Number<const B: usize> {
    pub(super) low: Lanes,
    pub(super) blocks: [Block; B],
}

impl<const B: usize> Number<B> {
    /// Bits of the limbs.
    pub(super) const BITS: usize = RADIX * (WIDTH * B + 1);

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, blocks: [[zero; WIDTH]; B] }
    }

    /// The limbs, the lowest first.
    #[inline]
    pub(super) fn limbs(&self) -> impl Iterator<Item = &Lanes> {
        core::iter::once(&self.low).chain(self.blocks.as_flattened())
    }

    /// The limbs, the lowest first.
    #[inline]
    pub(super) fn limbs_mut(&mut self) -> impl Iterator<Item = &mut Lanes> {
        core::iter::once(&mut self.low).chain(self.blocks.as_flattened_mut())
    }

    /// Limb number `index`; beyond the highest there are zeros.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn limb(&self, index: usize) -> Lanes {
        match index.checked_sub(1) {
            None => self.low,
            Some(index) => *self.blocks.as_flattened().get(index).unwrap_or(&_mm512_setzero_si512()),
        }
    }

    /// The big-endian numbers of `bytes`, each at most 512 bytes, one for each lane.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read(bytes: [&[u8]; LANES]) -> Self {
        let mut words = bytes.map(words);
        let mut number = Self::zero();
        for (index, limb) in number.limbs_mut().enumerate() {
            let (word, shift) = (RADIX * index / 64, RADIX * index % 64);
            *limb = lanes(words.each_ref().map(|words| {
                // Without the barrier the compiler makes gathers of these.
                let (low, high) = (black_box(words[word]), words[word + 1]);
                (low >> shift | high << 1 << (63 - shift)) & MASK
            }));
        }
        words.zeroize();
        number
    }

    /// `bytes` as read above, in the even lanes those of `even`, in the odd those of `odd`.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read_pair(even: &[u8], odd: &[u8]) -> Self {
        Self::read([even, odd, even, odd, even, odd, even, odd])
    }

    /// Fills `place`, whose length is a multiple of eight, with the number of `lane`, big-endian.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn write(&self, lane: usize, place: &mut [u8]) {
        let mut limbs = self.limbs();
        let (mut buffer, mut bits) = (0_u128, 0);
        for word in place.as_rchunks_mut::<8>().1.iter_mut().rev() {
            while bits < 64 {
                let limb = limbs.next().map_or(0, |limb| array(*limb)[lane % LANES]);
                buffer |= u128::from(limb) << bits;
                bits += RADIX;
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
        for limb in number.limbs_mut() {
            *limb = lanes(next());
        }
        number
    }

    /// The low half of the limbs, and the high half, which is one limb less; `N` is twice `B`.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn split<const N: usize>(number: &Number<N>, low: &mut Self, high: &mut Self) {
        const { assert!(N == 2 * B) };
        for (index, (low, high)) in low.limbs_mut().zip(high.limbs_mut()).enumerate() {
            *low = number.limb(index);
            *high = number.limb(index + WIDTH * B + 1);
        }
    }

    /// The even lanes in the odd ones too.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn spread(&mut self) {
        for limb in self.limbs_mut() {
            *limb = _mm512_unpacklo_epi64(*limb, *limb);
        }
    }

    /// The even lanes in the odd ones and the other way round.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn swap(&mut self) {
        for limb in self.limbs_mut() {
            *limb = _mm512_alignr_epi8::<8>(*limb, *limb);
        }
    }

    /// Adds `other`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn add(&mut self, other: &Self) {
        let mut carry = _mm512_setzero_si512();
        for (limb, other) in self.limbs_mut().zip(other.limbs()) {
            let total = sum(sum(*limb, *other), carry);
            (*limb, carry) = (low_bits(total), high_bits(total));
        }
    }

    /// The lanes in which both are the same number.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn equal(&self, other: &Self) -> u8 {
        let mut difference = _mm512_setzero_si512();
        for (limb, other) in self.limbs().zip(other.limbs()) {
            difference = _mm512_or_si512(difference, _mm512_xor_si512(*limb, *other));
        }
        _mm512_cmpeq_epi64_mask(difference, _mm512_setzero_si512())
    }
}

/// `addend + x y`, below 2 to the power of [`Number::BITS`] of the result.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn multiply_add<const B: usize, const N: usize>(
    result: &mut Number<N>,
    addend: &Number<B>,
    x: &Number<B>,
    y: &Number<B>,
) {
    const { assert!(N == 2 * B) };
    let mut high_halves = Number::<N>::zero();
    for (index, limb) in result.limbs_mut().enumerate() {
        *limb = addend.limb(index);
    }
    for (index, x) in x.limbs().enumerate() {
        let columns = result.limbs_mut().zip(high_halves.limbs_mut()).skip(index);
        for (y, (low, high)) in y.limbs().zip(columns) {
            *low = madd_lo(*low, *x, *y);
            *high = madd_hi(*high, *x, *y);
        }
    }
    let mut carry = _mm512_setzero_si512();
    for (limb, high) in result.limbs_mut().zip(high_halves.limbs()) {
        let total = sum(*limb, carry);
        *limb = low_bits(total);
        carry = sum(high_bits(total), sum(*high, *high));
    }
    high_halves.zeroize();
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

/// What a column carries to the next one; columns have a sign.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn high_bits(column: Lanes) -> Lanes {
    _mm512_srai_epi64::<51>(column)
}

/// The words of a big-endian number, the lowest first.
fn words(bytes: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.rchunks(8)) {
        *word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

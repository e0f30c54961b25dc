//! Powers of a base, read without a trace of which: `Table`.

#![allow(
    clippy::needless_range_loop,
    reason = "limbs meet by index, and adaptors of iterators are calls without LTO"
)]

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::lanes::{Lanes, splat};
use super::number::{Number, RADIX, WIDTH};

/// Entries: as many as a digit of an exponent has values.
const ENTRIES: usize = 16;

/// The first powers of a base; holds secrets between calls until it is wiped.
#[derive(Zeroize)]
pub(super) struct Table<const B: usize>(pub(super) [Number<B>; ENTRIES]);

/// The lanes in which a digit has each value.
pub(super) type Masks = [__mmask8; ENTRIES];

impl<const B: usize> Table<B> {
    /// Bits of a digit.
    pub(super) const WINDOW: usize = ENTRIES.ilog2() as usize;

    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        Self([Number::zero(); ENTRIES])
    }

    /// Digit number `index` of `exponent`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn digit(exponent: &Number<B>, index: usize) -> Lanes {
        let (limb, shift) = (Self::WINDOW * index / RADIX, Self::WINDOW * index % RADIX);
        let low = _mm512_srlv_epi64(exponent.limb(limb), splat(shift as u64));
        let high = _mm512_sllv_epi64(exponent.limb(limb + 1), splat((RADIX - shift) as u64));
        _mm512_and_si512(_mm512_or_si512(low, high), splat(ENTRIES as u64 - 1))
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn masks(digit: Lanes) -> Masks {
        core::array::from_fn(|value| _mm512_cmpeq_epi64_mask(digit, splat(value as u64)))
    }

    /// The entry that `digit` names, in each lane its own; all are read.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read(&self, entry: &mut Number<B>, digit: Lanes) {
        let masks = Self::masks(digit);
        self.read_low(entry, &masks);
        for index in 0..B {
            self.read_block(entry, &masks, index);
        }
    }

    /// The low limb of the entry that is named by `masks`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read_low(&self, entry: &mut Number<B>, masks: &Masks) {
        let mut limb = _mm512_setzero_si512();
        for (value, mask) in self.0.iter().zip(masks) {
            limb = _mm512_mask_mov_epi64(limb, *mask, value.low);
        }
        entry.low = limb;
    }

    /// Block `index` of the entry that is named by `masks`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read_block(&self, entry: &mut Number<B>, masks: &Masks, index: usize) {
        let mut block = [_mm512_setzero_si512(); WIDTH];
        for (value, mask) in self.0.iter().zip(masks) {
            for limb in 0..WIDTH {
                block[limb] = _mm512_mask_mov_epi64(block[limb], *mask, value.blocks[index][limb]);
            }
        }
        entry.blocks[index] = block;
    }
}

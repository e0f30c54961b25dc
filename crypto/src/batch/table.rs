//! Powers of a base, read without a trace of which: `Table`.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::lanes::{Lanes, splat};
use super::number::{Number, RADIX, WIDTH};

/// Bits of a digit of an exponent.
pub(super) const WINDOW: usize = 4;

/// As many as a digit has values.
const ENTRIES: usize = 1 << WINDOW;

/// The first powers of a base; holds secrets between calls until it is wiped.
#[derive(Zeroize)]
pub(super) struct Table<const B: usize> {
    pub(super) entries: [Number<B>; ENTRIES],
    /// What was read last.
    pub(super) entry: Number<B>,
}

/// The lanes in which each bit of a digit is set, the lowest first.
pub(super) type Masks = [__mmask8; WINDOW];

impl<const B: usize> Table<B> {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        Self { entries: [Number::zero(); ENTRIES], entry: Number::zero() }
    }

    /// Reads the low limb of the entry that digit number `index` of `exponent` names, in each lane its own.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn begin(&mut self, exponent: &Number<B>, index: usize) -> Masks {
        let (limb, shift) = (WINDOW * index / RADIX, WINDOW * index % RADIX);
        let low = _mm512_srlv_epi64(exponent.limb(limb), splat(shift as u64));
        let high = _mm512_sllv_epi64(exponent.limb(limb + 1), splat((RADIX - shift) as u64));
        let digit = _mm512_and_si512(_mm512_or_si512(low, high), splat(ENTRIES as u64 - 1));
        let masks = core::array::from_fn(|bit| _mm512_test_epi64_mask(digit, splat(1 << bit)));
        self.entry.low = self.limb(&masks, |entry| entry.low);
        masks
    }

    /// Reads that entry at once.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn read_whole(&mut self, exponent: &Number<B>, index: usize) -> &Number<B> {
        let masks = self.begin(exponent, index);
        for block in 0..B {
            for limb in 0..WIDTH {
                self.entry.blocks[block][limb] = self.limb(&masks, |entry| entry.blocks[block][limb]);
            }
        }
        &self.entry
    }

    /// Of the limbs of all entries, each of which is read, the one that is named.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn limb(&self, masks: &Masks, limb: impl Fn(&Number<B>) -> Lanes) -> Lanes {
        let one = |value: usize| limb(&self.entries[value]);
        let two = |value| _mm512_mask_blend_epi64(masks[0], one(value), one(value + 1));
        let four = |value| _mm512_mask_blend_epi64(masks[1], two(value), two(value + 2));
        let eight = |value| _mm512_mask_blend_epi64(masks[2], four(value), four(value + 4));
        _mm512_mask_blend_epi64(masks[3], eight(0), eight(8))
    }
}

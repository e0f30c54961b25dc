//! The field of the integers modulo p = 2^255 - 19, eight numbers at a time.
//!
//! A number is five limbs of radix 2^52. `vpmadd52` gives products of limbs in halves of 52 bits, which are
//! summed in columns of weight 2^52k (Gueron and Krasnov, "Accelerating Big Integer Arithmetic Using Intel
//! IFMA Extensions", 2016). Columns 5 to 9, carried, come back to 0 to 4 times 608, which is 2^260 modulo p.
//!
//! Carries wait until a number becomes a factor. `Wide` has columns below 11 * 2^52 after a product, 27 * 2^52
//! after a raised one, and below 2^62 in all sums of them. `Element`, a factor, has a highest limb below
//! 2^47 + 2^11; of the others `vpmadd52` itself takes the lowest 52 bits, so that nothing masks them. All is
//! constant time: no value decides a branch or an address.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::inverse::{Prime, across, first_lane, invert};
use super::lanes::{Lanes, MASK, madd_hi, madd_lo, splat};

const P: Prime = Prime::new([0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, u64::MAX >> 1]);

/// The bits of the highest limb.
const TOP: u64 = (1 << 47) - 1;

/// 2^255 modulo p.
const FOLD_255: u64 = 19;

/// 2^260 modulo p.
const FOLD_260: u64 = 608;

/// Most ratios that one inversion serves.
const MAX_RATIOS: usize = 8;

/// Eight numbers that can be factors: limbs of 52 bits and above them nothing that counts, and one of 47.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Element([Lanes; 5]);

/// Eight sums of products, not carried.
#[derive(Clone, Copy)]
pub(super) struct Wide([Lanes; 5]);

/// Eight quotients yet to be divided.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Ratio {
    /// After [`divide`] the quotient.
    pub(super) numerator: Element,
    pub(super) denominator: Element,
}

impl Element {
    /// `number`, below 2^52, in all lanes.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn small(number: u64) -> Self {
        let zero = splat(0);
        Self([splat(number), zero, zero, zero, zero])
    }

    /// The numbers of four little-endian words each, of which the highest bit is ignored.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn from_words(words: &[Lanes; 4]) -> Self {
        let [w0, w1, w2, w3] = *words;
        Self([
            low_bits(w0),
            low_bits(_mm512_or_si512(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1))),
            low_bits(_mm512_or_si512(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2))),
            low_bits(_mm512_or_si512(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3))),
            _mm512_and_si512(_mm512_srli_epi64::<16>(w3), splat(TOP)),
        ])
    }

    /// The numbers, below p, in four little-endian words.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn words(&self) -> [Lanes; 4] {
        // The limbs make a number below 2p, which holds p once where adding 19 reaches 2^255.
        let [l0, l1, l2, l3, l4] = self.wide().0;
        let carry = high_bits(_mm512_add_epi64(l0, splat(FOLD_255)));
        let carry = high_bits(_mm512_add_epi64(l1, carry));
        let carry = high_bits(_mm512_add_epi64(l2, carry));
        let carry = high_bits(_mm512_add_epi64(l3, carry));
        let carry = _mm512_srli_epi64::<47>(_mm512_add_epi64(l4, carry));
        let l0 = madd_lo(l0, carry, splat(FOLD_255));
        let l1 = _mm512_add_epi64(l1, high_bits(l0));
        let l2 = _mm512_add_epi64(l2, high_bits(l1));
        let l3 = _mm512_add_epi64(l3, high_bits(l2));
        let l4 = _mm512_add_epi64(l4, high_bits(l3));
        let [l0, l1, l2, l3] = [low_bits(l0), low_bits(l1), low_bits(l2), low_bits(l3)];
        // The shift drops what is above 2^255.
        let l4 = _mm512_slli_epi64::<17>(l4);
        [
            _mm512_or_si512(l0, _mm512_slli_epi64::<52>(l1)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(l1), _mm512_slli_epi64::<40>(l2)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(l2), _mm512_slli_epi64::<28>(l3)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(l3), _mm512_srli_epi64::<1>(l4)),
        ]
    }

    /// The same numbers below p, with nothing above the bits of their limbs.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn canonical(&self) -> Self {
        Self::from_words(&self.words())
    }

    /// The lanes that are zero modulo p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zeros(&self) -> __mmask8 {
        let [w0, w1, w2, w3] = self.words();
        let any = _mm512_or_si512(_mm512_or_si512(w0, w1), _mm512_or_si512(w2, w3));
        _mm512_testn_epi64_mask(any, any)
    }

    /// `one` in the lanes of `mask`, `zero` in the others.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn choose(mask: __mmask8, zero: &Self, one: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (zero.0, one.0);
        Self([
            _mm512_mask_blend_epi64(mask, a0, b0),
            _mm512_mask_blend_epi64(mask, a1, b1),
            _mm512_mask_blend_epi64(mask, a2, b2),
            _mm512_mask_blend_epi64(mask, a3, b3),
            _mm512_mask_blend_epi64(mask, a4, b4),
        ])
    }

    /// In each lane, that one of the 32 numbers in `rows` which the five lowest bits of `index` name.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn select(rows: [&Self; 4], index: Lanes) -> Self {
        let [r0, r1, r2, r3] = rows;
        Self([
            select([r0.0[0], r1.0[0], r2.0[0], r3.0[0]], index),
            select([r0.0[1], r1.0[1], r2.0[1], r3.0[1]], index),
            select([r0.0[2], r1.0[2], r2.0[2], r3.0[2]], index),
            select([r0.0[3], r1.0[3], r2.0[3], r3.0[3]], index),
            select([r0.0[4], r1.0[4], r2.0[4], r3.0[4]], index),
        ])
    }

    /// As a sum.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn wide(&self) -> Wide {
        let [l0, l1, l2, l3, l4] = self.0;
        Wide([low_bits(l0), low_bits(l1), low_bits(l2), low_bits(l3), l4])
    }

    /// The product.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn times(&self, other: &Self) -> Wide {
        self.times_onto([splat(0); 5], other)
    }

    /// The product and 512p, from which a product can be subtracted.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn times_raised(&self, other: &Self) -> Wide {
        self.times_onto(multiple_of_p(16), other)
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn times_onto(&self, start: [Lanes; 5], other: &Self) -> Wide {
        let (a, b) = (&self.0, &other.0);
        let zero = splat(0);
        let above = [
            column::<5>(zero, a, b),
            column::<6>(zero, a, b),
            column::<7>(zero, a, b),
            column::<8>(zero, a, b),
            column::<9>(zero, a, b),
        ];
        let [s0, s1, s2, s3, s4] = start;
        let below = [
            column::<0>(s0, a, b),
            column::<1>(s1, a, b),
            column::<2>(s2, a, b),
            column::<3>(s3, a, b),
            column::<4>(s4, a, b),
        ];
        fold(below, above)
    }

    /// The square.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn squared(&self) -> Wide {
        let zero = [splat(0); 5];
        self.squared_onto(zero, zero)
    }

    /// The square and 512p, from which a product can be subtracted.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn squared_raised(&self) -> Wide {
        self.squared_onto(multiple_of_p(16), multiple_of_p(8))
    }

    /// `start` and the square; `half` is half of `start`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn squared_onto(&self, [s0, ..]: [Lanes; 5], [_, h1, h2, h3, h4]: [Lanes; 5]) -> Wide {
        let a = &self.0;
        let zero = splat(0);
        let above = [
            square_column::<5>(zero, a),
            square_column::<6>(zero, a),
            square_column::<7>(zero, a),
            square_column::<8>(zero, a),
            column::<9>(zero, a, a),
        ];
        let below = [
            column::<0>(s0, a, a),
            square_column::<1>(h1, a),
            square_column::<2>(h2, a),
            square_column::<3>(h3, a),
            square_column::<4>(h4, a),
        ];
        fold(below, above)
    }

    /// `sum` and the products with `factor`, below 2^20.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn times_small_onto(&self, sum: &Wide, factor: u64) -> Wide {
        let factor = splat(factor);
        let ([c0, c1, c2, c3, c4], [a0, a1, a2, a3, a4]) = (sum.0, self.0);
        let fifth = madd_hi(splat(0), a4, factor);
        Wide([
            madd_lo(madd_lo(c0, a0, factor), fifth, splat(FOLD_260)),
            madd_hi(madd_lo(c1, a1, factor), a0, factor),
            madd_hi(madd_lo(c2, a2, factor), a1, factor),
            madd_hi(madd_lo(c3, a3, factor), a2, factor),
            madd_hi(madd_lo(c4, a4, factor), a3, factor),
        ])
    }

    /// The inverses of numbers of which none is zero.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn inverse(&self) -> Self {
        let multiply = |a: &[Lanes; 5], b: &[Lanes; 5]| Self(*a).times(&Self(*b)).carried().0;
        let invert = |x: &[Lanes; 5]| {
            let [mut inverse] = invert([&P], [first_lane(&Self(*x).words())]);
            let [a, b, c, d] = inverse;
            inverse.zeroize();
            Self::from_words(&[splat(a), splat(b), splat(c), splat(d)]).0
        };
        Self(across(&self.0, multiply, invert))
    }
}

impl Wide {
    /// The sum.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        Self([
            _mm512_add_epi64(a0, b0),
            _mm512_add_epi64(a1, b1),
            _mm512_add_epi64(a2, b2),
            _mm512_add_epi64(a3, b3),
            _mm512_add_epi64(a4, b4),
        ])
    }

    /// The difference; `self` is raised for each product that is in `other`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn minus(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        Self([
            _mm512_sub_epi64(a0, b0),
            _mm512_sub_epi64(a1, b1),
            _mm512_sub_epi64(a2, b2),
            _mm512_sub_epi64(a3, b3),
            _mm512_sub_epi64(a4, b4),
        ])
    }

    /// The same and 512p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn raised(&self) -> Self {
        self.plus(&Self(multiple_of_p(16)))
    }

    /// The negatives in the lanes of `mask`: two's complement, to be added to or subtracted from what is raised.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn negated_where(&self, mask: __mmask8) -> Self {
        let ([c0, c1, c2, c3, c4], zero) = (self.0, splat(0));
        Self([
            _mm512_mask_sub_epi64(c0, mask, zero, c0),
            _mm512_mask_sub_epi64(c1, mask, zero, c1),
            _mm512_mask_sub_epi64(c2, mask, zero, c2),
            _mm512_mask_sub_epi64(c3, mask, zero, c3),
            _mm512_mask_sub_epi64(c4, mask, zero, c4),
        ])
    }

    /// As factors.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn carried(&self) -> Element {
        let [c0, c1, c2, c3, c4] = self.0;
        let c0 = madd_lo(c0, _mm512_srli_epi64::<47>(c4), splat(FOLD_255));
        let c1 = _mm512_add_epi64(c1, high_bits(c0));
        let c2 = _mm512_add_epi64(c2, high_bits(c1));
        let c3 = _mm512_add_epi64(c3, high_bits(c2));
        let c4 = _mm512_add_epi64(_mm512_and_si512(c4, splat(TOP)), high_bits(c3));
        Element([c0, c1, c2, c3, c4])
    }
}

/// Divides at most eight vectors of ratios with one inversion (Montgomery's trick). A denominator of zero
/// gives the quotient 0 and disturbs no other.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn divide(ratios: &mut [Ratio]) {
    debug_assert!(ratios.len() <= MAX_RATIOS);
    let one = Element::small(1);
    let mut zeros = [0; MAX_RATIOS];
    let mut products = [one; MAX_RATIOS];
    let mut product = one;
    for ((ratio, zeros), before) in ratios.iter_mut().zip(&mut zeros).zip(&mut products) {
        *zeros = ratio.denominator.zeros();
        ratio.denominator = Element::choose(*zeros, &ratio.denominator, &one);
        *before = product;
        product = product.times(&ratio.denominator).carried();
    }
    let mut inverse = product.inverse();
    for ((ratio, &zeros), before) in ratios.iter_mut().zip(&zeros).zip(&products).rev() {
        let quotient = ratio.numerator.times(&inverse.times(before).carried()).carried();
        inverse = inverse.times(&ratio.denominator).carried();
        ratio.numerator = Element::choose(zeros, &quotient, &Element::small(0));
    }
    products.zeroize();
}

/// In each lane, that one of the 32 words which the five lowest bits of `index` name.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn select([r0, r1, r2, r3]: [Lanes; 4], index: Lanes) -> Lanes {
    let first = _mm512_permutex2var_epi64(r0, index, r1);
    let second = _mm512_permutex2var_epi64(r2, index, r3);
    _mm512_mask_blend_epi64(_mm512_test_epi64_mask(index, splat(16)), first, second)
}

/// `factor` times 32p, each column within `factor` * 608 below `factor` * 2^52.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn multiple_of_p(factor: u64) -> [Lanes; 5] {
    let limb = splat(factor * MASK);
    [splat(factor * (MASK + 1 - FOLD_260)), limb, limb, limb, limb]
}

/// Brings columns 5 to 9, `above`, back to 0 to 4, `below`. They are carried first, so that each is a factor whole.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn fold(below: [Lanes; 5], above: [Lanes; 5]) -> Wide {
    let fold = splat(FOLD_260);
    let [b0, b1, b2, b3, b4] = below;
    let [c5, c6, c7, c8, c9] = above;
    let c6 = _mm512_add_epi64(c6, high_bits(c5));
    let c7 = _mm512_add_epi64(c7, high_bits(c6));
    let c8 = _mm512_add_epi64(c8, high_bits(c7));
    // Column 9 is one upper half of a product of highest limbs, so small that 608 times it has 52 bits.
    let c9 = _mm512_add_epi64(c9, high_bits(c8));
    Wide([
        madd_lo(b0, c5, fold),
        madd_hi(madd_lo(b1, c6, fold), c5, fold),
        madd_hi(madd_lo(b2, c7, fold), c6, fold),
        madd_hi(madd_lo(b3, c8, fold), c7, fold),
        madd_hi(madd_lo(b4, c9, fold), c8, fold),
    ])
}

/// `sum` and column `K` of a product.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn column<const K: usize>(mut sum: Lanes, a: &[Lanes; 5], b: &[Lanes; 5]) -> Lanes {
    let mut i = K.saturating_sub(5);
    while i < 5 && i <= K {
        if i < K {
            sum = madd_hi(sum, a[i], b[K - 1 - i]);
        }
        if K - i < 5 {
            sum = madd_lo(sum, a[i], b[K - i]);
        }
        i += 1;
    }
    sum
}

/// Twice `half` and column `K` of a square.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn square_column<const K: usize>(half: Lanes, a: &[Lanes; 5]) -> Lanes {
    let mut sum = half;
    // The limb that was carried into last comes last: chains of squares wait for it.
    let mut i = K.div_ceil(2);
    while i > K.saturating_sub(5) {
        i -= 1;
        if i < K / 2 {
            sum = madd_hi(sum, a[i], a[K - 1 - i]);
        }
        if K - i < 5 {
            sum = madd_lo(sum, a[i], a[K - i]);
        }
    }
    sum = _mm512_add_epi64(sum, sum);
    let middle = a[K / 2];
    if K % 2 == 1 { madd_hi(sum, middle, middle) } else { madd_lo(sum, middle, middle) }
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn low_bits(column: Lanes) -> Lanes {
    _mm512_and_si512(column, splat(MASK))
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn high_bits(column: Lanes) -> Lanes {
    _mm512_srli_epi64::<52>(column)
}

#[cfg(test)]
mod tests;

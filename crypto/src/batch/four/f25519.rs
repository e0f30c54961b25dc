//! The field of the integers modulo p = 2^255 - 19, four numbers at a time.
//!
//! A number is ten limbs, in turn of 26 and 25 bits, so that `vpmuludq` gives their products whole (Bernstein
//! and Schwabe, "NEON crypto", 2012). A product of two odd limbs counts twice in its column, and what falls
//! beyond the tenth comes back times 19, which is 2^255 modulo p.
//!
//! `Element` is carried: even limbs below 2^26, odd ones below 2^25 + 2^16. `Sum`, of two elements or their
//! difference and 2p, has limbs below three times that, and is a factor as it is: 19 times a limb has 32 bits,
//! and columns stay below 1,130 * 2^52. All is constant time: no value decides a branch or an address.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::super::inverse::{Prime, invert};
use super::lanes::{Lanes, array, choose, splat};

const P: Prime = Prime::new([0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, u64::MAX >> 1]);

/// The bits of an even limb.
const EVEN: u64 = (1 << 26) - 1;

/// The bits of an odd limb.
const ODD: u64 = (1 << 25) - 1;

/// 2^255 modulo p.
const FOLD: u64 = 19;

/// Most ratios that one inversion serves.
const MAX_RATIOS: usize = 16;

type Limbs = [Lanes; 10];

/// Four numbers with all limbs carried.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Element(Limbs);

/// Four sums or differences of two elements.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Sum(Limbs);

/// What can be multiplied.
pub(super) trait Factor {
    fn limbs(&self) -> &Limbs;
}

/// Four quotients yet to be divided.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Ratio {
    /// After [`divide`] the quotient.
    pub(super) numerator: Element,
    pub(super) denominator: Element,
}

impl Factor for Element {
    #[inline]
    fn limbs(&self) -> &Limbs {
        &self.0
    }
}

impl Factor for Sum {
    #[inline]
    fn limbs(&self) -> &Limbs {
        &self.0
    }
}

impl Element {
    /// `number`, below 2^26, in all lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn small(number: u64) -> Self {
        let mut limbs = [splat(0); 10];
        limbs[0] = splat(number);
        Self(limbs)
    }

    /// The numbers of four little-endian words each, of which the highest bit is ignored.
    #[target_feature(enable = "avx2")]
    pub(super) fn from_words(words: &[Lanes; 4]) -> Self {
        let [w0, w1, w2, w3] = *words;
        let (even, odd) = (splat(EVEN), splat(ODD));
        Self([
            _mm256_and_si256(w0, even),
            _mm256_and_si256(_mm256_srli_epi64::<26>(w0), odd),
            _mm256_and_si256(straddling(w0, w1), even),
            _mm256_and_si256(_mm256_srli_epi64::<13>(w1), odd),
            _mm256_srli_epi64::<38>(w1),
            _mm256_and_si256(w2, odd),
            _mm256_and_si256(_mm256_srli_epi64::<25>(w2), even),
            _mm256_and_si256(straddling(w2, w3), odd),
            _mm256_and_si256(_mm256_srli_epi64::<12>(w3), even),
            _mm256_and_si256(_mm256_srli_epi64::<38>(w3), odd),
        ])
    }

    /// The numbers, below p, limb by limb.
    #[target_feature(enable = "avx2")]
    pub(super) fn canonical(&self) -> Self {
        // The limbs make a number below 2p, which holds p once where adding 19 reaches 2^255.
        let mut carry = splat(FOLD);
        for (index, &limb) in self.0.iter().enumerate() {
            carry = upper(index, _mm256_add_epi64(limb, carry));
        }
        let mut carry = _mm256_mul_epu32(carry, splat(FOLD));
        let mut limbs = self.0;
        for (index, limb) in limbs.iter_mut().enumerate() {
            let sum = _mm256_add_epi64(*limb, carry);
            carry = upper(index, sum);
            // That of the highest drops 2^255.
            *limb = lower(index, sum);
        }
        Self(limbs)
    }

    /// The numbers, below p, in four little-endian words.
    #[target_feature(enable = "avx2")]
    pub(super) fn words(&self) -> [Lanes; 4] {
        let [l0, l1, l2, l3, l4, l5, l6, l7, l8, l9] = self.canonical().0;
        let or = |a, b| _mm256_or_si256(a, b);
        [
            or(or(l0, _mm256_slli_epi64::<26>(l1)), _mm256_slli_epi64::<51>(l2)),
            or(or(_mm256_srli_epi64::<13>(l2), _mm256_slli_epi64::<13>(l3)), _mm256_slli_epi64::<38>(l4)),
            or(or(l5, _mm256_slli_epi64::<25>(l6)), _mm256_slli_epi64::<51>(l7)),
            or(or(_mm256_srli_epi64::<13>(l7), _mm256_slli_epi64::<12>(l8)), _mm256_slli_epi64::<38>(l9)),
        ]
    }

    /// All ones in the lanes that are zero modulo p.
    #[target_feature(enable = "avx2")]
    pub(super) fn zeros(&self) -> Lanes {
        let [w0, w1, w2, w3] = self.words();
        let any = _mm256_or_si256(_mm256_or_si256(w0, w1), _mm256_or_si256(w2, w3));
        _mm256_cmpeq_epi64(any, splat(0))
    }

    /// `one` in the lanes of `mask`, `zero` in the others.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn choose(mask: Lanes, zero: &Self, one: &Self) -> Self {
        Self(chosen(mask, &zero.0, &one.0))
    }

    /// In each lane, that one of the 32 numbers in `rows` which the five lowest bits of `index` name.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn select(rows: &Rows, index: Lanes) -> Self {
        let (third, fourth) = (super::lanes::mask(index, 3), super::lanes::mask(index, 4));
        let mut limbs = [splat(0); 10];
        for (limb, [r0, r1, r2, r3]) in limbs.iter_mut().zip(&rows.0) {
            let pick = |row| _mm256_permutevar8x32_epi32(super::lanes::load(row), index);
            let (first, second) = (choose(third, pick(r0), pick(r1)), choose(third, pick(r2), pick(r3)));
            *limb = _mm256_and_si256(choose(fourth, first, second), splat(u64::MAX >> 32));
        }
        Self(limbs)
    }

    /// As a sum.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn wide(&self) -> Sum {
        Sum(self.0)
    }

    /// The sum.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn plus(&self, other: &Self) -> Sum {
        let ([a0, a1, a2, a3, a4, a5, a6, a7, a8, a9], [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9]) =
            (self.0, other.0);
        Sum([
            add(a0, b0),
            add(a1, b1),
            add(a2, b2),
            add(a3, b3),
            add(a4, b4),
            add(a5, b5),
            add(a6, b6),
            add(a7, b7),
            add(a8, b8),
            add(a9, b9),
        ])
    }

    /// The difference.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn minus(&self, other: &Self) -> Sum {
        let ([a0, a1, a2, a3, a4, a5, a6, a7, a8, a9], [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9]) =
            (self.0, other.0);
        let (lowest, even, odd) = (splat(2 * (EVEN + 1 - FOLD)), splat(2 * EVEN), splat(2 * ODD));
        Sum([
            _mm256_sub_epi64(add(a0, lowest), b0),
            _mm256_sub_epi64(add(a1, odd), b1),
            _mm256_sub_epi64(add(a2, even), b2),
            _mm256_sub_epi64(add(a3, odd), b3),
            _mm256_sub_epi64(add(a4, even), b4),
            _mm256_sub_epi64(add(a5, odd), b5),
            _mm256_sub_epi64(add(a6, even), b6),
            _mm256_sub_epi64(add(a7, odd), b7),
            _mm256_sub_epi64(add(a8, even), b8),
            _mm256_sub_epi64(add(a9, odd), b9),
        ])
    }

    /// The product.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn times(&self, other: &impl Factor) -> Self {
        product(&self.0, other.limbs())
    }

    /// The square.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn squared(&self) -> Self {
        square(&self.0)
    }

    /// The inverses of numbers of which none is zero: one number is inverted, the product of all lanes.
    #[target_feature(enable = "avx2")]
    pub(super) fn inverse(&self) -> Self {
        let far = Self(self.0.map(|limb| _mm256_permute4x64_epi64::<0b01_00_11_10>(limb)));
        let two = self.times(&far);
        let near = Self(two.0.map(|limb| _mm256_permute4x64_epi64::<0b10_11_00_01>(limb)));
        let mut lowest = two.times(&near).words().map(|word| array(word)[0]);
        let [mut inverse] = invert([&P], [lowest]);
        let inverses = Self::from_words(&inverse.map(|word| splat(word)));
        lowest.zeroize();
        inverse.zeroize();
        inverses.times(&near).times(&far)
    }
}

impl Sum {
    /// `one` in the lanes of `mask`, `zero` in the others.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn choose(mask: Lanes, zero: &Self, one: &Self) -> Self {
        Self(chosen(mask, &zero.0, &one.0))
    }

    /// The same numbers, carried.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn carried(&self) -> Element {
        carried(self.0)
    }

    /// The product.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn times(&self, other: &impl Factor) -> Element {
        product(&self.0, other.limbs())
    }

    /// The square.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn squared(&self) -> Element {
        square(&self.0)
    }

    /// `element` and the product with `factor`, below 2^20.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn times_small_onto(&self, element: &Element, factor: u64) -> Element {
        let ([a0, a1, a2, a3, a4, a5, a6, a7, a8, a9], [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9]) =
            (element.0, self.0);
        let factor = splat(factor);
        carried([
            add(a0, _mm256_mul_epu32(b0, factor)),
            add(a1, _mm256_mul_epu32(b1, factor)),
            add(a2, _mm256_mul_epu32(b2, factor)),
            add(a3, _mm256_mul_epu32(b3, factor)),
            add(a4, _mm256_mul_epu32(b4, factor)),
            add(a5, _mm256_mul_epu32(b5, factor)),
            add(a6, _mm256_mul_epu32(b6, factor)),
            add(a7, _mm256_mul_epu32(b7, factor)),
            add(a8, _mm256_mul_epu32(b8, factor)),
            add(a9, _mm256_mul_epu32(b9, factor)),
        ])
    }
}

/// 32 numbers to select from: each limb's, eight in a row.
pub(super) struct Rows([[[u32; 8]; 4]; 10]);

impl Rows {
    pub(super) const NONE: Self = Self([[[0; 8]; 4]; 10]);

    /// Makes the numbers from 4 `four` on those of `element`, which is canonical.
    #[target_feature(enable = "avx2")]
    pub(super) fn set(&mut self, four: usize, element: &Element) {
        for (rows, &limb) in self.0.iter_mut().zip(&element.0) {
            for (place, number) in rows.as_flattened_mut()[4 * four..].iter_mut().zip(array(limb)) {
                *place = u32::try_from(number).unwrap_or_default();
            }
        }
    }
}

/// Divides at most sixteen vectors of ratios with one inversion (Montgomery's trick). A denominator of zero
/// gives the quotient 0 and disturbs no other.
#[target_feature(enable = "avx2")]
pub(super) fn divide(ratios: &mut [Ratio]) {
    debug_assert!(ratios.len() <= MAX_RATIOS);
    let one = Element::small(1);
    let mut zeros = [splat(0); MAX_RATIOS];
    let mut products = [one; MAX_RATIOS];
    let mut product = one;
    for ((ratio, zeros), before) in ratios.iter_mut().zip(&mut zeros).zip(&mut products) {
        *zeros = ratio.denominator.zeros();
        ratio.denominator = Element::choose(*zeros, &ratio.denominator, &one);
        *before = product;
        product = product.times(&ratio.denominator);
    }
    let mut inverse = product.inverse();
    for ((ratio, &zeros), before) in ratios.iter_mut().zip(&zeros).zip(&products).rev() {
        let quotient = ratio.numerator.times(&inverse.times(before));
        inverse = inverse.times(&ratio.denominator);
        ratio.numerator = Element::choose(zeros, &quotient, &Element::small(0));
    }
    products.zeroize();
}

#[inline]
#[target_feature(enable = "avx2")]
fn product(f: &Limbs, g: &Limbs) -> Element {
    let ([f0, f1, f2, f3, f4, f5, f6, f7, f8, f9], [g0, g1, g2, g3, g4, g5, g6, g7, g8, g9]) = (*f, *g);
    // Twice the odd limbs of one factor, 19 times the limbs of the other.
    let [t1, t3, t5, t7, t9] = [add(f1, f1), add(f3, f3), add(f5, f5), add(f7, f7), add(f9, f9)];
    let [n1, n2, n3, n4, n5, n6, n7, n8, n9] = [
        folded(g1),
        folded(g2),
        folded(g3),
        folded(g4),
        folded(g5),
        folded(g6),
        folded(g7),
        folded(g8),
        folded(g9),
    ];
    carried([
        add(dot([f0, t1, f2, t3, f4], [g0, n9, n8, n7, n6]), dot([t5, f6, t7, f8, t9], [n5, n4, n3, n2, n1])),
        add(dot([f0, f1, f2, f3, f4], [g1, g0, n9, n8, n7]), dot([f5, f6, f7, f8, f9], [n6, n5, n4, n3, n2])),
        add(dot([f0, t1, f2, t3, f4], [g2, g1, g0, n9, n8]), dot([t5, f6, t7, f8, t9], [n7, n6, n5, n4, n3])),
        add(dot([f0, f1, f2, f3, f4], [g3, g2, g1, g0, n9]), dot([f5, f6, f7, f8, f9], [n8, n7, n6, n5, n4])),
        add(dot([f0, t1, f2, t3, f4], [g4, g3, g2, g1, g0]), dot([t5, f6, t7, f8, t9], [n9, n8, n7, n6, n5])),
        add(dot([f0, f1, f2, f3, f4], [g5, g4, g3, g2, g1]), dot([f5, f6, f7, f8, f9], [g0, n9, n8, n7, n6])),
        add(dot([f0, t1, f2, t3, f4], [g6, g5, g4, g3, g2]), dot([t5, f6, t7, f8, t9], [g1, g0, n9, n8, n7])),
        add(dot([f0, f1, f2, f3, f4], [g7, g6, g5, g4, g3]), dot([f5, f6, f7, f8, f9], [g2, g1, g0, n9, n8])),
        add(dot([f0, t1, f2, t3, f4], [g8, g7, g6, g5, g4]), dot([t5, f6, t7, f8, t9], [g3, g2, g1, g0, n9])),
        add(dot([f0, f1, f2, f3, f4], [g9, g8, g7, g6, g5]), dot([f5, f6, f7, f8, f9], [g4, g3, g2, g1, g0])),
    ])
}

#[inline]
#[target_feature(enable = "avx2")]
fn square(f: &Limbs) -> Element {
    let [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = *f;
    // Twice, four times and 19 times the limbs.
    let [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9] = [
        add(f0, f0),
        add(f1, f1),
        add(f2, f2),
        add(f3, f3),
        add(f4, f4),
        add(f5, f5),
        add(f6, f6),
        add(f7, f7),
        add(f8, f8),
        add(f9, f9),
    ];
    let [q1, q3, q5, q7] = [add(t1, t1), add(t3, t3), add(t5, t5), add(t7, t7)];
    let [n5, n6, n7, n8, n9] = [folded(f5), folded(f6), folded(f7), folded(f8), folded(f9)];
    carried([
        add(dot([f0, q1, t2, q3, t4], [f0, n9, n8, n7, n6]), _mm256_mul_epu32(t5, n5)),
        dot([t0, t2, t3, t4, t5], [f1, n9, n8, n7, n6]),
        add(dot([t0, t1, q3, t4, q5], [f2, f1, n9, n8, n7]), _mm256_mul_epu32(f6, n6)),
        dot([t0, t1, t4, t5, t6], [f3, f2, n9, n8, n7]),
        add(dot([t0, q1, f2, q5, t6], [f4, f3, f2, n9, n8]), _mm256_mul_epu32(t7, n7)),
        dot([t0, t1, t2, t6, t7], [f5, f4, f3, n9, n8]),
        add(dot([t0, q1, t2, t3, q7], [f6, f5, f4, f3, n9]), _mm256_mul_epu32(f8, n8)),
        dot([t0, t1, t2, t3, t8], [f7, f6, f5, f4, n9]),
        add(dot([t0, q1, t2, q3, f4], [f8, f7, f6, f5, f4]), _mm256_mul_epu32(t9, n9)),
        dot([t0, t1, t2, t3, t4], [f9, f8, f7, f6, f5]),
    ])
}

/// The sum of five products.
#[inline]
#[target_feature(enable = "avx2")]
fn dot([a0, a1, a2, a3, a4]: [Lanes; 5], [b0, b1, b2, b3, b4]: [Lanes; 5]) -> Lanes {
    let sum = add(_mm256_mul_epu32(a0, b0), _mm256_mul_epu32(a1, b1));
    let sum = add(sum, _mm256_mul_epu32(a2, b2));
    let sum = add(sum, _mm256_mul_epu32(a3, b3));
    add(sum, _mm256_mul_epu32(a4, b4))
}

/// 19 times a limb.
#[inline]
#[target_feature(enable = "avx2")]
fn folded(limb: Lanes) -> Lanes {
    _mm256_mul_epu32(limb, splat(FOLD))
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Lanes, b: Lanes) -> Lanes {
    _mm256_add_epi64(a, b)
}

/// Columns below 2^63 as an element. Two chains of carries run side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn carried([c0, c1, c2, c3, c4, c5, c6, c7, c8, c9]: Limbs) -> Element {
    let (c0, c1) = carry::<0>(c0, c1);
    let (c4, c5) = carry::<4>(c4, c5);
    let (c1, c2) = carry::<1>(c1, c2);
    let (c5, c6) = carry::<5>(c5, c6);
    let (c2, c3) = carry::<2>(c2, c3);
    let (c6, c7) = carry::<6>(c6, c7);
    let (c3, c4) = carry::<3>(c3, c4);
    let (c7, c8) = carry::<7>(c7, c8);
    let (c4, c5) = carry::<4>(c4, c5);
    let (c8, c9) = carry::<8>(c8, c9);
    let (c9, c0) = carry::<9>(c9, c0);
    let (c0, c1) = carry::<0>(c0, c1);
    Element([c0, c1, c2, c3, c4, c5, c6, c7, c8, c9])
}

/// Column `K` without what it has too much, and the next with that.
#[inline]
#[target_feature(enable = "avx2")]
fn carry<const K: usize>(column: Lanes, next: Lanes) -> (Lanes, Lanes) {
    let mut carry = upper(K, column);
    if K == 9 {
        // 19 times, where `vpmuludq` would cut it to 32 bits.
        carry = add(add(carry, add(carry, carry)), _mm256_slli_epi64::<4>(carry));
    }
    (lower(K, column), add(next, carry))
}

#[inline]
#[target_feature(enable = "avx2")]
fn chosen(mask: Lanes, zero: &Limbs, one: &Limbs) -> Limbs {
    let ([a0, a1, a2, a3, a4, a5, a6, a7, a8, a9], [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9]) = (*zero, *one);
    [
        choose(mask, a0, b0),
        choose(mask, a1, b1),
        choose(mask, a2, b2),
        choose(mask, a3, b3),
        choose(mask, a4, b4),
        choose(mask, a5, b5),
        choose(mask, a6, b6),
        choose(mask, a7, b7),
        choose(mask, a8, b8),
        choose(mask, a9, b9),
    ]
}

/// What `column` has above limb `index`.
#[inline]
#[target_feature(enable = "avx2")]
fn upper(index: usize, column: Lanes) -> Lanes {
    if index.is_multiple_of(2) { _mm256_srli_epi64::<26>(column) } else { _mm256_srli_epi64::<25>(column) }
}

/// What `column` has of limb `index`.
#[inline]
#[target_feature(enable = "avx2")]
fn lower(index: usize, column: Lanes) -> Lanes {
    _mm256_and_si256(column, splat(bits(index)))
}

/// The bits of limb `index`.
#[inline]
const fn bits(index: usize) -> u64 {
    if index.is_multiple_of(2) { EVEN } else { ODD }
}

/// The 64 bits from bit 51 of `low` on, which go on in `high`.
#[inline]
#[target_feature(enable = "avx2")]
fn straddling(low: Lanes, high: Lanes) -> Lanes {
    _mm256_or_si256(_mm256_srli_epi64::<51>(low), _mm256_slli_epi64::<13>(high))
}

#[cfg(test)]
#[path = "f25519_tests.rs"]
mod tests;

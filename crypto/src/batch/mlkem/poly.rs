//! Polynomials of 256 coefficients modulo q = 3329, one in eight vectors of signed 16-bit numbers.
//!
//! Products are Montgomery's with R = 2^16: of two numbers a and b below 2^15 and q / 2, ab / R, which is
//! below q / 2 + |a| / 39 in size.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::super::lanes::{Lanes, splat};
use super::ntt::PAIRS;

/// The modulus (FIPS 203 section 2.4).
pub(super) const Q: i16 = 3329;

/// Coefficients in a vector.
pub(super) const WIDTH: usize = 32;

/// Vectors of a polynomial.
pub(super) const VECTORS: usize = 8;

/// A polynomial, or its number-theoretic transform; coefficients stand in their order.
#[derive(Clone, Copy)]
pub(super) struct Poly(pub(super) [Lanes; VECTORS]);

impl Poly {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero() -> Self {
        Self([splat(0); VECTORS])
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (sum, other) in sum.0.iter_mut().zip(&other.0) {
            *sum = _mm512_add_epi16(*sum, *other);
        }
        sum
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut difference = *self;
        for (difference, other) in difference.0.iter_mut().zip(&other.0) {
            *difference = _mm512_sub_epi16(*difference, *other);
        }
        difference
    }

    /// Each coefficient times a constant.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn scaled(&self, constant: i16) -> Self {
        let factor = Factor::splat(constant);
        let mut scaled = *self;
        for vector in &mut scaled.0 {
            *vector = factor.times(*vector);
        }
        scaled
    }

    /// The same modulo q, with coefficients of at most 2q / 3 in size.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn reduced(&self) -> Self {
        self.scaled(times_r(1))
    }

    /// Coefficients from 0 to q - 1, from such of more than -q and less than 2q.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn canonical(&self) -> Self {
        let q = _mm512_set1_epi16(Q);
        let mut canonical = *self;
        for vector in &mut canonical.0 {
            // Of two numbers, the negative one is the greater without its sign.
            let positive = _mm512_min_epu16(*vector, _mm512_add_epi16(*vector, q));
            *vector = _mm512_min_epu16(positive, _mm512_sub_epi16(positive, q));
        }
        canonical
    }

    /// Whether all coefficients, which are not negative, are below q.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn is_canonical(&self) -> bool {
        let mut most = self.0[0];
        for vector in &self.0 {
            most = _mm512_max_epi16(most, *vector);
        }
        _mm512_cmpge_epi16_mask(most, _mm512_set1_epi16(Q)) == 0
    }
}

/// Constants to multiply by, at most q / 2 in size.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    /// Times R.
    pub(super) factor: Lanes,
    /// `factor` / q modulo R.
    pub(super) quotient: Lanes,
}

impl Factor {
    /// The constant `factor` / R in all lanes.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn splat(factor: i16) -> Self {
        let quotient = factor.wrapping_mul(Q_INVERSE);
        Self { factor: _mm512_set1_epi16(factor), quotient: _mm512_set1_epi16(quotient) }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn times(&self, number: Lanes) -> Lanes {
        let multiple = _mm512_mullo_epi16(number, self.quotient);
        let excess = _mm512_mulhi_epi16(multiple, _mm512_set1_epi16(Q));
        _mm512_sub_epi16(_mm512_mulhi_epi16(number, self.factor), excess)
    }
}

/// 1 / q modulo R.
pub(super) const Q_INVERSE: i16 = -3327;

/// `number` R modulo q, at most q / 2 in size.
#[allow(clippy::cast_possible_truncation, reason = "below q")]
pub(super) const fn times_r(number: i32) -> i16 {
    let q = Q as i32;
    let product = (number.rem_euclid(q) << 16) % q;
    (if product > q / 2 { product - q } else { product }) as i16
}

/// A transform to multiply others by: each pair of coefficients b0, b1 as what makes c0 and c1 of a0, a1
/// (FIPS 203 algorithm 12), in sums of two products.
#[derive(Clone, Copy)]
pub(super) struct Multiplier {
    /// b0 and the pair's power of zeta times b1.
    straight: Poly,
    /// b1 and b0.
    crossed: Poly,
}

impl Multiplier {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero() -> Self {
        Self { straight: Poly::zero(), crossed: Poly::zero() }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(transform: &Poly) -> Self {
        let reduced = transform.reduced();
        let (mut straight, mut crossed) = (reduced, reduced);
        for (index, vector) in reduced.0.iter().enumerate() {
            straight.0[index] = PAIRS[index].get().times(*vector);
            crossed.0[index] = _mm512_rol_epi32::<16>(*vector);
        }
        Self { straight, crossed }
    }
}

impl Zeroize for Multiplier {
    fn zeroize(&mut self) {
        self.straight.0.zeroize();
        self.crossed.0.zeroize();
    }
}

/// The sum of at most four products of transforms.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    even: [Lanes; VECTORS],
    odd: [Lanes; VECTORS],
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        Self { even: [splat(0); VECTORS], odd: [splat(0); VECTORS] }
    }

    /// Adds the product of a transform, whose coefficients are below 2^12, and a multiplier.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn add(&mut self, transform: &Poly, multiplier: &Multiplier) {
        for index in 0..VECTORS {
            let pairs = transform.0[index];
            let even = _mm512_madd_epi16(pairs, multiplier.straight.0[index]);
            let odd = _mm512_madd_epi16(pairs, multiplier.crossed.0[index]);
            self.even[index] = _mm512_add_epi32(self.even[index], even);
            self.odd[index] = _mm512_add_epi32(self.odd[index], odd);
        }
    }

    /// The sum / R, with coefficients below q in size.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn reduced(&self) -> Poly {
        let mut reduced = Poly::zero();
        for (index, place) in reduced.0.iter_mut().enumerate() {
            let even = _mm512_srli_epi32::<16>(reduced_high(self.even[index]));
            *place = _mm512_mask_blend_epi16(0xaaaa_aaaa, even, reduced_high(self.odd[index]));
        }
        reduced
    }
}

/// Numbers of 32 bits / R, in the upper halves.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn reduced_high(sums: Lanes) -> Lanes {
    let multiples = _mm512_mullo_epi16(sums, _mm512_set1_epi16(Q_INVERSE));
    _mm512_sub_epi32(sums, _mm512_madd_epi16(multiples, _mm512_set1_epi32(i32::from(Q))))
}

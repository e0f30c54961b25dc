//! Numbers mod n, the order of P-256, eight at a time: `Scalar`, and the reading of multipliers in windows.
//!
//! As in `p256_field`: five limbs below 2^52, Montgomery form with R = 2^260, and products below
//! (1 + α β / 16) n. The windows are those of Joye and Tunstall ("Exponent Recoding and Regular Exponentiation
//! Algorithms"): an odd k = Σ d_i 2^(w i) with each digit odd and below 2^w in magnitude, none of them zero.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::inverse::{Prime, across, first_lane, invert};
use super::lanes::{Lanes, MASK, madd_hi, madd_lo, splat};
use super::p256_field::{
    Element, Limbs, PRIME as P, Sum, Words, below, carry, constant, limbs, modulo, product, select, words,
    zero,
};

/// Carried: limbs below 2^52.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Scalar(pub(super) Limbs);

const N: [u64; 5] =
    [0x9_cac2_fc63_2551, 0xa_da71_79e8_4f3b, 0xf_ffff_ffbc_e6fa, 0xf_ffff_ffff, 0xffff_ffff_0000];

const PRIME: Prime =
    Prime::new([0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, u64::MAX, 0xffff_ffff_0000_0000]);

/// -1 / n mod 2^52.
const N_INVERSE: u64 = 0x1_c8aa_ee00_bc4f;

/// R, which is one.
const ONE: [u64; 5] = [0x3_53d0_39cd_aaf0, 0x2_58e8_617b_0c46, 0x431_9055, 0xf_ff00_0000_0000, 0xfffff];

/// R^2.
const R2: [u64; 5] =
    [0x5_cc0d_ea6d_c3ba, 0x1_92a0_67d8_a084, 0xb_ec59_6155_71bb, 0x1_fc24_5b23_92b6, 0xe12d_9559_d956];

impl Scalar {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn one() -> Self {
        Self(constant(&ONE))
    }

    /// Into Montgomery form, from any number below 2^256; below 2 n.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(number: &Limbs) -> Self {
        Self(*number).mul(&Self(constant(&R2)))
    }

    /// Out of Montgomery form, below n.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plain(&self) -> Limbs {
        self.mul(&Self(constant(&[1, 0, 0, 0, 0]))).canonical()
    }

    /// Below n, of what is below 2 n.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn canonical(&self) -> Limbs {
        modulo(&self.0, &N)
    }

    /// The sum, not reduced.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plus(&self, other: &Limbs) -> Self {
        Self(carry(&Sum(self.0).plus(other).0))
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn mul(&self, other: &Self) -> Self {
        reduce(product(&self.0, &other.0))
    }

    /// The inverses of scalars of which none is zero, and of `elements` of which none is.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn inverses(&self, element: &Element) -> (Self, Element) {
        let multiply = |a: &Limbs, b: &Limbs| Self(*a).mul(&Self(*b)).0;
        let mut scalar = Self::one();
        let element = element.inverse_by(|number| {
            let mut others = [0; 4];
            let invert = |x: &Limbs| {
                let [mut inverse, other] =
                    invert([&PRIME, &P], [first_lane(&words(&Self(*x).plain())), number]);
                others = other;
                let [a, b, c, d] = inverse;
                inverse.zeroize();
                Self::new(&limbs(&[splat(a), splat(b), splat(c), splat(d)])).0
            };
            scalar = Self(across(&self.0, multiply, invert));
            others
        });
        (scalar, element)
    }

    /// The product of `scalars`, zeros turned into ones, and what it was before each.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn multiplied(scalars: &mut [Self], before: &mut [Self]) -> Self {
        let one = Self::one();
        let mut product = one;
        for (scalar, before) in scalars.iter_mut().zip(before) {
            scalar.0 = select(zero(&scalar.plain()), &one.0, &scalar.0);
            *before = product;
            product = product.mul(scalar);
        }
        product
    }

    /// Each inverse, from that of the product.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn divided(scalars: &mut [Self], before: &[Self], mut inverse: Self) {
        for (scalar, before) in scalars.iter_mut().zip(before).rev() {
            let rest = inverse.mul(scalar);
            *scalar = inverse.mul(before);
            inverse = rest;
        }
    }
}

/// `scalars` and `elements`, at most four of each, inverted by inversions side by side; of zero comes one.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn invert_both(scalars: &mut [Scalar], elements: &mut [Element]) {
    let mut before = ([Scalar::one(); 4], [Element::one(); 4]);
    let product = Scalar::multiplied(scalars, &mut before.0);
    let (scalar, element) = product.inverses(&Element::multiplied(elements, &mut before.1));
    Scalar::divided(scalars, &before.0, scalar);
    Element::divided(elements, &before.1, element);
    before.0.zeroize();
    before.1.zeroize();
}

/// The lanes of carried limbs in 1..n.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn in_range(limbs: &Limbs) -> __mmask8 {
    below(limbs, &N) & !zero(limbs)
}

/// Montgomery's reduction; carried.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn reduce(mut t: [Lanes; 10]) -> Scalar {
    step::<0>(&mut t);
    step::<1>(&mut t);
    step::<2>(&mut t);
    step::<3>(&mut t);
    step::<4>(&mut t);
    let [.., a, b, c, d, e] = t;
    Scalar(carry(&[a, b, c, d, e]))
}

/// Adds the multiple of n that makes `t[I]` zero mod 2^52, and carries what is left of it: one more than its
/// high bits, unless it was zero already.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn step<const I: usize>(t: &mut [Lanes; 10]) {
    let [a, b, c, d, e] = constant(&N);
    let left = _mm512_srli_epi64::<52>(_mm512_add_epi64(t[I], splat(MASK)));
    let m = madd_lo(splat(0), t[I], splat(N_INVERSE));
    let low = madd_lo(_mm512_add_epi64(t[I + 1], left), m, b);
    t[I + 1] = _mm512_add_epi64(low, madd_hi(splat(0), m, a));
    t[I + 2] = madd_lo(madd_hi(t[I + 2], m, b), m, c);
    t[I + 3] = madd_lo(madd_hi(t[I + 3], m, c), m, d);
    t[I + 4] = madd_lo(madd_hi(t[I + 4], m, d), m, e);
    t[I + 5] = madd_hi(t[I + 5], m, e);
}

/// An odd multiplier, ready to be read in windows.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Multiplier(Words);

impl Multiplier {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn one() -> Self {
        Self([splat(1), splat(0), splat(0), splat(0)])
    }

    /// Of `scalar`, in 1..n, where it is odd; of n - `scalar` in the lanes of the mask, where it is even.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(scalar: &Limbs) -> (Self, __mmask8) {
        let even = _mm512_testn_epi64_mask(scalar[0], splat(1));
        let rest = carry(&Sum(constant(&N)).minus(scalar).0);
        (Self(words(&select(even, &rest, scalar))), even)
    }

    /// Digit `i` of `WIDTH` bits, as the place of its magnitude among the odd numbers, and where it is
    /// negative: ((k / 2^(w i)) | 1) mod 2^(w + 1) - 2^w.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn digit<const WIDTH: u32>(&self, i: usize) -> (Lanes, __mmask8) {
        let bit = i * WIDTH as usize;
        let zero = splat(0);
        let low = self.0.get(bit / 64).unwrap_or(&zero);
        let high = self.0.get(bit / 64 + 1).unwrap_or(&zero);
        let shift = bit as u64 % 64;
        let low = _mm512_srlv_epi64(*low, splat(shift));
        let bits = _mm512_or_si512(low, _mm512_sllv_epi64(*high, splat(64 - shift)));
        let negative = _mm512_testn_epi64_mask(bits, splat(1 << WIDTH));
        let bits = _mm512_mask_xor_epi64(bits, negative, bits, splat(u64::MAX));
        (_mm512_and_si512(_mm512_srli_epi64::<1>(bits), splat((1 << (WIDTH - 1)) - 1)), negative)
    }

    /// The three highest bits: the highest digit of seven bits, always positive.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn highest(&self) -> Lanes {
        _mm512_srli_epi64::<61>(self.0[3])
    }
}

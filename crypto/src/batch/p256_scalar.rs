//! Numbers mod n, the order of P-256, eight at a time: `Scalar`, and the reading of multipliers in windows.
//!
//! As in `p256_field`: five limbs below 2^52, Montgomery form with R = 2^260, and products below
//! (1 + α β / 16) n. The windows are those of Joye and Tunstall ("Exponent Recoding and Regular Exponentiation
//! Algorithms"): an odd k = Σ d_i 2^(w i) with each digit odd and below 2^w in magnitude, none of them zero.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::lanes::{Lanes, MASK, madd_hi, madd_lo, splat};
use super::p256_field::{
    Element, Limbs, Sum, Words, below, carry, constant, modulo, product, select, square, words, zero,
};

/// Carried: limbs below 2^52.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Scalar(pub(super) Limbs);

const N: [u64; 5] =
    [0x9_cac2_fc63_2551, 0xa_da71_79e8_4f3b, 0xf_ffff_ffbc_e6fa, 0xf_ffff_ffff, 0xffff_ffff_0000];

/// -1 / n mod 2^52.
const N_INVERSE: u64 = 0x1_c8aa_ee00_bc4f;

/// R, which is one.
const ONE: [u64; 5] = [0x3_53d0_39cd_aaf0, 0x2_58e8_617b_0c46, 0x431_9055, 0xf_ff00_0000_0000, 0xfffff];

/// R^2.
const R2: [u64; 5] =
    [0x5_cc0d_ea6d_c3ba, 0x1_92a0_67d8_a084, 0xb_ec59_6155_71bb, 0x1_fc24_5b23_92b6, 0xe12d_9559_d956];

/// The lower half of n - 2.
const N_LOW: u128 = 0xbce6_faad_a717_9e84_f3b9_cac2_fc63_254f;

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

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn square(&self) -> Self {
        reduce(square(&self.0))
    }

    /// The powers 1, 3, 5 and so on to 15.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn odd_powers(&self) -> [Self; 8] {
        let square = self.square();
        let mut power = *self;
        let mut powers = [power; 8];
        for place in powers.iter_mut().skip(1) {
            power = power.mul(&square);
            *place = power;
        }
        powers
    }

    /// The product of `scalars`, zeros turned into ones, and what it was before each.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn multiplied(scalars: &mut [Self], before: &mut [Self]) -> Self {
        let one = Self::one();
        let mut product = one;
        for (scalar, before) in scalars.iter_mut().zip(before) {
            let plain = scalar.mul(&Self(constant(&[1, 0, 0, 0, 0])));
            scalar.0 = select(zero(&plain.canonical()), &one.0, &scalar.0);
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

/// `elements` (below 4 p; below 2 p after) and `scalars` (the same of n), at most four of either, inverted by
/// one inversion; of zero comes one.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn invert(elements: &mut [Element], scalars: &mut [Scalar]) {
    let mut before = ([Element::one(); 4], [Scalar::one(); 4]);
    let pair = Pair(Element::multiplied(elements, &mut before.0), Scalar::multiplied(scalars, &mut before.1));
    let Pair(element, scalar) = pair.inverse();
    Element::divided(elements, &before.0, element);
    Scalar::divided(scalars, &before.1, scalar);
    before.0.zeroize();
    before.1.zeroize();
}

/// Computed in step, since the chain of neither fills the processor.
#[derive(Clone, Copy)]
struct Pair(Element, Scalar);

impl Pair {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn mul(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0).carry(), self.1.mul(&other.1))
    }

    /// Squared `count` times.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn squared(&self, count: usize) -> Self {
        let mut power = *self;
        for _ in 0..count {
            power = Self(power.0.square().carry(), power.1.square());
        }
        power
    }

    /// To the powers p - 2 and n - 2, which both begin with 32 ones; the rest stands in [`TAIL`].
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn inverse(&self) -> Self {
        // `ones_k` is the power 2^k - 1.
        let ones_2 = self.squared(1).mul(self);
        let ones_3 = ones_2.squared(1).mul(self);
        let ones_6 = ones_3.squared(3).mul(&ones_3);
        let ones_12 = ones_6.squared(6).mul(&ones_6);
        let ones_15 = ones_12.squared(3).mul(&ones_3);
        let ones_30 = ones_15.squared(15).mul(&ones_15);
        let ones_32 = ones_30.squared(2).mul(&ones_2);
        let odd = self.1.odd_powers();
        let mut power = ones_32;
        for (p, n) in TAIL {
            power = power.squared(1);
            match p {
                1 => power.0 = power.0.mul(&self.0).carry(),
                30 => power.0 = power.0.mul(&ones_30.0).carry(),
                32 => power.0 = power.0.mul(&ones_32.0).carry(),
                _ => {}
            }
            match n {
                0 => {}
                32 => power.1 = power.1.mul(&ones_32.1),
                n => power.1 = power.1.mul(&odd[usize::from(n) / 2 % odd.len()]),
            }
        }
        power
    }
}

/// What is multiplied by after each of the last 224 squarings: for p - 2 the power of so many ones; for n - 2
/// that of 32 ones, or an odd power below 16. Zero for nothing.
const TAIL: [(u8, u8); 224] = {
    let mut tail = [(0, 0); 224];
    tail[31].0 = 1;
    tail[159].0 = 32;
    tail[191].0 = 32;
    tail[221].0 = 30;
    tail[223].0 = 1;
    tail[63].1 = 32;
    tail[95].1 = 32;
    let mut bit = 0;
    while bit < 128 {
        let left = N_LOW << bit;
        if left >> 127 == 0 {
            bit += 1;
        } else {
            let zeros = (left >> 124).trailing_zeros();
            bit += 4 - zeros as usize;
            tail[95 + bit].1 = (left >> 124 >> zeros).to_le_bytes()[0];
        }
    }
    tail
};

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

//! Numbers mod p = 2^256 - 2^224 + 2^192 + 2^96 - 1, eight at a time: `Element` and, before its carries, `Sum`.
//!
//! Five limbs of 52 bits in Montgomery form with R = 2^260; p suits it, as Gueron and Krasnov saw ("Fast Prime
//! Field Elliptic-Curve Cryptography with 256-Bit Primes"). An `Element` has limbs below 2^52, which is all that
//! a multiplication reads, and a value below 16 p; what is smaller is said where it matters. A `Sum` has signed
//! limbs below 2^61. For a < α p and b < β p the product is below (1 + α β / 16) p, since p < R / 16.
//!
//! No iterators where it is hot: what the compiler leaves of them in another codegen unit sends the limbs
//! through memory.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::inverse::{Prime, across, first_lane, invert};
use super::lanes::{LANES, Lanes, MASK, array, lanes, madd_hi, madd_lo, splat};

/// Carried: limbs below 2^52.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Element(pub(super) Limbs);

/// Not carried: signed limbs.
#[derive(Clone, Copy)]
pub(super) struct Sum(pub(super) Limbs);

/// The limbs of eight numbers, the lowest first.
pub(super) type Limbs = [Lanes; 5];

/// Eight numbers of 256 bits in 64-bit words, the lowest first.
pub(super) type Words = [Lanes; 4];

/// Elements that share an inversion: two for each of four vectors.
pub(super) const MAX_INVERTED: usize = 8;

const P: [u64; 5] = [MASK, (1 << 44) - 1, 0, 1 << 36, (1 << 48) - (1 << 16)];

pub(super) const PRIME: Prime = Prime::new([u64::MAX, 0xffff_ffff, 0, 0xffff_ffff_0000_0001]);

/// R, which is one.
const ONE: [u64; 5] = [0x10, 0xf_0000_0000_0000, 0xf_ffff_ffff_ffff, 0xf_feff_ffff_ffff, 0xfffff];

/// R^2.
const R2: [u64; 5] = [0x300, 0xf_ffff_fff0_0000, 0xf_fffe_ffff_fffb, 0xf_dfff_ffff_ffff, 0x4ff_ffff];

impl Element {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn one() -> Self {
        Self(constant(&ONE))
    }

    /// Into Montgomery form, from any number below 2^256; below 2 p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(number: &Limbs) -> Self {
        Self(*number).mul(&Self(constant(&R2))).carry()
    }

    /// Out of Montgomery form, not above p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plain(&self) -> Self {
        self.mul(&Self(constant(&[1, 0, 0, 0, 0]))).carry()
    }

    /// Below p, of what is below 2 p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn canonical(&self) -> Limbs {
        modulo(&self.0, &P)
    }

    /// The lanes which are zero mod p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero(&self) -> __mmask8 {
        zero(&self.plain().canonical())
    }

    /// Where `mask` is set `yes`, elsewhere `no`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn select(mask: __mmask8, yes: &Self, no: &Self) -> Self {
        Self(select(mask, &yes.0, &no.0))
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn minus(&self, other: &Self) -> Sum {
        Sum(self.0).minus(&other.0)
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn mul(&self, other: &Self) -> Sum {
        reduce(product(&self.0, &other.0))
    }

    /// `a b + c d`, reduced once.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn products([a, b]: [&Self; 2], [c, d]: [&Self; 2]) -> Sum {
        reduce(product_onto(product(&a.0, &b.0), &c.0, &d.0))
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn square(&self) -> Sum {
        reduce(square(&self.0))
    }

    /// The inverses of elements below 4 p of which none is zero. Below 2 p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn inverse(&self) -> Self {
        self.inverse_by(|number| {
            let [inverse] = invert([&PRIME], [number]);
            inverse
        })
    }

    /// The same, given what inverts a number.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn inverse_by(&self, invert: impl FnOnce([u64; 4]) -> [u64; 4]) -> Self {
        let multiply = |a: &Limbs, b: &Limbs| Self(*a).mul(&Self(*b)).carry().0;
        let invert = |x: &Limbs| {
            let mut inverse = invert(first_lane(&words(&Self(*x).plain().canonical())));
            let [a, b, c, d] = inverse;
            inverse.zeroize();
            Self::new(&limbs(&[splat(a), splat(b), splat(c), splat(d)])).0
        };
        Self(across(&self.0, multiply, invert))
    }

    /// `elements` (at most [`MAX_INVERTED`], below 4 p) inverted by one inversion; of zero comes one. Below 2 p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn invert(elements: &mut [Self]) {
        let mut before = [Self::one(); MAX_INVERTED];
        let product = Self::multiplied(elements, &mut before);
        Self::divided(elements, &before, product.inverse());
        before.zeroize();
    }

    /// The product of `elements`, zeros turned into ones, and what it was before each.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn multiplied(elements: &mut [Self], before: &mut [Self]) -> Self {
        let one = Self::one();
        let mut product = one;
        for (element, before) in elements.iter_mut().zip(before) {
            *element = Self::select(element.zero(), &one, element);
            *before = product;
            product = product.mul(element).carry();
        }
        product
    }

    /// Each inverse, from that of the product.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn divided(elements: &mut [Self], before: &[Self], mut inverse: Self) {
        for (element, before) in elements.iter_mut().zip(before).rev() {
            let rest = inverse.mul(element).carry();
            *element = inverse.mul(before).carry();
            inverse = rest;
        }
    }
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn plus(self, other: &Limbs) -> Self {
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.0, *other);
        Self([
            _mm512_add_epi64(a, f),
            _mm512_add_epi64(b, g),
            _mm512_add_epi64(c, h),
            _mm512_add_epi64(d, i),
            _mm512_add_epi64(e, j),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn minus(self, other: &Limbs) -> Self {
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.0, *other);
        Self([
            _mm512_sub_epi64(a, f),
            _mm512_sub_epi64(b, g),
            _mm512_sub_epi64(c, h),
            _mm512_sub_epi64(d, i),
            _mm512_sub_epi64(e, j),
        ])
    }

    /// Times 2^`BITS`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn doubled<const BITS: u32>(self) -> Self {
        let [a, b, c, d, e] = self.0;
        Self([
            _mm512_slli_epi64::<BITS>(a),
            _mm512_slli_epi64::<BITS>(b),
            _mm512_slli_epi64::<BITS>(c),
            _mm512_slli_epi64::<BITS>(d),
            _mm512_slli_epi64::<BITS>(e),
        ])
    }

    /// Negated where `mask` is set.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn negated(self, mask: __mmask8) -> Self {
        Self(select(mask, &Self([splat(0); 5]).minus(&self.0).0, &self.0))
    }

    /// `K` p more, which makes up for a subtraction of what is not above it.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn over<const K: u64>(self) -> Self {
        let [a, b, c, d, e] = P;
        self.plus(&constant(&[K * a, K * b, K * c, K * d, K * e]))
    }

    /// Of a number in 0..2^260.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn carry(self) -> Element {
        Element(carry(&self.0))
    }

    /// Of any number, negative or not: carried and below 2.01 p.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn reduce(self) -> Element {
        let [a, b, c, d, e] = self.0;
        // All but one of the multiples of 2^256 are replaced: the lower limbs weigh less than 2^218.
        let count = _mm512_sub_epi64(_mm512_srai_epi64::<48>(e), splat(1));
        let e = _mm512_or_si512(_mm512_and_si512(e, splat((1 << 48) - 1)), splat(1 << 48));
        // 2^256 = 2^224 - 2^192 - 2^96 + 1 mod p.
        let a = _mm512_add_epi64(a, count);
        let b = _mm512_sub_epi64(b, _mm512_slli_epi64::<44>(count));
        let d = _mm512_sub_epi64(d, _mm512_slli_epi64::<36>(count));
        let e = _mm512_add_epi64(e, _mm512_slli_epi64::<16>(count));
        Self([a, b, c, d, e]).carry()
    }
}

/// Montgomery's reduction. p = -1 mod 2^52, so each quotient is the low limb itself and cancels it, but for
/// its carry.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn reduce(mut t: [Lanes; 10]) -> Sum {
    step::<0>(&mut t);
    step::<1>(&mut t);
    step::<2>(&mut t);
    step::<3>(&mut t);
    step::<4>(&mut t);
    let [.., a, b, c, d, e] = t;
    Sum([a, b, c, d, e])
}

/// Adds m p to the limbs from `I` on, m the low 52 bits of `t[I]`: m (p + 1), less the m that `t[I]` loses.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn step<const I: usize>(t: &mut [Lanes; 10]) {
    let m = t[I];
    let (b, d, e) = (splat(P[1] + 1), splat(P[3]), splat(P[4]));
    t[I + 1] = _mm512_add_epi64(madd_lo(t[I + 1], m, b), _mm512_srli_epi64::<52>(m));
    t[I + 2] = madd_hi(t[I + 2], m, b);
    t[I + 3] = madd_lo(t[I + 3], m, d);
    t[I + 4] = madd_lo(madd_hi(t[I + 4], m, d), m, e);
    t[I + 5] = madd_hi(t[I + 5], m, e);
}

/// Limbs of the product, below 2^56.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn product(a: &Limbs, b: &Limbs) -> [Lanes; 10] {
    product_onto([splat(0); 10], a, b)
}

/// The same and `t`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn product_onto(mut t: [Lanes; 10], a: &Limbs, b: &Limbs) -> [Lanes; 10] {
    row::<0, 5>(&mut t, a[0], *b);
    row::<1, 5>(&mut t, a[1], *b);
    row::<2, 5>(&mut t, a[2], *b);
    row::<3, 5>(&mut t, a[3], *b);
    row::<4, 5>(&mut t, a[4], *b);
    t
}

/// Limbs of the square, below 2^56.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn square(a: &Limbs) -> [Lanes; 10] {
    let [a, b, c, d, e] = *a;
    let mut t = [splat(0); 10];
    row::<1, 4>(&mut t, a, [b, c, d, e]);
    row::<3, 3>(&mut t, b, [c, d, e]);
    row::<5, 2>(&mut t, c, [d, e]);
    row::<7, 1>(&mut t, d, [e]);
    let mut i = 0;
    while i < 10 {
        t[i] = _mm512_add_epi64(t[i], t[i]);
        i += 1;
    }
    row::<0, 1>(&mut t, a, [a]);
    row::<2, 1>(&mut t, b, [b]);
    row::<4, 1>(&mut t, c, [c]);
    row::<6, 1>(&mut t, d, [d]);
    row::<8, 1>(&mut t, e, [e]);
    t
}

/// Adds `a` times `b` to the limbs from `I` on.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn row<const I: usize, const N: usize>(t: &mut [Lanes; 10], a: Lanes, b: [Lanes; N]) {
    let mut j = 0;
    while j < N {
        t[I + j] = madd_lo(t[I + j], a, b[j]);
        t[I + j + 1] = madd_hi(t[I + j + 1], a, b[j]);
        j += 1;
    }
}

/// Signed carries into limbs below 2^52; the highest keeps what is over, and the sign.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn carry(limbs: &Limbs) -> Limbs {
    let mask = splat(MASK);
    let [a, b, c, d, e] = *limbs;
    let b = _mm512_add_epi64(b, _mm512_srai_epi64::<52>(a));
    let c = _mm512_add_epi64(c, _mm512_srai_epi64::<52>(b));
    let d = _mm512_add_epi64(d, _mm512_srai_epi64::<52>(c));
    let e = _mm512_add_epi64(e, _mm512_srai_epi64::<52>(d));
    let low = |limb| _mm512_and_si512(limb, mask);
    [low(a), low(b), low(c), low(d), e]
}

/// Carried `limbs` below twice `modulus`, less it where they are not below.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn modulo(limbs: &Limbs, modulus: &[u64; 5]) -> Limbs {
    let less = carry(&Sum(*limbs).minus(&constant(modulus)).0);
    select(negative(&less), limbs, &less)
}

/// The lanes of carried limbs that are below `modulus`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn below(limbs: &Limbs, modulus: &[u64; 5]) -> __mmask8 {
    negative(&carry(&Sum(*limbs).minus(&constant(modulus)).0))
}

/// The lanes below p.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn below_p(limbs: &Limbs) -> __mmask8 {
    below(limbs, &P)
}

/// The lanes of carried limbs that are negative.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn negative(limbs: &Limbs) -> __mmask8 {
    _mm512_cmplt_epi64_mask(limbs[4], splat(0))
}

/// The lanes of which all limbs are zero.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn zero(limbs: &Limbs) -> __mmask8 {
    let [a, b, c, d, e] = *limbs;
    let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
    _mm512_testn_epi64_mask(any, any)
}

/// Where `mask` is set `yes`, elsewhere `no`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn select(mask: __mmask8, yes: &Limbs, no: &Limbs) -> Limbs {
    let ([a, b, c, d, e], [f, g, h, i, j]) = (*no, *yes);
    [
        _mm512_mask_blend_epi64(mask, a, f),
        _mm512_mask_blend_epi64(mask, b, g),
        _mm512_mask_blend_epi64(mask, c, h),
        _mm512_mask_blend_epi64(mask, d, i),
        _mm512_mask_blend_epi64(mask, e, j),
    ]
}

/// One number in all lanes.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn constant(limbs: &[u64; 5]) -> Limbs {
    let [a, b, c, d, e] = *limbs;
    [splat(a), splat(b), splat(c), splat(d), splat(e)]
}

/// Big-endian `numbers`, at most eight, over again until all lanes are full.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn read<'a>(numbers: impl Iterator<Item = &'a [u8; 32]> + Clone) -> Limbs {
    let mut words = [[0; LANES]; 4];
    for (lane, bytes) in numbers.cycle().take(LANES).enumerate() {
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0.iter().rev()) {
            word[lane] = u64::from_be_bytes(*bytes);
        }
    }
    let limbs = limbs(&[lanes(words[0]), lanes(words[1]), lanes(words[2]), lanes(words[3])]);
    words.zeroize();
    limbs
}

/// The lanes of canonical `limbs` to `places`, as many as there are, big-endian.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn write<'a>(limbs: &Limbs, places: impl Iterator<Item = &'a mut [u8; 32]>) {
    let [a, b, c, d] = words(limbs);
    let mut words = [array(a), array(b), array(c), array(d)];
    for (lane, place) in places.take(LANES).enumerate() {
        for (word, bytes) in words.iter().zip(place.as_chunks_mut().0.iter_mut().rev()) {
            *bytes = word[lane].to_be_bytes();
        }
    }
    words.zeroize();
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn limbs(words: &Words) -> Limbs {
    let [a, b, c, d] = *words;
    let low = |limb| _mm512_and_si512(limb, splat(MASK));
    [
        low(a),
        low(_mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b))),
        low(_mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c))),
        low(_mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d))),
        _mm512_srli_epi64::<16>(d),
    ]
}

/// Of carried limbs below 2^256.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn words(limbs: &Limbs) -> Words {
    let [a, b, c, d, e] = *limbs;
    [
        _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
        _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
        _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
        _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
    ]
}

#[cfg(test)]
#[path = "p256_field_tests.rs"]
mod tests;

//! Points of P-256, eight at a time: `Jacobian`, `Fraction`, `Affine`, and their multiplications.
//!
//! Formulas for Jacobian coordinates by Cohen, Miyaji and Ono ("Efficient Elliptic Curve Exponentiation Using
//! Mixed Coordinates"), doublings with a Z^4 carried along. X and Y stay below 2.01 p, Z below 4 p. Where nothing is
//! doubled, as with the base point, Z^2 and Z^3 stand in place of Z ("xyzz" in Bernstein and Lange's
//! Explicit-Formulas Database), which saves a square; and two products that are added share a reduction.
//!
//! The additions fail for equal and for opposite points, which no multiplier k in 1..n leads to. Read from the
//! top in odd digits d_i, the sum before digit i is u = 2^w k_(i+1), where k_i = d_i + 2^w k_(i+1) is k / 2^(w i)
//! rounded to an odd number; for the base point, all times 2^(w i). u is above |d_i|, so u ± d_i is not 0.
//! u + d_i = k_i <= k is not n. u - d_i = k_i - 2 d_i is too small to be n for i > 0. For i = 0 it would be with
//! k = n + 2 d_0, and since d_0 = k - 2^w mod 2^(w+1), d_0 = 2^w - n: 47 mod 256 for w = 7, 15 mod 64 for w = 5,
//! which no negative digit is. (It is one for w = 4 and for w = 6.)

use core::arch::x86_64::*;
use std::sync::OnceLock;

use zeroize::Zeroize;

use super::lanes::{Cpu, LANES, Lanes, array, lanes, splat};
use super::p256_field::{Element, Limbs, Sum, constant};
use super::p256_scalar::Multiplier;

/// x = X / Z^2, y = Y / Z^3.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Jacobian {
    pub(super) x: Element,
    pub(super) y: Element,
    pub(super) z: Element,
}

/// x = X / ZZ, y = Y / ZZZ, where ZZ^3 = ZZZ^2. X stays below 2.01 p, Y below 3.1 p, the others below 1.2 p.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Fraction {
    pub(super) x: Element,
    pub(super) y: Element,
    pub(super) zz: Element,
    pub(super) zzz: Element,
}

/// Neither coordinate above 2.01 p.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) x: Element,
    pub(super) y: Element,
}

/// The base point's multiples for windows of seven bits.
pub(super) struct Base {
    windows: Vec<Window>,
}

/// The odd multiples 1 to 127 of 2^(7 i) times the base point: for each limb of x, then of y, the numbers of
/// all 64 points in eight vectors.
#[derive(Clone, Copy)]
struct Window([[Lanes; 8]; 10]);

const WIDTH: u32 = 7;

const WINDOWS: usize = 37;

/// Windows of a peer's point; digit 51, the highest, is one.
const PEER_WIDTH: u32 = 5;

const PEER_WINDOWS: usize = 51;

const BASE_X: [u64; 5] =
    [0x3_0d41_8a91_43c1, 0xc_4fed_b601_79e7, 0x6_2251_075b_a95f, 0x5_c669_fb73_2b77, 0x8905_f76b_5375];

const BASE_Y: [u64; 5] =
    [0x5_357c_e955_60a8, 0x4_3a19_e45c_ddf2, 0x2_1f32_58b4_ab8e, 0xd_8552_e886_88dd, 0x571f_f18a_5885];

/// a = -3.
const A: [u64; 5] = [0xf_ffff_ffff_ffcf, 0x3_0fff_ffff_ffff, 0, 0x310_0000_0000, 0xffff_ffcf_0000];

const B: [u64; 5] =
    [0xd_f622_9c4b_ddfd, 0xc_a884_3090_d89c, 0x2_12ed_6acf_005c, 0x8_3415_a220_abf7, 0xc300_61dd_4874];

impl Jacobian {
    /// Twice the point, from `w`, which is a Z^4 (below 2.7 p); and 8 Y^4, of which the next one comes.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn double(&self, w: &Element) -> (Self, Element) {
        let xx = self.x.square();
        let yy = self.y.square().carry();
        let m = xx.plus(&xx.0).plus(&xx.0).plus(&w.0).carry();
        let s = self.x.mul(&yy).doubled::<2>().carry();
        let yyyy8 = yy.square().doubled::<3>().reduce();
        let x = m.square().minus(&s.0).minus(&s.0).reduce();
        let y = m.mul(&s.minus(&x).over::<3>().carry()).minus(&yyyy8.0).reduce();
        let z = self.y.mul(&self.z).doubled::<1>().carry();
        (Self { x, y, z }, yyyy8)
    }

    /// The sum with a point other than this and its negative, negated in the lanes of `negative`; and the
    /// factor by which Z grew.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn add(&self, point: &Affine, negative: __mmask8) -> (Self, Element) {
        let zz = self.z.square().carry();
        let h = point.x.mul(&zz).minus(&self.x.0).over::<3>().carry();
        let zzz = zz.mul(&self.z).carry();
        let hh = h.square().carry();
        let r = point.y.mul(&zzz).negated(negative).minus(&self.y.0).over::<4>().carry();
        let v = self.x.mul(&hh).carry();
        let hhh = h.mul(&hh).carry();
        let x = r.square().minus(&hhh.0).minus(&v.0).minus(&v.0).reduce();
        let z = self.z.mul(&h).carry();
        let rest = self.y.mul(&hhh);
        let y = r.mul(&v.minus(&x).over::<3>().carry()).minus(&rest.0).reduce();
        (Self { x, y, z }, h)
    }
}

impl Fraction {
    /// Adds a point other than this and its negative, negated in the lanes of `negative`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn add(&mut self, point: &Affine, negative: __mmask8) {
        let p = point.x.mul(&self.zz).minus(&self.x.0).over::<3>().carry();
        let r = point.y.mul(&self.zzz).negated(negative).minus(&self.y.0).over::<5>().carry();
        let pp = p.square().carry();
        let ppp = p.mul(&pp).carry();
        let q = self.x.mul(&pp).carry();
        self.x = r.square().minus(&ppp.0).minus(&q.0).minus(&q.0).reduce();
        self.zz = self.zz.mul(&pp).carry();
        self.zzz = self.zzz.mul(&ppp).carry();
        let rest = q.minus(&self.x).over::<3>().carry();
        let y = Sum([splat(0); 5]).minus(&self.y.0).over::<4>().carry();
        self.y = Element::products([&r, &rest], [&y, &ppp]).carry();
    }
}

impl Affine {
    /// The base point in all lanes.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn base() -> Self {
        Self { x: Element(constant(&BASE_X)), y: Element(constant(&BASE_Y)) }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn jacobian(&self) -> Jacobian {
        Jacobian { x: self.x, y: self.y, z: Element::one() }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn fraction(&self) -> Fraction {
        Fraction { x: self.x, y: self.y, zz: Element::one(), zzz: Element::one() }
    }

    /// The lanes in which y^2 = x^3 - 3 x + b.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn on_curve(&self) -> __mmask8 {
        let slope = self.x.square().plus(&constant(&A)).carry();
        let difference = self.y.square().minus(&slope.mul(&self.x).0).minus(&constant(&B));
        difference.reduce().zero()
    }

    /// The odd multiples 1, 3, 5 and so on, each with the Z that is returned.
    ///
    /// The curve on which the double has Z = 1 takes mixed additions, and their factors bring the sums to
    /// the Z of the last one.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn odd_multiples<const N: usize>(&self) -> ([Self; N], Element) {
        let (double, _) = self.jacobian().double(&Element(constant(&A)));
        let zz = double.z.square().carry();
        let zzz = zz.mul(&double.z).carry();
        let mut sum = Self { x: self.x.mul(&zz).carry(), y: self.y.mul(&zzz).carry() }.jacobian();
        let step = Self { x: double.x, y: double.y };
        let mut multiples = [Self { x: sum.x, y: sum.y }; N];
        let mut factors = [sum.z; N];
        for (multiple, factor) in multiples.iter_mut().zip(&mut factors).skip(1) {
            (sum, *factor) = sum.add(&step, 0);
            *multiple = Self { x: sum.x, y: sum.y };
        }
        let mut factor = Element::one();
        for (multiple, next) in multiples.iter_mut().zip(&factors).rev() {
            *multiple = multiple.scaled(&factor);
            factor = factor.mul(next).carry();
        }
        (multiples, sum.z.mul(&double.z).carry())
    }

    /// With Z = `z` where it was one.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn scaled(&self, z: &Element) -> Self {
        let zz = z.square().carry();
        let zzz = zz.mul(z).carry();
        Self { x: self.x.mul(&zz).carry(), y: self.y.mul(&zzz).carry() }
    }

    /// The product with `multiplier`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn multiply(&self, multiplier: &Multiplier) -> Jacobian {
        let (multiples, z) = self.odd_multiples::<16>();
        // On the curve where the multiples have Z = 1, a is this.
        let zz = z.square().carry();
        let a = zz.square().carry().mul(&Element(constant(&A))).carry();
        let mut sum = multiples[0].jacobian();
        for i in (0..PEER_WINDOWS).rev() {
            let zz = sum.z.square().carry();
            let mut w = zz.square().carry().mul(&a).carry();
            for _ in 1..PEER_WIDTH {
                let (double, factor) = sum.double(&w);
                w = w.mul(&factor).doubled::<1>().carry();
                sum = double;
            }
            (sum, _) = sum.double(&w);
            let (place, negative) = multiplier.digit::<PEER_WIDTH>(i);
            (sum, _) = sum.add(&choose(&multiples, place), negative);
        }
        sum.z = sum.z.mul(&z).carry();
        sum
    }
}

/// The point at each lane's own place; all are read.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn choose(points: &[Affine; 16], place: Lanes) -> Affine {
    let mut chosen = points[0];
    let mut i = 1;
    while i < points.len() {
        let here = _mm512_cmpeq_epi64_mask(place, splat(i as u64));
        chosen.x = Element::select(here, &points[i].x, &chosen.x);
        chosen.y = Element::select(here, &points[i].y, &chosen.y);
        i += 1;
    }
    chosen
}

impl Base {
    /// The one of the process, made at the first call.
    pub(super) fn shared(cpu: Cpu) -> &'static Self {
        static BASE: OnceLock<Base> = OnceLock::new();
        BASE.get_or_init(|| Self::new(cpu))
    }

    fn new(_: Cpu) -> Self {
        // SAFETY: `Cpu` is the proof of the features.
        unsafe { Self::computed() }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn computed() -> Self {
        let mut windows = Vec::with_capacity(WINDOWS.next_multiple_of(LANES));
        let mut point = Affine::base().jacobian();
        while windows.len() < WINDOWS {
            // Each lane is a window.
            let mut start = point;
            for lane in 0..LANES {
                let here = 1 << lane;
                start.x = Element::select(here, &point.x, &start.x);
                start.y = Element::select(here, &point.y, &start.y);
                start.z = Element::select(here, &point.z, &start.z);
                for _ in 0..WIDTH {
                    let zz = point.z.square().carry();
                    (point, _) = point.double(&zz.square().carry().mul(&Element(constant(&A))).carry());
                }
            }
            let mut inverse = [start.z];
            Element::invert(&mut inverse);
            let start = Affine { x: start.x, y: start.y }.scaled(&inverse[0]);
            let (mut multiples, z) = start.odd_multiples::<64>();
            let mut inverse = [z];
            Element::invert(&mut inverse);
            for multiple in &mut multiples {
                *multiple = multiple.scaled(&inverse[0]);
            }
            for lane in 0..LANES {
                windows.push(Window::of_lane(&multiples, lane));
            }
        }
        windows.truncate(WINDOWS);
        Self { windows }
    }

    /// The products of the base point with `multipliers`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn multiply(&self, multipliers: &[Multiplier], products: &mut [Fraction]) {
        let Some((highest, windows)) = self.windows.split_last() else { return };
        for (multiplier, product) in multipliers.iter().zip(products.iter_mut()) {
            *product = highest.choose(multiplier.highest()).fraction();
        }
        for (i, window) in windows.iter().enumerate().rev() {
            for (multiplier, product) in multipliers.iter().zip(products.iter_mut()) {
                let (place, negative) = multiplier.digit::<WIDTH>(i);
                product.add(&window.choose(place), negative);
            }
        }
    }
}

impl Window {
    /// The points of one lane.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn of_lane(points: &[Affine; 64], lane: usize) -> Self {
        let mut window = Self([[splat(0); 8]; 10]);
        for (i, limb) in window.0.iter_mut().enumerate() {
            for (vector, points) in limb.iter_mut().zip(points.chunks(LANES)) {
                let mut numbers = [0; LANES];
                for (number, point) in numbers.iter_mut().zip(points) {
                    let coordinate: &Limbs = if i < 5 { &point.x.0 } else { &point.y.0 };
                    *number = array(coordinate[i % 5])[lane];
                }
                *vector = lanes(numbers);
            }
        }
        window
    }

    /// The point at each lane's own place, of 64; in permutes of registers, at no address of its own.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn choose(&self, place: Lanes) -> Affine {
        let odd = _mm512_test_epi64_mask(place, splat(16));
        let upper = _mm512_test_epi64_mask(place, splat(32));
        let mut chosen = [splat(0); 10];
        let mut i = 0;
        while i < chosen.len() {
            let [a, b, c, d, e, f, g, h] = self.0[i];
            let ab = _mm512_permutex2var_epi64(a, place, b);
            let cd = _mm512_permutex2var_epi64(c, place, d);
            let ef = _mm512_permutex2var_epi64(e, place, f);
            let gh = _mm512_permutex2var_epi64(g, place, h);
            let lower = _mm512_mask_blend_epi64(odd, ab, cd);
            chosen[i] = _mm512_mask_blend_epi64(upper, lower, _mm512_mask_blend_epi64(odd, ef, gh));
            i += 1;
        }
        let [a, b, c, d, e, y @ ..] = chosen;
        Affine { x: Element([a, b, c, d, e]), y: Element(y) }
    }
}

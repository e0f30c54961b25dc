//! X25519 (RFC 7748) of four jobs at a time: `generate`, `agree` and `exchange`.
//!
//! The ladder and the windows are those of `batch::x25519`, over the field of `f25519` here. Entries of the table
//! are halved, so that no sum in an addition has more than two terms, and as the factors of coordinates are halved
//! with them, the point is the same.
//!
//! Scalars only choose lanes of registers: no branch and no address depends on them.

use core::arch::x86_64::*;
use std::sync::OnceLock;

use zeroize::Zeroize;

use super::f25519::{Element, Ratio, Rows, Sum, divide};
use super::lanes::{Avx2, LANES, Lanes, array, lanes, mask, splat};

/// Most jobs of a call.
pub(in super::super) const MAX_JOBS: usize = 32;

const VECTORS: usize = MAX_JOBS / LANES;

/// Four scalars of four little-endian words.
type Scalar = [Lanes; 4];

/// u-coordinates of `secrets` times the base point; secrets are clamped here (RFC 7748 section 5).
pub(in super::super) fn generate(_: Avx2, secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == publics.len());
    // SAFETY: an `Avx2` is the proof that it has the feature.
    unsafe { generate_lanes(secrets, publics) }
}

/// X25519 of each secret and peer. An all-zero result is left to the caller to refuse.
pub(in super::super) fn agree(_: Avx2, secrets: &[[u8; 32]], peers: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == peers.len() && peers.len() == shared.len());
    // SAFETY: an `Avx2` is the proof that it has the feature.
    unsafe { agree_lanes(secrets, peers, shared) }
}

/// Both [`generate`] and [`agree`] of the same secrets, with one inversion.
pub(in super::super) fn exchange(
    _: Avx2,
    secrets: &[[u8; 32]],
    peers: &[[u8; 32]],
    publics: &mut [[u8; 32]],
    shared: &mut [[u8; 32]],
) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == peers.len());
    debug_assert!(secrets.len() == publics.len() && secrets.len() == shared.len());
    // SAFETY: an `Avx2` is the proof that it has the feature.
    unsafe { exchange_lanes(secrets, peers, publics, shared) }
}

/// Makes the table of the base point now instead of in the first call: some milliseconds.
pub(super) fn prepare(_: Avx2) {
    // SAFETY: an `Avx2` is the proof that it has the feature.
    unsafe {
        table();
    }
}

#[target_feature(enable = "avx2")]
fn generate_lanes(secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
    let (mut scalars, count) = clamped(secrets);
    let mut ratios = [zero_ratio(); VECTORS];
    let ratios = &mut ratios[..count];
    base_points(&scalars, ratios);
    divide(ratios);
    put(ratios, publics);
    scalars.zeroize();
    ratios.iter_mut().zeroize();
}

#[target_feature(enable = "avx2")]
fn agree_lanes(secrets: &[[u8; 32]], peers: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    let (mut scalars, count) = clamped(secrets);
    let mut ratios = [zero_ratio(); VECTORS];
    let ratios = &mut ratios[..count];
    ladders(&scalars, peers, ratios);
    divide(ratios);
    put(ratios, shared);
    scalars.zeroize();
    ratios.iter_mut().zeroize();
}

#[target_feature(enable = "avx2")]
fn exchange_lanes(
    secrets: &[[u8; 32]],
    peers: &[[u8; 32]],
    publics: &mut [[u8; 32]],
    shared: &mut [[u8; 32]],
) {
    let (mut scalars, count) = clamped(secrets);
    let mut ratios = [zero_ratio(); 2 * VECTORS];
    let ratios = &mut ratios[..2 * count];
    let (ours, agreed) = ratios.split_at_mut(count);
    base_points(&scalars, ours);
    ladders(&scalars, peers, agreed);
    divide(ratios);
    let (ours, agreed) = ratios.split_at(count);
    put(ours, publics);
    put(agreed, shared);
    scalars.zeroize();
    ratios.iter_mut().zeroize();
}

/// RFC 7748 section 5's ladder for vectors of scalars and peers.
#[target_feature(enable = "avx2")]
fn ladders(scalars: &[Scalar; VECTORS], peers: &[[u8; 32]], ratios: &mut [Ratio]) {
    for ((scalar, peers), ratio) in scalars.iter().zip(peers.chunks(LANES)).zip(ratios) {
        *ratio = ladder(scalar, peers);
    }
}

/// In a frame of its own, where the base stands too, as in `batch::x25519`.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn ladder(scalar: &Scalar, peers: &[[u8; 32]]) -> Ratio {
    let (base, one) = (Element::from_words(&gathered(peers)), Element::small(1));
    // As in `batch::x25519`: instead of swapping (x_2 : z_2) and (x_3 : z_3), the step doubles the one or the other.
    let mut near = LadderPoint { sum: one.wide(), difference: one.wide() };
    let mut far = LadderPoint::new(&base, &one);
    let mut last = splat(0);
    for t in (0..255).rev() {
        let bit = mask(scalar[t / 64], t as u64 % 64);
        let swapped = _mm256_xor_si256(bit, last);
        let sum = Sum::choose(swapped, &near.sum, &far.sum);
        let difference = Sum::choose(swapped, &near.difference, &far.difference);
        (near, far) = step(&sum, &difference, &near, &far, &base);
        last = bit;
    }
    // The lowest bit is zero by clamping.
    let (sum, difference) = (near.sum.carried(), near.difference.carried());
    let ratio =
        Ratio { numerator: sum.plus(&difference).carried(), denominator: sum.minus(&difference).carried() };
    near.zeroize();
    far.zeroize();
    ratio
}

/// RFC 7748 section 5's formulas with its names: twice the point of which `sum` and `difference` are given, and
/// the sum of `near` and `far`, whose difference is `base`.
#[inline]
#[target_feature(enable = "avx2")]
fn step(
    sum: &Sum,
    difference: &Sum,
    near: &LadderPoint,
    far: &LadderPoint,
    base: &Element,
) -> (LadderPoint, LadderPoint) {
    let aa = sum.squared();
    let bb = difference.squared();
    let da = far.difference.times(&near.sum);
    let cb = far.sum.times(&near.difference);
    let e = aa.minus(&bb);
    let x_2 = aa.times(&bb);
    let x_3 = da.plus(&cb).squared();
    let z_3 = base.times(&da.minus(&cb).squared());
    let z_2 = e.times(&e.times_small_onto(&aa, 121_665));
    (LadderPoint::new(&x_2, &z_2), LadderPoint::new(&x_3, &z_3))
}

/// A point's x + z and x - z.
#[derive(Clone, Copy, Zeroize)]
struct LadderPoint {
    sum: Sum,
    difference: Sum,
}

impl LadderPoint {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(x: &Element, z: &Element) -> Self {
        Self { sum: x.plus(z), difference: x.minus(z) }
    }
}

/// Bits of a window.
const WIDTH: usize = 6;

/// Windows below the highest.
const WINDOWS: usize = 41;

/// Multiples of G = (9, ...) on the Edwards curve, 32 of each window; 160 kB. As in `batch::x25519`.
struct Table {
    /// 2^6j (2m + 1) 4G at m of window j.
    windows: Vec<Window>,
    /// x and y of (2^247 (m + 32) + 2^246 - 1) 4G at m.
    highest: [Rows; 2],
}

/// Affine points' (y + x) / 2, (y - x) / 2 and dxy.
struct Window {
    sum: Rows,
    difference: Rows,
    product: Rows,
}

/// One point of a window.
struct Entry {
    sum: Element,
    difference: Element,
    product: Element,
}

/// The lanes where an entry is subtracted, and the entries, sum and difference exchanged there.
struct Signed {
    negative: Lanes,
    entry: Entry,
}

/// A point as the factors of its extended coordinates: X = EF, Y = GH, Z = FG, T = EH (Hisil, Wong, Carter
/// and Dawson, "Twisted Edwards curves revisited", 2008, section 3).
#[derive(Clone, Copy, Zeroize)]
struct Factors {
    e: Sum,
    f: Sum,
    g: Sum,
    h: Sum,
}

/// The ratios that are the u-coordinates of vectors of scalars times the base point.
#[target_feature(enable = "avx2")]
fn base_points(scalars: &[Scalar; VECTORS], ratios: &mut [Ratio]) {
    let table = table();
    let one = Element::small(1).wide();
    let mut points = [Factors::identity(); VECTORS];
    let count = ratios.len().min(VECTORS);
    for (scalar, point) in scalars.iter().zip(&mut points[..count]) {
        let index = window(scalar, WINDOWS);
        let [e, h] = [&table.highest[0], &table.highest[1]].map(|rows| Element::select(rows, index).wide());
        *point = Factors { e, f: one, g: one, h };
    }
    for (j, entries) in table.windows.iter().enumerate() {
        for (scalar, point) in scalars.iter().zip(&mut points[..count]) {
            *point = point.plus(&entries.select(window(scalar, j)));
        }
    }
    for (point, ratio) in points.iter().zip(ratios) {
        // RFC 7748 section 4.1: u = (1 + y) / (1 - y), which is (Z + Y) / (Z - Y) = (F + H) / (F - H).
        let (f, h) = (point.f.carried(), point.h.carried());
        *ratio = Ratio { numerator: f.plus(&h).carried(), denominator: f.minus(&h).carried() };
    }
    points[..count].iter_mut().zeroize();
}

/// The six bits of window `j` of k, and others above them.
#[inline]
#[target_feature(enable = "avx2")]
fn window(scalar: &Scalar, j: usize) -> Lanes {
    // Three more bits stand below k.
    let (word, shift) = ((WIDTH * j + 3) / 64, (WIDTH * j + 3) % 64);
    let mut bits = _mm256_srlv_epi64(scalar[word], splat(shift as u64));
    if let Some(&next) = scalar.get(word + 1) {
        // A shift by 64 gives 0.
        bits = _mm256_or_si256(bits, _mm256_sllv_epi64(next, splat(64 - shift as u64)));
    }
    bits
}

impl Window {
    /// The multiples whose digits are the six lowest of `bits`: negative without the sixth.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn select(&self, bits: Lanes) -> Signed {
        let negative = _mm256_xor_si256(mask(bits, 5), splat(u64::MAX));
        let index = _mm256_xor_si256(bits, _mm256_and_si256(negative, splat(31)));
        let sum = Element::select(&self.sum, index);
        let difference = Element::select(&self.difference, index);
        let entry = Entry {
            sum: Element::choose(negative, &sum, &difference),
            difference: Element::choose(negative, &difference, &sum),
            product: Element::select(&self.product, index),
        };
        Signed { negative, entry }
    }
}

impl Entry {
    #[target_feature(enable = "avx2")]
    fn new((x, y): &(Element, Element)) -> Self {
        let half = constant([0xffff_ffff_ffff_fff7, u64::MAX, u64::MAX, u64::MAX >> 2]);
        let d = constant([
            0x75eb_4dca_1359_78a3,
            0x0070_0a4d_4141_d8ab,
            0x8cc7_4079_7779_e898,
            0x5203_6cee_2b6f_fe73,
        ]);
        Self {
            sum: y.plus(x).times(&half).canonical(),
            difference: y.minus(x).times(&half).canonical(),
            product: x.times(y).times(&d).canonical(),
        }
    }
}

impl Factors {
    #[target_feature(enable = "avx2")]
    fn identity() -> Self {
        let one = Element::small(1).wide();
        Self { e: Element::small(0).wide(), f: one, g: one, h: one }
    }

    /// The sum, in the unified formulas of section 3.1: complete, since d is not a square and -1 is one.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus(&self, Signed { negative, entry }: &Signed) -> Self {
        let x = self.e.times(&self.f);
        let y = self.g.times(&self.h);
        let z = self.f.times(&self.g);
        let t = self.e.times(&self.h);
        let a = y.minus(&x).times(&entry.difference);
        let b = y.plus(&x).times(&entry.sum);
        let c = t.times(&entry.product);
        let (difference, sum) = (z.minus(&c), z.plus(&c));
        Self {
            e: b.minus(&a),
            f: Sum::choose(*negative, &difference, &sum),
            g: Sum::choose(*negative, &sum, &difference),
            h: b.plus(&a),
        }
    }

    /// Twice the point (section 3.3, with all four signs reversed).
    #[target_feature(enable = "avx2")]
    fn doubled(&self) -> Self {
        let x = self.e.times(&self.f);
        let y = self.g.times(&self.h);
        let z = self.f.times(&self.g).squared();
        let (a, b) = (x.squared(), y.squared());
        let (h, g) = (a.plus(&b), a.minus(&b));
        let e = h.carried().minus(&x.plus(&y).squared());
        let f = z.plus(&z).carried().plus(&g.carried());
        Self { e, f, g, h }
    }

    /// The affine x and y.
    #[target_feature(enable = "avx2")]
    fn affine(&self) -> (Element, Element) {
        let inverse = self.f.times(&self.g).inverse();
        let x = self.e.times(&self.f).times(&inverse);
        let y = self.g.times(&self.h).times(&inverse);
        (x, y)
    }

    #[target_feature(enable = "avx2")]
    fn choose(mask: Lanes, zero: &Self, one: &Self) -> Self {
        Self {
            e: Sum::choose(mask, &zero.e, &one.e),
            f: Sum::choose(mask, &zero.f, &one.f),
            g: Sum::choose(mask, &zero.g, &one.g),
            h: Sum::choose(mask, &zero.h, &one.h),
        }
    }
}

/// The table; made by the first call.
#[target_feature(enable = "avx2")]
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let window = || Window { sum: Rows::NONE, difference: Rows::NONE, product: Rows::NONE };
        let mut windows: Vec<_> = (0..WINDOWS).map(|_| window()).collect();
        let mut highest = [Rows::NONE; 2];
        for four in 0..32 / LANES {
            let m = _mm256_add_epi64(splat((four * LANES) as u64), lanes([0, 1, 2, 3]));
            let zero = splat(0);
            // 4(2m + 1)
            let lowest = _mm256_add_epi64(_mm256_slli_epi64::<3>(m), splat(4));
            let mut point = multiple_of_base(&[lowest, zero, zero, zero]);
            for window in &mut windows {
                let entry = Entry::new(&point.affine());
                window.sum.set(four, &entry.sum);
                window.difference.set(four, &entry.difference);
                window.product.set(four, &entry.product);
                for _ in 0..WIDTH {
                    point = point.doubled();
                }
            }
            // 4(2^247 (m + 32) + 2^246 - 1) = 2^248 (2m + 65) - 4
            let upper = _mm256_add_epi64(_mm256_slli_epi64::<57>(m), splat((65 << 56) - 1));
            let ones = splat(u64::MAX);
            let (x, y) = multiple_of_base(&[splat(u64::MAX - 3), ones, ones, upper]).affine();
            highest[0].set(four, &x.canonical());
            highest[1].set(four, &y.canonical());
        }
        Table { windows, highest }
    })
}

/// Scalars below 2^255 times G. Not for secrets: bit by bit.
#[target_feature(enable = "avx2")]
fn multiple_of_base(scalar: &Scalar) -> Factors {
    let x = [0xc956_2d60_8f25_d51a, 0x692c_c760_9525_a7b2, 0xc0a4_e231_fdd6_dc5c, 0x2169_36d3_cd6e_53fe];
    let y = [0x6666_6666_6666_6658, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666];
    let base = Signed { negative: splat(0), entry: Entry::new(&(constant(x), constant(y))) };
    let mut point = Factors::identity();
    for t in (0..255).rev() {
        let zero = point.doubled();
        let one = zero.plus(&base);
        point = Factors::choose(mask(scalar[t / 64], t as u64 % 64), &zero, &one);
    }
    point
}

/// The number of four little-endian words in all lanes.
#[target_feature(enable = "avx2")]
fn constant(words: [u64; 4]) -> Element {
    Element::from_words(&words.map(|word| splat(word)))
}

/// RFC 7748 section 5's decodeScalar25519, and the number of vectors that hold scalars.
#[target_feature(enable = "avx2")]
fn clamped(secrets: &[[u8; 32]]) -> ([Scalar; VECTORS], usize) {
    let mut scalars = [[splat(0); 4]; VECTORS];
    for (secrets, scalar) in secrets.chunks(LANES).zip(&mut scalars) {
        let [w0, w1, w2, w3] = gathered(secrets);
        let lowest = _mm256_and_si256(w0, splat(!7));
        let highest = _mm256_or_si256(_mm256_and_si256(w3, splat(u64::MAX >> 1)), splat(1 << 62));
        *scalar = [lowest, w1, w2, highest];
    }
    (scalars, secrets.len().div_ceil(LANES).min(VECTORS))
}

/// Up to four numbers of 32 bytes as words; the first fills the lanes that are left.
#[target_feature(enable = "avx2")]
fn gathered(numbers: &[[u8; 32]]) -> [Lanes; 4] {
    let mut words = [[0; LANES]; 4];
    for lane in 0..LANES {
        let Some(number) = numbers.get(lane).or(numbers.first()) else { continue };
        for (word, bytes) in words.iter_mut().zip(number.as_chunks().0) {
            word[lane] = u64::from_le_bytes(*bytes);
        }
    }
    let gathered = words.map(|word| lanes(word));
    words.zeroize();
    gathered
}

/// The quotients as 32 bytes each.
#[target_feature(enable = "avx2")]
fn put(ratios: &[Ratio], places: &mut [[u8; 32]]) {
    for (ratio, places) in ratios.iter().zip(places.chunks_mut(LANES)) {
        let mut words = ratio.numerator.words().map(|word| array(word));
        for (lane, place) in places.iter_mut().enumerate() {
            for (bytes, word) in place.as_chunks_mut().0.iter_mut().zip(&words) {
                *bytes = word[lane].to_le_bytes();
            }
        }
        words.zeroize();
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero_ratio() -> Ratio {
    let zero = Element::small(0);
    Ratio { numerator: zero, denominator: zero }
}

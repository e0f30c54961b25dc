//! X25519 (RFC 7748) of eight jobs at a time: `generate`, `agree` and `exchange`.
//!
//! Agreement is the RFC's Montgomery ladder, kept as sums and differences of x and z. Key pairs come from the
//! birationally equivalent twisted Edwards curve (RFC 7748 section 4.1): 42 windows of 6 bits, each a signed
//! odd multiple from a table of its own, so that nothing is doubled (as in Bernstein et al., "High-speed
//! high-security signatures", 2011, with all digits odd as in Hamburg, "Fast and compact elliptic-curve
//! cryptography", 2012). All quotients of a call share one inversion.
//!
//! Scalars only choose lanes of registers: no branch and no address depends on them.

use core::arch::x86_64::*;
use std::sync::OnceLock;

use zeroize::Zeroize;

use super::f25519::{Element, Ratio, Wide, divide};
use super::lanes::{Cpu, LANES, Lanes, array, lanes, splat};

/// Most jobs of a call.
pub(crate) const MAX_JOBS: usize = 32;

const VECTORS: usize = MAX_JOBS / LANES;

/// Eight scalars of four little-endian words.
type Scalar = [Lanes; 4];

/// u-coordinates of `secrets` times the base point; secrets are clamped here (RFC 7748 section 5).
pub(crate) fn generate(_: Cpu, secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == publics.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { generate_lanes(secrets, publics) }
}

/// X25519 of each secret and peer. An all-zero result is left to the caller to refuse.
pub(crate) fn agree(_: Cpu, secrets: &[[u8; 32]], peers: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == peers.len() && peers.len() == shared.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { agree_lanes(secrets, peers, shared) }
}

/// Both [`generate`] and [`agree`] of the same secrets, with one inversion.
pub(crate) fn exchange(
    _: Cpu,
    secrets: &[[u8; 32]],
    peers: &[[u8; 32]],
    publics: &mut [[u8; 32]],
    shared: &mut [[u8; 32]],
) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == peers.len());
    debug_assert!(secrets.len() == publics.len() && secrets.len() == shared.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { exchange_lanes(secrets, peers, publics, shared) }
}

/// Makes the table of the base point now instead of in the first call: some milliseconds.
pub(crate) fn prepare(_: Cpu) {
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe {
        table();
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
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

#[target_feature(enable = "avx512ifma,avx512vbmi")]
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

#[target_feature(enable = "avx512ifma,avx512vbmi")]
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
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn ladders(scalars: &[Scalar; VECTORS], peers: &[[u8; 32]], ratios: &mut [Ratio]) {
    for ((scalar, peers), ratio) in scalars.iter().zip(peers.chunks(LANES)).zip(ratios) {
        *ratio = ladder(scalar, peers);
    }
}

/// The base stands in the frame of the loop itself: in another it may lie where the processor takes it for what the
/// loop has just spilled, by the low bits of addresses, and waits.
#[inline(never)]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn ladder(scalar: &Scalar, peers: &[[u8; 32]]) -> Ratio {
    let (base, one) = (Element::from_words(&gathered(peers)), Element::small(1));
    // The RFC's (x_2 : z_2), which has just been doubled, and (x_3 : z_3). Instead of swapping them, the step
    // doubles the one or the other: the differential addition is the same for both orders.
    let mut near = LadderPoint { sum: one, difference: one };
    let mut far = LadderPoint::new(&base.wide().raised(), &one.wide());
    let mut last = 0;
    for t in (0..255).rev() {
        let bit = _mm512_test_epi64_mask(scalar[t / 64], splat(1 << (t % 64)));
        let doubled = LadderPoint::choose(bit ^ last, &near, &far);
        (near, far) = step(&doubled, &near, &far, &base);
        last = bit;
    }
    // The lowest bit is zero by clamping.
    let (sum, difference) = (near.sum.wide(), near.difference.wide());
    let x = sum.plus(&difference).carried();
    let z = sum.raised().minus(&difference).carried();
    near.zeroize();
    far.zeroize();
    Ratio { numerator: x, denominator: z }
}

/// RFC 7748 section 5's formulas with its names: twice `doubled`, and the sum of `near` and `far`, whose
/// difference is `base`. What does not depend on each other alternates, to keep the multipliers busy.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn step(
    doubled: &LadderPoint,
    near: &LadderPoint,
    far: &LadderPoint,
    base: &Element,
) -> (LadderPoint, LadderPoint) {
    let aa = doubled.sum.squared_raised();
    let bb = doubled.difference.squared();
    let da = far.difference.times_raised(&near.sum);
    let cb = far.sum.times(&near.difference);
    let e = aa.minus(&bb).carried();
    let x_2 = aa.carried().times_raised(&bb.carried());
    let d = da.minus(&cb).carried().squared();
    let x_3 = da.plus(&cb).carried().squared_raised();
    let z_2 = e.times(&e.times_small_onto(&aa, 121_665).carried());
    let z_3 = base.times(&d.carried());
    (LadderPoint::new(&x_2, &z_2), LadderPoint::new(&x_3, &z_3))
}

/// A point's x + z and x - z.
#[derive(Clone, Copy, Zeroize)]
struct LadderPoint {
    sum: Element,
    difference: Element,
}

impl LadderPoint {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn new(x: &Wide, z: &Wide) -> Self {
        Self { sum: x.plus(z).carried(), difference: x.minus(z).carried() }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn choose(mask: __mmask8, zero: &Self, one: &Self) -> Self {
        Self {
            sum: Element::choose(mask, &zero.sum, &one.sum),
            difference: Element::choose(mask, &zero.difference, &one.difference),
        }
    }
}

/// Bits of a window.
const WIDTH: usize = 6;

/// Windows below the highest.
const WINDOWS: usize = 41;

/// Multiples of G = (9, ...) on the Edwards curve, each window's 32 in four vectors; 160 kB.
///
/// A clamped scalar is 8k with k = b_0 + b_1 * 2 + ... + b_251 * 2^251, and 2b - 1 is a digit d of +1 or -1,
/// so that 8k * G is the sum of 2^i d_i * 4G and (2^252 - 1) * 4G. Six digits are an odd number between -63
/// and 63. The highest window also holds the constant; its sign is known, for b_251 is 1.
struct Table {
    /// 2^6j (2m + 1) 4G in lane m of window j.
    windows: [[Entry; 4]; WINDOWS],
    /// x and y of (2^247 (m + 32) + 2^246 - 1) 4G in lane m.
    highest: [(Element, Element); 4],
}

/// An affine point's y + x, y - x and 2dxy.
#[derive(Clone, Copy)]
struct Entry {
    sum: Element,
    difference: Element,
    product: Element,
}

/// The lanes where an entry is subtracted, and the entries, sum and difference exchanged there.
struct Signed {
    negative: __mmask8,
    entry: Entry,
}

/// A point as the factors of its extended coordinates: X = EF, Y = GH, Z = FG, T = EH (Hisil, Wong, Carter
/// and Dawson, "Twisted Edwards curves revisited", 2008, section 3).
#[derive(Clone, Copy, Zeroize)]
struct Factors {
    e: Element,
    f: Element,
    g: Element,
    h: Element,
}

/// The ratios that are the u-coordinates of vectors of scalars times the base point.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn base_points(scalars: &[Scalar; VECTORS], ratios: &mut [Ratio]) {
    let table = table();
    let one = Element::small(1);
    let mut points = [Factors::identity(); VECTORS];
    let count = ratios.len().min(VECTORS);
    for (v, point) in points[..count].iter_mut().enumerate() {
        let index = window(&scalars[v], WINDOWS);
        let [r0, r1, r2, r3] = &table.highest;
        let e = Element::select([&r0.0, &r1.0, &r2.0, &r3.0], index);
        let h = Element::select([&r0.1, &r1.1, &r2.1, &r3.1], index);
        *point = Factors { e, f: one, g: one, h };
    }
    for (j, entries) in table.windows.iter().enumerate() {
        for (v, point) in points[..count].iter_mut().enumerate() {
            point.add(&Entry::select(entries, window(&scalars[v], j)));
        }
    }
    for (point, ratio) in points.iter().zip(ratios) {
        // RFC 7748 section 4.1: u = (1 + y) / (1 - y), which is (Z + Y) / (Z - Y) = (F + H) / (F - H).
        let (f, h) = (point.f.wide(), point.h.wide());
        *ratio = Ratio { numerator: f.plus(&h).carried(), denominator: f.raised().minus(&h).carried() };
    }
    points[..count].iter_mut().zeroize();
}

/// The six bits of window `j` of k.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn window(scalar: &Scalar, j: usize) -> Lanes {
    // Three more bits stand below k.
    let (word, shift) = ((WIDTH * j + 3) / 64, (WIDTH * j + 3) % 64);
    let mut bits = _mm512_srlv_epi64(scalar[word], splat(shift as u64));
    if let Some(&next) = scalar.get(word + 1) {
        // A shift by 64 gives 0.
        bits = _mm512_or_si512(bits, _mm512_sllv_epi64(next, splat(64 - shift as u64)));
    }
    bits
}

impl Entry {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn new((x, y): &(Element, Element)) -> Self {
        let twice_d =
            [0xebd6_9b94_26b2_f159, 0x00e0_149a_8283_b156, 0x198e_80f2_eef3_d130, 0x2406_d9dc_56df_fce7];
        let product = x.times(y).carried().times(&constant(twice_d)).carried();
        Self {
            sum: y.wide().plus(&x.wide()).carried().canonical(),
            difference: y.wide().raised().minus(&x.wide()).carried().canonical(),
            product: product.canonical(),
        }
    }

    /// The multiple whose digits are the six lowest of `bits`: negative without the sixth.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn select(entries: &[Self; 4], bits: Lanes) -> Signed {
        let negative = _mm512_testn_epi64_mask(bits, splat(32));
        let index = _mm512_mask_xor_epi64(bits, negative, bits, splat(31));
        let [r0, r1, r2, r3] = entries;
        let sum = Element::select([&r0.sum, &r1.sum, &r2.sum, &r3.sum], index);
        let difference =
            Element::select([&r0.difference, &r1.difference, &r2.difference, &r3.difference], index);
        let product = Element::select([&r0.product, &r1.product, &r2.product, &r3.product], index);
        let entry = Self {
            sum: Element::choose(negative, &sum, &difference),
            difference: Element::choose(negative, &difference, &sum),
            product,
        };
        Signed { negative, entry }
    }
}

impl Factors {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn identity() -> Self {
        let one = Element::small(1);
        Self { e: Element::small(0), f: one, g: one, h: one }
    }

    /// Adds an entry, in the unified formulas of section 3.1: complete, since d is not a square and -1 is one.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn add(&mut self, Signed { negative, entry }: &Signed) {
        let x = self.e.times(&self.f);
        let y = self.g.times_raised(&self.h);
        let z = self.f.times_raised(&self.g);
        let t = self.e.times(&self.h).carried();
        let a = y.minus(&x).carried().times(&entry.difference);
        let b = y.plus(&x).carried().times_raised(&entry.sum);
        let c = t.times(&entry.product).negated_where(*negative);
        let d = z.plus(&z);
        self.e = b.minus(&a).carried();
        self.f = d.minus(&c).carried();
        self.g = d.plus(&c).carried();
        self.h = b.plus(&a).carried();
    }

    /// Twice the point (section 3.3, with all four signs reversed).
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn doubled(&self) -> Self {
        let x = self.e.times(&self.f);
        let y = self.g.times(&self.h);
        let z = self.f.times(&self.g).carried().squared();
        let a = x.carried().squared_raised();
        let b = y.carried().squared();
        let h = a.plus(&b);
        let g = a.minus(&b);
        let e = h.minus(&x.plus(&y).carried().squared());
        let f = z.plus(&z).plus(&g);
        Self { e: e.carried(), f: f.carried(), g: g.carried(), h: h.carried() }
    }

    /// The affine x and y.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn affine(&self) -> (Element, Element) {
        // x = X / Z = E / G and y = Y / Z = H / F.
        let inverse = self.f.times(&self.g).carried().inverse();
        let x = self.e.times(&self.f).carried().times(&inverse).carried();
        let y = self.g.times(&self.h).carried().times(&inverse).carried();
        (x.canonical(), y.canonical())
    }
}

/// The table; made by the first call.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let zero = Element::small(0);
        let entry = Entry { sum: zero, difference: zero, product: zero };
        let mut windows = [[entry; 4]; WINDOWS];
        let mut highest = [(zero, zero); 4];
        for (v, highest) in highest.iter_mut().enumerate() {
            let m = _mm512_add_epi64(splat((v * LANES) as u64), lanes([0, 1, 2, 3, 4, 5, 6, 7]));
            let zero = splat(0);
            // 4(2m + 1)
            let lowest = _mm512_add_epi64(_mm512_slli_epi64::<3>(m), splat(4));
            let mut point = multiple_of_base(&[lowest, zero, zero, zero]);
            for entries in &mut windows {
                entries[v] = Entry::new(&point.affine());
                for _ in 0..WIDTH {
                    point = point.doubled();
                }
            }
            // 4(2^247 (m + 32) + 2^246 - 1) = 2^248 (2m + 65) - 4
            let upper = _mm512_add_epi64(_mm512_slli_epi64::<57>(m), splat((65 << 56) - 1));
            let ones = splat(u64::MAX);
            *highest = multiple_of_base(&[splat(u64::MAX - 3), ones, ones, upper]).affine();
        }
        Table { windows, highest }
    })
}

/// Scalars below 2^255 times G. Not for secrets: bit by bit.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn multiple_of_base(scalar: &Scalar) -> Factors {
    let x = [0xc956_2d60_8f25_d51a, 0x692c_c760_9525_a7b2, 0xc0a4_e231_fdd6_dc5c, 0x2169_36d3_cd6e_53fe];
    let y = [0x6666_6666_6666_6658, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666];
    let base = Signed { negative: 0, entry: Entry::new(&(constant(x), constant(y))) };
    let mut point = Factors::identity();
    for t in (0..255).rev() {
        let zero = point.doubled();
        let mut one = zero;
        one.add(&base);
        let bit = _mm512_test_epi64_mask(scalar[t / 64], splat(1 << (t % 64)));
        point = Factors {
            e: Element::choose(bit, &zero.e, &one.e),
            f: Element::choose(bit, &zero.f, &one.f),
            g: Element::choose(bit, &zero.g, &one.g),
            h: Element::choose(bit, &zero.h, &one.h),
        };
    }
    point
}

/// The number of four little-endian words in all lanes.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn constant([w0, w1, w2, w3]: [u64; 4]) -> Element {
    Element::from_words(&[splat(w0), splat(w1), splat(w2), splat(w3)])
}

/// RFC 7748 section 5's decodeScalar25519, and the number of vectors that hold scalars.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn clamped(secrets: &[[u8; 32]]) -> ([Scalar; VECTORS], usize) {
    let mut scalars = [[splat(0); 4]; VECTORS];
    for (secrets, scalar) in secrets.chunks(LANES).zip(&mut scalars) {
        let [w0, w1, w2, w3] = gathered(secrets);
        let lowest = _mm512_and_si512(w0, splat(!7));
        let highest = _mm512_or_si512(_mm512_and_si512(w3, splat(u64::MAX >> 1)), splat(1 << 62));
        *scalar = [lowest, w1, w2, highest];
    }
    (scalars, secrets.len().div_ceil(LANES).min(VECTORS))
}

/// Up to eight numbers of 32 bytes as words; the first fills the lanes that are left.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn gathered(numbers: &[[u8; 32]]) -> [Lanes; 4] {
    let mut words = words(numbers);
    let gathered = [lanes(words[0]), lanes(words[1]), lanes(words[2]), lanes(words[3])];
    words.zeroize();
    gathered
}

fn words(numbers: &[[u8; 32]]) -> [[u64; LANES]; 4] {
    let [mut w0, mut w1, mut w2, mut w3] = [[0; LANES]; 4];
    for lane in 0..LANES {
        let Some(number) = numbers.get(lane).or(numbers.first()) else { continue };
        if let [b0, b1, b2, b3] = number.as_chunks().0 {
            w0[lane] = u64::from_le_bytes(*b0);
            w1[lane] = u64::from_le_bytes(*b1);
            w2[lane] = u64::from_le_bytes(*b2);
            w3[lane] = u64::from_le_bytes(*b3);
        }
    }
    [w0, w1, w2, w3]
}

/// The quotients as 32 bytes each.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn put(ratios: &[Ratio], places: &mut [[u8; 32]]) {
    for (ratio, places) in ratios.iter().zip(places.chunks_mut(LANES)) {
        let [w0, w1, w2, w3] = ratio.numerator.words();
        let mut words = [array(w0), array(w1), array(w2), array(w3)];
        scatter(&words, places);
        words.zeroize();
    }
}

fn scatter([w0, w1, w2, w3]: &[[u64; LANES]; 4], places: &mut [[u8; 32]]) {
    for (lane, place) in places.iter_mut().enumerate() {
        if let [b0, b1, b2, b3] = place.as_chunks_mut().0 {
            *b0 = w0[lane].to_le_bytes();
            *b1 = w1[lane].to_le_bytes();
            *b2 = w2[lane].to_le_bytes();
            *b3 = w3[lane].to_le_bytes();
        }
    }
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn zero_ratio() -> Ratio {
    let zero = Element::small(0);
    Ratio { numerator: zero, denominator: zero }
}

#[cfg(test)]
mod tests;

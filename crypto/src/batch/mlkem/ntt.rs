//! The number-theoretic transform and its inverse (FIPS 203 section 4.3).
//!
//! Layers whose butterflies reach over 32 coefficients or more are between vectors. For the others, each pair of
//! vectors first exchanges what makes partners stand in the same lane.

use core::arch::x86_64::*;

use super::super::lanes::{LANES, Lanes, lanes};
use super::poly::{Factor, Poly, Q, Q_INVERSE, VECTORS, WIDTH, times_r};

impl Poly {
    /// The transform of coefficients of at most q in size; its own are below 2^15.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn transform(&self) -> Self {
        let mut vectors = self.0;
        for (layer, reach) in [(1, 4), (2, 2), (4, 1)] {
            for low in (0..VECTORS).filter(|index| index & reach == 0) {
                let zeta = Factor::splat(ZETAS[layer + low / (2 * reach)]);
                let product = zeta.times(vectors[low + reach]);
                (vectors[low], vectors[low + reach]) = butterfly(vectors[low], product);
            }
        }
        for (pair, two) in vectors.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let [mut a, mut b] = *two;
            for (step, exchange) in EXCHANGES.iter().enumerate() {
                (a, b) = exchange.apart(a, b);
                (a, b) = butterfly(a, FORWARD[step][pair].get().times(b));
            }
            (a, b) = ALL_EXCHANGES.together(a, b);
            *two = [a, b];
        }
        Self(vectors)
    }

    /// R times what this is the transform of. Coefficients may be q in size; those of the result are too.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn inverse_transform(&self) -> Self {
        let mut vectors = self.0;
        for (pair, two) in vectors.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let [mut a, mut b] = *two;
            (a, b) = ALL_EXCHANGES.apart(a, b);
            for (step, exchange) in EXCHANGES.iter().enumerate().rev() {
                let difference = _mm512_sub_epi16(b, a);
                (a, b) = (_mm512_add_epi16(a, b), BACKWARD[step][pair].get().times(difference));
                if step == 1 {
                    a = reduced(a);
                }
                (a, b) = exchange.together(a, b);
            }
            *two = [a, b];
        }
        for (layer, reach) in [(4, 1), (2, 2), (1, 4)] {
            for low in (0..VECTORS).filter(|index| index & reach == 0) {
                let (a, b) = (vectors[low], vectors[low + reach]);
                let zeta = Factor::splat(ZETAS[2 * layer - 1 - low / (2 * reach)]);
                vectors[low] = _mm512_add_epi16(a, b);
                vectors[low + reach] = zeta.times(_mm512_sub_epi16(b, a));
                if reach == 2 {
                    vectors[low] = reduced(vectors[low]);
                }
            }
        }
        Self(vectors).scaled(SCALE)
    }
}

/// R^2 / 128 modulo q: what the layers and a sum of products leave, and the R of the result.
const SCALE: i16 = times_r(times_r(3303) as i32);

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn butterfly(a: Lanes, b: Lanes) -> (Lanes, Lanes) {
    (_mm512_add_epi16(a, b), _mm512_sub_epi16(a, b))
}

/// Any number of 16 bits modulo q, from 0 to q.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn reduced(number: Lanes) -> Lanes {
    // 2^26 / q
    let quotient = _mm512_srai_epi16::<10>(_mm512_mulhi_epi16(number, _mm512_set1_epi16(20159)));
    _mm512_sub_epi16(number, _mm512_mullo_epi16(quotient, _mm512_set1_epi16(Q)))
}

/// Sixteen pairs of coefficients and sixteen others, told apart by their places among both.
#[derive(Clone, Copy)]
struct Exchange {
    /// The places of those that go to the first and the second vector.
    apart: [[u64; LANES]; 2],
    /// Those to find them at when all go back.
    together: [[u64; LANES]; 2],
}

impl Exchange {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn apart(&self, a: Lanes, b: Lanes) -> (Lanes, Lanes) {
        let [first, second] = self.apart;
        (_mm512_permutex2var_epi32(a, lanes(first), b), _mm512_permutex2var_epi32(a, lanes(second), b))
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn together(&self, a: Lanes, b: Lanes) -> (Lanes, Lanes) {
        let [first, second] = self.together;
        (_mm512_permutex2var_epi32(a, lanes(first), b), _mm512_permutex2var_epi32(a, lanes(second), b))
    }

    const fn new(places: [usize; 32]) -> Self {
        let mut inverse = [0; 32];
        let mut index = 0;
        while index < 32 {
            inverse[places[index]] = index;
            index += 1;
        }
        Self { apart: indices(&places), together: indices(&inverse) }
    }
}

const fn indices(places: &[usize; 32]) -> [[u64; LANES]; 2] {
    let mut indices = [[0; LANES]; 2];
    let mut index = 0;
    while index < 32 {
        indices[index / 16][index % 16 / 2] |= (places[index] as u64) << (index % 2 * 32);
        index += 1;
    }
    indices
}

/// The exchange before a layer that reaches over 16, 8, 4 and 2 coefficients: of blocks that long, every other
/// one goes to the second vector.
const EXCHANGES: [Exchange; 4] = [
    Exchange::new(every_other(8)),
    Exchange::new(every_other(4)),
    Exchange::new(every_other(2)),
    Exchange::new(every_other(1)),
];

const ALL_EXCHANGES: Exchange = Exchange::new(places_after(3));

const fn every_other(pairs: usize) -> [usize; 32] {
    let mut places = [0; 32];
    let mut index = 0;
    while index < 32 {
        let (second, rest) = (index / 16, index % 16);
        places[index] = (2 * (rest / pairs) + second) * pairs + rest % pairs;
        index += 1;
    }
    places
}

/// Where what stands in a place after the exchange of step `last` stood before that of the first.
const fn places_after(last: usize) -> [usize; 32] {
    let mut places = every_other(8);
    let mut step = 1;
    while step <= last {
        let (before, exchanged) = (places, every_other(8 >> step));
        let mut index = 0;
        while index < 32 {
            places[index] = before[exchanged[index]];
            index += 1;
        }
        step += 1;
    }
    places
}

/// Constants of a vector's 32 lanes.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row {
    factor: [u64; LANES],
    quotient: [u64; LANES],
}

impl Row {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn get(&self) -> Factor {
        Factor { factor: lanes(self.factor), quotient: lanes(self.quotient) }
    }

    const fn new(factors: &[i16; WIDTH]) -> Self {
        let mut row = Self { factor: [0; LANES], quotient: [0; LANES] };
        let mut index = 0;
        while index < WIDTH {
            let quotient = factors[index].wrapping_mul(Q_INVERSE);
            row.factor[index / 4] |= (factors[index].cast_unsigned() as u64) << (index % 4 * 16);
            row.quotient[index / 4] |= (quotient.cast_unsigned() as u64) << (index % 4 * 16);
            index += 1;
        }
        row
    }
}

/// The powers of zeta for each step after its exchange, by pair of vectors.
static FORWARD: [[Row; 4]; 4] = rows(false);

/// Those of the way back.
static BACKWARD: [[Row; 4]; 4] = rows(true);

/// zeta^(2 BitRev7(i) + 1) for each pair i of coefficients (FIPS 203 algorithm 11), beside 1.
pub(super) static PAIRS: [Row; VECTORS] = {
    let mut rows = [Row::new(&[0; WIDTH]); VECTORS];
    let mut vector = 0;
    while vector < VECTORS {
        let mut factors = [times_r(1); WIDTH];
        let mut index = 1;
        while index < WIDTH {
            factors[index] = times_r(power(2 * reversed(vector * 16 + index / 2) + 1));
            index += 2;
        }
        rows[vector] = Row::new(&factors);
        vector += 1;
    }
    rows
};

/// zeta^BitRev7(i) (FIPS 203 appendix A), times R.
static ZETAS: [i16; 128] = {
    let mut zetas = [0; 128];
    let mut index = 0;
    while index < 128 {
        zetas[index] = times_r(power(reversed(index)));
        index += 1;
    }
    zetas
};

const fn rows(backward: bool) -> [[Row; 4]; 4] {
    let mut rows = [[Row::new(&[0; WIDTH]); 4]; 4];
    let mut at = 0;
    while at < 16 {
        let (step, pair) = (at / 4, at % 4);
        let (places, layer) = (places_after(step), 8 << step);
        let mut factors = [0; WIDTH];
        let mut index = 0;
        while index < WIDTH {
            let coefficient = pair * 64 + 2 * places[index / 2];
            let block = coefficient / (256 / layer);
            let zeta = if backward { 2 * layer - 1 - block } else { layer + block };
            factors[index] = times_r(power(reversed(zeta)));
            index += 1;
        }
        rows[step][pair] = Row::new(&factors);
        at += 1;
    }
    rows
}

/// zeta = 17 to the power of `exponent`, modulo q.
const fn power(exponent: usize) -> i32 {
    let mut power = 1;
    let mut count = 0;
    while count < exponent {
        power = power * 17 % Q as i32;
        count += 1;
    }
    power
}

/// BitRev7.
const fn reversed(number: usize) -> usize {
    number.reverse_bits() >> (usize::BITS - 7)
}

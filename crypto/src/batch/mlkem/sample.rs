//! Polynomials from hashes (FIPS 203 section 4.2.2): `Matrix`, uniform ones, and `noise`, small ones.
//!
//! The matrix is public, so that its sampling may branch on what it finds.

use core::arch::x86_64::*;

use super::super::lanes::{LANES, Lanes, lanes, load, splat, store};
use super::keccak::{SHAKE128, Sponges, XOF, four_words, transposed};
use super::pack::half_bytes;
use super::poly::{Poly, Q};
use super::{K, Seed};

/// The entries of the matrices of up to eight keys, one matrix after the other, eight made at once.
pub(super) struct Matrices<'a> {
    seeds: [&'a Seed; LANES],
    count: usize,
    order: Order,
    next: usize,
    entries: [Entry; LANES],
}

/// How the entries of a matrix follow each other.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// Row by row.
    Rows,
    /// Column by column.
    Columns,
}

impl<'a> Matrices<'a> {
    /// The matrices of the first `count` of these seeds.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(seeds: [&'a Seed; LANES], count: usize, order: Order) -> Self {
        Self { seeds, count, order, next: 0, entries: [Entry::new(); LANES] }
    }

    /// The next entry, which is a transform.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn next(&mut self) -> Poly {
        let place = self.next % LANES;
        if place == 0 {
            self.sample_eight();
        }
        self.next += 1;
        self.entries[place].poly()
    }

    /// FIPS 203 algorithm 7, SampleNTT.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn sample_eight(&mut self) {
        let last = self.count * K * K - 1;
        let index = |lane: usize| (self.next + lane).min(last);
        let mut places = [0; LANES];
        for (lane, place) in places.iter_mut().enumerate() {
            let (slow, fast) = (index(lane) / K % K, index(lane) % K);
            // Entry (i, j) is of the seed, j and i.
            let (i, j) = match self.order {
                Order::Rows => (slow, fast),
                Order::Columns => (fast, slow),
            };
            *place = (j | i << 8) as u64 | XOF << 16;
        }
        let mut sponges = Sponges::<SHAKE128>::new();
        sponges.absorb(&four_words(|lane| self.seeds[index(lane) / (K * K)]));
        sponges.finish(lanes(places));
        self.entries = [Entry::new(); LANES];
        let mut blocks = [[0; BLOCK]; LANES];
        loop {
            put_block(sponges.block(), &mut blocks);
            for (entry, block) in self.entries.iter_mut().zip(&blocks) {
                entry.take(block);
            }
            if self.entries.iter().all(|entry| entry.len >= 256) {
                return;
            }
            sponges.permute();
        }
    }
}

/// Bytes of a block of SHAKE128 with those that are read and written beside them.
const BLOCK: usize = 256;

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn put_block(words: &[Lanes; 25], blocks: &mut [[u8; BLOCK]; LANES]) {
    for (at, eight) in words.as_chunks::<LANES>().0.iter().enumerate() {
        for (row, block) in transposed(eight).into_iter().zip(&mut *blocks) {
            store(row, &mut block.as_chunks_mut().0[at]);
        }
    }
}

/// A polynomial that is being sampled.
#[derive(Clone, Copy)]
struct Entry {
    coefficients: [u8; 2 * MOST],
    len: usize,
}

/// Coefficients of an entry: one less than it needs, all that a block may give, and what is written beside them.
const MOST: usize = 255 + 112 + 33;

/// Bytes that 16 candidates are made of.
const STEP: usize = 24;

impl Entry {
    #[inline]
    fn new() -> Self {
        Self { coefficients: [0; 2 * MOST], len: 0 }
    }

    /// Takes those of a block's 112 candidates that are below q.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn take(&mut self, block: &[u8; BLOCK]) {
        if self.len >= 256 {
            return;
        }
        let spread = load(&SPREAD_WIDE);
        let shifts = splat(4 << 32);
        for step in 0..SHAKE128 * 8 / STEP {
            let Some(bytes) = block[step * STEP..].first_chunk() else { return };
            let pairs = _mm512_srlv_epi32(_mm512_permutexvar_epi8(spread, load(bytes)), shifts);
            let candidates = _mm512_and_si512(pairs, _mm512_set1_epi32(0xfff));
            let good = _mm512_cmplt_epi32_mask(candidates, _mm512_set1_epi32(i32::from(Q)));
            let taken = _mm512_maskz_compress_epi32(good, candidates);
            let Some(place) = self.coefficients[2 * self.len..].first_chunk_mut() else { return };
            store(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(taken)), place);
            self.len += good.count_ones() as usize;
        }
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn poly(&self) -> Poly {
        let mut poly = Poly::zero();
        for (vector, bytes) in poly.0.iter_mut().zip(self.coefficients.as_chunks().0) {
            *vector = load(bytes);
        }
        poly
    }
}

/// The bytes that hold each number of twelve bits, for lanes of 32.
const SPREAD_WIDE: [u8; 64] = {
    let mut spread = [63; 64];
    let mut index = 0;
    while index < 16 {
        #[allow(clippy::cast_possible_truncation, reason = "below 24")]
        let first = (index * 3 / 2) as u8;
        spread[4 * index] = first;
        spread[4 * index + 1] = first + 1;
        index += 1;
    }
    spread
};

/// The polynomial of 128 bytes of randomness, each coefficient the difference of two bits' sum and two others'
/// (FIPS 203 algorithm 8, SamplePolyCBD with eta = 2).
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn noise(bytes: &[Lanes; 2]) -> Poly {
    let [d0, d1, d2, d3] = DIFFERENCES;
    let differences = lanes([d0, d1, d2, d3, d0, d1, d2, d3]);
    let mut poly = Poly(half_bytes(bytes));
    for vector in &mut poly.0 {
        // Of an index, five bits count; the table stands there twice.
        *vector = _mm512_permutexvar_epi16(*vector, differences);
    }
    poly
}

/// The difference for each four bits.
const DIFFERENCES: [u64; 4] = {
    let mut differences = [0; 4];
    let mut bits = 0;
    while bits < 16_usize {
        let difference = (bits & 3).count_ones().wrapping_sub((bits >> 2).count_ones());
        differences[bits / 4] |= (difference as u64 & 0xffff) << (bits % 4 * 16);
        bits += 1;
    }
    differences
};

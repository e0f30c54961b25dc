//! Polynomials from hashes (FIPS 203 section 4.2.2): `Matrices`, uniform ones, and `Noises`, small ones.
//!
//! The matrix is public, so that its sampling may branch on what it finds.

use core::arch::x86_64::*;
use std::hint::black_box;

use super::super::lanes::{LANES, Lanes, lanes, load, splat, store};
use super::keccak::{SHAKE128, SHAKE256, Sponges, XOF, four_words, transposed};
use super::pack::{half_bytes, twelve_bits};
use super::poly::{Poly, Q};
use super::{K, Seed, erase, part, part_mut};

/// The entries of the matrices of up to eight keys, one matrix after the other, eight made at once.
pub(super) struct Matrices<'a> {
    seeds: [&'a Seed; LANES],
    count: usize,
    order: Order,
    next: usize,
    /// Whether there are VBMI2 and POPCNT.
    compresses: bool,
    entries: [Entry; LANES],
    blocks: [[u8; BLOCK]; LANES],
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
        let compresses = is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("popcnt");
        let (entries, blocks) = ([Entry::new(); LANES], [[0; BLOCK]; LANES]);
        Self { seeds, count, order, next: 0, compresses, entries, blocks }
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
        self.entries.iter_mut().for_each(|entry| entry.len = 0);
        loop {
            put_block(sponges.block(), &mut self.blocks);
            for (entry, block) in self.entries.iter_mut().zip(&self.blocks) {
                if entry.len >= 256 {
                    continue;
                }
                if self.compresses {
                    // SAFETY: what it needs was detected.
                    unsafe { entry.take_compressed(block) }
                } else {
                    entry.take(block);
                }
            }
            // Lengths are public; but the compiler would gather them, and gathers are for nobody.
            if self.entries.iter().all(|entry| black_box(entry.len) >= 256) {
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

impl Entry {
    #[inline]
    fn new() -> Self {
        Self { coefficients: [0; 2 * MOST], len: 0 }
    }

    /// Takes those of a block's 112 candidates that are below q.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn take(&mut self, block: &[u8; BLOCK]) {
        let mut len = self.len;
        for (step, halves) in [2, 2, 2, 1].into_iter().enumerate() {
            let candidates = twelve_bits(part(block, 48 * step));
            let (low, high) =
                (_mm512_castsi512_si256(candidates), _mm512_extracti64x4_epi64::<1>(candidates));
            for half in [low, high].into_iter().take(halves) {
                let wide = _mm512_cvtepu16_epi32(half);
                let good = _mm512_cmplt_epi32_mask(wide, _mm512_set1_epi32(i32::from(Q)));
                let taken = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(good, wide));
                store(_mm512_castsi256_si512(taken), part_mut(&mut self.coefficients, 2 * len));
                len += good.count_ones() as usize;
            }
        }
        self.len = len;
    }

    /// As [`Entry::take`], with instructions of AVX-512 VBMI2.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi,avx512vbmi2,popcnt")]
    fn take_compressed(&mut self, block: &[u8; BLOCK]) {
        let mut len = self.len;
        for (step, those) in [u32::MAX, u32::MAX, u32::MAX, 0xffff].into_iter().enumerate() {
            let candidates = twelve_bits(part(block, 48 * step));
            let good = _mm512_mask_cmplt_epi16_mask(those, candidates, _mm512_set1_epi16(Q));
            store(_mm512_maskz_compress_epi16(good, candidates), part_mut(&mut self.coefficients, 2 * len));
            len += good.count_ones() as usize;
        }
        self.len = len;
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

/// What PRF makes of each seed for noise (FIPS 203 section 4.1): SHAKE256 of the seed and a number below `EACH`,
/// which is known when this is compiled, so that nothing is divided by it.
pub(super) struct Noises<const EACH: usize> {
    bytes: [[Lanes; 2]; LANES * (2 * K + 1)],
}

impl<const EACH: usize> Noises<EACH> {
    /// Room for those of up to eight seeds.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        const { assert!(EACH <= 2 * K + 1) };
        Self { bytes: [[splat(0); 2]; _] }
    }

    /// Those of the first `count` of the lanes' seeds.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn fill<'a>(&mut self, seed: impl Fn(usize) -> &'a Seed, count: usize) {
        for (eight, places) in self.bytes.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            if eight * LANES >= count * EACH {
                break;
            }
            let index = |lane: usize| eight * LANES + lane;
            let numbers = core::array::from_fn(|lane| (index(lane) % EACH) as u64 | XOF << 8);
            let mut sponges = Sponges::<SHAKE256>::new();
            sponges.absorb(&four_words(|lane| seed(index(lane) / EACH)));
            sponges.finish(lanes(numbers));
            for (half, words) in sponges.block().as_chunks().0.iter().take(2).enumerate() {
                for (place, row) in places.iter_mut().zip(transposed(words)) {
                    place[half] = row;
                }
            }
            sponges.erase();
        }
    }

    /// Those of the seed `index`.
    pub(super) fn of(&self, index: usize) -> &[[Lanes; 2]] {
        &self.bytes[index * EACH..(index + 1) * EACH]
    }

    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn erase(&mut self) {
        erase(&mut self.bytes, [[splat(0); 2]; _]);
    }
}

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

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::super::super::lanes::Cpu;
    use super::*;

    /// Both ways, and the definition.
    #[test]
    fn candidates_below_the_modulus_are_taken() {
        #[target_feature(enable = "avx512ifma,avx512vbmi,avx512vbmi2,popcnt")]
        fn both(blocks: &[[u8; BLOCK]]) -> [Entry; 2] {
            let mut entries = [Entry::new(); 2];
            for block in blocks {
                entries[0].take(block);
                entries[1].take_compressed(block);
            }
            entries
        }

        Cpu::detect().expect("AVX-512 IFMA");
        assert!(is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("popcnt"));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..1000 {
            let mut blocks = [[0; BLOCK]; 3];
            rng.fill_bytes(blocks.as_flattened_mut());
            // 3328 and 3329 at each place; the most that a block may give after 255.
            blocks[1][round % 56 * 3..][..3].copy_from_slice(&[0x00, 0x1d, 0xd0]);
            if round % 10 == 0 {
                blocks[2] = [0; BLOCK];
            }
            let mut expected = Vec::new();
            for [a, b, c] in blocks.iter().flat_map(|block| block[..168].as_chunks().0) {
                let candidates =
                    [u16::from(b % 16) << 8 | u16::from(*a), u16::from(*c) << 4 | u16::from(b / 16)];
                expected.extend(candidates.into_iter().filter(|&candidate| candidate < 3329));
            }
            // SAFETY: detected.
            for entry in unsafe { both(&blocks) } {
                let bytes: Vec<u8> = expected.iter().flat_map(|number| number.to_le_bytes()).collect();
                assert_eq!(entry.len, expected.len());
                assert_eq!(entry.coefficients[..bytes.len()], bytes);
            }
        }
    }

    #[test]
    fn noise_of_every_byte() {
        #[target_feature(enable = "avx512ifma,avx512vbmi")]
        fn check() {
            for first in [0, 128] {
                let bytes: Vec<u8> = (first..=first + 127).collect();
                let (low, high) = (part(&bytes, 0), part(&bytes, 64));
                let noise = noise(&[load(low), load(high)]);
                for (index, vector) in noise.0.into_iter().enumerate() {
                    let mut ours = [0; 64];
                    store(vector, &mut ours);
                    for (at, number) in ours.as_chunks().0.iter().enumerate() {
                        let half = i16::from(bytes[16 * index + at / 2] >> (at % 2 * 4) & 15);
                        let expected = (half & 1) + (half >> 1 & 1) - (half >> 2 & 1) - (half >> 3);
                        assert_eq!(i16::from_le_bytes(*number), expected);
                    }
                }
            }
        }
        Cpu::detect().expect("AVX-512 IFMA");
        // SAFETY: detected.
        unsafe { check() }
    }
}

//! Keccak-f[1600] in eight lanes (FIPS 202), and what ML-KEM hashes with it (FIPS 203 section 4.1).
//!
//! A lane of a vector holds one word of one sponge: what all eight absorb has the same length.

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::super::lanes::{LANES, Lanes, lanes, load, splat};

/// Eight sponges that take in and give out `RATE` words between permutations.
pub(super) struct Sponges<const RATE: usize> {
    state: [Lanes; 25],
    at: usize,
}

/// SHAKE128's rate, in words.
pub(super) const SHAKE128: usize = 21;

/// The rate of SHAKE256 and SHA3-256.
pub(super) const SHAKE256: usize = 17;

/// SHA3-512's rate.
pub(super) const SHA3_512: usize = 9;

/// The bits that stand behind a message of SHA-3 (FIPS 202 section 6.1), with the first of the padding.
pub(super) const HASH: u64 = 0x06;

/// The bits that stand behind a message of SHAKE (FIPS 202 section 6.2), with the first of the padding.
pub(super) const XOF: u64 = 0x1f;

impl<const RATE: usize> Sponges<RATE> {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        Self { state: [splat(0); 25], at: 0 }
    }

    /// Takes in words of the messages.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn absorb(&mut self, words: &[Lanes]) {
        for word in words {
            if self.at == RATE {
                self.permute();
            }
            self.state[self.at] = _mm512_xor_si512(self.state[self.at], *word);
            self.at += 1;
        }
    }

    /// Ends the messages with `last`, whose highest byte is free.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn finish(&mut self, last: Lanes) {
        self.absorb(&[last]);
        self.state[RATE - 1] = _mm512_xor_si512(self.state[RATE - 1], splat(1 << 63));
        self.permute();
    }

    /// The first words of the block that is next.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn first(&self) -> [Lanes; LANES] {
        let [first, ..] = self.state.as_chunks().0 else { return [splat(0); LANES] };
        *first
    }

    /// The block that is next, in the first `RATE` of these words.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn block(&self) -> &[Lanes; 25] {
        &self.state
    }

    /// Goes on to the next block.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn permute(&mut self) {
        permute(&mut self.state);
        self.at = 0;
    }
}

impl<const RATE: usize> Zeroize for Sponges<RATE> {
    fn zeroize(&mut self) {
        self.state.zeroize();
    }
}

/// The eight words of eight rows.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn words<'a>(row: impl Fn(usize) -> &'a [u8; 64]) -> [Lanes; LANES] {
    let mut rows = [splat(0); LANES];
    for (lane, place) in rows.iter_mut().enumerate() {
        *place = load(row(lane));
    }
    transposed(&rows)
}

/// The first four words of eight rows.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn four_words<'a>(row: impl Fn(usize) -> &'a [u8; 32]) -> [Lanes; 4] {
    let mut words = [[0; LANES]; 4];
    for lane in 0..LANES {
        for (word, bytes) in words.iter_mut().zip(row(lane).as_chunks().0) {
            word[lane] = u64::from_le_bytes(*bytes);
        }
    }
    words.map(|word| lanes(word))
}

/// Rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn transposed([r0, r1, r2, r3, r4, r5, r6, r7]: &[Lanes; LANES]) -> [Lanes; LANES] {
    let [e0, e2, e4, e6] = quarters_transposed(
        _mm512_unpacklo_epi64(*r0, *r1),
        _mm512_unpacklo_epi64(*r2, *r3),
        _mm512_unpacklo_epi64(*r4, *r5),
        _mm512_unpacklo_epi64(*r6, *r7),
    );
    let [e1, e3, e5, e7] = quarters_transposed(
        _mm512_unpackhi_epi64(*r0, *r1),
        _mm512_unpackhi_epi64(*r2, *r3),
        _mm512_unpackhi_epi64(*r4, *r5),
        _mm512_unpackhi_epi64(*r6, *r7),
    );
    [e0, e1, e2, e3, e4, e5, e6, e7]
}

/// Rows and columns of 128 bits exchanged.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn quarters_transposed(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> [Lanes; 4] {
    let (even_ab, even_cd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
    let (odd_ab, odd_cd) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(even_ab, even_cd),
        _mm512_shuffle_i64x2::<0x88>(odd_ab, odd_cd),
        _mm512_shuffle_i64x2::<0xdd>(even_ab, even_cd),
        _mm512_shuffle_i64x2::<0xdd>(odd_ab, odd_cd),
    ]
}

/// Keccak-f[1600] (FIPS 202 section 3.3); the word of x and y is that of index x + 5y.
#[inline(never)]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn permute(state: &mut [Lanes; 25]) {
    let mut a = *state;
    for constant in CONSTANTS {
        let mut parities = [a[0]; 5];
        for (x, parity) in parities.iter_mut().enumerate() {
            *parity = xor3(xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
        }
        let mut effects = parities;
        for (x, effect) in effects.iter_mut().enumerate() {
            let rotated = _mm512_rol_epi64::<1>(parities[(x + 1) % 5]);
            *effect = _mm512_xor_si512(parities[(x + 4) % 5], rotated);
        }
        let b = rotated(&a, &effects);
        for y in 0..5 {
            // Section 3.2.3: A'[x, y] = A[x + 3y, x].
            let row = |x: usize| b[(x % 5 + 3 * y) % 5 + 5 * (x % 5)];
            for x in 0..5 {
                a[x + 5 * y] = _mm512_ternarylogic_epi64::<CHI>(row(x), row(x + 1), row(x + 2));
            }
        }
        a[0] = _mm512_xor_si512(a[0], splat(constant));
    }
    *state = a;
}

/// a ^ (!b & c) as a table of eight bits.
const CHI: i32 = 0xd2;

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn xor3(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

/// The words with the effect of their column, rotated (FIPS 202 section 3.2.2).
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn rotated(a: &[Lanes; 25], effects: &[Lanes; 5]) -> [Lanes; 25] {
    macro_rules! rotated {
        ($($index:literal by $count:literal),*) => {
            [$(_mm512_rol_epi64::<$count>(_mm512_xor_si512(a[$index], effects[$index % 5]))),*]
        };
    }
    rotated!(
        0 by 0, 1 by 1, 2 by 62, 3 by 28, 4 by 27,
        5 by 36, 6 by 44, 7 by 6, 8 by 55, 9 by 20,
        10 by 3, 11 by 10, 12 by 43, 13 by 25, 14 by 39,
        15 by 41, 16 by 45, 17 by 15, 18 by 21, 19 by 8,
        20 by 18, 21 by 2, 22 by 61, 23 by 56, 24 by 14
    )
}

/// The round constants (FIPS 202 section 3.2.5).
const CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

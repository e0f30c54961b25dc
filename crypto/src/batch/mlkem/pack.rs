//! Polynomials as bytes (FIPS 203 section 4.2.1): twelve bits a coefficient in keys, ten and four in ciphertexts,
//! one in messages.

use core::arch::x86_64::*;

use super::super::lanes::{Lanes, load, splat, store};
use super::poly::{Poly, Q, VECTORS};

/// Bytes of a polynomial of a key.
pub(super) const KEY_POLY: usize = 384;

/// Bytes of a polynomial of a ciphertext's first part.
pub(super) const WIDE_POLY: usize = 320;

/// Bytes of the polynomial of its second part.
pub(super) const NARROW_POLY: usize = 128;

/// ByteDecode12 of `bytes` from `at`, without the reduction. At least 16 bytes stand behind.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn decoded(bytes: &[u8], at: usize) -> Poly {
    unpacked::<12>(bytes, at, splat(0x0004_0000_0004_0000))
}

/// ByteEncode12 of canonical coefficients, to `bytes` from `at`. At least 16 bytes behind are overwritten.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn encode(poly: &Poly, bytes: &mut [u8], at: usize) {
    let weights = _mm512_set1_epi32(1 | 1 << 28);
    let places = load(&const { places(3, 4) });
    for (index, vector) in poly.0.iter().enumerate() {
        let packed = _mm512_madd_epi16(*vector, weights);
        put(_mm512_permutexvar_epi8(places, packed), bytes, at + 48 * index);
    }
}

/// Compress10 and ByteEncode10 of canonical coefficients, as [`encode`]; 24 bytes behind are overwritten.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn encode_wide(poly: &Poly, bytes: &mut [u8], at: usize) {
    let weights = _mm512_set1_epi32(1 | 1 << 26);
    let places = load(&const { places(5, 8) });
    for (index, vector) in poly.0.iter().enumerate() {
        let pairs = _mm512_madd_epi16(compressed::<10>(*vector), weights);
        let low = _mm512_and_si512(pairs, splat(0xffff_ffff));
        let fours = _mm512_or_si512(low, _mm512_slli_epi64::<20>(_mm512_srli_epi64::<32>(pairs)));
        put(_mm512_permutexvar_epi8(places, fours), bytes, at + 40 * index);
    }
}

/// Compress4 and ByteEncode4 of canonical coefficients.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn encode_narrow(poly: &Poly, bytes: &mut [u8; NARROW_POLY]) {
    let weights = _mm512_set1_epi32(1 | 1 << 20);
    let places = load(&const { places(1, 4) });
    for (four, place) in poly.0.as_chunks::<4>().0.iter().zip(bytes.as_chunks_mut().0) {
        let mut packed = splat(0);
        for (index, vector) in four.iter().enumerate() {
            let sixteen = _mm512_madd_epi16(compressed::<4>(*vector), weights);
            let rows = _mm512_permutexvar_epi8(places, sixteen);
            packed = _mm512_mask_blend_epi64(3 << (2 * index), packed, rows);
        }
        store(packed, place);
    }
}

/// ByteDecode10 and Decompress10, as [`decoded`]; at least 24 bytes stand behind.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn decode_wide(bytes: &[u8], at: usize) -> Poly {
    let mut poly = unpacked::<10>(bytes, at, splat(0x0006_0004_0002_0000));
    for vector in &mut poly.0 {
        *vector = decompressed::<10>(*vector);
    }
    poly
}

/// ByteDecode4 and Decompress4.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn decode_narrow(bytes: &[u8; NARROW_POLY]) -> Poly {
    let [low, high] = bytes.as_chunks().0 else { return Poly::zero() };
    let mut poly = Poly(half_bytes(&[load(low), load(high)]));
    for vector in &mut poly.0 {
        *vector = decompressed::<4>(_mm512_and_si512(*vector, _mm512_set1_epi16(15)));
    }
    poly
}

/// Each half of a byte in the lowest four bits of 16; what stands above is not zero.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn half_bytes(bytes: &[Lanes; 2]) -> [Lanes; VECTORS] {
    let mut halves = [splat(0); VECTORS];
    for (index, vector) in halves.iter_mut().enumerate() {
        let fourfold = _mm512_permutexvar_epi8(load(&FOURFOLD[index % 4]), bytes[index / 4]);
        *vector = _mm512_srlv_epi16(fourfold, splat(0x0004_0000_0004_0000));
    }
    halves
}

/// ByteDecode1 and Decompress1 of a message.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn message(bytes: &[u8; 32]) -> Poly {
    let mut poly = Poly::zero();
    for (vector, bits) in poly.0.iter_mut().zip(bytes.as_chunks().0) {
        *vector = _mm512_maskz_set1_epi16(u32::from_le_bytes(*bits), (Q + 1) / 2);
    }
    poly
}

/// Compress1 and ByteEncode1 of canonical coefficients.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn encode_message(poly: &Poly, bytes: &mut [u8; 32]) {
    for (vector, place) in poly.0.iter().zip(bytes.as_chunks_mut().0) {
        // From q / 4 to 3q / 4.
        let distance = _mm512_sub_epi16(*vector, _mm512_set1_epi16(833));
        let bits = _mm512_cmplt_epu16_mask(distance, _mm512_set1_epi16(1664));
        *place = bits.to_le_bytes();
    }
}

/// Numbers of `BITS` bits; `shifts` are the bits before each in its first byte.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn unpacked<const BITS: usize>(bytes: &[u8], at: usize, shifts: Lanes) -> Poly {
    let spread = load(&const { spread(BITS) });
    let mask = _mm512_set1_epi16((1 << BITS) - 1);
    let mut poly = Poly::zero();
    for (index, vector) in poly.0.iter_mut().enumerate() {
        let place = bytes[at + 4 * BITS * index..].first_chunk().expect("bytes behind");
        let words = _mm512_permutexvar_epi8(spread, load(place));
        *vector = _mm512_and_si512(_mm512_srlv_epi16(words, shifts), mask);
    }
    poly
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn put(vector: Lanes, bytes: &mut [u8], at: usize) {
    store(vector, bytes[at..].first_chunk_mut().expect("room behind"));
}

/// Compress of canonical numbers (FIPS 203 section 4.2.1): round(2^BITS x / q) modulo 2^BITS.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn compressed<const BITS: u32>(numbers: Lanes) -> Lanes {
    // 8 * 2^16 / (q / 1024), so that this is 8 times the quotient at most one too great.
    let eighths = _mm512_mulhi_epi16(_mm512_slli_epi16::<3>(numbers), _mm512_set1_epi16(20159));
    let rounded = _mm512_mulhrs_epi16(eighths, _mm512_set1_epi16(1 << (BITS + 2)));
    let (shift, half) = (_mm512_set1_epi16(1 << BITS), _mm512_set1_epi16(Q / 2));
    let dividend = _mm512_add_epi16(_mm512_mullo_epi16(numbers, shift), half);
    let rest = _mm512_sub_epi16(dividend, _mm512_mullo_epi16(rounded, _mm512_set1_epi16(Q)));
    let exact = _mm512_add_epi16(rounded, _mm512_srai_epi16::<15>(rest));
    _mm512_and_si512(exact, _mm512_set1_epi16((1 << BITS) - 1))
}

/// Decompress: round(q y / 2^BITS).
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn decompressed<const BITS: u32>(numbers: Lanes) -> Lanes {
    let raised = _mm512_mullo_epi16(numbers, _mm512_set1_epi16(1 << (15 - BITS)));
    _mm512_mulhrs_epi16(raised, _mm512_set1_epi16(Q))
}

/// For each of 32 numbers of `bits` bits, the two bytes it stands in.
#[allow(clippy::cast_possible_truncation, reason = "below 64")]
const fn spread(bits: usize) -> [u8; 64] {
    let mut spread = [0; 64];
    let mut index = 0;
    while index < 32 {
        let first = index * bits / 8;
        spread[2 * index] = first as u8;
        spread[2 * index + 1] = first as u8 + 1;
        index += 1;
    }
    spread
}

/// The first `some` of each `all` bytes, again and again.
#[allow(clippy::cast_possible_truncation, reason = "below 64")]
const fn places(some: usize, all: usize) -> [u8; 64] {
    let mut places = [0; 64];
    let mut index = 0;
    while index < 64 {
        places[index] = (index / some * all + index % some) as u8 % 64;
        index += 1;
    }
    places
}

/// Each byte of a quarter of a vector, four times.
#[allow(clippy::cast_possible_truncation, reason = "below 64")]
const FOURFOLD: [[u8; 64]; 4] = {
    let mut fourfold = [[0; 64]; 4];
    let mut at = 0;
    while at < 256 {
        fourfold[at / 64][at % 64] = (at / 4) as u8;
        at += 1;
    }
    fourfold
};

const _: () = assert!(KEY_POLY == VECTORS * 48 && WIDE_POLY == VECTORS * 40 && NARROW_POLY == VECTORS * 16);

//! Every value of each form, against the formulas of FIPS 203 section 4.2.1.

use super::super::super::lanes::Cpu;
use super::*;

/// Runs `check` with the features.
fn with_features(check: unsafe fn()) {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: detected.
    unsafe { check() }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn poly(numbers: &[u16; 256]) -> Poly {
    let mut poly = Poly::zero();
    for (vector, numbers) in poly.0.iter_mut().zip(numbers.as_chunks::<32>().0) {
        let mut bytes = [0; 64];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        *vector = load(&bytes);
    }
    poly
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn numbers(poly: &Poly) -> [u16; 256] {
    let mut numbers = [0; 256];
    for (vector, numbers) in poly.0.iter().zip(numbers.as_chunks_mut::<32>().0) {
        let mut bytes = [0; 64];
        store(*vector, &mut bytes);
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = u16::from_le_bytes(*bytes);
        }
    }
    numbers
}

/// All numbers below `limit`, in polynomials.
fn all(limit: u16) -> impl Iterator<Item = [u16; 256]> {
    let mut numbers = (0..limit).cycle();
    (0..limit).step_by(256).map(move |_| core::array::from_fn(|_| numbers.next().unwrap()))
}

/// ByteEncode, bit by bit.
fn encoded(numbers: &[u16; 256], bits: usize) -> Vec<u8> {
    let mut bytes = vec![0; 32 * bits];
    for at in 0..256 * bits {
        bytes[at / 8] |= u8::from(numbers[at / bits] >> (at % bits) & 1 == 1) << (at % 8);
    }
    bytes
}

fn compressed(number: u16, bits: u32) -> u16 {
    let quotient = ((u32::from(number) << bits) + 1664) / 3329;
    u16::try_from(quotient % (1 << bits)).unwrap()
}

fn decompressed(number: u16, bits: u32) -> u16 {
    u16::try_from((u32::from(number) * 3329 + (1 << (bits - 1))) >> bits).unwrap()
}

#[test]
fn keys() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for all in all(4096) {
            let mut bytes = [0xff; KEY_POLY + 16];
            encode(&poly(&all), &mut bytes, 0);
            assert_eq!(bytes[..KEY_POLY], encoded(&all, 12));
            bytes[KEY_POLY..].fill(0xff);
            assert_eq!(numbers(&decoded(&bytes, 0)), all);
        }
    }
    with_features(check);
}

#[test]
fn ciphertexts() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for all in all(3329) {
            let mut bytes = [0; WIDE_POLY + 24];
            encode_wide(&poly(&all), &mut bytes, 0);
            assert_eq!(bytes[..WIDE_POLY], encoded(&all.map(|number| compressed(number, 10)), 10));
            let mut bytes = [0; NARROW_POLY];
            encode_narrow(&poly(&all), &mut bytes);
            assert_eq!(bytes[..], encoded(&all.map(|number| compressed(number, 4)), 4));
        }
        for all in all(1024) {
            let mut bytes = encoded(&all, 10);
            bytes.resize(WIDE_POLY + 24, 0xff);
            assert_eq!(numbers(&decode_wide(&bytes, 0)), all.map(|number| decompressed(number, 10)));
        }
        for all in all(16) {
            let bytes = encoded(&all, 4);
            let bytes = bytes.first_chunk().unwrap();
            assert_eq!(numbers(&decode_narrow(bytes)), all.map(|number| decompressed(number, 4)));
        }
    }
    with_features(check);
}

#[test]
fn messages() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for all in all(3329) {
            let bits = all.map(|number| compressed(number, 1));
            let mut bytes = [0; 32];
            encode_message(&poly(&all), &mut bytes);
            assert_eq!(bytes[..], encoded(&bits, 1));
            assert_eq!(numbers(&message(&bytes)), bits.map(|bit| 1665 * bit));
        }
    }
    with_features(check);
}

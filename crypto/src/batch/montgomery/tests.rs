//! Against `BigUint` of the `rsa` crate.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rsa::BigUint;

use super::*;
use crate::batch::lanes::{Cpu, LANES};

/// Moduli of all lengths in use, with numbers of the edges and random ones in the lanes.
#[test]
fn products_squares_and_powers_are_right() {
    Cpu::detect().expect("AVX-512 IFMA");
    for seed in 0..4 {
        // SAFETY: the CPU has the features.
        unsafe {
            check::<4, 1>(1024, seed);
            check::<4, 2>(1024, seed);
            check::<6, 1>(1536, seed);
            check::<6, 2>(1536, seed);
            check::<8, 1>(2048, seed);
            check::<8, 2>(2048, seed);
            check::<12, 1>(3072, seed);
            check::<16, 1>(4096, seed);
        }
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn check<const B: usize, const M: usize>(bits: usize, seed: usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed as u64);
    let mut random = |bits: usize| {
        let mut bytes = vec![0; bits / 8];
        rng.fill_bytes(&mut bytes);
        BigUint::from_bytes_be(&bytes)
    };
    let one = BigUint::from(1_u32);
    let radix = &one << Number::<B>::BITS;
    let top = &one << bits;
    // The longest and the shortest modulus of `bits` bits, or random ones.
    let two: [BigUint; 2] = std::array::from_fn(|lane| match (seed, lane) {
        (0, 0) => &top - 1_u32,
        (0, _) => (&top >> 1) + 1_u32,
        _ => {
            let number = random(bits);
            if (&number % 2_u32) == one { number } else { number + 1_u32 }
        }
    });
    let moduli: [BigUint; LANES] = std::array::from_fn(|lane| two[(lane + seed) % M].clone());
    let edges = |lane: usize, modulus: &BigUint, random: BigUint| match lane {
        0 => modulus - 1_u32,
        1 => modulus - 1_u32,
        2 => BigUint::from(0_u32),
        3 => one.clone(),
        4 => modulus + (modulus - 1_u32),
        5 => modulus.clone(),
        _ => random % modulus,
    };
    let xs: [BigUint; LANES] = std::array::from_fn(|lane| edges(lane, &moduli[lane], random(bits)));
    let ys: [BigUint; LANES] =
        std::array::from_fn(|lane| edges((lane + seed) % LANES, &moduli[lane], random(bits)));

    let squares = std::array::from_fn(|lane| &radix * &radix % &moduli[lane]);
    let modulus = Modulus::<B, M>::new(number(&moduli), number::<B>(&squares));
    let mut scratch = Scratch::new();

    let mut product = number::<B>(&xs);
    modulus.multiply(&mut product, &number(&ys), &mut scratch);
    let expected = |lane: usize| &xs[lane] * &ys[lane] % &moduli[lane];
    assert_numbers(product, &modulus, &moduli, &radix, &expected);

    let mut square = number::<B>(&xs);
    modulus.square(&mut square, &mut scratch);
    assert_numbers(square, &modulus, &moduli, &radix, &|lane| &xs[lane] * &xs[lane] % &moduli[lane]);

    let mut sum = number::<B>(&xs);
    modulus.subtract(&mut sum, &number(&ys));
    sum.add(&number(&ys));
    modulus.enter(&mut sum, &mut scratch);
    let expected = |lane: usize| &xs[lane] * &radix * &radix % &moduli[lane];
    assert_numbers(sum, &modulus, &moduli, &radix, &expected);

    // Exponents of 64 bits, each lane its own.
    let exponents: [BigUint; LANES] = std::array::from_fn(|lane| match lane {
        0 => BigUint::from(0_u32),
        1 => BigUint::from(u64::MAX),
        _ => random(64),
    });
    let mut base = number::<B>(&xs);
    modulus.enter(&mut base, &mut scratch);
    let exponent = number(&exponents);
    let mut power = base;
    modulus.power(&mut power, &exponent, 64, &mut Table::new(), &mut scratch);
    let expected = |lane: usize| xs[lane].modpow(&exponents[lane], &moduli[lane]) * &radix * &radix;
    assert_numbers(power, &modulus, &moduli, &radix, &|lane| expected(lane) % &moduli[lane]);

    for exponent in [3, 5, 0x1_0001, 0xffff_fffb] {
        let plain = number::<B>(&xs);
        let mut power = plain;
        modulus.enter(&mut power, &mut scratch);
        modulus.public_power(&mut power, &plain, exponent, &mut scratch);
        let exponent = BigUint::from(exponent);
        let expected = |lane: usize| xs[lane].modpow(&exponent, &moduli[lane]) * &radix;
        assert_numbers(power, &modulus, &moduli, &radix, &|lane| expected(lane) % &moduli[lane]);
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn number<const B: usize>(values: &[BigUint; LANES]) -> Number<B> {
    let bytes = values.each_ref().map(BigUint::to_bytes_be);
    Number::read(bytes.each_ref().map(Vec::as_slice))
}

/// Asserts that R times `number` is congruent to `expected`, and that `number` is below twice the modulus;
/// `reduce` and `exceeds` must agree.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn assert_numbers<const B: usize, const M: usize>(
    mut number: Number<B>,
    modulus: &Modulus<B, M>,
    moduli: &[BigUint; LANES],
    radix: &BigUint,
    expected: &dyn Fn(usize) -> BigUint,
) {
    let below = modulus.exceeds(&number);
    let masked = number;
    modulus.reduce(&mut number);
    assert_eq!(number.equal(&masked), below);
    assert_eq!(modulus.exceeds(&number), 0xff);
    for lane in 0..LANES {
        let mut bytes = [[0; 520]; 2];
        masked.write(lane, &mut bytes[0]);
        number.write(lane, &mut bytes[1]);
        let [value, reduced] = bytes.map(|bytes| BigUint::from_bytes_be(&bytes));
        assert!(value < &moduli[lane] * 2_u32, "lane {lane}");
        assert_eq!(&value % &moduli[lane], reduced, "lane {lane}");
        assert_eq!(&reduced * radix % &moduli[lane], expected(lane), "B {B} lane {lane}");
    }
}

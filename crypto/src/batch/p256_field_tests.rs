//! Both fields against whole numbers.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rsa::BigUint;

use super::super::lanes::Cpu;
use super::super::p256_scalar::{self, Scalar};
use super::*;

fn number(hex: &[u8]) -> BigUint {
    BigUint::parse_bytes(hex, 16).unwrap()
}

fn p() -> BigUint {
    number(b"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
}

fn n() -> BigUint {
    number(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
}

fn r() -> BigUint {
    BigUint::from(1_u8) << 260
}

/// Small ones, those around multiples of the modulus and of 2^52, and random ones, below `bound` times it;
/// as many as fill vectors.
fn samples(modulus: &BigUint, bound: u8, rng: &mut ChaCha8Rng) -> Vec<BigUint> {
    let one = BigUint::from(1_u8);
    let limit = modulus * bound;
    let mut samples: Vec<_> = (0..4_u8).map(BigUint::from).collect();
    for k in 1..=bound {
        samples.extend([modulus * k - &one, modulus * k, modulus * k + &one]);
    }
    for bits in [44, 51, 52, 96, 104, 156, 192, 208, 224, 255, 256, 257, 258, 259] {
        samples.extend([(&one << bits) - &one, &one << bits]);
    }
    for _ in 0..40 {
        let mut bytes = [0; 36];
        rng.fill_bytes(&mut bytes);
        samples.push(BigUint::from_bytes_be(&bytes) % &limit);
    }
    samples.retain(|sample| *sample < limit);
    while samples.len() % LANES != 0 {
        samples.push(&limit - &one);
    }
    samples
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn load(numbers: &[BigUint]) -> Limbs {
    let mut limbs = [splat(0); 5];
    for (i, limb) in limbs.iter_mut().enumerate() {
        let mut lane = numbers.iter().map(|number| {
            let limb = (number >> (52 * i)) % (BigUint::from(1_u8) << 52);
            limb.to_bytes_le().iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte))
        });
        *limb = lanes(core::array::from_fn(|_| lane.next().unwrap()));
    }
    limbs
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn store(limbs: &Limbs) -> Vec<BigUint> {
    let limbs = limbs.map(|limb| array(limb));
    assert!(limbs.iter().flatten().all(|limb| *limb <= MASK));
    let number = |lane: usize| {
        limbs
            .iter()
            .rev()
            .fold(BigUint::from(0_u8), |number, limb| (number << 52) + BigUint::from(limb[lane]))
    };
    (0..LANES).map(number).collect()
}

/// That `product` is what Montgomery's reduction by `modulus` makes of a times b.
fn check_product(product: &BigUint, a: &BigUint, b: &BigUint, modulus: &BigUint) {
    let product = product * r();
    assert_eq!(&product % modulus, a * b % modulus, "{a:x} * {b:x}");
    assert!(product < a * b + modulus * r());
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn check_products() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (modulus, field) in [(p(), true), (n(), false)] {
        let samples = samples(&modulus, 8, &mut rng);
        for turn in 0..samples.len() {
            let mut others = samples.clone();
            others.rotate_left(turn);
            for (a, b) in samples.chunks(LANES).zip(others.chunks(LANES)) {
                let (x, y) = (load(a), load(b));
                let product =
                    if field { Element(x).mul(&Element(y)).carry().0 } else { Scalar(x).mul(&Scalar(y)).0 };
                for (i, product) in store(&product).iter().enumerate() {
                    check_product(product, &a[i], &b[i], &modulus);
                }
                if turn == 0 && field {
                    assert_eq!(store(&Element(x).square().carry().0), store(&product));
                }
                if field {
                    let [x, y] = [Element(x), Element(y)];
                    let sums = store(&Element::products([&x, &y], [&y, &y]).carry().0);
                    for (i, sum) in sums.iter().enumerate() {
                        check_product(sum, &(&a[i] + &b[i]), &b[i], &modulus);
                    }
                }
            }
        }
    }
}

#[test]
fn products_are_those_of_whole_numbers() {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: just asked for.
    unsafe { check_products() }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn check_sums() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let samples = samples(&p(), 16, &mut rng);
    let eighty = p() * 80_u8;
    for turn in 0..samples.len() {
        let mut others = samples.clone();
        others.rotate_left(turn);
        for (a, b) in samples.chunks(LANES).zip(others.chunks(LANES)) {
            let (x, y) = (Element(load(a)), Element(load(b)));
            let over = x.minus(&y).over::<16>().reduce();
            // a - 8 b, negated in odd lanes.
            let under = Sum(y.0).doubled::<3>().negated(0xff).plus(&x.0).plus(&y.0).minus(&y.0);
            let under = under.negated(0xaa).reduce();
            for (i, (over, under)) in store(&over.0).iter().zip(store(&under.0)).enumerate() {
                assert_eq!(over % p(), (p() * 16_u8 + &a[i] - &b[i]) % p());
                let (more, less) =
                    if i % 2 == 0 { (&a[i] * 1_u8, &b[i] * 8_u8) } else { (&b[i] * 8_u8, &a[i] * 1_u8) };
                let wanted = (&eighty + &eighty + more - less) % p();
                assert_eq!(&under % p(), wanted, "{:x} {:x}", a[i], b[i]);
                assert!(over * 100_u8 < p() * 201_u8 && under * 100_u8 < p() * 201_u8);
            }
        }
    }
}

#[test]
fn sums_are_those_of_whole_numbers() {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: just asked for.
    unsafe { check_sums() }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn check_forms() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for a in samples(&p(), 2, &mut rng).chunks(LANES) {
        let x = Element(load(a));
        let canonical = store(&x.canonical());
        let plain = store(&x.plain().0);
        let zero = x.zero();
        for (i, a) in a.iter().enumerate() {
            assert_eq!(canonical[i], a % p());
            assert!(plain[i] <= p());
            assert_eq!(&plain[i] * r() % p(), a % p());
            assert_eq!(zero >> i & 1 == 1, a % p() == BigUint::from(0_u8));
            assert_eq!(below_p(&x.0) >> i & 1 == 1, *a < p());
        }
    }
    for a in samples(&n(), 2, &mut rng).chunks(LANES) {
        for (canonical, a) in store(&Scalar(load(a)).canonical()).iter().zip(a) {
            assert_eq!(*canonical, a % n());
        }
    }
    let word = BigUint::from(1_u8) << 256;
    for a in samples(&p(), 2, &mut rng).chunks(LANES) {
        let a: Vec<_> = a.iter().map(|a| a % &word).collect();
        for ((x, s), a) in
            store(&Element::new(&load(&a)).0).iter().zip(store(&Scalar::new(&load(&a)).0)).zip(&a)
        {
            assert_eq!(x % p(), a * r() % p());
            assert_eq!(s % n(), a * r() % n());
        }
        let mut bytes = [[0; 32]; LANES];
        write(&load(&a), bytes.iter_mut());
        for (bytes, a) in bytes.iter().zip(&a) {
            assert_eq!(BigUint::from_bytes_be(bytes), *a);
        }
        for count in 1..=LANES {
            let numbers: Vec<_> = (0..LANES).map(|i| a[i % count].clone()).collect();
            assert_eq!(store(&read(bytes[..count].iter())), numbers);
        }
    }
}

#[test]
fn forms_are_those_of_whole_numbers() {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: just asked for.
    unsafe { check_forms() }
}

/// That each inverse times its number is R^2, or one the inverse where the number is zero.
fn check_inverses(numbers: &[BigUint], inverses: &[BigUint], modulus: &BigUint) {
    let zero = BigUint::from(0_u8);
    for (number, inverse) in numbers.iter().zip(inverses) {
        if number % modulus == zero {
            assert_eq!(inverse % modulus, r() % modulus);
        } else {
            assert_eq!(number * inverse % modulus, r() * r() % modulus, "{number:x}");
        }
        assert!(*inverse < modulus * 2_u8);
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn check_inversions() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for count in 1..=MAX_INVERTED {
        for a in samples(&p(), 4, &mut rng).chunks_exact(LANES * count) {
            let mut elements = [Element::one(); MAX_INVERTED];
            for (element, a) in elements.iter_mut().zip(a.chunks(LANES)) {
                *element = Element(load(a));
            }
            Element::invert(&mut elements[..count]);
            for (element, a) in elements.iter().zip(a.chunks(LANES)) {
                check_inverses(a, &store(&element.0), &p());
            }
        }
    }
    for count in 1..=4 {
        let (a, b) = (samples(&n(), 4, &mut rng), samples(&p(), 4, &mut rng));
        for (a, b) in a.chunks_exact(LANES * count).zip(b.chunks_exact(LANES * count)) {
            let (mut scalars, mut elements) = ([Scalar::one(); 4], [Element::one(); 4]);
            for ((scalar, element), (a, b)) in
                scalars.iter_mut().zip(&mut elements).zip(a.chunks(LANES).zip(b.chunks(LANES)))
            {
                (*scalar, *element) = (Scalar(load(a)), Element(load(b)));
            }
            p256_scalar::invert_both(&mut scalars[..count], &mut elements[..count]);
            for ((scalar, element), (a, b)) in
                scalars.iter().zip(&elements).zip(a.chunks(LANES).zip(b.chunks(LANES)))
            {
                check_inverses(a, &store(&scalar.0), &n());
                check_inverses(b, &store(&element.0), &p());
            }
        }
    }
}

#[test]
fn inverses_share_an_inversion_and_survive_zeros() {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: just asked for.
    unsafe { check_inversions() }
}

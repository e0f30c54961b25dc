//! Transforms and their products against the definitions.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::super::lanes::{Cpu, load, store};
use super::super::poly::{Multiplier, Sum};
use super::*;

type Coefficients = [i16; 256];

const MODULUS: i64 = Q as i64;

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn poly(coefficients: &Coefficients) -> Poly {
    let mut poly = Poly::zero();
    for (vector, numbers) in poly.0.iter_mut().zip(coefficients.as_chunks::<WIDTH>().0) {
        let mut bytes = [0; 64];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        *vector = load(&bytes);
    }
    poly
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn coefficients(poly: &Poly) -> Coefficients {
    let mut coefficients = [0; 256];
    for (vector, numbers) in poly.0.iter().zip(coefficients.as_chunks_mut::<WIDTH>().0) {
        let mut bytes = [0; 64];
        store(*vector, &mut bytes);
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = i16::from_le_bytes(*bytes);
        }
    }
    coefficients
}

/// Runs `check` with the features.
fn with_features(check: unsafe fn()) {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: detected.
    unsafe { check() }
}

/// Polynomials whose coefficients are `most` in size, and any below it.
fn edges(rng: &mut ChaCha8Rng, most: i16) -> Vec<Coefficients> {
    let mut edges = vec![[0; 256], [most; 256], [-most; 256]];
    for _ in 0..20 {
        edges.push(core::array::from_fn(|_| if rng.next_u32() & 1 == 0 { most } else { -most }));
        let any = 2 * u32::from(most.unsigned_abs()) + 1;
        edges.push(core::array::from_fn(|_| i16::try_from(rng.next_u32() % any).unwrap() - most));
    }
    edges
}

fn congruent(a: i64, b: i64) -> bool {
    (a - b) % MODULUS == 0
}

/// FIPS 203 section 4.3: each pair is the rest by X^2 - zeta^(2 BitRev7(i) + 1).
#[test]
fn transforms() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for edge in edges(&mut ChaCha8Rng::seed_from_u64(1), Q) {
            let transform = coefficients(&poly(&edge).transform());
            for (index, [even, odd]) in transform.as_chunks().0.iter().enumerate() {
                let gamma = i64::from(power(2 * reversed(index) + 1));
                let (mut first, mut second) = (0, 0);
                for [even, odd] in edge.as_chunks().0.iter().rev() {
                    first = (first * gamma + i64::from(*even)) % MODULUS;
                    second = (second * gamma + i64::from(*odd)) % MODULUS;
                }
                assert!(congruent(first, (*even).into()) && congruent(second, (*odd).into()));
            }
        }
    }
    with_features(check);
}

#[test]
fn inverse_transforms() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for edge in edges(&mut ChaCha8Rng::seed_from_u64(2), Q) {
            let inverse = poly(&edge).inverse_transform();
            assert!(coefficients(&inverse).iter().all(|number| number.abs() <= Q));
            for (there, back) in edge.iter().zip(coefficients(&inverse.transform())) {
                assert!(congruent(i64::from(*there) << 16, back.into()));
            }
        }
    }
    with_features(check);
}

/// Sums of four products are those of polynomials modulo X^256 + 1.
#[test]
fn products() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (left, right) = (edges(&mut rng, Q), edges(&mut rng, Q));
        for (left, right) in left.as_chunks::<4>().0.iter().zip(right.as_chunks::<4>().0) {
            let mut sum = Sum::new();
            let mut expected = [0_i64; 256];
            for (a, b) in left.iter().zip(right) {
                let multiplier = Multiplier::new(&poly(b).transform());
                sum.add(&poly(a).transform().reduced(), &multiplier);
                for i in 0..256 {
                    for j in 0..256 {
                        let product = i64::from(a[i]) * i64::from(b[j]);
                        expected[(i + j) % 256] += if i + j < 256 { product } else { -product };
                    }
                }
            }
            let product = coefficients(&sum.reduced().inverse_transform());
            assert!(product.iter().zip(expected).all(|(&ours, theirs)| congruent(ours.into(), theirs)));
        }
    }
    with_features(check);
}

/// The widest sums there are: of what twelve bits hold and of transforms near 2^15.
#[test]
fn widest_sums() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for wide in [i16::MAX, i16::MIN, i16::MAX / 2] {
            let mut sum = Sum::new();
            for _ in 0..4 {
                sum.add(&poly(&[4095; 256]), &Multiplier::new(&poly(&[wide; 256])));
            }
            let reduced = coefficients(&sum.reduced());
            assert!(reduced.iter().all(|number| number.abs() < Q));
            for (index, [even, odd]) in reduced.as_chunks().0.iter().enumerate() {
                let (product, gamma) =
                    (4 * 4095 * i64::from(wide), i64::from(power(2 * reversed(index) + 1)));
                assert!(congruent(i64::from(*even) << 16, product * (1 + gamma)));
                assert!(congruent(i64::from(*odd) << 16, 2 * product));
            }
        }
    }
    with_features(check);
}

#[test]
fn canonical_numbers() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        let all: Vec<_> = (1 - Q..2 * Q).collect();
        for numbers in all.windows(256) {
            let numbers: Coefficients = numbers.try_into().unwrap();
            let canonical = poly(&numbers).canonical();
            assert!(canonical.is_canonical());
            assert_eq!(coefficients(&canonical), numbers.map(|number| number.rem_euclid(Q)));
            assert!(coefficients(&poly(&numbers).reduced()).iter().all(|number| number.abs() <= 2 * Q / 3));
        }
        for place in 0..256 {
            let mut numbers = [Q - 1; 256];
            numbers[place] = Q;
            assert!(!poly(&numbers).is_canonical());
        }
    }
    with_features(check);
}

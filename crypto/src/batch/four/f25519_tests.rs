//! The field against integers of arbitrary length.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rsa::BigUint;

use super::super::lanes::{Avx2, LANES, lanes};
use super::*;

/// One number of an `Element` or a `Sum`.
type Number = [u64; 10];

fn p() -> BigUint {
    (BigUint::from(1_u8) << 255_usize) - BigUint::from(19_u8)
}

/// The number of limbs of 26 and 25 bits, modulo p.
fn number(limbs: &Number) -> BigUint {
    let weight = |index: usize| (51 * index).div_ceil(2);
    let sum: BigUint =
        limbs.iter().enumerate().map(|(index, &limb)| BigUint::from(limb) << weight(index)).sum();
    sum % p()
}

/// Numbers whose limbs are at the edges of `times` what a carried one has, and random ones.
fn numbers(times: u64, rng: &mut ChaCha8Rng) -> Vec<Number> {
    let most: Number = std::array::from_fn(|index| {
        times * if index % 2 == 0 { EVEN } else { ODD + if index == 9 { 0 } else { 1 << 11 } }
    });
    let p: Number = std::array::from_fn(|index| if index == 0 { EVEN - 18 } else { bits(index) });
    let mut numbers = vec![[0; 10], most, p];
    for change in [1, 2, 17, 18] {
        let mut near = p;
        near[0] -= change;
        numbers.push(near);
        near[0] += 2 * change;
        numbers.push(near);
    }
    numbers.extend((0..10).map(|at| std::array::from_fn(|index| if index == at { most[index] } else { 0 })));
    numbers.extend((0..10).map(|at| std::array::from_fn(|index| if index == at { 0 } else { most[index] })));
    numbers.extend((0..40).map(|_| most.map(|most| rng.next_u64() % (most + 1))));
    numbers
}

#[target_feature(enable = "avx2")]
fn limbs(numbers: &[Number; LANES]) -> Limbs {
    let mut limbs = [splat(0); 10];
    for (index, limb) in limbs.iter_mut().enumerate() {
        *limb = lanes([0, 1, 2, 3].map(|lane: usize| numbers[lane][index]));
    }
    limbs
}

/// Lane `lane`, after a check of what an `Element` promises.
#[target_feature(enable = "avx2")]
fn lane(element: &Element, lane: usize) -> BigUint {
    let limbs = element.0.map(|limb| array(limb)[lane]);
    for (index, &limb) in limbs.iter().enumerate() {
        assert!(limb <= bits(index) + if index % 2 == 0 { 0 } else { 1 << 16 }, "{limbs:x?}");
    }
    let words = element.words().map(|word| array(word)[lane]);
    let whole =
        words.iter().rev().fold(BigUint::default(), |sum, &word| (sum << 64_usize) + BigUint::from(word));
    assert_eq!(whole, number(&limbs), "canonical");
    whole
}

/// Runs `check` with the feature.
fn with_feature(check: unsafe fn()) {
    Avx2::detect().expect("AVX2");
    // SAFETY: detected.
    unsafe { check() }
}

#[test]
fn products_of_the_widest_sums() {
    #[target_feature(enable = "avx2")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for times in [1, 3] {
            let numbers = numbers(times, &mut rng);
            let pairs: Vec<_> = numbers.iter().flat_map(|&a| numbers.iter().map(move |&b| (a, b))).collect();
            for four in pairs.chunks_exact(LANES) {
                let at = |lane: usize| four[lane];
                let (a, b) = ([0, 1, 2, 3].map(|lane| at(lane).0), [0, 1, 2, 3].map(|lane| at(lane).1));
                let (first, second) = (Sum(limbs(&a)), Sum(limbs(&b)));
                let (product, square, carried) = (first.times(&second), first.squared(), first.carried());
                let small = first.times_small_onto(&product, 121_665);
                for (at, (a, b)) in four.iter().enumerate() {
                    let (a, b) = (number(a), number(b));
                    let expected = &a * &b % p();
                    assert_eq!(lane(&product, at), expected);
                    assert_eq!(lane(&square, at), &a * &a % p());
                    assert_eq!(lane(&carried, at), a);
                    assert_eq!(lane(&small, at), (a * BigUint::from(121_665_u32) + expected) % p());
                }
            }
        }
    }
    with_feature(check);
}

#[test]
fn sums_choices_and_zeros() {
    #[target_feature(enable = "avx2")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let numbers = numbers(1, &mut rng);
        let masks = lanes([0, u64::MAX, u64::MAX, 0]);
        for a in &numbers {
            for b in &numbers {
                let (first, second) = (Element(limbs(&[*a; LANES])), Element(limbs(&[*b; LANES])));
                let (sum, difference) = (first.plus(&second).carried(), first.minus(&second).carried());
                let chosen = Element::choose(masks, &first, &second);
                let zeros = array(first.zeros());
                let (a, b) = (number(a), number(b));
                for (at, zero) in zeros.into_iter().enumerate() {
                    assert_eq!(lane(&sum, at), (&a + &b) % p());
                    assert_eq!(lane(&difference, at), (&a + p() - &b) % p());
                    assert_eq!(lane(&chosen, at), if at == 1 || at == 2 { b.clone() } else { a.clone() });
                    assert_eq!(zero, if a == BigUint::default() { u64::MAX } else { 0 });
                }
            }
        }
    }
    with_feature(check);
}

#[test]
fn rows_are_selected_by_five_bits() {
    #[target_feature(enable = "avx2")]
    fn check() {
        let mut rows = Rows::NONE;
        for four in 0..8 {
            let element = lanes([0, 1, 2, 3].map(|lane| 4 * four as u64 + lane));
            rows.set(four, &Element([element; 10]));
        }
        for shift in 0..32 {
            let index = [0, 1, 2, 3].map(|lane| 9 * lane + shift);
            let selected = Element::select(&rows, lanes(index.map(|index| index | 0xabc0)));
            for limb in selected.0 {
                assert_eq!(array(limb), index.map(|index| index % 32));
            }
        }
    }
    with_feature(check);
}

#[test]
fn quotients_beside_zeros() {
    #[target_feature(enable = "avx2")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let numbers = numbers(1, &mut rng);
        for count in 0..=MAX_RATIOS {
            let mut four = || [0; LANES].map(|_| numbers[rng.next_u32() as usize % numbers.len()]);
            let rows: Vec<_> = (0..count).map(|_| (four(), four())).collect();
            let mut ratios = Vec::new();
            for (numerator, denominator) in &rows {
                let (numerator, denominator) = (Element(limbs(numerator)), Element(limbs(denominator)));
                ratios.push(Ratio { numerator, denominator });
            }
            divide(&mut ratios);
            for (ratio, (numerators, denominators)) in ratios.iter().zip(&rows) {
                for at in 0..LANES {
                    let quotient = lane(&ratio.numerator, at);
                    let (numerator, denominator) = (number(&numerators[at]), number(&denominators[at]));
                    let is_zero = denominator == BigUint::default();
                    let expected = if is_zero { BigUint::default() } else { numerator };
                    assert_eq!(if is_zero { quotient } else { quotient * denominator % p() }, expected);
                }
            }
        }
    }
    with_feature(check);
}

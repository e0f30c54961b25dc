//! No secret shows in the time that an operation takes, as far as this machine can tell.
//!
//! The method is that of Reparaz, Balasch and Verbauwhede ("Dude, is my code constant time?", 2017): times
//! under one fixed secret and under random ones, in random order, go into Welch's t-test, as a whole and
//! without the slowest, which are those of interrupts and of other programs. Below 4.5 there is no evidence of
//! a leak. Beyond 10, twice in runs of their own, there is one, and the test fails; in between may be chance.

use core::arch::x86_64::{_mm_lfence, _rdtsc};
use std::hint::black_box;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::SystemRandom;
use crate::batch::lanes::{Cpu, LANES};
use crate::batch::{ecdsa, mlkem, p256, x25519};

/// Beyond this t a leak is one, if it is found again.
const LEAK: f64 = 10.0;

/// Below this there is no evidence.
const NO_EVIDENCE: f64 = 4.5;

/// Times of a run: as many as it takes at least, and then as many as there is time for.
const FEWEST: usize = 300;
const MOST: usize = 40_000;
const RUN: Duration = Duration::from_millis(1500);

/// Secrets that are made together.
const LOT: usize = 50;

/// Parts of the times, the fastest, that are tested; in percent.
const PARTS: [usize; 5] = [30, 50, 80, 95, 100];

/// What takes a time is `operation`, of the `fixed` secret and of those that `random` makes.
pub(in super::super) fn assert_no_leak<S: Copy>(
    name: &str,
    fixed: S,
    mut random: impl FnMut(&mut ChaCha8Rng) -> S,
    mut operation: impl FnMut(&S),
) {
    let first = largest_t(fixed, &mut random, &mut operation);
    println!("{name}: t = {first:.1}{}", if first < NO_EVIDENCE { "" } else { ", in doubt" });
    if first > LEAK {
        let second = largest_t(fixed, random, operation);
        assert!(second <= LEAK, "{name}: the secret shows in the time, t = {first:.1} and {second:.1}");
    }
}

/// Of all [`PARTS`].
fn largest_t<S: Copy>(
    fixed: S,
    mut random: impl FnMut(&mut ChaCha8Rng) -> S,
    mut operation: impl FnMut(&S),
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(SystemRandom.next_u64());
    let mut times: Vec<(u64, bool)> = Vec::with_capacity(MOST);
    let mut secrets = Vec::with_capacity(LOT);
    let end = Instant::now() + RUN;
    let mut lot = 0;
    while times.len() < FEWEST || times.len() < MOST && Instant::now() < end {
        // All are made before the first is used: one that was just written is read more slowly.
        secrets.clear();
        secrets.extend((0..LOT).map(|_| {
            let (random, is_fixed) = (random(&mut rng), rng.next_u32() % 2 == 0);
            (if is_fixed { fixed } else { random }, is_fixed)
        }));
        let mut secret = fixed;
        for (next, is_fixed) in black_box(&secrets) {
            black_box(&mut secret);
            secret = *next;
            black_box(&mut secret);
            let start = cycles();
            operation(&secret);
            let time = cycles() - start;
            // The times of the first lot are those of cold caches.
            if lot > 0 {
                times.push((time, *is_fixed));
            }
        }
        lot += 1;
    }
    times.sort_unstable();
    // The counter goes in steps: of one time there are many, and all of them belong to a part or none.
    let part = |part: usize| {
        let slowest = times[(times.len() - 1) * part / 100].0;
        &times[..times.partition_point(|(time, _)| *time <= slowest)]
    };
    PARTS.iter().map(|size| welch(part(*size)).abs()).fold(0.0, f64::max)
}

/// Welch's t of the times under the fixed secret and of those under random ones.
fn welch(times: &[(u64, bool)]) -> f64 {
    let [(mean, error), (other_mean, other_error)] = [true, false].map(|class| {
        let class = || times.iter().filter(|(_, fixed)| *fixed == class).map(|(time, _)| *time as f64);
        let count = class().count() as f64;
        let mean = class().sum::<f64>() / count;
        let variance = class().map(|time| (time - mean) * (time - mean)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    let error = (error + other_error).sqrt();
    // Where all times are one, there is nothing to see.
    if error > 0.0 { (mean - other_mean) / error } else { 0.0 }
}

/// The time-stamp counter, with all before done and nothing behind begun.
fn cycles() -> u64 {
    // SAFETY: every x86-64 has both instructions.
    unsafe {
        _mm_lfence();
        let cycles = _rdtsc();
        _mm_lfence();
        cycles
    }
}

type Scalars = [[u8; 32]; LANES];

fn cpu() -> Cpu {
    Cpu::detect().expect("AVX-512 IFMA")
}

fn scalars(rng: &mut ChaCha8Rng) -> Scalars {
    let mut scalars = [[0; 32]; LANES];
    rng.fill_bytes(scalars.as_flattened_mut());
    // So that they are below the order of P-256, whatever they are.
    scalars.iter_mut().for_each(|scalar| scalar[0] &= 0x7f);
    scalars
}

/// 1, big-endian.
const ONES: Scalars = {
    let mut one = [0; 32];
    one[31] = 1;
    [one; LANES]
};

#[test]
fn x25519_generate() {
    let mut publics = [[0; 32]; LANES];
    assert_no_leak("X25519 generate", [[0; 32]; LANES], scalars, |secrets| {
        x25519::generate(cpu(), secrets, &mut publics);
    });
}

#[test]
fn x25519_agree() {
    let (peers, mut shared) = ([[9; 32]; LANES], [[0; 32]; LANES]);
    assert_no_leak("X25519 agree", [[0; 32]; LANES], scalars, |secrets| {
        x25519::agree(cpu(), secrets, &peers, &mut shared);
    });
}

#[test]
fn p256_generate() {
    let mut publics = [[0; 65]; LANES];
    assert_no_leak("P-256 generate", ONES, scalars, |secrets| {
        p256::generate(cpu(), secrets, &mut publics);
    });
}

#[test]
fn p256_agree() {
    let (mut peers, mut shared, mut valid) = ([[0; 65]; LANES], [[0; 32]; LANES], [false; LANES]);
    p256::generate(cpu(), &[[7; 32]; LANES], &mut peers);
    assert_no_leak("P-256 agree", ONES, scalars, |secrets| {
        p256::agree(cpu(), secrets, &peers, &mut shared, &mut valid);
    });
    assert_eq!(valid, [true; LANES]);
}

#[test]
fn ecdsa_key() {
    let (noise, digests) = ([[1; 32]; LANES], [[2; 32]; LANES]);
    let (mut signatures, mut valid) = ([[0; 64]; LANES], [false; LANES]);
    assert_no_leak("ECDSA by key", ONES, scalars, |keys| {
        ecdsa::sign_hedged(cpu(), keys, &noise, &digests, &mut signatures, &mut valid);
    });
}

/// The nonce is a hash of the randomness.
#[test]
fn ecdsa_nonce() {
    let (keys, digests) = ([[1; 32]; LANES], [[2; 32]; LANES]);
    let (mut signatures, mut valid) = ([[0; 64]; LANES], [false; LANES]);
    assert_no_leak("ECDSA by nonce", [[0; 32]; LANES], scalars, |noise| {
        ecdsa::sign_hedged(cpu(), &keys, noise, &digests, &mut signatures, &mut valid);
    });
}

/// What a message becomes, and the noise that comes from it; the key is one.
#[test]
fn mlkem_message() {
    let (mut key, mut ciphertexts) = ([0; _], [[0; _]; LANES]);
    mlkem::generate(cpu(), &[[7; 64]], &mut [&mut key]);
    let keys = [mlkem::encapsulation_key(&key); LANES];
    let (mut secrets, mut valid) = ([[0; 32]; LANES], [false; LANES]);
    assert_no_leak("ML-KEM by message", [[0; 32]; LANES], scalars, |messages| {
        let ciphertexts = &mut ciphertexts.each_mut();
        mlkem::encapsulate(cpu(), &keys, messages, ciphertexts, &mut secrets, &mut valid);
    });
    assert_eq!(valid, [true; LANES]);
}

/// What does not leak is not: both secrets are one.
#[test]
fn nothing_is_found_where_nothing_is() {
    let mut publics = [[0; 32]; LANES];
    assert_no_leak("one secret", ONES, |_| ONES, |secrets| x25519::generate(cpu(), secrets, &mut publics));
}

/// What leaks is found: powers that leave out the multiplications by 1, under exponents of nearly as many bits.
#[test]
fn a_skipped_multiplication_is_found() {
    let mut exponent = [0; 32];
    exponent[..15].fill(0xff);
    let random = |rng: &mut ChaCha8Rng| {
        let mut exponent = [0; 32];
        rng.fill_bytes(&mut exponent);
        exponent
    };
    let operation = |exponent: &[u8; 32]| {
        let mut power = black_box(3_u64);
        for byte in exponent {
            for bit in (0..8).rev() {
                power = times(power, power);
                if byte >> bit & 1 == 1 {
                    power = times(power, 3);
                }
            }
        }
        black_box(power);
    };
    let found = (0..2).all(|_| largest_t(exponent, random, operation) > LEAK);
    assert!(found, "the test sees what is there");
}

fn times(a: u64, b: u64) -> u64 {
    black_box(a).wrapping_mul(b)
}

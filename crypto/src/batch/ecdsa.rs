//! ECDSA signatures on P-256 (FIPS 186-5 section 6.4.1) for up to 32 connections a call, which share their
//! inversions. Digests are made by the caller.

use core::arch::x86_64::__mmask8;

use zeroize::{Zeroize, Zeroizing};

use super::lanes::{Cpu, LANES, splat};
use super::nonce::nonces;
use super::p256::{MAX_JOBS, VECTORS};
use super::p256_field::{Element, Limbs, read, select, write, zero};
use super::p256_point::{Affine, Base};
use super::p256_scalar::{self, Multiplier, Scalar};

/// r || s, big-endian, for each digest under key, big-endian in 1..n, with a nonce that `nonce` makes of key,
/// digest and randomness. Where r, s or the nonce is zero, `valid` is false and the signature zeros: there
/// other randomness is needed.
///
/// Slices are of one length, at most 32.
pub(super) fn sign_hedged(
    cpu: Cpu,
    keys: &[[u8; 32]],
    randomness: &[[u8; 32]],
    digests: &[[u8; 32]],
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    sign(cpu, keys, Nonces::Hedged(randomness), digests, signatures, valid);
}

/// Where nonces come from.
#[derive(Clone, Copy)]
enum Nonces<'a> {
    Hedged(&'a [[u8; 32]]),
    /// As they are, big-endian; not in 1..n they are as good as zero.
    #[cfg(test)]
    Given(&'a [[u8; 32]]),
}

fn sign(
    cpu: Cpu,
    keys: &[[u8; 32]],
    source: Nonces<'_>,
    digests: &[[u8; 32]],
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    debug_assert!(keys.len() <= MAX_JOBS && keys.len() == digests.len());
    debug_assert!(keys.len() == signatures.len() && keys.len() == valid.len());
    let base = Base::shared(cpu);
    // SAFETY: `cpu` is the proof of the features.
    unsafe { sign_lanes(base, keys, source, digests, signatures, valid) }
}

/// 1/k and r, big-endian, of nonces that come from a key and 64 bytes of randomness each, without a message.
/// Where either is zero, `valid` is false: such a pair is not to be used.
///
/// Slices are of one length, at most 32.
pub(super) fn nonces_ahead(
    cpu: Cpu,
    keys: &[[u8; 32]],
    randomness: [&[[u8; 32]]; 2],
    inverses: &mut [[u8; 32]],
    rs: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    debug_assert!(keys.len() <= MAX_JOBS && keys.len() == inverses.len() && keys.len() == rs.len());
    let base = Base::shared(cpu);
    // SAFETY: `cpu` is the proof of the features.
    unsafe { nonces_ahead_lanes(base, keys, randomness, inverses, rs, valid) }
}

/// Signatures as of [`sign_hedged`], with pairs of [`nonces_ahead`] of these keys, of which each is used for one
/// message alone.
///
/// Slices are of one length, at most 32.
pub(super) fn sign_ahead(
    _: Cpu,
    keys: &[[u8; 32]],
    inverses: &[[u8; 32]],
    rs: &[[u8; 32]],
    digests: &[[u8; 32]],
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    // SAFETY: `Cpu` is the proof of the features.
    unsafe { sign_ahead_lanes(keys, inverses, rs, digests, signatures, valid) }
}

/// What vectors of nonces become: 1/k, and r in the lanes where nonce and r are good.
struct Nonced {
    inverses: [Scalar; VECTORS],
    rs: [Limbs; VECTORS],
    good: [__mmask8; VECTORS],
}

impl Drop for Nonced {
    fn drop(&mut self) {
        self.inverses.zeroize();
    }
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn nonced(base: &Base, keys: &[[u8; 32]], source: Nonces<'_>, digests: &[[u8; 32]]) -> Nonced {
    let mut multipliers = Zeroizing::new([Multiplier::one(); VECTORS]);
    let mut nonced =
        Nonced { inverses: [Scalar::one(); VECTORS], rs: [[splat(0); 5]; VECTORS], good: [0; VECTORS] };
    let mut count = 0;
    let (noise, are_hedged) = match source {
        Nonces::Hedged(randomness) => (randomness, true),
        #[cfg(test)]
        Nonces::Given(nonces) => (nonces, false),
    };
    let inputs = keys.chunks(LANES).zip(noise.chunks(LANES)).zip(digests.chunks(LANES));
    let vectors = inputs.zip(&mut *multipliers).zip(&mut nonced.inverses).zip(&mut nonced.good);
    for (((((keys, noise), digests), multiplier), scalar), good) in vectors {
        let nonce = if are_hedged { nonces(keys, noise, digests) } else { read(noise.iter()) };
        *good = p256_scalar::in_range(&nonce);
        // The x-coordinate is that of n - k too.
        (*multiplier, _) = Multiplier::new(&nonce);
        *scalar = Scalar::new(&nonce);
        count += 1;
    }
    let mut points = Zeroizing::new([Affine::base().fraction(); VECTORS]);
    base.multiply(multipliers.get(..count).unwrap_or_default(), &mut *points);
    let mut inverses = Zeroizing::new([Element::one(); VECTORS]);
    let inverses = inverses.get_mut(..count).unwrap_or_default();
    for (inverse, point) in inverses.iter_mut().zip(points.iter()) {
        *inverse = point.zz;
    }
    p256_scalar::invert_both(nonced.inverses.get_mut(..count).unwrap_or_default(), inverses);
    let vectors = points.iter().zip(inverses).zip(&mut nonced.rs).zip(&mut nonced.good);
    for (((point, inverse), r), good) in vectors {
        let x = point.x.mul(&inverse.plain()).carry().canonical();
        *r = Scalar(x).canonical();
        *good &= !zero(r);
    }
    nonced
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn sign_lanes(
    base: &Base,
    keys: &[[u8; 32]],
    source: Nonces<'_>,
    digests: &[[u8; 32]],
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    let nonced = nonced(base, keys, source, digests);
    let jobs = keys.chunks(LANES).zip(digests.chunks(LANES));
    let nonces = nonced.inverses.iter().zip(&nonced.rs).zip(nonced.good);
    let places = signatures.chunks_mut(LANES).zip(valid.chunks_mut(LANES));
    for (((keys, digests), ((inverse, r), good)), (signatures, valid)) in jobs.zip(nonces).zip(places) {
        finish(keys, digests, inverse, r, good, signatures, valid);
    }
}

/// s = (z + r d) / k (FIPS 186-5 section 6.4.1), and both written.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn finish(
    keys: &[[u8; 32]],
    digests: &[[u8; 32]],
    inverse: &Scalar,
    r: &Limbs,
    good: __mmask8,
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    let key = Scalar::new(&read(keys.iter()));
    let sum = Scalar(*r).mul(&key).plus(&read(digests.iter()));
    let s = inverse.mul(&sum).canonical();
    let good = good & !zero(&s);
    let none = [splat(0); 5];
    let (r, s) = (select(good, r, &none), select(good, &s, &none));
    write(&r, signatures.iter_mut().filter_map(|place| place.get_mut(..32)?.try_into().ok()));
    write(&s, signatures.iter_mut().filter_map(|place| place.get_mut(32..)?.try_into().ok()));
    for (lane, valid) in valid.iter_mut().enumerate() {
        *valid = good >> lane & 1 == 1;
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn nonces_ahead_lanes(
    base: &Base,
    keys: &[[u8; 32]],
    [randomness, more]: [&[[u8; 32]]; 2],
    inverses: &mut [[u8; 32]],
    rs: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    let nonced = nonced(base, keys, Nonces::Hedged(randomness), more);
    let places = inverses.chunks_mut(LANES).zip(rs.chunks_mut(LANES)).zip(valid.chunks_mut(LANES));
    let vectors = nonced.inverses.iter().zip(&nonced.rs).zip(nonced.good);
    for (((inverse, r), good), ((inverses, rs), valid)) in vectors.zip(places) {
        write(&inverse.plain(), inverses.iter_mut());
        write(r, rs.iter_mut());
        for (lane, valid) in valid.iter_mut().enumerate() {
            *valid = good >> lane & 1 == 1;
        }
    }
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn sign_ahead_lanes(
    keys: &[[u8; 32]],
    inverses: &[[u8; 32]],
    rs: &[[u8; 32]],
    digests: &[[u8; 32]],
    signatures: &mut [[u8; 64]],
    valid: &mut [bool],
) {
    let jobs = keys.chunks(LANES).zip(digests.chunks(LANES));
    let nonces = inverses.chunks(LANES).zip(rs.chunks(LANES));
    let places = signatures.chunks_mut(LANES).zip(valid.chunks_mut(LANES));
    for (((keys, digests), (inverses, rs)), (signatures, valid)) in jobs.zip(nonces).zip(places) {
        let inverse = Zeroizing::new(Scalar::new(&read(inverses.iter())));
        finish(keys, digests, &inverse, &read(rs.iter()), u8::MAX, signatures, valid);
    }
}

#[cfg(test)]
#[path = "ecdsa_tests.rs"]
mod tests;

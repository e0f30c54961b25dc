//! ECDSA signatures on P-256 (FIPS 186-5 section 6.4.1) for up to 32 connections a call, which share their
//! inversions. Digests are made by the caller.

use zeroize::Zeroizing;

use super::lanes::{Cpu, LANES, splat};
use super::nonce::nonces;
use super::p256::{MAX_JOBS, VECTORS};
use super::p256_field::{Element, read, select, write, zero};
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
    let mut multipliers = Zeroizing::new([Multiplier::one(); VECTORS]);
    let mut nonce_inverses = Zeroizing::new([Scalar::one(); VECTORS]);
    let mut in_range = [0; VECTORS];
    let mut count = 0;
    let (noise, are_hedged) = match source {
        Nonces::Hedged(randomness) => (randomness, true),
        #[cfg(test)]
        Nonces::Given(nonces) => (nonces, false),
    };
    let inputs = keys.chunks(LANES).zip(noise.chunks(LANES)).zip(digests.chunks(LANES));
    let vectors = inputs.zip(&mut *multipliers).zip(&mut *nonce_inverses).zip(&mut in_range);
    for (((((keys, noise), digests), multiplier), scalar), valid) in vectors {
        let nonce = if are_hedged { nonces(keys, noise, digests) } else { read(noise.iter()) };
        *valid = p256_scalar::in_range(&nonce);
        // The x-coordinate is that of n - k too.
        (*multiplier, _) = Multiplier::new(&nonce);
        *scalar = Scalar::new(&nonce);
        count += 1;
    }
    let mut points = Zeroizing::new([Affine::base().jacobian(); VECTORS]);
    base.multiply(multipliers.get(..count).unwrap_or_default(), &mut *points);
    let nonce_inverses = nonce_inverses.get_mut(..count).unwrap_or_default();
    let mut inverses = Zeroizing::new([Element::one(); VECTORS]);
    let inverses = inverses.get_mut(..count).unwrap_or_default();
    for (inverse, point) in inverses.iter_mut().zip(points.iter()) {
        *inverse = point.z;
    }
    Element::invert(inverses);
    p256_scalar::invert(nonce_inverses);

    let jobs = keys.chunks(LANES).zip(digests.chunks(LANES)).zip(nonce_inverses.iter());
    let jobs = jobs.zip(in_range).zip(points.iter().zip(inverses.iter()));
    let places = signatures.chunks_mut(LANES).zip(valid.chunks_mut(LANES));
    for (((((keys, digests), nonce_inverse), in_range), (point, inverse)), (signatures, valid)) in
        jobs.zip(places)
    {
        let x = point.x.mul(&inverse.square().carry().plain()).carry().canonical();
        let r = Scalar(x).canonical();
        let key = Scalar::new(&read(keys.iter()));
        let sum = Scalar(r).mul(&key).plus(&read(digests.iter()));
        let s = nonce_inverse.mul(&sum).canonical();
        let good = in_range & !zero(&r) & !zero(&s);
        let none = [splat(0); 5];
        let (r, s) = (select(good, &r, &none), select(good, &s, &none));
        write(&r, signatures.iter_mut().filter_map(|place| place.get_mut(..32)?.try_into().ok()));
        write(&s, signatures.iter_mut().filter_map(|place| place.get_mut(32..)?.try_into().ok()));
        for (lane, valid) in valid.iter_mut().enumerate() {
            *valid = good >> lane & 1 == 1;
        }
    }
}

#[cfg(test)]
#[path = "ecdsa_tests.rs"]
mod tests;

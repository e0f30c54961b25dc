//! Key pairs and agreements on P-256 for up to 32 connections a call, which share one inversion.
//!
//! Secrets reach no branch and no address. Sums of points need no exceptions for secrets in 1..n, see
//! `p256_point`; any other secret gives a wrong result, to itself alone.

use core::arch::x86_64::__mmask8;

use zeroize::Zeroizing;

use super::lanes::{Cpu, LANES, splat};
use super::p256_field::{Element, MAX_INVERTED, Sum, below_p, read, select, write};
use super::p256_point::{Affine, Base, Fraction, Jacobian};
use super::p256_scalar::Multiplier;

/// Jobs of a call.
pub(super) const MAX_JOBS: usize = VECTORS * LANES;

pub(super) const VECTORS: usize = 4;

/// Makes the table of the base point (190 KiB), which the first call would wait for.
pub(crate) fn prepare(cpu: Cpu) {
    Base::shared(cpu);
}

/// Uncompressed points (SEC 1 section 2.3.3) of `secrets`, big-endian in 1..n, times the base point.
///
/// Slices are of one length, at most 32.
pub(crate) fn generate(cpu: Cpu, secrets: &[[u8; 32]], publics: &mut [[u8; 65]]) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == publics.len());
    let base = Base::shared(cpu);
    // SAFETY: `cpu` is the proof of the features.
    unsafe { multiply(Some(base), secrets, publics, &[], &mut [], &mut []) }
}

/// The x-coordinates, big-endian, of `secrets` (big-endian in 1..n) times `peers`. Where a peer is not an
/// uncompressed point of the curve, `valid` is false and the coordinate zero.
///
/// Slices are of one length, at most 32.
pub(crate) fn agree(
    _: Cpu,
    secrets: &[[u8; 32]],
    peers: &[[u8; 65]],
    shared: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == peers.len());
    debug_assert!(secrets.len() == shared.len() && secrets.len() == valid.len());
    // SAFETY: `Cpu` is the proof of the features.
    unsafe { multiply(None, secrets, &mut [], peers, shared, valid) }
}

/// [`generate`] and [`agree`] in one.
pub(crate) fn exchange(
    cpu: Cpu,
    secrets: &[[u8; 32]],
    peers: &[[u8; 65]],
    publics: &mut [[u8; 65]],
    shared: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    debug_assert!(secrets.len() <= MAX_JOBS && secrets.len() == publics.len());
    debug_assert!(
        secrets.len() == peers.len() && secrets.len() == shared.len() && secrets.len() == valid.len()
    );
    let base = Base::shared(cpu);
    // SAFETY: `cpu` is the proof of the features.
    unsafe { multiply(Some(base), secrets, publics, peers, shared, valid) }
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn multiply(
    base: Option<&Base>,
    secrets: &[[u8; 32]],
    publics: &mut [[u8; 65]],
    peers: &[[u8; 65]],
    shared: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    let mut multipliers = Zeroizing::new([Multiplier::one(); VECTORS]);
    let mut negated = Zeroizing::new([0; VECTORS]);
    let vectors = secrets.chunks(LANES).zip(multipliers.iter_mut()).zip(negated.iter_mut());
    let mut count = 0;
    for ((secrets, multiplier), negated) in vectors {
        (*multiplier, *negated) = Multiplier::new(&read(secrets.iter()));
        count += 1;
    }
    let multipliers = multipliers.get(..count).unwrap_or_default();

    let mut own = Zeroizing::new([Affine::base().fraction(); VECTORS]);
    let own = own.get_mut(..if base.is_some() { count } else { 0 }).unwrap_or_default();
    if let Some(base) = base {
        base.multiply(multipliers, own);
    }
    let mut agreed = Zeroizing::new([Affine::base().jacobian(); VECTORS]);
    let mut on_curve = [0; VECTORS];
    let vectors = peers.chunks(LANES).zip(multipliers).zip(agreed.iter_mut()).zip(&mut on_curve);
    for (((peers, multiplier), point), on_curve) in vectors {
        *on_curve = multiply_peers(peers, multiplier, point);
    }

    let mut inverses = Zeroizing::new([Element::one(); MAX_INVERTED]);
    let (own_inverses, agreed_inverses) = inverses.split_at_mut(own.len());
    for (inverse, point) in own_inverses.iter_mut().zip(own.iter()) {
        *inverse = point.zzz;
    }
    for (inverse, point) in agreed_inverses.iter_mut().zip(agreed.iter()) {
        *inverse = point.z;
    }
    let used = own.len() + if peers.is_empty() { 0 } else { count };
    Element::invert(inverses.get_mut(..used).unwrap_or_default());

    let (own_inverses, agreed_inverses) = inverses.split_at(own.len());
    let vectors = publics.chunks_mut(LANES).zip(own.iter()).zip(own_inverses).zip(negated.iter());
    for (((publics, point), inverse), negated) in vectors {
        write_publics(point, inverse, *negated, publics);
    }
    let vectors = shared.chunks_mut(LANES).zip(valid.chunks_mut(LANES));
    let vectors = vectors.zip(agreed.iter()).zip(agreed_inverses).zip(on_curve);
    for ((((shared, valid), point), inverse), on_curve) in vectors {
        let x = point.x.mul(&inverse.square().carry().plain()).carry().canonical();
        write(&select(on_curve, &x, &[splat(0); 5]), shared.iter_mut());
        for (lane, valid) in valid.iter_mut().enumerate() {
            *valid = on_curve >> lane & 1 == 1;
        }
    }
}

/// The products of at most eight peers' points, and the lanes in which there is one. In a frame of its own, which
/// key pairs do without.
#[inline(never)]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn multiply_peers(peers: &[[u8; 65]], multiplier: &Multiplier, product: &mut Jacobian) -> __mmask8 {
    let (peer, on_curve) = read_peers(peers);
    *product = peer.multiply(multiplier);
    on_curve
}

/// The points of at most eight peers, and the lanes in which there is one; the base point in the others.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn read_peers(peers: &[[u8; 65]]) -> (Affine, __mmask8) {
    let x = read(peers.iter().filter_map(|peer| peer.get(1..33)?.try_into().ok()));
    let y = read(peers.iter().filter_map(|peer| peer.get(33..)?.try_into().ok()));
    let mut valid = below_p(&x) & below_p(&y);
    for (lane, peer) in peers.iter().cycle().take(LANES).enumerate() {
        valid &= !(u8::from(peer[0] != 4) << lane);
    }
    let point = Affine { x: Element::new(&x), y: Element::new(&y) };
    valid &= point.on_curve();
    let base = Affine::base();
    let x = Element::select(valid, &point.x, &base.x);
    (Affine { x, y: Element::select(valid, &point.y, &base.y) }, valid)
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn write_publics(point: &Fraction, inverse: &Element, negated: __mmask8, publics: &mut [[u8; 65]]) {
    // 1 / ZZ is (ZZ / ZZZ)^2.
    let x = point.x.mul(&point.zz.mul(inverse).carry().square().carry().plain()).carry().canonical();
    let y = Sum(point.y.0).negated(negated).reduce().mul(&inverse.plain()).carry().canonical();
    write(&x, publics.iter_mut().filter_map(|place| place.get_mut(1..33)?.try_into().ok()));
    write(&y, publics.iter_mut().filter_map(|place| place.get_mut(33..)?.try_into().ok()));
    for public in publics {
        public[0] = 4;
    }
}

#[cfg(test)]
#[path = "p256_tests.rs"]
mod tests;

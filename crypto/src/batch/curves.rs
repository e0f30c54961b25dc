//! The groups in lanes, as the engine sees them: `Curve`, and its key pairs made ahead, `Pools`.

use std::ops::{Deref, DerefMut};

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::optimization_barrier;

use super::ahead::Ahead;
use super::hybrid::Encapsulate;
use super::lanes::Cpu;
use super::{p256 as lanes_p256, x25519};
use crate::{Group, Share};

/// Jobs of a curve that are done together, at most: their inversions are shared.
pub(super) const MOST: usize = 32;

/// A secret for each job of a lot, wiped when dropped: at once, where `Zeroize` would write byte after byte.
#[derive(Default)]
pub(super) struct Secrets([[u8; 32]; MOST]);

impl Drop for Secrets {
    fn drop(&mut self) {
        self.0 = [[0; 32]; MOST];
        optimization_barrier(&self.0);
    }
}

impl Deref for Secrets {
    type Target = [[u8; 32]; MOST];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Secrets {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Key pairs made ahead.
pub(super) struct Pools {
    x25519: Ahead<Curve25519>,
    p256: Ahead<P256>,
}

impl Pools {
    pub(super) fn new() -> Self {
        Self { x25519: Ahead::new(), p256: Ahead::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.x25519.is_empty() && self.p256.is_empty()
    }

    /// Makes a few more where some are missing. Returns whether that was so.
    pub(super) fn refill(&mut self, cpu: Cpu, now_ns: u64, random: &mut impl CryptoRng) -> bool {
        let has_x25519 = self.x25519.refill(cpu, now_ns, |count| secrets::<Curve25519>(count, random));
        let has_p256 = self.p256.refill(cpu, now_ns, |count| secrets::<P256>(count, random));
        has_x25519 || has_p256
    }
}

/// Proof that the CPU has some lanes.
pub(super) trait Proof: Copy + Encapsulate {
    /// Key pairs made ahead in them.
    type Pools;
    /// X25519 in them.
    type X25519: Curve<Cpu = Self, Public = [u8; 32]>;
}

impl Proof for Cpu {
    type Pools = Pools;
    type X25519 = Curve25519;
}

/// A group in lanes.
pub(super) trait Curve: Sized {
    /// Proof of its lanes.
    type Cpu: Proof;
    /// The group.
    const GROUP: Group;
    /// A share that is none: no agreement with it is valid.
    const NONE: Self::Public;
    /// A public share as it stands on the wire.
    type Public: Copy + AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    /// Its pairs.
    fn ahead(pools: &mut <Self::Cpu as Proof>::Pools) -> &mut Ahead<Self>;
    /// Whether `secret` is one.
    fn is_secret(secret: &[u8; 32]) -> bool;
    /// What a peer sent, or what is not valid where it has not the form.
    fn public(share: &Share) -> Self::Public {
        share.of(Self::GROUP).and_then(|bytes| Self::Public::try_from(bytes).ok()).unwrap_or(Self::NONE)
    }
    /// The public shares of `secrets`.
    fn generate(cpu: Self::Cpu, secrets: &[[u8; 32]], publics: &mut [Self::Public]);
    /// What `secrets` and `peers` agree on, and whether they may.
    fn agree(
        cpu: Self::Cpu,
        secrets: &[[u8; 32]],
        peers: &[Self::Public],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    );
    /// Both.
    fn exchange(
        cpu: Self::Cpu,
        secrets: &[[u8; 32]],
        peers: &[Self::Public],
        publics: &mut [Self::Public],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    );
}

/// Curve25519.
pub(super) struct Curve25519;

impl Curve for Curve25519 {
    type Cpu = Cpu;

    const GROUP: Group = Group::X25519;
    const NONE: [u8; 32] = [0; 32];
    type Public = [u8; 32];

    fn ahead(pools: &mut Pools) -> &mut Ahead<Self> {
        &mut pools.x25519
    }

    /// RFC 7748 section 5: every one is made into one.
    fn is_secret(_: &[u8; 32]) -> bool {
        true
    }

    fn generate(cpu: Cpu, secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
        x25519::generate(cpu, secrets, publics);
    }

    fn agree(
        cpu: Cpu,
        secrets: &[[u8; 32]],
        peers: &[[u8; 32]],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    ) {
        x25519::agree(cpu, secrets, peers, shared);
        validate(shared, valid);
    }

    fn exchange(
        cpu: Cpu,
        secrets: &[[u8; 32]],
        peers: &[[u8; 32]],
        publics: &mut [[u8; 32]],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    ) {
        x25519::exchange(cpu, secrets, peers, publics, shared);
        validate(shared, valid);
    }
}

/// RFC 8446 section 7.4.2: "check whether the computed Diffie-Hellman shared secret is the all-zero value and
/// abort if so".
pub(super) fn validate(shared: &[[u8; 32]], valid: &mut [bool]) {
    for (shared, valid) in shared.iter().zip(valid) {
        *valid = !bool::from(shared.ct_eq(&[0; 32]));
    }
}

/// The order of P-256, the lowest word first.
const ORDER: [u64; 4] =
    [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000];

/// P-256.
pub(super) struct P256;

impl Curve for P256 {
    type Cpu = Cpu;

    const GROUP: Group = Group::Secp256r1;
    const NONE: [u8; 65] = [0; 65];
    type Public = [u8; 65];

    fn ahead(pools: &mut Pools) -> &mut Ahead<Self> {
        &mut pools.p256
    }

    /// SEC 1 section 3.2.1: "an integer d in the interval [1, n-1]". Whether it is one is no secret of those
    /// that are.
    fn is_secret(secret: &[u8; 32]) -> bool {
        let words = secret.as_chunks().0.iter().rev().zip(ORDER);
        let (mut borrow, mut bits) = (false, 0);
        for (word, order) in words {
            let word = u64::from_be_bytes(*word);
            let (difference, below) = word.overflowing_sub(order);
            borrow = below | difference.overflowing_sub(u64::from(borrow)).1;
            bits |= word;
        }
        borrow & (bits != 0)
    }

    fn generate(cpu: Cpu, secrets: &[[u8; 32]], publics: &mut [[u8; 65]]) {
        lanes_p256::generate(cpu, secrets, publics);
    }

    fn agree(
        cpu: Cpu,
        secrets: &[[u8; 32]],
        peers: &[[u8; 65]],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    ) {
        lanes_p256::agree(cpu, secrets, peers, shared, valid);
    }

    fn exchange(
        cpu: Cpu,
        secrets: &[[u8; 32]],
        peers: &[[u8; 65]],
        publics: &mut [[u8; 65]],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    ) {
        lanes_p256::exchange(cpu, secrets, peers, publics, shared, valid);
    }
}

/// Fresh secrets.
pub(super) fn secrets<C: Curve>(count: usize, random: &mut impl CryptoRng) -> Secrets {
    let mut secrets = Secrets::default();
    random.fill_bytes(secrets[..count].as_flattened_mut());
    for secret in &mut secrets[..count] {
        while !C::is_secret(secret) {
            random.fill_bytes(secret);
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use p256::SecretKey;

    use super::*;

    #[test]
    fn secrets_of_p256_are_those_that_another_implementation_takes() {
        let order: [u8; 32] = {
            let words: Vec<_> = ORDER.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
            words.try_into().unwrap()
        };
        let mut secrets = vec![[0; 32], [0xff; 32], order];
        for byte in 0..32 {
            for change in [1, 0xff] {
                let mut secret = order;
                secret[byte] = secret[byte].wrapping_add(change);
                secrets.push(secret);
                let mut secret = [0; 32];
                secret[byte] = change;
                secrets.push(secret);
            }
        }
        let (good, bad): (Vec<[u8; 32]>, Vec<_>) = secrets.into_iter().partition(P256::is_secret);
        assert!(good.len() > 32 && bad.len() > 3);
        assert!(good.iter().all(|secret| SecretKey::from_slice(&secret[..]).is_ok()));
        assert!(bad.iter().all(|secret| SecretKey::from_slice(&secret[..]).is_err()));
    }
}

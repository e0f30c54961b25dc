//! Jobs in lanes: what each kind takes out of its jobs, and what it makes of the lanes' answers.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use p256::SecretKey;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::optimization_barrier;

use super::ahead::Ahead;
use super::lanes::{Cpu, LANES};
use super::{ecdsa, emsa, p256 as lanes_p256, rsa, x25519};
use crate::{
    AwsLc, Done, Failure, Group, Hash, Job, KeyId, PrivateShare, Secret, Share, Signature, SignatureScheme,
    Token,
};

/// Jobs of a curve that are done together, at most: their inversions are shared.
pub(super) const MOST: usize = 32;

/// What a job without lanes takes, to the order of magnitude: a signature by a long RSA key.
pub(super) const SCALAR_NS: u64 = 500_000;

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

/// What it takes to work off a lot of at most [`MOST`] jobs of one kind.
pub(super) struct Work<'a, R> {
    pub(super) cpu: Cpu,
    pub(super) random: &'a mut R,
    pub(super) ahead: &'a mut Pools,
    pub(super) done: &'a mut VecDeque<(Token, Done)>,
    pub(super) scalar: &'a AwsLc,
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

    /// Makes a few more.
    pub(super) fn refill(&mut self, cpu: Cpu, now_ns: u64, random: &mut impl CryptoRng) {
        self.x25519.refill(cpu, now_ns, |count| secrets::<Curve25519>(count, random));
        self.p256.refill(cpu, now_ns, |count| secrets::<P256>(count, random));
    }
}

/// A group in lanes.
pub(super) trait Curve: Sized {
    /// The group.
    const GROUP: Group;
    /// A share that is none: no agreement with it is valid.
    const NONE: Self::Public;
    /// A public share as it stands on the wire.
    type Public: Copy + AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    /// Its pairs.
    fn ahead(pools: &mut Pools) -> &mut Ahead<Self>;
    /// Whether `secret` is one.
    fn is_secret(secret: &[u8; 32]) -> bool;
    /// The public shares of `secrets`.
    fn generate(cpu: Cpu, secrets: &[[u8; 32]], publics: &mut [Self::Public]);
    /// What `secrets` and `peers` agree on, and whether they may.
    fn agree(
        cpu: Cpu,
        secrets: &[[u8; 32]],
        peers: &[Self::Public],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    );
    /// Both.
    fn exchange(
        cpu: Cpu,
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
fn validate(shared: &[[u8; 32]], valid: &mut [bool]) {
    for (shared, valid) in shared.iter().zip(valid) {
        *valid = !bool::from(shared.ct_eq(&[0; 32]));
    }
}

/// P-256.
pub(super) struct P256;

impl Curve for P256 {
    const GROUP: Group = Group::Secp256r1;
    const NONE: [u8; 65] = [0; 65];
    type Public = [u8; 65];

    fn ahead(pools: &mut Pools) -> &mut Ahead<Self> {
        &mut pools.p256
    }

    fn is_secret(secret: &[u8; 32]) -> bool {
        SecretKey::from_slice(secret).is_ok()
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

impl<R: CryptoRng> Work<'_, R> {
    /// Does jobs without lanes, and with pairs made ahead where there are any.
    pub(super) fn one_by_one(&mut self, jobs: &[(Token, Job)]) {
        for (token, job) in jobs {
            let done = match job {
                Job::Exchange { group: Group::X25519, peer } => self.exchange_alone::<Curve25519>(*peer),
                Job::Exchange { group: Group::Secp256r1, peer } => self.exchange_alone::<P256>(*peer),
                Job::Generate { group: Group::X25519 } => self.pair::<Curve25519>().map(generated),
                Job::Generate { group: Group::Secp256r1 } => self.pair::<P256>().map(generated),
                Job::Agree { .. } | Job::Sign { .. } => None,
            };
            self.done.push_back((*token, done.unwrap_or_else(|| self.scalar.work(job))));
        }
    }

    fn exchange_alone<C: Curve>(&mut self, peer: Share) -> Option<Done> {
        let (private, share) = self.pair::<C>()?;
        Some(match self.scalar.work(&Job::Agree { private, peer }) {
            Done::Agreed { secret } => Done::Exchanged { share, secret },
            other => other,
        })
    }

    fn pair<C: Curve>(&mut self) -> Option<(PrivateShare, Share)> {
        let (secrets, publics) = C::ahead(self.ahead).take(1)?;
        Some((PrivateShare::new(C::GROUP, secrets[0]), Share::new(C::GROUP, publics[0].as_ref())?))
    }

    /// Does jobs that are all [`Job::Exchange`].
    pub(super) fn exchange<C: Curve>(&mut self, jobs: &[(Token, Job)]) {
        let count = jobs.len().min(MOST);
        let peers = &peers::<C>(jobs)[..count];
        let mut shared = Secrets::default();
        let mut valid = [false; MOST];
        let (agreed, holds) = (&mut shared[..count], &mut valid[..count]);
        let publics = if let Some((secrets, publics)) = C::ahead(self.ahead).take(count) {
            C::agree(self.cpu, &secrets[..count], peers, agreed, holds);
            publics
        } else {
            let secrets = secrets::<C>(count, self.random);
            let mut publics = [C::NONE; MOST];
            C::exchange(self.cpu, &secrets[..count], peers, &mut publics[..count], agreed, holds);
            publics
        };
        for (index, (token, _)) in jobs.iter().enumerate() {
            let share = Share::new(C::GROUP, publics[index].as_ref()).filter(|_| valid[index]);
            let done = share.map_or(Done::Failed(Failure::InvalidShare), |share| Done::Exchanged {
                share,
                secret: Secret::new(shared[index]),
            });
            self.done.push_back((*token, done));
        }
    }

    /// Does jobs that are all [`Job::Generate`].
    pub(super) fn generate<C: Curve>(&mut self, jobs: &[(Token, Job)]) {
        let count = jobs.len().min(MOST);
        let (secrets, publics) = C::ahead(self.ahead).take(count).unwrap_or_else(|| {
            let secrets = secrets::<C>(count, self.random);
            let mut publics = [C::NONE; MOST];
            C::generate(self.cpu, &secrets[..count], &mut publics[..count]);
            (secrets, publics)
        });
        for (index, (token, _)) in jobs.iter().enumerate() {
            let share = Share::new(C::GROUP, publics[index].as_ref());
            let done = share.map_or(Done::Failed(Failure::Internal), |share| Done::Generated {
                private: PrivateShare::new(C::GROUP, secrets[index]),
                share,
            });
            self.done.push_back((*token, done));
        }
    }

    /// Does jobs that are all [`Job::Agree`].
    pub(super) fn agree<C: Curve>(&mut self, jobs: &[(Token, Job)]) {
        let count = jobs.len().min(MOST);
        let mut secrets = Secrets::default();
        for (secret, (_, job)) in secrets.iter_mut().zip(jobs) {
            if let Job::Agree { private, .. } = job {
                secret.copy_from_slice(private.bytes());
            }
        }
        let peers = peers::<C>(jobs);
        let mut shared = Secrets::default();
        let mut valid = [false; MOST];
        C::agree(self.cpu, &secrets[..count], &peers[..count], &mut shared[..count], &mut valid[..count]);
        for (index, (token, _)) in jobs.iter().enumerate() {
            let done = match (C::is_secret(&secrets[index]), valid[index]) {
                (true, true) => Done::Agreed { secret: Secret::new(shared[index]) },
                (true, false) => Done::Failed(Failure::InvalidShare),
                (false, _) => Done::Failed(Failure::Internal),
            };
            self.done.push_back((*token, done));
        }
    }

    /// Does jobs that are all [`Job::Sign`] by ECDSA keys, whose scalars `key` gives.
    pub(super) fn sign_ecdsa(&mut self, jobs: &[(Token, Job)], key: impl Fn(KeyId) -> [u8; 32]) {
        let count = jobs.len().min(MOST);
        let mut keys = Secrets::default();
        let mut noise = Secrets::default();
        self.random.fill_bytes(noise[..count].as_flattened_mut());
        let mut digests = [[0; 32]; MOST];
        for (index, (_, job)) in jobs.iter().enumerate() {
            if let Job::Sign { key: id, message, .. } = job {
                keys[index] = key(*id);
                digests[index].copy_from_slice(Hash::Sha256.digest(&[message.bytes()]).as_ref());
            }
        }
        let mut signatures = [[0; 64]; MOST];
        let mut valid = [false; MOST];
        ecdsa::sign_hedged(
            self.cpu,
            &keys[..count],
            &noise[..count],
            &digests[..count],
            &mut signatures[..count],
            &mut valid[..count],
        );
        for (index, (token, job)) in jobs.iter().enumerate() {
            let signature = der(&signatures[index]).filter(|_| valid[index]);
            self.done.push_back((*token, signature.map_or_else(|| self.scalar.work(job), Done::Signed)));
        }
    }

    /// Does at most eight jobs that are all [`Job::Sign`] by the RSA key `key`.
    pub(super) fn sign_rsa(&mut self, jobs: &[(Token, Job)], key: &mut rsa::Key) {
        let count = jobs.len().min(LANES);
        let len = key.len();
        let mut messages = [[0; 512]; LANES];
        let mut encoded = [false; LANES];
        for (index, (_, job)) in jobs.iter().enumerate().take(LANES) {
            if let Job::Sign { scheme, message, .. } = job {
                encoded[index] = encode(*scheme, message.bytes(), &mut messages[index][..len], self.random);
            }
        }
        let mut signatures = [[0; 512]; LANES];
        let mut valid = [false; LANES];
        let random = &mut *self.random;
        key.sign(
            &messages[..count],
            &mut signatures[..count],
            &mut valid[..count],
            &mut |place: &mut [u8]| random.fill_bytes(place),
        );
        for (index, (token, job)) in jobs.iter().enumerate().take(LANES) {
            let signature =
                Signature::new(&signatures[index][..len]).filter(|_| encoded[index] && valid[index]);
            // A result that does not stand its check is thrown away.
            self.done.push_back((*token, signature.map_or_else(|| self.scalar.work(job), Done::Signed)));
        }
    }
}

fn generated((private, share): (PrivateShare, Share)) -> Done {
    Done::Generated { private, share }
}

fn secrets<C: Curve>(count: usize, random: &mut impl CryptoRng) -> Secrets {
    let mut secrets = Secrets::default();
    random.fill_bytes(secrets[..count].as_flattened_mut());
    for secret in &mut secrets[..count] {
        while !C::is_secret(secret) {
            random.fill_bytes(secret);
        }
    }
    secrets
}

/// What the peers sent, or nothing that is valid where it has not the form.
fn peers<C: Curve>(jobs: &[(Token, Job)]) -> [C::Public; MOST] {
    let mut peers = [C::NONE; MOST];
    for (place, (_, job)) in peers.iter_mut().zip(jobs) {
        if let Job::Exchange { peer, .. } | Job::Agree { peer, .. } = job {
            let share = peer.of(C::GROUP).and_then(|bytes| C::Public::try_from(bytes).ok());
            *place = share.unwrap_or(C::NONE);
        }
    }
    peers
}

/// The encoded message of an RSA scheme; false when it has none of this length.
fn encode(scheme: SignatureScheme, message: &[u8], place: &mut [u8], random: &mut impl CryptoRng) -> bool {
    let mut salt = [0; emsa::MAX_SALT_LEN];
    let salt = &mut salt[..emsa::salt_len(scheme)];
    random.fill_bytes(salt);
    emsa::encode(scheme, message, salt, place).is_some()
}

/// The DER of an ECDSA signature of r and s (RFC 3279 section 2.2.3).
fn der(signature: &[u8; 64]) -> Option<Signature> {
    let mut bytes = [0; 72];
    let mut len = 2;
    for number in signature.chunks(32) {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count().min(31);
        let number = &number[zeros..];
        let sign = usize::from(number[0] >= 0x80);
        bytes[len] = 2;
        bytes[len + 1] = u8::try_from(sign + number.len()).ok()?;
        bytes.get_mut(len + 2 + sign..len + 2 + sign + number.len())?.copy_from_slice(number);
        len += 2 + sign + number.len();
    }
    bytes[0] = 0x30;
    bytes[1] = u8::try_from(len - 2).ok()?;
    Signature::new(&bytes[..len])
}

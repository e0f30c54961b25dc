//! The engine that gathers jobs into lanes: `Batch`.
//!
//! # The lane rule
//!
//! A worker calls [`Engine::run`] when its receive burst was read empty or many jobs wait, so that whatever
//! waits then is all there will be. Jobs of a kind go together, up to [`MOST`] of a curve's and eight of an
//! RSA key's; fewer than pay for the lanes go to aws-lc, one by one. Of more than eight, those that would
//! leave lanes empty wait for the next turn, which comes at once, and no longer.
//!
//! Bound: `capacity` jobs as [`Queue`](crate::queue::Queue); a turn takes work of [`TURN_NS`] and one lot more.

use std::collections::VecDeque;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::jobs::{self, Curve25519, MOST, P256, Pools};
use super::lanes::{self, Cpu, LANES};
use super::{p256, rsa, x25519};
use crate::key::Material;
use crate::vacate::{pop_done, pop_job, take_job};
use crate::{
    AwsLc, Done, Engine, EngineError, Group, Job, KeyId, PrivateKey, SignatureScheme, SystemRandom, Token,
};

/// The engine over AVX-512 IFMA, with aws-lc for what does not fill lanes.
pub struct Batch<R = SystemRandom> {
    cpu: Cpu,
    scalar: AwsLc,
    random: R,
    keys: Vec<Key>,
    fewest: usize,
    waiting: VecDeque<(Token, Job)>,
    /// Of this turn, by kind: each group's three, ECDSA, and each RSA key's.
    lots: Vec<Lot>,
    done: VecDeque<(Token, Done)>,
    ahead: Pools,
    capacity: usize,
}

/// Jobs of a kind for which the lanes take less time than aws-lc, by `levee-load engine`.
const FEWEST: usize = 2;

/// A private key as the lanes take it.
enum Key {
    /// The scalar, big-endian.
    Ecdsa(Zeroizing<[u8; 32]>),
    Rsa(Box<rsa::Key>),
    /// Of a shape that only aws-lc knows.
    Other,
}

/// Jobs of a kind.
struct Lot {
    kind: Kind,
    jobs: Vec<(Token, Job)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exchange(Group),
    Generate(Group),
    Agree(Group),
    Ecdsa,
    /// By the index of the key, and its bits.
    Rsa(usize, usize),
}

/// Nanoseconds of work after which a turn takes no further job: a packet loop waits behind it.
const TURN_NS: u64 = 2_000_000;

/// Jobs of a turn, at most.
const GATHERED: usize = 512;

impl Batch {
    /// An engine that signs with `keys` and holds `capacity` jobs.
    ///
    /// # Errors
    /// The CPU has no AVX-512 IFMA, or aws-lc refuses a key.
    pub fn new(keys: &[PrivateKey], capacity: usize) -> Result<Self, EngineError> {
        Self::with_random(keys, capacity, SystemRandom, FEWEST)
    }
}

impl<R: CryptoRng> Batch<R> {
    /// As [`Batch::new`], with key pairs, nonces, salts and blinding from `random`.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub(crate) fn with_random(
        keys: &[PrivateKey],
        capacity: usize,
        random: R,
        fewest: usize,
    ) -> Result<Self, EngineError> {
        let cpu = Cpu::detect().ok_or(EngineError::NoLanes)?;
        let scalar = AwsLc::new(keys, capacity)?;
        x25519::prepare(cpu);
        p256::prepare(cpu);
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(cpu, key)).collect();
        let groups = [Group::X25519, Group::Secp256r1];
        let of_group = |group| [Kind::Exchange(group), Kind::Generate(group), Kind::Agree(group)];
        let of_key = |(index, key): (usize, &Key)| match key {
            Key::Rsa(key) => Some(Kind::Rsa(index, 8 * key.len())),
            Key::Ecdsa(_) | Key::Other => None,
        };
        let rsa = keys.iter().enumerate().filter_map(of_key);
        let kinds = groups.into_iter().flat_map(of_group).chain([Kind::Ecdsa]).chain(rsa);
        let lot = |kind| Lot { kind, jobs: Vec::with_capacity(GATHERED.min(capacity)) };
        Ok(Self {
            cpu,
            scalar,
            random,
            fewest,
            waiting: VecDeque::with_capacity(capacity),
            lots: kinds.map(lot).collect(),
            done: VecDeque::with_capacity(capacity),
            ahead: Pools::new(),
            capacity,
            keys,
        })
    }

    /// A turn, in a frame of its own, which [`lanes::wipe`] reaches. Returns whether lanes were used.
    #[inline(never)]
    fn turn(&mut self) -> bool {
        self.gather();
        let mut used_lanes = false;
        for lot in 0..self.lots.len() {
            used_lanes |= self.work_off(lot);
        }
        used_lanes
    }

    /// Sorts the oldest jobs into lots: a turn's worth, and what fits into lanes that are used in any case.
    fn gather(&mut self) {
        let mut spent_ns = 0;
        for _ in 0..GATHERED {
            let Some((_, job)) = self.waiting.front() else { break };
            let kind = kind(&self.keys, job);
            let lot = self.lots.iter_mut().find(|lot| Some(lot.kind) == kind);
            let cost_ns = match &lot {
                Some(lot) if lot.jobs.len().is_multiple_of(LANES) => lot.kind.cost_ns(),
                Some(_) => 0,
                None => jobs::SCALAR_NS,
            };
            if cost_ns > 0 && spent_ns >= TURN_NS {
                break;
            }
            spent_ns += cost_ns;
            let Some((token, job)) = pop_job(&mut self.waiting) else { break };
            match lot {
                Some(lot) => lot.jobs.push((token, job)),
                None => self.done.push_back((token, self.scalar.work(&job))),
            }
        }
    }

    /// Does the jobs of a lot, and gives back those that would leave lanes empty behind others. Returns
    /// whether there were enough of them for lanes.
    fn work_off(&mut self, lot: usize) -> bool {
        let Self { cpu, scalar, random, fewest, keys, waiting, lots, done, ahead, .. } = self;
        let Some(Lot { kind, jobs: all }) = lots.get_mut(lot) else { return false };
        if all.len() > LANES {
            let whole = all.len() / LANES * LANES;
            for job in all[whole..].iter_mut().rev() {
                waiting.push_front(take_job(job));
            }
            all.truncate(whole);
        }
        for some in all.chunks(kind.most()) {
            let mut work = jobs::Work { cpu: *cpu, random, ahead, done, scalar };
            match *kind {
                _ if some.len() < *fewest => work.one_by_one(some),
                Kind::Exchange(Group::X25519) => work.exchange::<Curve25519>(some),
                Kind::Exchange(Group::Secp256r1) => work.exchange::<P256>(some),
                Kind::Generate(Group::X25519) => work.generate::<Curve25519>(some),
                Kind::Generate(Group::Secp256r1) => work.generate::<P256>(some),
                Kind::Agree(Group::X25519) => work.agree::<Curve25519>(some),
                Kind::Agree(Group::Secp256r1) => work.agree::<P256>(some),
                Kind::Ecdsa => work.sign_ecdsa(some, |KeyId(key)| match keys.get(usize::from(key)) {
                    Some(Key::Ecdsa(scalar)) => **scalar,
                    _ => [0; 32],
                }),
                Kind::Rsa(key, _) => {
                    if let Some(Key::Rsa(key)) = keys.get_mut(key) {
                        work.sign_rsa(some, key);
                    }
                }
            }
        }
        let used_lanes = all.len() >= *fewest;
        all.clear();
        used_lanes
    }
}

impl<R: CryptoRng> Engine for Batch<R> {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.in_flight() >= self.capacity {
            return Err(job);
        }
        self.waiting.push_back((token, job));
        Ok(())
    }

    fn run(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.turn() {
            lanes::wipe(self.cpu);
        }
    }

    fn work_ahead(&mut self, now_ns: u64) {
        self.ahead.refill(self.cpu, now_ns, &mut self.random);
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        pop_done(&mut self.done)
    }

    fn in_flight(&self) -> usize {
        self.waiting.len() + self.done.len()
    }
}

/// What lot a job belongs to; none, when there are no lanes for it.
fn kind(keys: &[Key], job: &Job) -> Option<Kind> {
    match job {
        Job::Exchange { group, .. } => Some(Kind::Exchange(*group)),
        Job::Generate { group } => Some(Kind::Generate(*group)),
        Job::Agree { private, .. } => Some(Kind::Agree(private.group())),
        Job::Sign { key, scheme, .. } => {
            let index = usize::from(key.0);
            let is_ecdsa = *scheme == SignatureScheme::EcdsaSecp256r1Sha256;
            match keys.get(index)? {
                Key::Ecdsa(_) if is_ecdsa => Some(Kind::Ecdsa),
                Key::Rsa(key) if !is_ecdsa => Some(Kind::Rsa(index, 8 * key.len())),
                _ => None,
            }
        }
    }
}

impl Key {
    fn new(cpu: Cpu, key: &PrivateKey) -> Self {
        match &key.material {
            Material::Ecdsa(key) => Self::Ecdsa(Zeroizing::new(key.to_bytes().into())),
            Material::Rsa { key, .. } => {
                rsa::Key::new(cpu, key).map_or(Self::Other, |key| Self::Rsa(Box::new(key)))
            }
        }
    }
}

impl Kind {
    /// Jobs that are done together, at most.
    const fn most(self) -> usize {
        if matches!(self, Self::Rsa(..)) { LANES } else { MOST }
    }

    /// What eight jobs take, to the order of magnitude.
    const fn cost_ns(self) -> u64 {
        match self {
            Self::Exchange(_) | Self::Agree(_) => 80_000,
            Self::Generate(_) | Self::Ecdsa => 25_000,
            Self::Rsa(_, bits) => {
                let length = bits as u64 / 256;
                // A multiplication is quadratic, an exponent linear.
                1_000_000 * length * length * length / 512
            }
        }
    }
}

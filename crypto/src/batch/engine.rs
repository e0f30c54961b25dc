//! The engine that gathers jobs into lanes: `Batch`.
//!
//! # The lane rule
//!
//! A worker calls [`Engine::run`] when its receive burst was read empty or many jobs wait, so that whatever
//! waits then is all there will be. Jobs of a kind go together, up to [`MOST`] of a curve's and eight of an
//! RSA key's; fewer than pay for the lanes go to aws-lc, one by one, and a job that comes alone is not gathered at
//! all. Of more than eight, those that would
//! leave lanes empty wait for the next turn, which comes at once, and no longer. Kinds share a turn, one lot each
//! and then another: those of curves first, then the RSA key whose oldest job has waited longest, so that none
//! waits for ever.
//!
//! Bound: `capacity` jobs, from submission until the answer is taken; a turn takes work of [`TURN_NS`] and one
//! lot more.

use std::collections::VecDeque;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::curves::{Curve, Curve25519, MOST, P256, Pools, Proof};
use super::jobs::{Agreement, Signing, Work};
use super::lanes::{self, Cpu, Depth, LANES};
use super::lots::{Lot, Place, Terms, Ticket};
use super::tuples::Tuples;
use super::{p256, rsa, worth, x25519};
use crate::key::Material;
use crate::vacate::pop_done;
use crate::{
    AwsLc, Done, Engine, EngineError, Group, Job, KeyId, Moment, PrivateKey, Share, SignatureScheme,
    SystemRandom, Token,
};

/// The engine over AVX-512 IFMA, with aws-lc for what does not fill lanes.
pub struct Batch<R = SystemRandom> {
    cpu: Cpu,
    scalar: AwsLc,
    random: R,
    keys: Vec<Key>,
    lots: Lots,
    done: VecDeque<(Token, Done)>,
    ahead: Pools,
    /// If nonces are made ahead.
    tuples: Option<Tuples>,
    capacity: usize,
    /// Jobs in `lots`.
    waiting: usize,
    /// If a job that came alone is with `scalar`, and no other has come.
    has_lone: bool,
    /// If lanes are for one job too.
    fills_by_one: bool,
    submitted: u64,
}

/// A private key as the lanes take it.
enum Key {
    /// The scalar, big-endian.
    Ecdsa(Zeroizing<[u8; 32]>),
    Rsa(Box<rsa::Key>),
    /// Of a shape that only aws-lc knows.
    Other,
}

/// The jobs that wait, by kind.
struct Lots {
    x25519: CurveLots<Curve25519>,
    p256: CurveLots<P256>,
    hybrid: Lot<Share>,
    ecdsa: Lot<Signing>,
    /// Of each key; of those that are not RSA none waits.
    rsa: Vec<Lot<Signing>>,
    others: Lot<Job>,
}

pub(super) struct CurveLots<C: Curve> {
    pub(super) exchange: Lot<C::Public>,
    pub(super) generate: Lot<()>,
    pub(super) agree: Lot<Agreement<C>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Exchange(Group),
    Generate(Group),
    Agree(Group),
    Hybrid,
    Ecdsa,
    /// By the index of the key.
    Rsa(usize),
    /// What there are no lanes for.
    Other,
}

impl Kind {
    /// How far it spills.
    const fn depth(self) -> Depth {
        match self {
            Self::Exchange(Group::Secp256r1)
            | Self::Generate(Group::Secp256r1)
            | Self::Agree(Group::Secp256r1)
            | Self::Hybrid
            | Self::Rsa(_) => Depth::Deep,
            Self::Ecdsa => Depth::Middle,
            _ => Depth::Shallow,
        }
    }
}

/// Nanoseconds of work after which a turn takes no further job: a packet loop waits behind it.
pub(super) const TURN_NS: u64 = 2_000_000;

/// Jobs of a curve for which the lanes take less time than aws-lc, by `levee-load engine`.
const FEWEST: usize = 2;

impl Batch {
    /// An engine that signs with `keys` and holds `capacity` jobs.
    ///
    /// # Errors
    /// The CPU has no AVX-512 IFMA, or aws-lc refuses a key.
    pub fn new(keys: &[PrivateKey], capacity: usize) -> Result<Self, EngineError> {
        Self::with_random(keys, capacity, SystemRandom, None)
    }
}

impl<R: CryptoRng> Batch<R> {
    /// As [`Batch::new`], with key pairs, nonces, salts and blinding from `random`, and with lanes for `fewest`
    /// jobs of any kind where that is given.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub(crate) fn with_random(
        keys: &[PrivateKey],
        capacity: usize,
        mut random: R,
        fewest: Option<usize>,
    ) -> Result<Self, EngineError> {
        let cpu = Cpu::detect().ok_or(EngineError::NoLanes)?;
        let scalar = AwsLc::new(keys, capacity)?;
        x25519::prepare(cpu);
        p256::prepare(cpu);
        let mut keys: Vec<Key> = keys.iter().map(|key| Key::new(cpu, key)).collect();
        let curve = |lanes_ns, scalar_ns| Terms {
            most: MOST,
            unit: LANES,
            fewest: fewest.unwrap_or(FEWEST),
            lanes_ns,
            scalar_ns,
        };
        let of_key = |(index, key): (usize, &mut Key)| match key {
            Key::Rsa(key) => {
                let fewest = fewest.unwrap_or_else(|| worth::fewest(index, key, &scalar, &mut random));
                Lot::new(Terms { fewest, ..rsa_terms(key) }, capacity)
            }
            Key::Ecdsa(_) | Key::Other => Lot::new(curve(0, 0), 0),
        };
        let lots = Lots {
            rsa: keys.iter_mut().enumerate().map(of_key).collect(),
            x25519: CurveLots::new(curve, capacity),
            p256: CurveLots::new(curve, capacity),
            hybrid: Lot::new(curve(160_000, 100_000), capacity),
            ecdsa: Lot::new(curve(25_000, 25_000), capacity),
            others: Lot::new(Terms { most: 1, unit: 1, fewest: usize::MAX, ..curve(0, 500_000) }, capacity),
        };
        Ok(Self {
            cpu,
            scalar,
            random,
            keys,
            lots,
            done: VecDeque::with_capacity(capacity),
            ahead: Pools::new(),
            tuples: None,
            capacity,
            waiting: 0,
            has_lone: false,
            fills_by_one: fewest == Some(1),
            submitted: 0,
        })
    }

    /// Whether a job comes alone, and aws-lc is the best that there is for it: nothing was made ahead, and it is not
    /// of the hybrid, whose other half fills lanes by itself.
    fn is_lone(&self, job: &Job) -> bool {
        let has_better = match job {
            Job::Exchange { group: Group::X25519MlKem768, .. } => true,
            Job::Generate { .. } => !self.ahead.is_empty(),
            Job::Sign { .. } => self.tuples.is_some(),
            // Given a pair, aws-lc checks it first, which takes longer than to make one.
            Job::Exchange { .. } | Job::Agree { .. } => false,
        };
        self.waiting == 0 && !self.has_lone && !self.fills_by_one && !has_better
    }

    fn push(&mut self, token: Token, job: Job) {
        let ticket = Ticket { token, number: self.submitted };
        self.submitted += 1;
        self.waiting += 1;
        self.lots.push(self.kind(&job), ticket, job);
    }

    /// A turn, in a frame of its own, which [`lanes::wipe`] reaches. Returns how deep lanes spilled, if they were used.
    #[inline(never)]
    pub(super) fn turn(&mut self) -> Option<Depth> {
        self.lots.begin();
        let (mut spent_ns, mut depth) = (0, None);
        while spent_ns < TURN_NS
            && self.waiting > 0
            && let Some(kind) = self.lots.first()
        {
            let (cost_ns, in_lanes) = self.work_off(kind);
            spent_ns += cost_ns;
            depth = depth.max(in_lanes.then(|| kind.depth()));
        }
        depth
    }

    /// Key pairs and nonces for later, in a frame as that of [`Batch::turn`]. Returns whether some were made.
    #[inline(never)]
    pub(super) fn make_ahead(&mut self, now_ns: u64) -> bool {
        let Self { cpu, random, keys, ahead, tuples, .. } = self;
        let has_pairs = ahead.refill(*cpu, now_ns, random);
        let has_nonces = tuples
            .as_mut()
            .is_some_and(|tuples| tuples.refill(*cpu, random, |key| keys.get(key).and_then(Key::scalar)));
        has_pairs || has_nonces
    }

    /// Does the next jobs of a kind. Returns nanoseconds, to the order of magnitude, and whether lanes were used.
    fn work_off(&mut self, kind: Kind) -> (u64, bool) {
        let Self { cpu, scalar, random, keys, lots, done, ahead, tuples, waiting, .. } = self;
        let Lots { x25519, p256, hybrid, ecdsa, rsa, others } = lots;
        let mut work = Work { cpu: *cpu, random, ahead, done, scalar };
        let (count, cost) = match kind {
            Kind::Exchange(Group::X25519) => x25519.exchange(&mut work),
            Kind::Exchange(Group::Secp256r1) => p256.exchange(&mut work),
            Kind::Generate(Group::X25519) => x25519.generate(&mut work),
            Kind::Generate(Group::Secp256r1) => p256.generate(&mut work),
            Kind::Agree(Group::X25519) => x25519.agree(&mut work),
            Kind::Agree(Group::Secp256r1) => p256.agree(&mut work),
            Kind::Hybrid => serve_hybrid(hybrid, &mut x25519.exchange, &mut work),
            Kind::Ecdsa => {
                let mut have_nonces = false;
                let (count, (cost_ns, in_lanes)) = serve(ecdsa, |tickets, signings, lanes| {
                    let key =
                        |KeyId(key)| keys.get(usize::from(key)).and_then(Key::scalar).unwrap_or(&[0; 32]);
                    let of_keys = signings.iter().map(|signing| signing.key);
                    let nonces = tuples.as_mut().and_then(|tuples| tuples.take(of_keys));
                    have_nonces = nonces.is_some();
                    match (nonces, lanes) {
                        (Some(nonces), _) => work.sign_ecdsa_ahead(tickets, signings, key, &nonces),
                        (None, true) => work.sign_ecdsa(tickets, signings, key),
                        (None, false) => work.sign_alone(tickets, signings),
                    }
                });
                (count, (cost_ns, in_lanes || have_nonces))
            }
            Kind::Rsa(index) => match (rsa.get_mut(index), keys.get_mut(index)) {
                (Some(lot), Some(Key::Rsa(key))) => serve(lot, |tickets, signings, lanes| match lanes {
                    true => work.sign_rsa(tickets, signings, key),
                    false => work.sign_alone(tickets, signings),
                }),
                _ => (0, (0, false)),
            },
            Kind::Exchange(_) | Kind::Generate(_) | Kind::Agree(_) | Kind::Other => {
                serve(others, |tickets, jobs, _| work.others(tickets, jobs))
            }
        };
        *waiting -= count;
        cost
    }

    /// What lot a job belongs to.
    fn kind(&self, job: &Job) -> Kind {
        let in_lanes = |group| matches!(group, Group::X25519 | Group::Secp256r1);
        match job {
            Job::Exchange { group: Group::X25519MlKem768, .. } => Kind::Hybrid,
            Job::Exchange { group, .. } if in_lanes(*group) => Kind::Exchange(*group),
            Job::Generate { group } if in_lanes(*group) => Kind::Generate(*group),
            Job::Agree { private, .. } if in_lanes(private.group()) => Kind::Agree(private.group()),
            Job::Sign { key, scheme, .. } => {
                let index = usize::from(key.0);
                let is_ecdsa = *scheme == SignatureScheme::EcdsaSecp256r1Sha256;
                match self.keys.get(index) {
                    Some(Key::Ecdsa(_)) if is_ecdsa => Kind::Ecdsa,
                    Some(Key::Rsa(_)) if !is_ecdsa => Kind::Rsa(index),
                    _ => Kind::Other,
                }
            }
            _ => Kind::Other,
        }
    }
}

impl<R: CryptoRng> Engine for Batch<R> {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.in_flight() >= self.capacity || self.lots.is_full(self.kind(&job)) {
            return Err(job);
        }
        if self.is_lone(&job) {
            self.has_lone = true;
            return self.scalar.submit(token, job);
        }
        if self.has_lone
            && let Some((token, job)) = self.scalar.take_back()
        {
            self.push(token, job);
        }
        self.has_lone = false;
        self.push(token, job);
        Ok(())
    }

    fn run(&mut self) {
        if self.has_lone {
            self.has_lone = false;
            return self.scalar.run();
        }
        if self.waiting == 0 {
            return;
        }
        if let Some(depth) = self.turn() {
            lanes::wipe(self.cpu, depth);
        }
    }

    fn work_ahead(&mut self, now_ns: u64) {
        if self.make_ahead(now_ns) {
            lanes::wipe(self.cpu, Depth::AHEAD);
        }
    }

    fn keep_nonces(&mut self) {
        self.tuples = Some(Tuples::new(self.keys.iter().map(|key| key.scalar().is_some())));
    }

    fn witness(&mut self, moment: Moment) {
        if let Some(tuples) = &mut self.tuples {
            tuples.witness(moment);
        }
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        pop_done(&mut self.done).or_else(|| self.scalar.completed())
    }

    fn in_flight(&self) -> usize {
        self.waiting + self.done.len() + self.scalar.in_flight()
    }
}

/// The kind with the lowest place so far.
#[derive(Default)]
pub(super) struct First(Option<(Place, Kind)>);

impl First {
    #[inline]
    pub(super) fn compare<I>(&mut self, kind: Kind, lot: &Lot<I>) {
        if let Some(place) = lot.place()
            && self.0.is_none_or(|(first, _)| place < first)
        {
            self.0 = Some((place, kind));
        }
    }

    /// It; exchanges of X25519 go with those of the hybrid, if they go together.
    pub(super) fn joined<I, J>(self, hybrids: &Lot<I>, plain: &Lot<J>) -> Option<Kind> {
        match self.0?.1 {
            Kind::Exchange(Group::X25519) if hybrids.joins(plain) => Some(Kind::Hybrid),
            kind => Some(kind),
        }
    }
}

impl Lots {
    fn begin(&mut self) {
        self.x25519.begin();
        self.p256.begin();
        self.hybrid.begin();
        self.ecdsa.begin();
        self.rsa.iter_mut().for_each(Lot::begin);
        self.others.begin();
    }

    /// The kind whose turn it is, if there is still something to do in this turn.
    fn first(&self) -> Option<Kind> {
        let mut first = First::default();
        self.x25519.compare(&mut first);
        self.p256.compare(&mut first);
        first.compare(Kind::Hybrid, &self.hybrid);
        first.compare(Kind::Ecdsa, &self.ecdsa);
        for (index, lot) in self.rsa.iter().enumerate() {
            first.compare(Kind::Rsa(index), lot);
        }
        first.compare(Kind::Other, &self.others);
        first.joined(&self.hybrid, &self.x25519.exchange)
    }

    fn is_full(&self, kind: Kind) -> bool {
        match kind {
            Kind::Exchange(Group::X25519) => self.x25519.exchange.is_full(),
            Kind::Exchange(Group::Secp256r1) => self.p256.exchange.is_full(),
            Kind::Generate(Group::X25519) => self.x25519.generate.is_full(),
            Kind::Generate(Group::Secp256r1) => self.p256.generate.is_full(),
            Kind::Agree(Group::X25519) => self.x25519.agree.is_full(),
            Kind::Agree(Group::Secp256r1) => self.p256.agree.is_full(),
            Kind::Hybrid => self.hybrid.is_full(),
            Kind::Ecdsa => self.ecdsa.is_full(),
            Kind::Rsa(key) => self.rsa.get(key).is_none_or(Lot::is_full),
            Kind::Exchange(_) | Kind::Generate(_) | Kind::Agree(_) | Kind::Other => self.others.is_full(),
        }
    }

    fn push(&mut self, kind: Kind, ticket: Ticket, job: Job) {
        match (kind, job) {
            (Kind::Exchange(Group::X25519), Job::Exchange { peer, .. }) => {
                self.x25519.exchange.push(ticket, Curve25519::public(&peer));
            }
            (Kind::Exchange(Group::Secp256r1), Job::Exchange { peer, .. }) => {
                self.p256.exchange.push(ticket, P256::public(&peer));
            }
            (Kind::Generate(Group::X25519), _) => self.x25519.generate.push(ticket, ()),
            (Kind::Generate(Group::Secp256r1), _) => self.p256.generate.push(ticket, ()),
            (Kind::Agree(Group::X25519), Job::Agree { private, peer }) => {
                self.x25519.agree.push(ticket, Agreement { private, peer: Curve25519::public(&peer) });
            }
            (Kind::Agree(Group::Secp256r1), Job::Agree { private, peer }) => {
                self.p256.agree.push(ticket, Agreement { private, peer: P256::public(&peer) });
            }
            (Kind::Hybrid, Job::Exchange { peer, .. }) => self.hybrid.push(ticket, peer),
            (Kind::Ecdsa, Job::Sign { key, scheme, message }) => {
                self.ecdsa.push(ticket, Signing { key, scheme, message });
            }
            (Kind::Rsa(index), Job::Sign { key, scheme, message }) if index < self.rsa.len() => {
                self.rsa[index].push(ticket, Signing { key, scheme, message });
            }
            (_, job) => self.others.push(ticket, job),
        }
    }
}

impl<C: Curve> CurveLots<C> {
    pub(super) fn new(terms: impl Fn(u64, u64) -> Terms, capacity: usize) -> Self {
        Self {
            exchange: Lot::new(terms(80_000, 60_000), capacity),
            generate: Lot::new(terms(25_000, 15_000), capacity),
            agree: Lot::new(terms(80_000, 60_000), capacity),
        }
    }

    pub(super) const fn begin(&mut self) {
        self.exchange.begin();
        self.generate.begin();
        self.agree.begin();
    }

    pub(super) fn compare(&self, first: &mut First) {
        first.compare(Kind::Exchange(C::GROUP), &self.exchange);
        first.compare(Kind::Generate(C::GROUP), &self.generate);
        first.compare(Kind::Agree(C::GROUP), &self.agree);
    }

    pub(super) fn exchange(&mut self, work: &mut Work<'_, impl CryptoRng, C::Cpu>) -> (usize, (u64, bool)) {
        serve(&mut self.exchange, |tickets, peers, lanes| match lanes {
            true => work.exchange::<C>(tickets, peers),
            false => work.exchange_alone::<C>(tickets, peers),
        })
    }

    pub(super) fn generate(&mut self, work: &mut Work<'_, impl CryptoRng, C::Cpu>) -> (usize, (u64, bool)) {
        serve(&mut self.generate, |tickets, _, lanes| match lanes {
            true => work.generate::<C>(tickets),
            false => work.generate_alone::<C>(tickets),
        })
    }

    pub(super) fn agree(&mut self, work: &mut Work<'_, impl CryptoRng, C::Cpu>) -> (usize, (u64, bool)) {
        serve(&mut self.agree, |tickets, inputs, lanes| match lanes {
            true => work.agree::<C>(tickets, inputs),
            false => work.agree_alone::<C>(tickets, inputs),
        })
    }
}

/// Takes the next jobs of a lot out by `work`, which is told whether they go into lanes. Returns how many they
/// were, and with that the cost.
pub(super) fn serve<I>(
    lot: &mut Lot<I>,
    work: impl FnOnce(&[Ticket], &mut [I], bool),
) -> (usize, (u64, bool)) {
    let Terms { fewest, lanes_ns, scalar_ns, .. } = *lot.terms();
    let count = lot.next();
    let lanes = count >= fewest;
    lot.work(count, |tickets, inputs| work(tickets, inputs, lanes));
    let cost_ns = if lanes { lanes_ns * count.div_ceil(LANES) as u64 } else { scalar_ns * count as u64 };
    (count, (cost_ns, lanes))
}

/// The same for exchanges of the hybrid, and of plain X25519 as many as the lanes hold besides.
pub(super) fn serve_hybrid<R: CryptoRng, P: Proof>(
    hybrids: &mut Lot<Share>,
    plain: &mut Lot<[u8; 32]>,
    work: &mut Work<'_, R, P>,
) -> (usize, (u64, bool)) {
    let [count, more] = if hybrids.joins(plain) { hybrids.together(plain) } else { [0; 2] };
    if more == 0 {
        return serve(hybrids, |tickets, peers, lanes| match lanes {
            true => work.exchange_hybrid((tickets, peers), (&[], &[])),
            false => work.exchange_hybrid_alone(tickets, peers),
        });
    }
    hybrids.work(count, |tickets, peers| {
        plain.work(more, |plain_tickets, points| {
            work.exchange_hybrid((tickets, peers), (plain_tickets, points));
        });
    });
    let cost_ns = |lot_ns, count: usize| lot_ns * count.div_ceil(LANES) as u64;
    let hybrid_ns = cost_ns(hybrids.terms().lanes_ns, count);
    (count + more, (hybrid_ns + cost_ns(plain.terms().lanes_ns, more), true))
}

impl Key {
    fn new(cpu: Cpu, key: &PrivateKey) -> Self {
        match &key.material {
            Material::EcdsaP384(_) | Material::Ed25519(_) => Self::Other,
            Material::Ecdsa(key) => Self::Ecdsa(Zeroizing::new(key.to_bytes().into())),
            Material::Rsa { key, .. } => {
                rsa::Key::new(cpu, key).map_or(Self::Other, |key| Self::Rsa(Box::new(key)))
            }
        }
    }

    fn scalar(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Ecdsa(scalar) => Some(scalar),
            Self::Rsa(_) | Self::Other => None,
        }
    }
}

/// The two halves of up to four messages share the lanes of one exponentiation.
fn rsa_terms(key: &rsa::Key) -> Terms {
    let length = key.len() as u64 / 32;
    // A multiplication is quadratic, an exponent linear.
    let lanes_ns = 1_000_000 * length * length * length / 512;
    Terms { most: LANES, unit: LANES / 2, fewest: LANES, lanes_ns, scalar_ns: lanes_ns / 3 }
}

//! The engine that gathers jobs of X25519 into four lanes: `Four`.
//!
//! Jobs wait and go together as `batch::engine` says, four being a unit; what is not X25519, be it within
//! X25519MLKEM768, goes to aws-lc in the order of arrival. Bound: `capacity` jobs, from submission until the answer
//! is taken; a turn takes work of [`TURN_NS`] and one lot more.

use std::collections::VecDeque;

use rand_core::CryptoRng;

use super::super::ahead::Ahead;
use super::super::curves::{Curve, MOST, Proof, secrets, validate};
use super::super::engine::{CurveLots, First, Kind, TURN_NS, serve, serve_hybrid};
use super::super::jobs::{Agreement, Work};
use super::super::lots::{Lot, Terms, Ticket};
use super::lanes::{self, Avx2, LANES};
use super::x25519;
use crate::vacate::pop_done;
use crate::{AwsLc, Done, Engine, EngineError, Group, Job, PrivateKey, Share, SystemRandom, Token};

/// The engine over AVX2, with aws-lc for what is not X25519 or does not fill lanes.
pub struct Four<R = SystemRandom> {
    cpu: Avx2,
    scalar: AwsLc,
    random: R,
    x25519: CurveLots<FourX25519>,
    hybrid: Lot<Share>,
    others: Lot<Job>,
    done: VecDeque<(Token, Done)>,
    ahead: Ahead<FourX25519>,
    capacity: usize,
    waiting: usize,
    submitted: u64,
}

/// Jobs for which the lanes take less time than aws-lc, by `levee-load engine`.
const FEWEST: usize = 4;

impl Four {
    /// An engine that signs with `keys` and holds `capacity` jobs.
    ///
    /// # Errors
    /// The CPU has no AVX2, or aws-lc refuses a key.
    pub fn new(keys: &[PrivateKey], capacity: usize) -> Result<Self, EngineError> {
        Self::with_random(keys, capacity, SystemRandom, None)
    }
}

impl<R: CryptoRng> Four<R> {
    /// As [`Four::new`], with key pairs from `random`, and with lanes for `fewest` jobs where that is given.
    ///
    /// # Errors
    /// As [`Four::new`].
    pub(crate) fn with_random(
        keys: &[PrivateKey],
        capacity: usize,
        random: R,
        fewest: Option<usize>,
    ) -> Result<Self, EngineError> {
        let cpu = Avx2::detect().ok_or(EngineError::NoFourLanes)?;
        x25519::prepare(cpu);
        let terms = |lanes_ns, scalar_ns| Terms {
            most: MOST,
            unit: LANES,
            fewest: fewest.unwrap_or(FEWEST),
            // Given for eight lanes at once.
            lanes_ns: 2 * lanes_ns,
            scalar_ns,
        };
        let others = Terms { most: 1, unit: 1, fewest: usize::MAX, lanes_ns: 0, scalar_ns: 100_000 };
        Ok(Self {
            cpu,
            scalar: AwsLc::new(keys, capacity)?,
            random,
            x25519: CurveLots::new(terms, capacity),
            hybrid: Lot::new(terms(160_000, 100_000), capacity),
            others: Lot::new(others, capacity),
            done: VecDeque::with_capacity(capacity),
            ahead: Ahead::new(),
            capacity,
            waiting: 0,
            submitted: 0,
        })
    }

    /// The kind whose turn it is, if there is still something to do in this turn.
    fn first(&self) -> Option<Kind> {
        let mut first = First::default();
        self.x25519.compare(&mut first);
        first.compare(Kind::Hybrid, &self.hybrid);
        first.compare(Kind::Other, &self.others);
        first.joined(&self.hybrid, &self.x25519.exchange)
    }

    /// A turn, in a frame of its own, which [`lanes::wipe`] reaches. Returns whether lanes were used.
    #[inline(never)]
    fn turn(&mut self) -> bool {
        self.x25519.begin();
        self.hybrid.begin();
        self.others.begin();
        let (mut spent_ns, mut used_lanes) = (0, false);
        while spent_ns < TURN_NS
            && let Some(kind) = self.first()
        {
            let (cost_ns, in_lanes) = self.work_off(kind);
            spent_ns += cost_ns;
            used_lanes |= in_lanes;
        }
        used_lanes
    }

    /// Makes some pairs ahead, if there is room for them; as [`Four::turn`].
    #[inline(never)]
    fn refill(&mut self, now_ns: u64) -> bool {
        let Self { cpu, random, ahead, .. } = self;
        ahead.refill(*cpu, now_ns, |count| secrets::<FourX25519>(count, random))
    }

    /// Does the next jobs of a kind. Returns nanoseconds, to the order of magnitude, and whether lanes were used.
    fn work_off(&mut self, kind: Kind) -> (u64, bool) {
        let Self { cpu, scalar, random, x25519, hybrid, others, done, ahead, waiting, .. } = self;
        let mut work = Work { cpu: *cpu, random, ahead, done, scalar };
        let (count, cost) = match kind {
            Kind::Exchange(_) => x25519.exchange(&mut work),
            Kind::Generate(_) => x25519.generate(&mut work),
            Kind::Agree(_) => x25519.agree(&mut work),
            Kind::Hybrid => serve_hybrid(hybrid, &mut x25519.exchange, &mut work),
            _ => serve(others, |tickets, jobs, _| work.others(tickets, jobs)),
        };
        *waiting -= count;
        cost
    }
}

impl<R: CryptoRng> Engine for Four<R> {
    fn name(&self) -> &'static str {
        "batch4"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        let Self { x25519: CurveLots { exchange, generate, agree }, hybrid, others, .. } = self;
        let any_full = exchange.is_full() || generate.is_full() || agree.is_full();
        let any_full = any_full || hybrid.is_full() || others.is_full();
        if self.waiting + self.done.len() >= self.capacity || any_full {
            return Err(job);
        }
        let ticket = Ticket { token, number: self.submitted };
        self.submitted += 1;
        self.waiting += 1;
        match job {
            Job::Exchange { group: Group::X25519, peer } => exchange.push(ticket, FourX25519::public(&peer)),
            Job::Exchange { group: Group::X25519MlKem768, peer } => hybrid.push(ticket, peer),
            Job::Generate { group: Group::X25519 } => generate.push(ticket, ()),
            Job::Agree { private, peer } if private.group() == Group::X25519 => {
                agree.push(ticket, Agreement { private, peer: FourX25519::public(&peer) });
            }
            job => others.push(ticket, job),
        }
        Ok(())
    }

    fn run(&mut self) {
        if self.turn() {
            lanes::wipe(self.cpu);
        }
    }

    fn work_ahead(&mut self, now_ns: u64) {
        if self.refill(now_ns) {
            lanes::wipe(self.cpu);
        }
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        pop_done(&mut self.done)
    }

    fn in_flight(&self) -> usize {
        self.waiting + self.done.len()
    }
}

/// Curve25519 in four lanes.
pub(in super::super) struct FourX25519;

impl Proof for Avx2 {
    type Pools = Ahead<FourX25519>;
    type X25519 = FourX25519;
}

impl Curve for FourX25519 {
    type Cpu = Avx2;

    const GROUP: Group = Group::X25519;
    const NONE: [u8; 32] = [0; 32];
    type Public = [u8; 32];

    fn ahead(pools: &mut Ahead<Self>) -> &mut Ahead<Self> {
        pools
    }

    /// RFC 7748 section 5: every one is made into one.
    fn is_secret(_: &[u8; 32]) -> bool {
        true
    }

    fn generate(cpu: Avx2, secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
        x25519::generate(cpu, secrets, publics);
    }

    fn agree(
        cpu: Avx2,
        secrets: &[[u8; 32]],
        peers: &[[u8; 32]],
        shared: &mut [[u8; 32]],
        valid: &mut [bool],
    ) {
        x25519::agree(cpu, secrets, peers, shared);
        validate(shared, valid);
    }

    fn exchange(
        cpu: Avx2,
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

//! A queue pair: operations in, answers out, for one lcore.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dpdk_sys as sys;
use levee_buf::{Chain as _, Memory, Pieces};

use crate::chain::Chain;
use crate::crypto::bursts::{self, Bursts};
use crate::crypto::device::{Opened, Support};
use crate::crypto::session::Sessions;
use crate::crypto::{Algorithm, Answer, Direction, Finished, Operation, Outcome, Path, SessionId, TAG_LEN};
use crate::error::Error;
use crate::mempool::Pool;
use crate::queue::MAX_BURST;

/// A queue pair of a device, used by one thread at a time.
///
/// Call order: any number of [`QueuePair::submit`], [`QueuePair::flush`] once a turn, then
/// [`QueuePair::completed`] until it is `None`.
pub struct QueuePair {
    sessions: Sessions,
    bursts: Bursts,
    pub(super) support: [Support; 3],
    pool: Pool,
    /// Operation `n` belongs to flight `n` for ever.
    operations: Vec<NonNull<sys::rte_crypto_op>>,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    /// The session waits until its answers are taken, so that none overtakes them; it goes on waiting (`None`) for
    /// what was given up.
    done: VecDeque<(Option<SessionId>, Finished)>,
    counters: Counters,
}

// SAFETY: the operations, sessions and their mempools are used by the owner of the queue pair alone; a
// queue pair of a device may be used from any thread, one at a time.
unsafe impl Send for QueuePair {}

/// What a [`QueuePair`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Operations answered at once.
    pub now: u64,
    /// Operations answered later.
    pub later: u64,
    /// Operations whose bytes lay in more segments than the device takes: they were copied into one.
    pub linearised: u64,
    /// Out-of-place operations for which the plaintext was copied, as the device works in place only.
    pub copied: u64,
    /// Operations that failed: bad tags, and what cannot be done.
    pub failed: u64,
}

impl QueuePair {
    pub(super) fn new(
        device: Arc<Opened>,
        index: u16,
        sessions: Sessions,
        descriptors: u16,
        pool: &Pool,
    ) -> Result<Self, Error> {
        let count = usize::from(descriptors);
        let kind = sys::RTE_CRYPTO_OP_TYPE_SYMMETRIC;
        let operations = bursts::operations(&device, kind, descriptors, sys::LEVEE_OP_PRIVATE)?;
        for (slot, operation) in (0..).zip(&operations) {
            scratch(*operation).slot = slot;
        }
        Ok(Self {
            sessions,
            bursts: Bursts::new(device, index, count),
            support: [Support::NONE; 3],
            pool: pool.clone(),
            operations,
            flights: (0..count).map(|_| None).collect(),
            free: (0..u32::from(descriptors)).rev().collect(),
            done: VecDeque::with_capacity(count + MAX_BURST),
            counters: Counters::default(),
        })
    }

    /// The name by which the device was opened.
    #[must_use]
    pub fn device(&self) -> &str {
        self.bursts.device().name()
    }

    /// What the device does of `algorithm`, as far as it got it right.
    #[must_use]
    pub fn support(&self, algorithm: Algorithm) -> Support {
        self.support[algorithm as usize]
    }

    /// What the queue pair did.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes of packet memory that a session takes.
    #[must_use]
    pub fn session_bytes(&self) -> usize {
        self.sessions.bytes_each()
    }

    /// Installs a key. `None` when the table is full, the key has not the algorithm's length, or the
    /// device does not offer the algorithm.
    pub fn open_session(&mut self, algorithm: Algorithm, key: &[u8]) -> Option<SessionId> {
        self.support(algorithm).in_place?;
        self.sessions.open(algorithm, key)
    }

    /// Forgets a key and wipes it, once no operation under it is in flight.
    pub fn close_session(&mut self, session: SessionId) {
        self.sessions.close(session);
    }

    /// Operations submitted and not yet returned by [`QueuePair::completed`].
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.bursts.waiting() + self.done.len()
    }

    /// Of those, the ones that the device has, or is to be given.
    #[must_use]
    pub fn in_device(&self) -> usize {
        self.bursts.waiting()
    }

    /// Answers, as faults, all that the device has or is to be given. Their bytes stay with it, which may still write
    /// to them, until it gives them back.
    pub fn give_up(&mut self) {
        for flight in self.flights.iter_mut().flatten() {
            if std::mem::replace(&mut flight.given_up, true) {
                continue;
            }
            let Flight { token, direction, .. } = *flight;
            self.counters.failed += 1;
            self.done.push_back((
                None,
                Finished { token, direction, text: Chain::default(), outcome: Outcome::Fault },
            ));
        }
    }

    /// Starts an operation. Operations of one session finish in the order of their submission.
    pub fn submit(&mut self, mut operation: Operation) -> Answer {
        let Some(plan) = self.plan(&operation) else { return Answer::Now(self.fail(operation)) };
        if plan.path == Path::Later && self.free.is_empty() {
            return Answer::Busy(operation);
        }
        if plan.linearise {
            if !self.linearise(&mut operation) {
                return Answer::Busy(operation);
            }
            self.counters.linearised += 1;
        }
        if plan.copy {
            copy_into(&mut operation);
            self.counters.copied += 1;
        }
        match plan.path {
            Path::Now => Answer::Now(self.run(operation, plan.session)),
            Path::Later => {
                self.start(operation, plan.session);
                Answer::Later
            }
        }
    }

    /// Hands gathered operations to the device.
    pub fn flush(&mut self) {
        while let Some(refused) = self.bursts.flush() {
            self.end(refused, Outcome::Fault);
        }
    }

    /// The next operation that was answered [`Answer::Later`] and is finished.
    pub fn completed(&mut self) -> Option<Finished> {
        if self.done.is_empty() && self.bursts.in_device() > 0 {
            self.collect();
        }
        let (session, finished) = self.done.pop_front()?;
        if let Some(session) = session {
            self.sessions.finished(session);
        }
        Some(finished)
    }

    /// Forgets all keys, and all operations that were not returned. False: the device does not finish what it
    /// has, and the queue pair is of no use any more.
    pub fn reset(&mut self) -> bool {
        let is_empty = self.drain();
        if is_empty {
            self.sessions.close_all();
        }
        is_empty
    }

    /// Waits until the device has nothing: it writes to the chains of operations in flight.
    fn drain(&mut self) -> bool {
        let deadline = Instant::now() + DRAIN;
        while self.bursts.waiting() > 0 && Instant::now() <= deadline {
            self.flush();
            self.collect();
        }
        self.done.clear();
        self.bursts.waiting() == 0
    }

    /// What has to be done for an operation, or `None` when it cannot be done.
    fn plan(&mut self, operation: &Operation) -> Option<Plan> {
        let algorithm = self.sessions.algorithm(operation.session)?;
        let support = self.support(algorithm);
        let in_place = support.in_place?;
        let (range, path, copy) = match &operation.into {
            None => (operation.at.clone(), in_place, false),
            Some(into) => {
                let len = operation.text.len();
                let fits = into.segments() == 1 && into.tailroom() >= len + TAG_LEN;
                if operation.direction == Direction::Open || !fits {
                    return None;
                }
                (0..len, support.out_of_place.unwrap_or(in_place), support.out_of_place.is_none())
            }
        };
        if operation.into.is_none() {
            let whole = range.end <= operation.text.len() && range.start + TAG_LEN <= range.end;
            if !whole || !operation.text.is_exclusive(range.clone()) {
                return None;
            }
        }
        let session =
            self.sessions.device_session(operation.session, operation.direction, operation.aad.1)?;
        // An earlier operation of the session may not be answered yet.
        let waits = self.sessions.is_waiting(operation.session);
        let path = if waits { Path::Later } else { path };
        let most = if path == Path::Now { sys::LEVEE_NOW_SEGMENTS as usize } else { LATER_SEGMENTS };
        let linearise = !copy && operation.text.touched(&range) > most;
        Some(Plan { session, path, copy, linearise })
    }

    /// Does an operation at once.
    fn run(&mut self, mut operation: Operation, session: NonNull<c_void>) -> Finished {
        let mut nonce = [0; 16];
        nonce[..operation.nonce.len()].copy_from_slice(&operation.nonce);
        let (mut aad, _) = operation.aad;
        let mut tag = [0; TAG_LEN];
        let work = Work::prepare(&mut operation, &mut tag);
        let device = self.bursts.device().id();
        // SAFETY: the session is the device's; source and destination are ours, hold the bytes named, and
        // may be written where the operation writes; nonce, additional data and tag are as long as the
        // session was told.
        let status = unsafe {
            sys::levee_aead_now(
                device,
                session.as_ptr(),
                work.source,
                work.destination,
                work.offset,
                work.length,
                nonce.as_mut_ptr(),
                aad.as_mut_ptr(),
                tag.as_mut_ptr(),
            )
        };
        self.counters.now += 1;
        let outcome = match status {
            0 => Outcome::Done,
            error if error.abs() == libc::EBADMSG => Outcome::Forged,
            _ => Outcome::Fault,
        };
        self.finish(operation.into_flight(work.hidden), &tag, outcome)
    }

    /// Gathers an operation for the device. There is a free slot.
    fn start(&mut self, mut operation: Operation, session: NonNull<c_void>) {
        let Some(slot) = self.free.pop() else { return };
        let raw = self.operations[slot as usize];
        let scratch = scratch(raw);
        scratch.nonce[..operation.nonce.len()].copy_from_slice(&operation.nonce);
        scratch.aad = operation.aad.0;
        let work = Work::prepare(&mut operation, &mut scratch.tag);
        // SAFETY: the operation is ours and not in the device; the rest as for `run`, until it is back.
        unsafe {
            sys::levee_op_fill(
                raw.as_ptr(),
                session.as_ptr(),
                work.source,
                work.destination,
                work.offset,
                work.length,
                i32::from(self.bursts.device().is_hardware()),
            );
        }
        self.sessions.started(operation.session);
        self.flights[slot as usize] = Some(operation.into_flight(work.hidden));
        self.bursts.gather(raw);
    }

    /// Takes back what the device has finished.
    fn collect(&mut self) {
        for raw in self.bursts.collect() {
            // SAFETY: a live operation.
            let done = unsafe { sys::levee_op_succeeded(raw.as_ptr()) } != 0;
            // SAFETY: a live operation.
            let forged = unsafe { sys::levee_op_forged(raw.as_ptr()) } != 0;
            let outcome = match (done, forged) {
                (true, _) => Outcome::Done,
                (false, true) => Outcome::Forged,
                (false, false) => Outcome::Fault,
            };
            self.end(raw, outcome);
        }
    }

    /// Ends an operation that the device has not, or has no more.
    fn end(&mut self, raw: NonNull<sys::rte_crypto_op>, outcome: Outcome) {
        let scratch = scratch(raw);
        let tag = scratch.tag;
        let Ok(slot) = u32::try_from(scratch.slot) else { return };
        let Some(flight) = self.flights[slot as usize].take() else { return };
        self.free.push(slot);
        self.counters.later += 1;
        let session = flight.session;
        if flight.given_up {
            self.sessions.finished(session);
            return;
        }
        let finished = self.finish(flight, &tag, outcome);
        self.done.push_back((Some(session), finished));
    }

    fn finish(&mut self, flight: Flight, tag: &[u8; TAG_LEN], mut outcome: Outcome) -> Finished {
        let mut has_room = true;
        let Flight { token, direction, mut text, at, into, hidden, .. } = flight;
        if let Some(mut into) = into {
            let end = into.len() - TAG_LEN;
            has_room = into.write_at(end, tag);
            into.reveal(hidden);
            text = into;
        } else if direction == Direction::Seal {
            has_room = text.write_at(at.end - TAG_LEN, tag);
        }
        if outcome == Outcome::Done && !has_room {
            outcome = Outcome::Impossible;
        }
        self.counters.failed += u64::from(outcome != Outcome::Done);
        Finished { token, direction, text, outcome }
    }

    fn fail(&mut self, operation: Operation) -> Finished {
        self.counters.failed += 1;
        let text = operation.into.unwrap_or(operation.text);
        let Operation { token, direction, .. } = operation;
        Finished { token, direction, text, outcome: Outcome::Impossible }
    }

    /// Copies the bytes that the operation reads into one segment. False when memory is exhausted: the
    /// operation is as before.
    fn linearise(&self, operation: &mut Operation) -> bool {
        let whole = 0..operation.text.len();
        let Range { start, end } = if operation.into.is_some() { whole } else { operation.at.clone() };
        let Some(mut copy) = self.pool.alloc(end - start) else { return false };
        let Some(place) = copy.extend(end - start) else { return false };
        operation.text.copy_to(start, place);
        let Some(mut text) = self.pool.split_to(&mut operation.text, start) else { return false };
        operation.text.trim_front(end - start);
        text.append(copy);
        text.append(operation.text.take());
        operation.text = text;
        true
    }
}

impl Drop for QueuePair {
    fn drop(&mut self) {
        if !self.drain() {
            std::mem::forget(std::mem::take(&mut self.flights));
        }
    }
}

/// How long a device may take for what is in flight when its queue pair is dropped or reset.
const DRAIN: Duration = Duration::from_secs(1);

/// The most segments of an operation in a device's queue: what QAT and `aesni_mb` take.
const LATER_SEGMENTS: usize = 16;

struct Plan {
    session: NonNull<c_void>,
    path: Path,
    copy: bool,
    linearise: bool,
}

/// An operation that the device may be working on.
struct Flight {
    token: u64,
    session: SessionId,
    direction: Direction,
    text: Chain,
    at: Range<usize>,
    into: Option<Chain>,
    /// Bytes of `into` in front of the ciphertext.
    hidden: usize,
    /// It was answered already.
    given_up: bool,
}

impl Operation {
    fn into_flight(self, hidden: usize) -> Flight {
        let Self { token, session, direction, text, at, into, .. } = self;
        Flight { token, session, direction, text, at, into, hidden, given_up: false }
    }
}

/// An operation in the words of a device.
struct Work {
    source: *mut sys::rte_mbuf,
    destination: *mut sys::rte_mbuf,
    offset: u32,
    length: u32,
    hidden: usize,
}

impl Work {
    /// Makes room for the result in `into`, and takes the tag that shall be checked out of `text`.
    fn prepare(operation: &mut Operation, tag: &mut [u8; TAG_LEN]) -> Self {
        let raw = |chain: &Chain| chain.head().map_or(std::ptr::null_mut(), |head| head.raw());
        let source = raw(&operation.text);
        if let Some(into) = &mut operation.into {
            let hidden = into.len();
            let length = operation.text.len();
            into.extend(length + TAG_LEN);
            into.hide(hidden);
            return Self { source, destination: raw(into), offset: 0, length: wide(length), hidden };
        }
        let Range { start, end } = operation.at.clone();
        if operation.direction == Direction::Open {
            operation.text.copy_to(end - TAG_LEN, tag);
        }
        Self {
            source,
            destination: std::ptr::null_mut(),
            offset: wide(start),
            length: wide(end - TAG_LEN - start),
            hidden: 0,
        }
    }
}

/// Makes an out-of-place operation one in place, on a copy of the plaintext.
fn copy_into(operation: &mut Operation) {
    let Some(mut into) = operation.into.take() else { return };
    let start = into.len();
    let len = operation.text.len();
    if let Some(place) = into.extend(len + TAG_LEN) {
        operation.text.copy_to(0, place);
    }
    operation.at = start..start + len + TAG_LEN;
    operation.text = into;
}

/// What lies behind an operation of ours.
fn scratch<'a>(operation: NonNull<sys::rte_crypto_op>) -> &'a mut sys::levee_scratch {
    // SAFETY: only arithmetic on a pointer to a live operation.
    let scratch = unsafe { sys::levee_op_scratch(operation.as_ptr()) };
    // SAFETY: operations are made with this private area; the one who holds the operation holds it, and
    // no other reference to it exists, since callers drop it before they call again.
    unsafe { &mut *scratch }
}

/// A length of a chain, for a device.
fn wide(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

//! The loop of one lcore: burst in, stack and sessions, burst out.
//!
//! [`Worker::run`] reads as the data path. Everything it touches is its own; it meets other workers only in
//! rings of one producer and one consumer, and the control plane only in a flag, a queue of what it
//! has to say, and a copy of its counters.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use levee_buf::{Chain as _, Memory as _, Pieces as _};
use levee_dpdk::{
    Chain, Clock, Consumer, Frame, MAX_BURST, Pool, Producer, Received, RxQueue, TxOffload, TxQueue,
};
use levee_tcp::{Checksums, Instant};

use crate::config::OnPanic;
use crate::cycles::{Cycles, Stage, Watch};
use crate::host::Host;
use crate::metrics::{Counter, Published};
use crate::recipe::Recipe;
use crate::report::Report;
use crate::session::Now;
use crate::steer::{Owner, Steering};

/// One lcore with its queues and its host.
pub(crate) struct Worker {
    pub(crate) host: Host<Pool>,
    pub(crate) memory: Pool,
    /// By port.
    pub(crate) queues: Vec<PortQueues>,
    /// By worker; the place of this one is `None`.
    pub(crate) mates: Vec<Option<Mate>>,
    pub(crate) steering: Steering,
    pub(crate) time: Time,
    pub(crate) control: Arc<Control>,
    pub(crate) published: Arc<Published>,
    pub(crate) cycles: Cycles,
    /// How long requests under way may take after the signal to stop, in nanoseconds.
    pub(crate) shutdown_ns: u64,
    pub(crate) progress: Progress,
    pub(crate) recipe: Recipe,
}

/// Where the loop stands.
#[derive(Default)]
pub(crate) struct Progress {
    turns: u64,
    /// Turns in a row in which there was nothing to do.
    idle: u64,
    /// Since it was told to stop: when it has to, in nanoseconds.
    deadline_ns: Option<u64>,
    /// The others know that it has no client any more.
    is_done: bool,
}

/// A worker's part of a port.
pub(crate) struct PortQueues {
    /// `None`: the port has fewer receive queues than there are workers; frames come from the others.
    pub(crate) rx: Option<RxQueue>,
    pub(crate) tx: Tx,
    /// Frames that the device had no room for.
    pub(crate) pending: VecDeque<Frame>,
    /// When the device last took a frame, or had none to take.
    pub(crate) took_at_ns: u64,
}

/// How a worker's frames reach a port.
pub(crate) enum Tx {
    /// By a queue of its own.
    Queue(TxQueue),
    /// By that of this worker, since the port has fewer than there are workers.
    Via(usize),
}

/// The rings between this worker and another.
pub(crate) struct Mate {
    pub(crate) to: Producer<Handed>,
    pub(crate) from: Consumer<Handed>,
}

/// A frame on its way between workers.
pub(crate) enum Handed {
    /// Received by `port`, for the receiver's stack.
    Received { port: u16, checksums: Checksums, chain: Chain },
    /// To be sent on `port` by the receiver's queue.
    Send { port: u16, frame: Frame },
    /// For the receiver's sessions.
    Notice { chain: Chain },
}

/// What the control plane asks of the workers.
#[derive(Default)]
pub(crate) struct Control {
    /// Finish and return.
    pub(crate) stop: AtomicBool,
    /// Workers that have no client any more, once they were told to stop.
    pub(crate) done: AtomicUsize,
}

/// The clock of the loop: nanoseconds since the start, and the wall clock as of the start.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    pub(crate) clock: Clock,
    /// Milliseconds since 1970 when the clock was zero.
    pub(crate) started_unix_ms: u64,
}

impl Time {
    pub(crate) fn now(&self) -> Now {
        let nanoseconds = self.clock.now();
        Now { instant: Instant(nanoseconds), unix_ms: self.started_unix_ms + nanoseconds / 1_000_000 }
    }
}

/// A port with more frames than this waiting is full: TCP keeps the rest until it takes them.
const PENDING: usize = 256;
/// Turns between copies of the counters for the control plane.
const PUBLISH_EVERY: u64 = 4096;
/// Turns without a frame after which the CPU is offered to others.
const YIELD_AFTER: u64 = 256;
/// Frames of other workers that wait for a device, at most.
const HANDED: usize = 768;
/// A device that takes no frame for so long has stopped.
const STUCK_NS: u64 = 100_000_000;
/// After the last connection has ended, for its last frames to leave.
const FLUSH_NS: u64 = 2_000_000;

/// The Ethertype of frames on which a worker panics, in tests: an experimental one (IEEE 802).
#[cfg(test)]
pub(crate) const FAULT: [u8; 2] = [0x88, 0xb6];

/// When a worker panicked lately, in nanoseconds.
#[derive(Default)]
struct Panics(VecDeque<u64>);

/// As many panics within [`LATELY_NS`] are too many.
const PANICS: usize = 10;
const LATELY_NS: u64 = 60_000_000_000;

impl Panics {
    /// Notes one at `now_ns`.
    fn are_too_many(&mut self, now_ns: u64) -> bool {
        self.0.push_back(now_ns);
        while self.0.front().is_some_and(|&then| then + LATELY_NS < now_ns) {
            self.0.pop_front();
        }
        self.0.len() >= PANICS
    }
}

impl Worker {
    /// Serves until it is told to stop and the requests under way are answered. A panic costs the connections, and
    /// no more: the host is made anew, if the configuration has it so and it does not happen all the time.
    ///
    /// # Errors
    /// The host could not be made anew.
    ///
    /// # Panics
    /// As the host did, when that is the end.
    pub(crate) fn run(mut self) -> miette::Result<Report> {
        let mut before = Report::default();
        let mut panics = Panics::default();
        loop {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.serve())) else { break };
            let restart = self.recipe.config.workers.on_panic == OnPanic::Restart;
            if !restart || panics.are_too_many(self.time.now().instant.0) {
                resume_unwind(panic);
            }
            tracing::error!("a worker panicked: its connections are lost, and it serves on");
            before.merge_counters(&Report::of(&mut self.host, 0, &self.cycles));
            self = self.with_new_host()?;
        }
        let mut report = self.finish();
        report.merge_counters(&before);
        Ok(report)
    }

    fn with_new_host(self) -> miette::Result<Self> {
        drop(self.host);
        let mut host = self.recipe.host()?;
        host.counters().count(Counter::Restarts);
        if self.progress.deadline_ns.is_some() {
            host.drain();
        }
        Ok(Self { host, ..self })
    }

    /// The loop.
    fn serve(&mut self) {
        let mut burst = Vec::with_capacity(MAX_BURST);
        let mut handed = Vec::with_capacity(MAX_BURST);
        loop {
            let now = self.time.now();
            let (received, drained) = self.receive(&mut burst, now);
            let taken = self.take_over(&mut handed, now);
            let may_send = self.queues.iter().all(|port| port.pending.len() < PENDING);
            self.host.turn(now, drained && taken < MAX_BURST, may_send, &mut self.cycles);
            let sent = self.send(now);
            self.pass_notices();
            self.cycles.lap(Stage::Transmit);

            let worked = received + taken + sent > 0 || self.host.is_busy();
            let progress = &mut self.progress;
            progress.turns += 1;
            progress.idle = if worked { 0 } else { progress.idle + 1 };
            let Progress { turns, idle, .. } = *progress;
            self.published.turn.store(turns, Ordering::Relaxed);
            self.cycles.end_turn(idle > 0);
            if idle > 0 {
                self.host.work_ahead(now);
            }
            self.count(received, sent);
            if turns.is_multiple_of(PUBLISH_EVERY) || idle == YIELD_AFTER {
                self.publish();
            }
            if idle > YIELD_AFTER {
                std::thread::yield_now();
                self.cycles.skip();
            }
            if self.control.stop.load(Ordering::Relaxed) && self.may_stop(now) {
                return;
            }
        }
    }

    /// Drains the host. Whether all clients of all workers are gone, or the time for it is over.
    fn may_stop(&mut self, now: Now) -> bool {
        let host = &mut self.host;
        let deadline_ns = *self.progress.deadline_ns.get_or_insert_with(|| {
            host.drain();
            now.instant.0 + self.shutdown_ns
        });
        // Others may need this worker's queues to the end.
        if self.host.sessions().clients() == 0 && !std::mem::replace(&mut self.progress.is_done, true) {
            self.control.done.fetch_add(1, Ordering::Relaxed);
        }
        self.control.done.load(Ordering::Relaxed) >= self.mates.len() || now.instant.0 >= deadline_ns
    }

    /// Reads each port's queue once, and hands frames of other workers' flows over. Returns how many frames
    /// there were, and whether the queues were read empty.
    fn receive(&mut self, burst: &mut Vec<Received>, now: Now) -> (usize, bool) {
        let mut count = 0;
        let mut drained = true;
        for port in 0..self.queues.len() {
            let Some(rx) = &mut self.queues[port].rx else { continue };
            let received = rx.burst(burst);
            self.cycles.lap(Stage::Receive);
            count += received;
            drained &= received < MAX_BURST;
            for received in burst.drain(..) {
                let checksums = match received.checksums {
                    levee_dpdk::Checksums::Good => Checksums::Good,
                    levee_dpdk::Checksums::Unknown => Checksums::Unknown,
                    levee_dpdk::Checksums::Bad => Checksums::Bad,
                };
                let chain = received.chain;
                #[cfg(test)]
                assert!(!chain.chunk(12).starts_with(&FAULT), "a fault, as a test asks for");
                self.host.counters().add(Counter::BytesReceived, chain.len() as u64);
                let number = u16::try_from(port).unwrap_or(u16::MAX);
                match self.steering.owner(port, &chain, received.rss_hash) {
                    Owner::Own => self.host.receive(number, chain, checksums, now),
                    Owner::Worker(owner) => {
                        let handed = Handed::Received { port: number, checksums, chain };
                        hand_over(&mut self.host, &mut self.mates, usize::from(owner), handed);
                    }
                    Owner::Everyone => {
                        for mate in 0..self.mates.len() {
                            if self.mates[mate].is_some()
                                && let Some(chain) = copy(&self.memory, &chain)
                            {
                                let handed = Handed::Received { port: number, checksums, chain };
                                hand_over(&mut self.host, &mut self.mates, mate, handed);
                            }
                        }
                        self.host.receive(number, chain, checksums, now);
                    }
                }
            }
            self.cycles.lap(Stage::TcpIn);
        }
        (count, drained)
    }

    /// Takes what other workers handed over.
    fn take_over(&mut self, handed: &mut Vec<Handed>, now: Now) -> usize {
        let mut count = 0;
        for mate in self.mates.iter_mut().flatten() {
            count += mate.from.pop_burst(handed);
            for each in handed.drain(..) {
                match each {
                    Handed::Received { port, checksums, chain } => {
                        self.host.receive(port, chain, checksums, now)
                    }
                    Handed::Send { port, frame } => match self.queues.get_mut(usize::from(port)) {
                        Some(port) if port.pending.len() < HANDED => port.pending.push_back(frame),
                        _ => self.host.counters().count(Counter::SteeringOverflow),
                    },
                    Handed::Notice { chain } => self.host.sessions_mut().take_notice(&chain),
                }
            }
        }
        if count > 0 {
            self.cycles.lap(Stage::TcpIn);
        }
        count
    }

    /// Tells the other workers what concerns them too.
    fn pass_notices(&mut self) {
        while let Some(notice) = self.host.sessions_mut().next_notice() {
            for mate in self.mates.iter_mut().flatten() {
                let told = copy(&self.memory, &notice)
                    .is_some_and(|chain| mate.to.push(Handed::Notice { chain }).is_ok());
                if !told {
                    self.host.counters().count(Counter::NoticesLost);
                }
            }
        }
    }

    /// Gives the devices what the host has for them, as much as they take.
    ///
    /// A device that takes nothing for a while loses what waits for it: TCP sends it again, and the other
    /// ports go on.
    fn send(&mut self, now: Now) -> usize {
        while let Some(frame) = self.host.output().pop() {
            let offload = TxOffload {
                l2_len: frame.offload.l2_len.into(),
                l3_len: frame.offload.l3_len.into(),
                l4_len: frame.offload.l4_len.into(),
                checksum: frame.offload.checksum,
                tso_mss: frame.offload.tso_mss,
            };
            if let Some(port) = self.queues.get_mut(usize::from(frame.interface)) {
                self.host.counters().add(Counter::BytesSent, frame.chain.len() as u64);
                port.pending.push_back(Frame { chain: frame.chain, offload });
            }
        }
        let mut sent = 0;
        for (number, port) in self.queues.iter_mut().enumerate() {
            let before = sent;
            match &mut port.tx {
                Tx::Queue(queue) => {
                    while !port.pending.is_empty() {
                        let taken = queue.burst(&mut port.pending);
                        sent += taken;
                        if taken == 0 {
                            break;
                        }
                    }
                }
                Tx::Via(owner) => {
                    let Some(mate) = self.mates.get_mut(*owner).and_then(Option::as_mut) else { continue };
                    let port_number = u16::try_from(number).unwrap_or(u16::MAX);
                    while let Some(frame) = port.pending.pop_front() {
                        if let Err(Handed::Send { frame, .. }) =
                            mate.to.push(Handed::Send { port: port_number, frame })
                        {
                            port.pending.push_front(frame);
                            break;
                        }
                        sent += 1;
                    }
                }
            }
            if sent > before || port.pending.is_empty() {
                port.took_at_ns = now.instant.0;
            } else if now.instant.0 > port.took_at_ns + STUCK_NS {
                self.host.counters().add(Counter::FramesStuck, port.pending.len() as u64);
                port.pending.clear();
            }
        }
        sent
    }

    fn count(&mut self, received: usize, sent: usize) {
        let counters = self.host.counters();
        counters.count(Counter::Turns);
        if received == 0 {
            counters.count(Counter::IdleTurns);
        }
        counters.add(Counter::FramesReceived, received as u64);
        counters.add(Counter::FramesSent, sent as u64);
    }

    fn publish(&mut self) {
        self.published.store(self.host.counters());
        let stack = self.host.stack();
        let connections = stack.connections();
        let drops = levee_tcp::Reason::ALL.iter().map(|&reason| stack.counters()[reason]).sum();
        self.published.connections.store(connections as u64, Ordering::Relaxed);
        self.published.drops.store(drops, Ordering::Relaxed);
    }

    /// Ends what is left and says what was done.
    fn finish(mut self) -> Report {
        let left = self.host.sessions().clients();
        self.host.abort_all();
        let start = self.time.now().instant.0;
        let (mut burst, mut handed) = (Vec::with_capacity(MAX_BURST), Vec::with_capacity(MAX_BURST));
        loop {
            let now = self.time.now();
            self.receive(&mut burst, now);
            self.take_over(&mut handed, now);
            self.host.turn(now, true, true, &mut self.cycles);
            self.send(now);
            if now.instant.0 >= start + FLUSH_NS {
                break;
            }
        }
        let copied = self.host.sessions().copied_records();
        self.host.counters().add(Counter::PayloadCopies, copied);
        for port in &self.queues {
            if let Tx::Queue(queue) = &port.tx {
                self.host.counters().add(Counter::PayloadCopies, queue.counters().linearised);
            }
        }
        self.publish();
        Report::of(&mut self.host, left, &self.cycles)
    }
}

fn hand_over(host: &mut Host<Pool>, mates: &mut [Option<Mate>], to: usize, handed: Handed) {
    let taken = mates.get_mut(to).and_then(Option::as_mut).is_some_and(|mate| mate.to.push(handed).is_ok());
    host.counters().count(if taken { Counter::FramesSteered } else { Counter::SteeringOverflow });
}

/// A copy of a small frame, for each of several to have its own.
fn copy(memory: &Pool, frame: &Chain) -> Option<Chain> {
    let mut copy = memory.alloc(frame.len())?;
    frame.copy_to(0, copy.extend(frame.len())?);
    Some(copy)
}

//! The loop over DPDK ports: burst in, stack and parties, burst out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use levee_buf::Pieces;
use levee_dpdk::{Chain, Clock, Frame, MAX_BURST, Pool, Received, RxQueue, TxOffload, TxQueue};
use levee_tcp::{Checksums, Output};

use super::{Party, StackNet};
use crate::report::{Generator, Part};

/// A run over ports, on the thread that calls [`Lane::run`].
pub struct Lane {
    /// The stack; its interfaces are the ports, in their order.
    pub net: StackNet<Pool>,
    /// Queues of each port.
    pub ports: Vec<(RxQueue, TxQueue)>,
    /// The clock of the run.
    pub clock: Clock,
    /// Ends the run early.
    pub stop: Arc<AtomicBool>,
    /// What the parties found out, once the run is over.
    pub parts: Vec<Part>,
}

/// Frames that a turn gives out, at most.
const OUTPUT: usize = 256;
/// A port with more frames than this waiting is full: TCP keeps the rest.
const PENDING: usize = 256;
/// Turns without work after which the CPU is offered to others.
const YIELD_AFTER: u32 = 256;
/// A device that takes no frame for so long loses them: TCP sends them again.
const STUCK_NS: u64 = 100_000_000;
/// After the end, for the last frames to leave.
const FLUSH_NS: u64 = 5_000_000;

impl Lane {
    /// Runs until every party is done, or the run is stopped; `each_turn` is called with the time and the
    /// parties.
    pub fn run(
        mut self,
        parties: &mut [Box<dyn Party<Pool>>],
        mut each_turn: impl FnMut(u64, &[Box<dyn Party<Pool>>]),
    ) -> (Vec<Part>, Generator) {
        let mut burst: Vec<Received> = Vec::with_capacity(MAX_BURST);
        let mut output = Output::new(OUTPUT);
        let mut pending: Vec<Pending> = self.ports.iter().map(|_| Pending::default()).collect();
        let mut busy = Busy::default();
        let mut idle = 0;
        let mut end: Option<u64> = None;
        let began = self.clock.cycles();
        loop {
            let turn = self.clock.cycles();
            let now_ns = self.clock.now();
            let received = self.receive(&mut burst, now_ns);
            let may_send = pending.iter().all(|port| port.frames.len() < PENDING);
            let happened = self.net.turn(parties, now_ns, may_send, &mut output);
            let sent = self.send(&mut output, &mut pending, now_ns);
            each_turn(now_ns, parties);
            if received + sent > 0 || happened {
                busy.cycles += self.clock.cycles().saturating_sub(turn);
                idle = 0;
            } else {
                idle += 1;
            }
            if idle > YIELD_AFTER {
                std::thread::yield_now();
            }
            match end {
                None if parties.iter().all(|party| party.is_done(now_ns))
                    || self.stop.load(Ordering::Relaxed) =>
                {
                    busy.share = busy.cycles as f64 / self.clock.cycles().saturating_sub(began).max(1) as f64;
                    self.parts = parties.iter().filter_map(|party| party.part(now_ns)).collect();
                    end = Some(now_ns + FLUSH_NS);
                }
                // The peer is told in frames that leave with the next turns.
                Some(_) if may_send && !self.net.abort_some() => end = Some(now_ns + FLUSH_NS),
                Some(end) if now_ns >= end => break,
                _ => {}
            }
        }
        let counters = self.net.counters();
        let generator = Generator {
            busy: busy.share,
            frames_out: counters.frames_out,
            frames_in: counters.frames_in,
            retransmits: counters.retransmits,
        };
        (self.parts, generator)
    }

    fn receive(&mut self, burst: &mut Vec<Received>, now_ns: u64) -> usize {
        let mut count = 0;
        for (number, (rx, _)) in self.ports.iter_mut().enumerate() {
            count += rx.burst(burst);
            for received in burst.drain(..) {
                let checksums = match received.checksums {
                    levee_dpdk::Checksums::Good => Checksums::Good,
                    levee_dpdk::Checksums::Unknown => Checksums::Unknown,
                    levee_dpdk::Checksums::Bad => Checksums::Bad,
                };
                let number = u16::try_from(number).unwrap_or(u16::MAX);
                self.net.receive(number, received.chain, checksums, now_ns);
            }
        }
        count
    }

    fn send(&mut self, output: &mut Output<Pool>, pending: &mut [Pending], now_ns: u64) -> usize {
        while let Some(frame) = output.pop() {
            if let Some(port) = pending.get_mut(usize::from(frame.interface)) {
                port.frames.push_back(translate(frame));
            }
        }
        let mut sent = 0;
        for ((_, tx), port) in self.ports.iter_mut().zip(pending) {
            let before = sent;
            while !port.frames.is_empty() {
                let taken = tx.burst(&mut port.frames);
                sent += taken;
                if taken == 0 {
                    break;
                }
            }
            if sent > before || port.frames.is_empty() {
                port.took_at_ns = now_ns;
            } else if now_ns > port.took_at_ns + STUCK_NS {
                port.frames.clear();
            }
        }
        sent
    }
}

/// Frames that a device had no room for.
#[derive(Default)]
struct Pending {
    frames: VecDeque<Frame>,
    took_at_ns: u64,
}

/// Cycles of turns in which something was done.
#[derive(Default)]
struct Busy {
    cycles: u64,
    share: f64,
}

fn translate(frame: levee_tcp::Frame<Chain>) -> Frame {
    debug_assert!(!frame.chain.is_empty(), "a frame has headers");
    let offload = TxOffload {
        l2_len: frame.offload.l2_len.into(),
        l3_len: frame.offload.l3_len.into(),
        l4_len: frame.offload.l4_len.into(),
        checksum: frame.offload.checksum,
        tso_mss: frame.offload.tso_mss,
    };
    Frame { chain: frame.chain, offload }
}

//! A turn's second half: emit, the timers, and the end of connections.

use std::net::Ipv4Addr;

use levee_buf::{Memory, Pieces};

use super::egress::{Blocked, Egress, Segment};
use super::slots::Owner;
use super::{ANSWERS, ConnId, Peer, Stack};
use crate::conn::Verdict;
use crate::conn::send::Visit;
use crate::conn::state::State;
use crate::neigh::Overdue;
use crate::output::{Frame, Output};
use crate::reason::Reason;
use crate::seal::Seal;
use crate::seq::Seq;
use crate::table::Tuple;
use crate::time::Instant;
use crate::wire::arp::Arp;
use crate::wire::ether::{BROADCAST, Mac};
use crate::wire::tcp::{Flags, Options, Tcp, Timestamps};

/// Timers fired in one call of `on_timeout`, and TIME-WAITs ended.
const TIMER_WORK: usize = 4096;

impl<M: Memory> Stack<M> {
    /// Sends what is due: answers first, then connections in turn, each asked for its bytes by `seal`.
    /// What does not fit into `out` is for the next call.
    pub fn emit(&mut self, now: Instant, seal: &mut dyn Seal<M>, out: &mut Output<M>) {
        self.now = now;
        self.announce(now);
        let before = out.len();
        self.send_answers(out);
        while out.room() > 0 {
            let Some(slot) = self.send.pop() else { break };
            match self.visit(slot, seal, out, now) {
                Visit::Done => {}
                Visit::More => self.send.push(slot),
                Visit::Full => self.send.push_front(slot),
                Visit::Later => {
                    self.core.counters.count(Reason::NoMemory);
                    self.send.push(slot);
                    break;
                }
            }
        }
        self.send_asks(now);
        self.send_answers(out);
        self.core.counters.frames_out += (out.len() - before) as u64;
    }

    /// Sees to the timers that are due, a bounded number of them; [`Stack::deadline`] says when to come
    /// again, which is at once when some are left.
    pub fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        let mut work = TIMER_WORK;
        while let Some(number) = self.wheel.expired(now, &mut work) {
            match self.numbers.owner(number) {
                Owner::Conn(slot) => {
                    let verdict = self.conns[slot as usize].on_timeout(&mut self.core.env(now));
                    self.apply(slot, verdict);
                }
                Owner::HalfOpen(id) => self.on_half_open_timeout(id, now),
                Owner::Other(id) => self.on_neighbour_timeout(id, now),
            }
        }
        for _ in 0..TIMER_WORK {
            match self.wait.oldest() {
                Some((id, until)) if until <= now => self.forget_waiting(id),
                _ => break,
            }
        }
    }

    /// The time at which [`Stack::on_timeout`] is to be called, at the latest; it may have nothing to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.wait.oldest().map(|(_, until)| until);
        self.wheel.next().into_iter().chain(waiting).min()
    }

    /// Whether [`Stack::emit`] has something to send, as far as the stack itself knows.
    #[must_use]
    pub fn wants_emit(&self) -> bool {
        !self.send.is_empty() || !self.answers.is_empty()
    }

    fn visit(&mut self, slot: u32, seal: &mut dyn Seal<M>, out: &mut Output<M>, now: Instant) -> Visit {
        let conn = &mut self.conns[slot as usize];
        if matches!(conn.state, State::Free | State::Closed) {
            return Visit::Done;
        }
        let id = ConnId { slot, generation: conn.generation };
        let peer = Peer { id, interface: conn.interface, tuple: *self.table.tuple(slot) };
        let limit = out.len() + out.room();
        let mut egress =
            Egress { links: &self.links, neighbours: &mut self.neighbours, queue: out.frames(), limit };
        let visit = conn.emit(&peer, seal, &mut self.core.env(now), &mut egress);
        if let Some(deadline) = conn.deadline() {
            self.wheel.at_latest(slot, deadline);
        }
        visit
    }

    /// Moves answers to the output, as many as fit.
    fn send_answers(&mut self, out: &mut Output<M>) {
        while out.room() > 0 {
            let Some(frame) = self.answers.pop_front() else { return };
            out.frames().push_back(frame);
        }
    }

    /// Tells the links at the start who we are, and asks for the gateways.
    fn announce(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_announced, true) {
            return;
        }
        for at in 0..self.links.len() {
            let interface = u16::try_from(at).unwrap_or(u16::MAX);
            for address in 0..self.links[at].addresses.len() {
                let (own, _) = self.links[at].addresses[address];
                // Lost ones are no harm: whoever needs to know asks.
                self.ask(interface, own, own);
            }
            if let Some(gateway) = self.links[at].gateway {
                let mut hint = u16::MAX;
                self.neighbours.way(interface, gateway, &mut hint, now);
            }
        }
    }

    fn send_asks(&mut self, now: Instant) {
        while let Some((id, interface, address)) = self.neighbours.next_ask() {
            let sender = self.links[usize::from(interface)].address_towards(address);
            let Some(sender) = sender else { continue };
            if self.ask(interface, sender, address) {
                self.core.counters.arp_requests += 1;
            }
            self.wheel.set(self.numbers.other(id), self.neighbours.due(id).max(now));
        }
    }

    fn on_neighbour_timeout(&mut self, id: u32, now: Instant) {
        if self.neighbours.due(id) > now {
            return self.wheel.set(self.numbers.other(id), self.neighbours.due(id));
        }
        match self.neighbours.on_timeout(id, now) {
            Overdue::Asked => self.wheel.set(self.numbers.other(id), self.neighbours.due(id)),
            Overdue::Nothing => {}
            Overdue::Gone => {
                while self.neighbours.take_waiting(id).is_some() {
                    self.core.counters.count(Reason::NeighbourUnreachable);
                }
                self.neighbours.forget(id);
            }
        }
    }

    /// Sends the frames that waited for a neighbour.
    pub(super) fn on_neighbour_found(&mut self, id: u32) {
        self.wheel.set(self.numbers.other(id), self.neighbours.due(id));
        while let Some((mut frame, mac)) = self.neighbours.take_waiting(id) {
            if let Some(place) = frame.chain.chunk_mut(0).and_then(|header| header.get_mut(..6)) {
                place.copy_from_slice(&mac);
                self.queue_answer(frame);
            }
        }
    }

    /// Queues an ARP packet that answers, or asks. False when there is no room for it.
    pub(super) fn answer_arp(&mut self, interface: u16, destination: Mac, arp: &Arp) -> bool {
        let mut egress = Egress {
            links: &self.links,
            neighbours: &mut self.neighbours,
            queue: &mut self.answers,
            limit: ANSWERS,
        };
        egress.arp(interface, destination, arp, &self.core.memory).is_ok()
    }

    /// Asks all stations who has `target`; with `sender` the same, tells them that we have.
    fn ask(&mut self, interface: u16, sender: Ipv4Addr, target: Ipv4Addr) -> bool {
        let sender_mac = self.links[usize::from(interface)].mac;
        let arp = Arp { is_request: true, sender_mac, sender, target_mac: [0; 6], target };
        self.answer_arp(interface, BROADCAST, &arp)
    }

    pub(super) fn queue_answer(&mut self, frame: Frame<M::Chain>) {
        if self.answers.len() < ANSWERS {
            self.answers.push_back(frame);
        } else {
            self.core.counters.count(Reason::AnswerQueueFull);
        }
    }

    /// Queues a segment without data that answers a segment or a timer. Lost ones are counted.
    pub(super) fn answer_tcp(&mut self, interface: u16, tuple: Tuple, tcp: Tcp, now: Instant) {
        let peer = Peer { id: ConnId { slot: u32::MAX, generation: 0 }, interface, tuple };
        let payload = M::Chain::default();
        let segment = Segment { peer: &peer, tcp, payload, tso_mss: None };
        let mut egress = Egress {
            links: &self.links,
            neighbours: &mut self.neighbours,
            queue: &mut self.answers,
            limit: ANSWERS,
        };
        let mut hint = u16::MAX;
        match egress.tcp(&mut hint, segment, &mut self.core.env(now)) {
            Ok(()) => {}
            Err(Blocked::Full) => self.core.counters.count(Reason::AnswerQueueFull),
            Err(Blocked::NoMemory) => self.core.counters.count(Reason::NoMemory),
        }
    }

    /// Sends the RST that ends a connection.
    pub(super) fn send_reset(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        let (seq, ack) = conn.reset_numbers();
        let (interface, tuple, now) = (conn.interface, *self.table.tuple(slot), self.now);
        self.core.counters.resets_out += 1;
        let flags = Flags::RST | Flags::ACK;
        self.answer_tcp(interface, tuple, bare(&tuple, seq, ack, flags, 0, None), now);
    }

    /// Does what a connection's call said, and looks at its marks.
    pub(super) fn apply(&mut self, slot: u32, verdict: Verdict) {
        match verdict {
            Verdict::Ok => self.schedule(slot),
            Verdict::Drop(reason) | Verdict::Refuse(reason) => {
                self.core.counters.count(reason);
                self.schedule(slot);
            }
            Verdict::Close(reason) => self.close(slot, reason),
            Verdict::Reset(reason) => {
                self.send_reset(slot);
                self.close(slot, reason);
            }
            Verdict::TimeWait => self.enter_time_wait(slot),
        }
    }

    /// Queues a connection for what it has to send and to tell, and sets its timer.
    pub(super) fn schedule(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        if conn.wants_visit() {
            self.send.push(slot);
        }
        if !conn.events.is_empty() && !conn.released {
            self.ready.push(slot);
        }
        if let Some(deadline) = conn.deadline() {
            self.wheel.at_latest(slot, deadline);
        }
    }

    /// Ends a connection: its tuple is free at once, its slot when the upper layer was told.
    pub(super) fn close(&mut self, slot: u32, reason: Reason) {
        self.table.remove(slot);
        self.end(slot, reason);
    }

    fn end(&mut self, slot: u32, reason: Reason) {
        self.core.counters.count(reason);
        self.wheel.cancel(slot);
        let conn = &mut self.conns[slot as usize];
        conn.end(reason, &mut self.core.runs);
        if conn.released {
            self.vacate(slot);
        } else {
            self.ready.push(slot);
        }
    }

    pub(super) fn vacate(&mut self, slot: u32) {
        self.conns[slot as usize].vacate(&mut self.core.runs);
        self.free.push(slot);
    }

    /// RFC 9293 section 3.6.1: the side that closes first waits, here without its slot.
    fn enter_time_wait(&mut self, slot: u32) {
        let now = self.now;
        let conn = &self.conns[slot as usize];
        let waiting = conn.waiting();
        let tuple = *self.table.tuple(slot);
        self.table.remove(slot);
        if self.wait.is_full()
            && let Some((oldest, _)) = self.wait.oldest()
        {
            self.core.counters.count(Reason::TimeWaitEvicted);
            self.forget_waiting(oldest);
        }
        let until = now + self.core.limits.timeouts.time_wait;
        if let Some(id) = self.wait.insert(waiting, until) {
            self.table.insert(tuple, self.numbers.other(id));
        }
        self.acknowledge_waiting(&tuple, waiting, now);
        self.end(slot, Reason::Finished);
    }

    pub(super) fn forget_waiting(&mut self, id: u32) {
        self.table.remove(self.numbers.other(id));
        self.wait.remove(id);
    }

    /// Acknowledges the peer's FIN from TIME-WAIT.
    pub(super) fn acknowledge_waiting(&mut self, tuple: &Tuple, waiting: crate::wait::Waiting, now: Instant) {
        let value = now.millis32().wrapping_add(waiting.ts_offset);
        let timestamps = waiting.ts_recent.map(|echo| Timestamps { value, echo });
        let tcp = bare(tuple, waiting.snd_nxt, waiting.rcv_nxt, Flags::ACK, waiting.window, timestamps);
        self.answer_tcp(waiting.interface, *tuple, tcp, now);
    }
}

/// A header for a segment without data.
pub(super) fn bare(
    tuple: &Tuple,
    seq: Seq,
    ack: Seq,
    flags: Flags,
    window: u16,
    timestamps: Option<Timestamps>,
) -> Tcp {
    Tcp {
        source: tuple.local_port,
        destination: tuple.remote_port,
        seq,
        ack,
        flags,
        window,
        options: Options { timestamps, ..Options::default() },
    }
}

//! Handshakes as a flood: whole ones, and every way of leaving one undone.
//!
//! `Flood` is the party; `command` the subcommand.

pub mod command;

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use clap::ValueEnum;
use levee_buf::{Memory, Pieces};
use levee_tcp::Fill;
use levee_tls::Filled;
use levee_tls::load::{Client, Stage as Reached};

use crate::channel::Security;
use crate::net::{Event, Net, Pace, Party};
use crate::report::Part;
use crate::tally::Tally;

/// What is done to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Handshakes to their Finished.
    Full,
    /// A ClientHello, then a reset when the server's flight begins to arrive.
    Abandon,
    /// Connections that are opened, brought to a stage, and held.
    Stall,
    /// Handshakes that offer the tickets of those before.
    Resume,
    /// One handshake, then renegotiation after renegotiation, as thc-tls-dos does; TLS 1.2 alone.
    Renegotiate,
    /// Bytes that are no TLS, or only begin like it.
    Garbage,
    /// A ClientHello, a byte at a time.
    Slow,
}

/// How far a stalled connection is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// TCP alone.
    Connected,
    /// Half of a ClientHello.
    Part,
    /// A ClientHello.
    Hello,
    /// The server's flight has arrived and is not answered.
    Flight,
    /// The handshake is complete.
    Established,
}

/// The stages, in the order in which connections go through them.
const STAGES: [Stage; 5] = [Stage::Connected, Stage::Part, Stage::Hello, Stage::Flight, Stage::Established];

/// How a connection ends once it has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Close {
    /// By a reset.
    Rst,
    /// In good order.
    Fin,
}

/// What a flood is to do.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Where to.
    pub target: SocketAddrV4,
    /// What is done.
    pub mode: Mode,
    /// How far stalled connections go; `None`: to each stage in turn.
    pub stage: Option<Stage>,
    /// How connections end.
    pub close: Close,
    /// Connections at a time.
    pub connections: usize,
    /// Connections a second, whatever becomes of them; `None`: the next when one has ended.
    pub rate: Option<f64>,
    /// Units in all.
    pub count: u64,
    /// Nanoseconds of counting.
    pub duration_ns: u64,
    /// A unit that takes longer has failed.
    pub timeout_ns: u64,
    /// Time between two bytes of a slow ClientHello.
    pub interval_ns: u64,
}

/// A flood of handshakes.
pub struct Flood<M: Memory> {
    goal: Goal,
    memory: M,
    security: Security<M>,
    attacks: Vec<Option<Attack<M>>>,
    open: usize,
    begun: u64,
    refused: u32,
    pace: Option<Pace>,
    /// Connections that end when what they were filled with has left.
    leaving: Vec<usize>,
    /// Connections whose client got further by being asked for bytes.
    moved: Vec<usize>,
    /// Connections in the order of their beginning, for their time to run out; slots may be others' by then.
    timeouts: VecDeque<(u64, usize)>,
    /// Slow connections, in the order in which they send their next byte.
    drips: VecDeque<(u64, usize, u64)>,
    /// Connections that wait for a ticket, in the order in which they stop.
    lingering: VecDeque<(u64, usize, u64)>,
    tally: Tally,
}

/// One connection of a flood.
struct Attack<M: Memory> {
    client: Client<M>,
    began_ns: u64,
    /// Where a stalled connection stops.
    stage: Stage,
    /// What is sent instead of what the client would say, or before.
    script: M::Chain,
    /// Bytes of `script` that may go now.
    allowed: usize,
    phase: Phase,
    /// Handshakes behind the first that were asked for; `None` before the first is complete.
    renegotiations: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Running,
    /// It has been brought as far as it is to go.
    Held,
    /// Done, but for a ticket that may come.
    Lingering,
    /// Done; what the client has to say still goes.
    Leaving,
}

/// Connections that fail in a row before the target counts as unreachable.
const REFUSED: u32 = 1000;
/// Connections opened in a turn, at most: a burst of them is worth no more to the server.
const BURST: usize = 64;
/// How long a ticket may take.
const LINGER_NS: u64 = 200_000_000;
/// Without a unit after this time there is no target.
const REACH_NS: u64 = 10_000_000_000;

impl<M: Memory> Flood<M> {
    /// A flood whose connections have slots below `slots`.
    #[must_use]
    pub fn new(goal: Goal, memory: M, security: Security<M>, slots: usize) -> Self {
        let unit = match goal.mode {
            Mode::Full | Mode::Resume | Mode::Renegotiate => "handshakes",
            Mode::Abandon => "client_hellos",
            Mode::Stall | Mode::Garbage | Mode::Slow => "connections",
        };
        let pace = goal.rate.map(|rate| Pace::new(rate, 0));
        Self {
            goal,
            memory,
            security,
            attacks: (0..slots).map(|_| None).collect(),
            open: 0,
            begun: 0,
            refused: 0,
            pace,
            leaving: Vec::new(),
            moved: Vec::new(),
            timeouts: VecDeque::new(),
            drips: VecDeque::new(),
            lingering: VecDeque::new(),
            tally: Tally::new(unit),
        }
    }

    fn open(&mut self, net: &mut dyn Net<M>) -> bool {
        let now_ns = net.now_ns();
        let mut opened = 0;
        // The first connection finds the way; frames of others would be too many to wait for it.
        let burst = if self.tally.start_ns().is_some() { BURST } else { 1_usize.saturating_sub(self.open) };
        while opened < burst && self.open < self.goal.connections && self.begun < self.goal.count {
            let began_ns = match &mut self.pace {
                // Before there is a way to the target, no rate can be kept.
                Some(pace) if self.tally.start_ns().is_some() => match pace.next(now_ns) {
                    Some(due_ns) => due_ns,
                    None => break,
                },
                Some(_) => now_ns,
                None => now_ns,
            };
            match net.open(self.goal.target) {
                Ok(slot) => {
                    if let Some(pace) = &mut self.pace {
                        pace.due(now_ns);
                    }
                    self.begin(slot, began_ns);
                }
                Err(reason) => {
                    if self.open == 0 && self.tally.start_ns().is_none() {
                        self.tally.fail(reason);
                        self.refused += 1;
                    }
                    break;
                }
            }
            opened += 1;
        }
        opened > 0
    }

    fn begin(&mut self, slot: usize, began_ns: u64) {
        let turn = usize::try_from(self.begun).unwrap_or_default();
        self.attacks[slot] = Some(Attack {
            client: self.security.client(),
            began_ns,
            stage: self.goal.stage.unwrap_or(STAGES[turn % STAGES.len()]),
            script: M::Chain::default(),
            allowed: 0,
            phase: Phase::Opening,
            renegotiations: None,
        });
        self.open += 1;
        self.begun += 1;
        self.tally.start();
        self.timeouts.push_back((began_ns, slot));
    }

    /// TCP is open: the attack begins.
    fn connected(&mut self, slot: usize, net: &mut dyn Net<M>) {
        if self.tally.start_ns().is_none() {
            self.tally.begin(net.now_ns());
            if let Some(pace) = &mut self.pace {
                pace.restart(net.now_ns());
            }
        }
        self.refused = 0;
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        attack.phase = Phase::Running;
        match self.goal.mode {
            Mode::Full | Mode::Resume | Mode::Renegotiate => net.wake(slot),
            Mode::Abandon => self.script_hello(slot, usize::MAX, net),
            Mode::Slow => {
                self.script_hello(slot, 1, net);
                self.drips.push_back((net.now_ns() + self.goal.interval_ns, slot, self.began_ns(slot)));
            }
            Mode::Garbage => self.script_garbage(slot, net),
            Mode::Stall => match attack.stage {
                Stage::Connected => self.hold(slot, net.now_ns()),
                Stage::Part => {
                    self.script_hello(slot, usize::MAX, net);
                    let Some(attack) = self.attacks[slot].as_mut() else { return };
                    attack.allowed = attack.script.len() / 2;
                    self.hold(slot, net.now_ns());
                }
                Stage::Hello | Stage::Flight => self.script_hello(slot, usize::MAX, net),
                Stage::Established => net.wake(slot),
            },
        }
    }

    fn began_ns(&self, slot: usize) -> u64 {
        self.attacks[slot].as_ref().map_or(0, |attack| attack.began_ns)
    }

    /// Sends a ClientHello by hand, at first so many bytes of it.
    fn script_hello(&mut self, slot: usize, allowed: usize, net: &mut dyn Net<M>) {
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        match attack.client.hello(&mut self.security.out(slot)) {
            Some(hello) => {
                attack.allowed = allowed.min(hello.len());
                attack.script = hello;
                net.wake(slot);
            }
            None => self.fail(slot, "out_of_memory", net),
        }
    }

    /// Sends bytes that are no TLS: noise, noise in a record, a request in the clear, a record too long.
    fn script_garbage(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        let mut noise = [0; 512];
        self.security.fill_random(&mut noise);
        // Enough of it that no server waits for the rest.
        let length = 256 + usize::from(noise[1]);
        match noise[2] % 4 {
            0 => noise[0] |= 0x80,
            1 => noise[..5].copy_from_slice(&[22, 3, 1, 0, 200]),
            2 => noise[..18].copy_from_slice(b"GET / HTTP/1.1\r\n\r\n"),
            _ => noise[..5].copy_from_slice(&[22, 3, 3, 0xff, 0xff]),
        }
        if self.memory.push(&mut attack.script, &noise[..length]).is_err() {
            return self.fail(slot, "out_of_memory", net);
        }
        attack.allowed = attack.script.len();
        net.wake(slot);
    }

    /// Bytes arrived.
    fn received(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let wire = net.recv(slot);
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        match (self.goal.mode, attack.phase, attack.stage) {
            // Whatever a server says to it, the connection is over when it closes.
            (Mode::Garbage | Mode::Slow, ..) | (_, Phase::Held | Phase::Leaving, _) => {}
            (Mode::Abandon, ..) => match wire.chunk(0).first() {
                Some(&HANDSHAKE) => self.complete(slot, net),
                _ => self.fail(slot, "refused_by_alert", net),
            },
            (Mode::Stall, _, Stage::Hello | Stage::Part | Stage::Connected) => self.hold(slot, net.now_ns()),
            _ => {
                let result = attack.client.input(wire, &mut self.security.out(slot));
                match result {
                    Ok(()) if attack.phase == Phase::Lingering => {
                        if self.security.tickets() > 0 {
                            self.dismiss(slot, net);
                        }
                    }
                    Ok(()) => self.advance(slot, net),
                    Err(error) => self.fail(slot, error.name(), net),
                }
            }
        }
    }

    /// The client has read something: what follows from it.
    fn advance(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        let Some(attack) = self.attacks[slot].as_mut().filter(|attack| attack.phase == Phase::Running) else {
            return;
        };
        let reached = attack.client.stage();
        match (self.goal.mode, attack.stage) {
            (Mode::Stall, Stage::Flight) if reached >= Reached::FlightReceived => {
                return self.hold(slot, now_ns);
            }
            (Mode::Stall, _) if reached == Reached::Established => return self.hold(slot, now_ns),
            (Mode::Renegotiate, _) => return self.renegotiate(slot, net),
            _ if reached == Reached::Established => return self.complete(slot, net),
            _ => {}
        }
        if attack.client.wants_write() {
            net.wake(slot);
        }
    }

    /// Counts what was renegotiated, and asks for the next.
    fn renegotiate(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        let (done, refused) = attack.client.renegotiations();
        if refused > 0 {
            return self.fail(slot, "renegotiation_refused", net);
        }
        let is_next = match attack.renegotiations {
            None => attack.client.stage() == Reached::Established,
            Some(asked) => done >= asked,
        };
        if is_next {
            if attack.renegotiations.is_some() {
                self.tally.complete(attack.began_ns, now_ns);
            }
            (attack.renegotiations, attack.began_ns) = (Some(done + 1), now_ns);
            if !attack.client.renegotiate() {
                return self.fail(slot, "renegotiation_impossible", net);
            }
        }
        net.wake(slot);
    }

    /// A connection is where it is to stay.
    fn hold(&mut self, slot: usize, now_ns: u64) {
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        if attack.phase != Phase::Held {
            attack.phase = Phase::Held;
            self.tally.complete(attack.began_ns, now_ns);
        }
    }

    /// A unit is complete: the connection ends when the client has said what it has to.
    fn complete(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        self.tally.complete(attack.began_ns, net.now_ns());
        if attack.client.handshake().is_some_and(|established| established.resumed) {
            self.tally.resumed += 1;
        }
        // RFC 8446 section 4.6.1: tickets come behind the handshake. The first that comes serves all.
        if self.goal.mode == Mode::Resume && self.security.tickets() == 0 {
            attack.phase = Phase::Lingering;
            self.lingering.push_back((net.now_ns() + LINGER_NS, slot, attack.began_ns));
            net.wake(slot);
            return;
        }
        self.dismiss(slot, net);
    }

    /// Ends a connection when its client has said what it has to.
    fn dismiss(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let Some(attack) = self.attacks[slot].as_mut() else { return };
        if attack.client.wants_write() || self.goal.close == Close::Fin {
            attack.phase = Phase::Leaving;
            net.wake(slot);
        } else {
            self.lose(slot);
            net.abort(slot);
        }
    }

    fn fail(&mut self, slot: usize, reason: &'static str, net: &mut dyn Net<M>) {
        self.tally.fail(reason);
        self.lose(slot);
        net.abort(slot);
    }

    fn lose(&mut self, slot: usize) {
        let Some(mut attack) = self.attacks[slot].take() else { return };
        self.open -= 1;
        self.refused += u32::from(attack.phase == Phase::Opening);
        self.security.release(&mut attack.client);
    }

    /// The peer ended a connection.
    fn ended(&mut self, slot: usize, phase: Phase, reason: &'static str, now_ns: u64) {
        match (self.goal.mode, phase) {
            // That is what a server does with these.
            (Mode::Garbage, Phase::Running) => {
                let began_ns = self.began_ns(slot);
                self.tally.complete(began_ns, now_ns);
            }
            (_, Phase::Held) => self.tally.fail("ended_by_peer"),
            (_, Phase::Lingering | Phase::Leaving) => {}
            _ => self.tally.fail(reason),
        }
    }

    /// Ends who has said all.
    fn leave(&mut self, net: &mut dyn Net<M>) -> bool {
        let any = !self.leaving.is_empty();
        while let Some(slot) = self.leaving.pop() {
            if self.attacks[slot].as_ref().is_some_and(|attack| attack.phase == Phase::Leaving) {
                self.lose(slot);
                match self.goal.close {
                    Close::Rst => net.abort(slot),
                    Close::Fin => net.finish(slot),
                }
            }
        }
        any
    }

    /// Ends who has waited long enough for a ticket.
    fn give_up_lingering(&mut self, net: &mut dyn Net<M>) {
        while let Some(&(due_ns, slot, began_ns)) = self.lingering.front()
            && due_ns <= net.now_ns()
        {
            self.lingering.pop_front();
            let lingers =
                |attack: &Attack<M>| attack.phase == Phase::Lingering && attack.began_ns == began_ns;
            if self.attacks[slot].as_ref().is_some_and(lingers) {
                self.dismiss(slot, net);
            }
        }
    }

    /// Lets slow connections say their next byte.
    fn drip(&mut self, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        while let Some(&(due_ns, slot, began_ns)) = self.drips.front()
            && due_ns <= now_ns
        {
            self.drips.pop_front();
            let Some(attack) = self.attacks[slot].as_mut() else { continue };
            if attack.began_ns != began_ns {
                continue;
            }
            if attack.script.is_empty() {
                self.hold(slot, now_ns);
                continue;
            }
            attack.allowed = 1;
            net.wake(slot);
            self.drips.push_back((now_ns + self.goal.interval_ns, slot, began_ns));
        }
    }

    fn time_out(&mut self, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        while let Some(&(began_ns, slot)) = self.timeouts.front()
            && began_ns + self.goal.timeout_ns <= now_ns
        {
            self.timeouts.pop_front();
            let Some(attack) = self.attacks[slot].as_ref() else { continue };
            let holds = matches!(attack.phase, Phase::Held | Phase::Lingering)
                || matches!(self.goal.mode, Mode::Slow | Mode::Renegotiate);
            if attack.began_ns == began_ns && !holds {
                self.fail(slot, "timed_out", net);
            }
        }
    }
}

/// The record type of handshake messages.
const HANDSHAKE: u8 = 22;

impl<M: Memory> Party<M> for Flood<M> {
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>) {
        if self.attacks[slot].is_none() {
            return;
        }
        if event.connected {
            self.connected(slot, net);
        }
        if event.readable {
            self.received(slot, net);
        }
        let Some(attack) = self.attacks[slot].as_ref() else { return };
        if let Some(reason) = event.closed {
            self.ended(slot, attack.phase, reason, net.now_ns());
            self.lose(slot);
        } else if event.fin {
            self.ended(slot, attack.phase, "closed_early", net.now_ns());
            self.lose(slot);
            net.finish(slot);
        }
    }

    fn fill(&mut self, slot: usize, room: usize, _now_ns: u64) -> Fill<M::Chain> {
        let Some(attack) = self.attacks[slot].as_mut() else { return Fill::Nothing };
        if attack.allowed > 0 {
            let part = self.memory.split_to(&mut attack.script, attack.allowed.min(room));
            let part = part.unwrap_or_default();
            attack.allowed -= part.len().min(attack.allowed);
            return if part.is_empty() { Fill::Nothing } else { Fill::Data(part) };
        }
        let speaks = match self.goal.mode {
            Mode::Full | Mode::Resume | Mode::Renegotiate => true,
            Mode::Stall => attack.stage == Stage::Established,
            Mode::Abandon | Mode::Garbage | Mode::Slow => false,
        };
        if speaks && attack.phase != Phase::Opening {
            let before = attack.client.stage();
            let nothing = &mut M::Chain::default();
            let filled = attack.client.fill(nothing, room, &mut self.security.out(slot));
            if attack.client.stage() != before {
                self.moved.push(slot);
            }
            if let Filled::Wire(wire) = filled {
                return Fill::Data(wire);
            }
        }
        if attack.phase != Phase::Leaving {
            return Fill::Nothing;
        }
        self.leaving.push(slot);
        match self.goal.close {
            Close::Rst => Fill::Nothing,
            Close::Fin => Fill::Finished,
        }
    }

    fn turn(&mut self, net: &mut dyn Net<M>) -> bool {
        let now_ns = net.now_ns();
        if !self.is_done(now_ns) {
            self.tally.tick(now_ns);
        }
        let left = self.leave(net);
        while let Some(slot) = self.moved.pop() {
            self.advance(slot, net);
        }
        if self.is_done(now_ns) {
            return left;
        }
        self.time_out(net);
        self.drip(net);
        self.give_up_lingering(net);
        self.open(net) || left
    }

    fn is_done(&self, now_ns: u64) -> bool {
        let is_counted = self.begun >= self.goal.count
            && self.tally.completed() + self.tally.failed() >= self.goal.count
            && self.goal.mode != Mode::Stall;
        let is_over = match self.tally.start_ns() {
            Some(start_ns) => now_ns >= start_ns + self.goal.duration_ns,
            None => now_ns >= REACH_NS || self.refused > REFUSED && self.open == 0,
        };
        is_counted || is_over
    }

    fn counts(&self) -> (u64, u64) {
        (self.tally.completed(), self.tally.failed())
    }

    fn part(&self, now_ns: u64) -> Option<Part> {
        // Of those that are to be held, only those count that are where they are to stay.
        let held = || self.attacks.iter().flatten().filter(|attack| attack.phase == Phase::Held).count();
        let open = if self.goal.mode == Mode::Stall { held() } else { self.open };
        Some(self.tally.part(open, &[], now_ns))
    }
}

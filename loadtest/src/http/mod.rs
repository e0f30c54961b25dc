//! Requests over connections: closed loop or at a rate, kept alive or one a connection, pipelined, with
//! content; every response is verified.
//!
//! `request` says what is sent and expected, `response` reads and verifies, `Requests` is the party that
//! holds the connections, `command` the subcommand.

pub mod command;
mod request;
mod response;

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use levee_buf::{Exhausted, Memory, Pieces};
use levee_http::FieldTable;
use levee_tcp::Fill;

pub use request::{Expect, Plan, Request, parse_sha256};
use response::{Next, Responses};

use crate::channel::{Channel, Security};
use crate::net::{Event, Net, Pace, Party};
use crate::pattern;
use crate::report::Part;
use crate::tally::Tally;

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Where to.
    pub target: SocketAddrV4,
    /// Connections at a time.
    pub connections: usize,
    /// Requests a second, whatever becomes of them; `None`: the next when one is answered.
    pub rate: Option<f64>,
    /// Requests in all.
    pub count: u64,
    /// Nanoseconds of counting.
    pub duration_ns: u64,
    /// One request a connection.
    pub per_request: bool,
    /// Requests under way on a connection.
    pub pipeline: usize,
    /// A request that takes longer has failed.
    pub timeout_ns: u64,
}

/// A client that sends requests.
pub struct Requests<M: Memory> {
    goal: Goal,
    plan: Plan,
    memory: M,
    security: Option<Security<M>>,
    fields: FieldTable,
    connections: Vec<Option<Box<Connection<M>>>>,
    /// Connections there are, and those of them that cannot carry requests yet.
    open: usize,
    opening: usize,
    /// Connections that wait for a request to be due, or for their turn where not all can have one.
    idle: VecDeque<usize>,
    /// Requests that are due and wait for a connection.
    due: VecDeque<u64>,
    /// Connections that TLS has opened by being asked for bytes.
    opened: Vec<usize>,
    /// Connections for whose TLS memory was short.
    starved: Vec<usize>,
    pace: Option<Pace>,
    begun: u64,
    /// Requests that were begun and have neither been answered nor failed.
    under_way: usize,
    /// Connections that ended by themselves in a row, without one that was opened.
    refused: u32,
    /// A connection was opened, so there is a way to the target.
    found: bool,
    next_sweep_ns: u64,
    tally: Tally,
}

struct Connection<M: Memory> {
    channel: Channel<M>,
    responses: Responses<M>,
    outgoing: M::Chain,
    /// Content still to be sent, and its offset in the pattern.
    upload: u64,
    uploaded: u64,
    /// Requests without a response: when they began, and which they are.
    waiting: VecDeque<(u64, usize)>,
    /// Of these, the last, which TCP has not asked for.
    unwritten: usize,
    opened_ns: u64,
    is_open: bool,
}

impl<M: Memory> Connection<M> {
    /// Adds to what is to be sent, where nothing is left of it: content of the last request that was written,
    /// or heads of those behind it up to the first with content.
    fn write(&mut self, plan: &Plan, memory: &M) -> Result<(), Exhausted> {
        if !self.outgoing.is_empty() {
            return Ok(());
        }
        while self.upload == 0
            && let Some(&(_, number)) = self.waiting.get(self.waiting.len() - self.unwritten)
        {
            let request = plan.request(number);
            memory.push(&mut self.outgoing, &request.head)?;
            (self.upload, self.uploaded) = (request.upload, 0);
            self.unwritten -= 1;
        }
        if self.upload > 0 {
            let piece = pattern::piece(self.uploaded, self.upload.min(CONTENT));
            memory.push(&mut self.outgoing, piece)?;
            self.upload -= piece.len() as u64;
            self.uploaded += piece.len() as u64;
        }
        Ok(())
    }
}

/// Connections that are being opened at a time.
const OPENING: usize = 128;
/// Connections that begin in a turn, when all are to.
const BEGUN: usize = 256;
/// Requests under way at a time in the closed loop: each takes packet memory on both sides.
const UNDER_WAY: usize = 1 << 16;
/// Connections that fail in a row before the target counts as unreachable.
const REFUSED: u32 = 1000;
/// Requests that wait for a connection, at most: more than that, and the rate is out of reach.
const DUE: usize = 1 << 20;
/// Bytes of content made at a time.
const CONTENT: u64 = 16 << 10;
/// How long a run at a rate waits for what was due when its time was over.
const GRACE_NS: u64 = 3_000_000_000;
/// Time between two looks for what takes too long.
const SWEEP_NS: u64 = 500_000_000;
/// Without a connection after this time there is no target.
const REACH_NS: u64 = 10_000_000_000;
/// What the opening of a connection may take, on average, before requests begin without the rest.
const OPEN_NS: u64 = 1_000_000;

impl<M: Memory> Requests<M> {
    /// A client that sends the requests of `plan` through `security`, or in the clear.
    #[must_use]
    pub fn new(goal: Goal, plan: Plan, memory: M, security: Option<Security<M>>, slots: usize) -> Self {
        let pace = goal.rate.map(|rate| Pace::new(rate, 0));
        Self {
            goal,
            plan,
            memory,
            security,
            fields: FieldTable::new(),
            connections: (0..slots).map(|_| None).collect(),
            open: 0,
            opening: 0,
            idle: VecDeque::new(),
            due: VecDeque::new(),
            opened: Vec::new(),
            starved: Vec::new(),
            pace,
            begun: 0,
            under_way: 0,
            refused: 0,
            found: false,
            next_sweep_ns: 0,
            tally: Tally::new("requests"),
        }
    }

    /// Opens connections as long as some are missing.
    fn open(&mut self, net: &mut dyn Net<M>) -> bool {
        let mut opened = false;
        // The first connection finds the way; frames of others would be too many to wait for it.
        let opening = if self.found { OPENING } else { 1 };
        while self.open < self.goal.connections && self.opening < opening && self.wants_connection() {
            let now_ns = net.now_ns();
            let slot = match net.open(self.goal.target) {
                Ok(slot) => slot,
                // Ports and slots come back when connections that have ended are forgotten.
                Err(reason) => {
                    if self.open == 0 && !self.found {
                        self.tally.fail(reason);
                        self.refused += 1;
                    }
                    break;
                }
            };
            let began_ns = if self.goal.per_request {
                self.tally.start();
                self.due.pop_front().unwrap_or(now_ns)
            } else {
                now_ns
            };
            self.connections[slot] = Some(Box::new(Connection {
                channel: Channel::new(self.security.as_ref()),
                responses: Responses::default(),
                outgoing: M::Chain::default(),
                upload: 0,
                uploaded: 0,
                waiting: VecDeque::with_capacity(self.goal.pipeline),
                unwritten: 0,
                opened_ns: began_ns,
                is_open: false,
            }));
            self.open += 1;
            self.opening += 1;
            opened = true;
        }
        opened
    }

    fn wants_connection(&self) -> bool {
        if self.begun >= self.goal.count || self.refused > REFUSED {
            return false;
        }
        // The first connection finds the way, and starts the clock of the rate.
        let finds = !self.found && self.open == 0;
        !self.goal.per_request || self.goal.rate.is_none() || !self.due.is_empty() || finds
    }

    /// The connection can carry requests.
    fn opened(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        connection.is_open = true;
        self.found = true;
        self.opening -= 1;
        self.refused = 0;
        let opened_ns = connection.opened_ns;
        if self.goal.per_request {
            if self.tally.start_ns().is_none() {
                self.tally.begin(opened_ns);
                if let Some(pace) = &mut self.pace {
                    pace.restart(net.now_ns());
                }
            }
            self.begin(slot, opened_ns, net);
            return;
        }
        if self.goal.rate.is_some() || self.tally.start_ns().is_none() {
            self.idle.push_back(slot);
        } else {
            self.begin_all(slot, net);
        }
    }

    /// Begins as many requests as a connection carries in the closed loop.
    fn begin_all(&mut self, slot: usize, net: &mut dyn Net<M>) {
        let waiting = self.connections[slot].as_ref().map_or(0, |connection| connection.waiting.len());
        for _ in waiting..self.goal.pipeline {
            self.begin(slot, net.now_ns(), net);
        }
    }

    /// Whether the time of the run is over.
    fn is_over(&self, now_ns: u64) -> bool {
        self.tally.start_ns().is_some_and(|start_ns| now_ns >= start_ns + self.goal.duration_ns)
    }

    /// Begins requests and their counting once all connections are open, or enough time was given to them.
    fn start(&mut self, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        let patience_ns = REACH_NS + self.goal.connections as u64 * OPEN_NS;
        let is_complete = self.open == self.goal.connections && self.opening == 0;
        let is_late = now_ns >= patience_ns && !self.idle.is_empty();
        if self.goal.per_request || self.tally.start_ns().is_some() || !(is_complete || is_late) {
            return;
        }
        self.tally.begin(now_ns);
        if let Some(pace) = &mut self.pace {
            pace.restart(now_ns);
        }
    }

    /// In the closed loop, begins on connections that wait for it, some of them a turn.
    fn begin_idle(&mut self, net: &mut dyn Net<M>) {
        if self.tally.start_ns().is_none() || self.pace.is_some() {
            return;
        }
        for _ in 0..BEGUN.min(UNDER_WAY.saturating_sub(self.under_way)) {
            let Some(slot) = self.idle.pop_front() else { return };
            self.begin_all(slot, net);
        }
    }

    /// Begins the next request on a connection.
    fn begin(&mut self, slot: usize, began_ns: u64, net: &mut dyn Net<M>) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        if self.begun >= self.goal.count {
            return;
        }
        connection.waiting.push_back((began_ns, usize::try_from(self.begun).unwrap_or_default()));
        connection.unwritten += 1;
        self.under_way += 1;
        self.begun += 1;
        if !self.goal.per_request {
            self.tally.start();
        }
        net.wake(slot);
    }

    /// Reads responses as long as there are any.
    fn read(&mut self, slot: usize, is_end: bool, net: &mut dyn Net<M>) {
        loop {
            let Some(connection) = self.connections[slot].as_mut() else { return };
            let is_written = connection.unwritten < connection.waiting.len();
            let Some(&(began_ns, number)) = connection.waiting.front().filter(|_| is_written) else {
                if connection.responses.has_bytes() {
                    self.tally.fail("bad_unasked_bytes");
                    self.lose(slot);
                    net.abort(slot);
                }
                return;
            };
            let request = self.plan.request(number);
            let mut next = connection.responses.next(request, &self.memory, &mut self.fields);
            if is_end && next == Ok(Next::More) {
                next = connection.responses.end(request);
            }
            match next {
                Ok(Next::More) => return,
                Ok(Next::Response { length, keep_alive }) => {
                    connection.waiting.pop_front();
                    self.under_way -= 1;
                    let is_last = connection.waiting.is_empty();
                    let wrong = match (connection.upload > 0, is_last && connection.responses.has_bytes()) {
                        (true, _) => Some("bad_early_answer"),
                        (false, true) => Some("bad_unasked_bytes"),
                        (false, false) => None,
                    };
                    if let Some(reason) = wrong {
                        self.tally.fail(reason);
                        self.lose(slot);
                        net.abort(slot);
                        return;
                    }
                    let now_ns = net.now_ns();
                    self.tally.complete(began_ns, now_ns);
                    self.tally.body_bytes += length;
                    self.answered(slot, keep_alive, now_ns, net);
                }
                Err(reason) => {
                    self.tally.fail(reason);
                    self.lose(slot);
                    net.abort(slot);
                    return;
                }
            }
        }
    }

    /// A response is complete: what is next on its connection.
    fn answered(&mut self, slot: usize, keep_alive: bool, now_ns: u64, net: &mut dyn Net<M>) {
        if self.goal.per_request || !keep_alive {
            self.fail_waiting(slot, "closed_early");
            self.lose(slot);
            net.finish(slot);
        } else if self.goal.rate.is_none() && self.idle.is_empty() {
            self.begin(slot, now_ns, net);
        } else if let Some(due_ns) = self.due.pop_front() {
            self.begin(slot, due_ns, net);
        } else {
            self.idle.push_back(slot);
        }
    }

    /// Sends what is due at this time by the rate.
    fn keep_pace(&mut self, net: &mut dyn Net<M>) -> bool {
        let mut sent = false;
        let now_ns = net.now_ns();
        if self.tally.start_ns().is_none() || self.is_over(now_ns) {
            return false;
        }
        while let Some(due_ns) = self.pace.as_mut().and_then(|pace| pace.due(now_ns)) {
            if self.due.len() < DUE {
                self.due.push_back(due_ns);
            } else {
                self.tally.fail("rate_out_of_reach");
            }
        }
        while !self.goal.per_request && !self.due.is_empty() {
            let Some(slot) = self.idle.pop_front() else { break };
            let is_idle =
                self.connections[slot].as_ref().is_some_and(|connection| connection.waiting.is_empty());
            if is_idle && let Some(due_ns) = self.due.pop_front() {
                self.begin(slot, due_ns, net);
                sent = true;
            }
        }
        sent
    }

    /// Ends what takes too long.
    fn sweep(&mut self, net: &mut dyn Net<M>) {
        let now_ns = net.now_ns();
        if now_ns < self.next_sweep_ns {
            return;
        }
        self.next_sweep_ns = now_ns + SWEEP_NS;
        for slot in 0..self.connections.len() {
            let Some(connection) = self.connections[slot].as_ref() else { continue };
            let oldest = connection.waiting.front().map(|&(began_ns, _)| began_ns);
            let since_ns = if connection.is_open { oldest } else { Some(connection.opened_ns) };
            if since_ns.is_some_and(|since_ns| since_ns + self.goal.timeout_ns < now_ns) {
                self.tally.fail("timed_out");
                self.lose(slot);
                net.abort(slot);
            }
        }
    }

    /// The requests of a connection that ends have failed.
    fn fail_waiting(&mut self, slot: usize, reason: &'static str) {
        let waiting = self.connections[slot].as_ref().map_or(0, |connection| connection.waiting.len());
        (0..waiting).for_each(|_| self.tally.fail(reason));
    }

    /// Requests that are due and have no answer.
    fn unanswered(&self) -> impl Iterator<Item = u64> {
        let of_connection = |connection: &Connection<M>| -> Vec<u64> {
            match (connection.is_open, self.goal.per_request) {
                (false, true) => vec![connection.opened_ns],
                _ => connection.waiting.iter().map(|&(began_ns, _)| began_ns).collect(),
            }
        };
        let under_way =
            self.connections.iter().flatten().flat_map(move |connection| of_connection(connection));
        self.due.iter().copied().chain(under_way)
    }

    /// Forgets a connection.
    fn lose(&mut self, slot: usize) {
        let Some(mut connection) = self.connections[slot].take() else { return };
        self.under_way -= connection.waiting.len();
        self.open -= 1;
        if !connection.is_open {
            self.opening -= 1;
            self.refused += 1;
        }
        if let Some(security) = &mut self.security {
            connection.channel.release(security);
        }
    }
}

impl<M: Memory> Party<M> for Requests<M> {
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        if event.connected {
            net.wake(slot);
        }
        let mut fin = event.fin || event.closed.is_some();
        if event.readable {
            let wire = net.recv(slot);
            match connection.channel.input(wire, &mut self.security, slot) {
                Ok(Some(plain)) => connection.responses.push(plain),
                Ok(None) => {}
                Err(reason) => {
                    self.tally.fail(reason);
                    self.lose(slot);
                    net.abort(slot);
                    return;
                }
            }
            if connection.channel.wants_write() {
                net.wake(slot);
            }
            fin |= connection.channel.peer_closed();
        }
        if !connection.is_open && !fin && connection.channel.is_open(event.connected) {
            self.opened(slot, net);
        }
        self.read(slot, fin, net);
        let Some(connection) = self.connections[slot].as_ref() else { return };
        if fin {
            let reason = event.closed.unwrap_or("closed_early");
            if connection.is_open {
                self.fail_waiting(slot, reason);
            } else {
                self.tally.fail(reason);
            }
            self.lose(slot);
            if event.closed.is_none() {
                net.finish(slot);
            }
        }
    }

    fn fill(&mut self, slot: usize, room: usize, _now_ns: u64) -> Fill<M::Chain> {
        let Some(connection) = self.connections[slot].as_mut() else { return Fill::Nothing };
        if connection.is_open {
            // Without memory the rest goes when there is some: TCP asks again.
            let _ = connection.write(&self.plan, &self.memory);
        }
        let fill = connection.channel.fill(&mut connection.outgoing, room, &mut self.security, slot);
        if !connection.is_open && connection.channel.is_open(false) {
            self.opened.push(slot);
        }
        if connection.channel.wants_resume() {
            self.starved.push(slot);
        }
        fill
    }

    fn turn(&mut self, net: &mut dyn Net<M>) -> bool {
        let now_ns = net.now_ns();
        if self.is_done(now_ns) {
            return false;
        }
        let end_ns = self.tally.start_ns().map_or(now_ns, |start_ns| start_ns + self.goal.duration_ns);
        self.tally.tick(now_ns.min(end_ns));
        while let Some(slot) = self.starved.pop() {
            if let (Some(connection), Some(security)) = (self.connections[slot].as_mut(), &mut self.security)
            {
                connection.channel.resume(security, slot);
                net.wake(slot);
            }
        }
        while let Some(slot) = self.opened.pop() {
            if self.connections[slot].as_ref().is_some_and(|connection| !connection.is_open) {
                self.opened(slot, net);
            }
        }
        self.start(net);
        self.begin_idle(net);
        self.sweep(net);
        let sent = self.keep_pace(net);
        self.open(net) || sent
    }

    fn is_done(&self, now_ns: u64) -> bool {
        let is_counted = self.begun >= self.goal.count
            && (self.open == 0 || self.tally.completed() + self.tally.failed() >= self.goal.count);
        match self.tally.start_ns() {
            // At a rate, what was due in time is waited for: a run that left it out would report those alone
            // who were answered fast.
            Some(start_ns) if self.pace.is_some() && self.is_over(now_ns) => {
                let patience_ns = self.goal.duration_ns + self.goal.timeout_ns.min(GRACE_NS);
                self.unanswered().next().is_none() || now_ns >= start_ns + patience_ns
            }
            Some(_) => is_counted || self.is_over(now_ns),
            None if self.found => false,
            None => now_ns >= REACH_NS || self.refused > REFUSED && self.open == 0,
        }
    }

    fn counts(&self) -> (u64, u64) {
        (self.tally.completed(), self.tally.failed())
    }

    fn part(&self, now_ns: u64) -> Option<Part> {
        // In a closed loop a request under way is cut off by the end of the run, as it is meant to be.
        let unanswered: Vec<u64> = if self.pace.is_some() { self.unanswered().collect() } else { Vec::new() };
        Some(self.tally.part(self.open, &unanswered, now_ns))
    }
}

//! The clients of a world: `Clients`, one machine with people of all manners at it.

mod conn;
pub(crate) mod plan;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use levee_buf::{Heap, HeapChain};
use levee_crypto::{SoftwareAead, Token};
use levee_tcp::{ConnId, Fill, Instant, Ready, Room, Seal};
use levee_tls::load::ClientOut;
use rand_chacha::ChaCha8Rng;

use super::dice::Dice;
use super::ledger::{AskId, Fate, Ledger};
use super::machine::Machine;
use conn::{Conn, End};
use plan::Plan;

/// All clients.
pub(crate) struct Clients {
    machine: Machine,
    local: Ipv4Addr,
    people: Vec<Person>,
    tools: Tools,
    /// TCP ports of those who have vanished.
    vanished: Vec<u16>,
}

/// What their TLS connections share.
struct Tools {
    memory: Heap,
    aead: SoftwareAead,
    random: ChaCha8Rng,
    counters: levee_tls::Counters,
}

impl Tools {
    /// For a call of the connection `id`.
    const fn lend(&mut self, id: ConnId) -> ClientOut<'_, Heap> {
        ClientOut {
            memory: &self.memory,
            aead: &mut self.aead,
            random: &mut self.random,
            token: Token(id.slot() as u64),
            counters: &mut self.counters,
            keylog: None,
        }
    }
}

/// One who has requests, and makes them on one connection after the other.
struct Person {
    plan: Plan,
    /// Requests without an answer, in order.
    rest: Vec<AskId>,
    conn: Option<Conn>,
    /// When there is something to do.
    due_ns: Option<u64>,
    /// Connections yet to be tried.
    tries: u32,
}

impl Clients {
    pub(crate) fn new(local: Ipv4Addr, mtu: u16, mut dice: Dice) -> Self {
        let machine = Machine::new(&[local], mtu);
        let tools = Tools {
            memory: machine.memory.clone(),
            aead: SoftwareAead::new(1 << 12),
            random: dice.rng(),
            counters: levee_tls::Counters::default(),
        };
        Self { machine, local, people: Vec::new(), tools, vanished: Vec::new() }
    }

    /// One more.
    pub(crate) fn add(&mut self, plan: Plan) {
        let due_ns = Some(plan.start_ns);
        let tries = if plan.manner.is_good() { TRIES } else { 1 };
        self.people.push(Person { rest: plan.asks.clone(), plan, conn: None, due_ns, tries });
    }

    /// A frame that arrived.
    pub(crate) fn receive(&mut self, frame: &[u8], now_ns: u64) {
        self.machine.receive(frame, now_ns);
    }

    /// Does what there is to do; frames go to `each`.
    pub(crate) fn turn(&mut self, ledger: &mut Ledger, now_ns: u64, each: &mut dyn FnMut(Vec<u8>)) {
        self.machine.stack.on_timeout(Instant(now_ns));
        while let Some((id, ready)) = self.machine.stack.ready() {
            self.on_ready(id, ready, ledger, now_ns);
        }
        for person in &mut self.people {
            if person.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
                person.due_ns = None;
                person.on_time(&mut self.machine, self.local, now_ns);
            }
            let vanished = person.go_on(&mut self.machine, &mut self.tools, ledger, now_ns);
            self.vanished.extend(vanished);
        }
        let Self { machine, people, tools, .. } = self;
        machine.send(&mut Voices { people, tools }, now_ns, each);
    }

    fn on_ready(&mut self, id: ConnId, ready: Ready, ledger: &mut Ledger, now_ns: u64) {
        let of_it = |person: &&mut Person| person.conn.as_ref().is_some_and(|conn| conn.id == id);
        let Some(person) = self.people.iter_mut().find(of_it) else { return };
        let Some(conn) = &mut person.conn else { return };
        if ready.connected {
            conn.is_open = true;
            person.due_ns = Some(now_ns);
        }
        if ready.readable {
            let bytes = self.machine.stack.recv(id);
            conn.receive(bytes, &person.plan, &mut self.tools, ledger);
        }
        if ready.fin {
            conn.on_fin(&person.plan, ledger);
        }
        if ready.closed.is_some() {
            conn.on_closed();
        }
    }

    /// TCP ports of those who have vanished since the last call.
    pub(crate) fn take_vanished(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.vanished)
    }

    /// Whether nobody has anything more to do.
    pub(crate) fn are_done(&self) -> bool {
        self.people
            .iter()
            .all(|person| person.conn.is_none() && (person.rest.is_empty() || person.tries == 0))
    }

    /// Whoever is still there goes, without a word.
    pub(crate) fn leave(&mut self, ledger: &mut Ledger) {
        for person in &mut self.people {
            person.tries = 0;
            if let Some(conn) = person.conn.take() {
                self.machine.stack.abort(conn.id);
                person.put_down(conn, &mut self.tools, ledger);
            }
        }
    }

    /// When there is something to do though nothing arrives.
    pub(crate) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let due = self.people.iter().filter_map(|person| person.due_ns).map(|due_ns| due_ns.max(now_ns));
        due.chain(self.machine.next_ns(now_ns)).min()
    }

    /// Requests of those who did nothing wrong.
    pub(crate) fn good_asks(&self) -> impl Iterator<Item = AskId> {
        let good = self.people.iter().filter(|person| person.plan.manner.is_good());
        good.flat_map(|person| person.plan.asks.iter().copied())
    }
}

/// Connections that somebody good tries, for what was not answered on the one before.
const TRIES: u32 = 10;
/// Between the end of a connection and the next.
const AGAIN_NS: u64 = 100_000_000;
/// Between pieces of one who dawdles.
const PACE_NS: u64 = 10_000_000;

impl Person {
    /// A time has come: a connection to be opened, or more that may be said or read.
    fn on_time(&mut self, machine: &mut Machine, local: Ipv4Addr, now_ns: u64) {
        match &mut self.conn {
            None if self.tries > 0 => {
                self.tries -= 1;
                let opened = machine.stack.connect(
                    IpAddr::V4(local),
                    SocketAddr::V4(self.plan.to),
                    Instant(now_ns),
                    &mut |_| true,
                );
                let id = opened.expect("a peer's stack has room");
                let port = machine.stack.local(id).map_or(0, |local| local.port());
                self.conn = Some(Conn::new(id, port, &self.plan));
            }
            None => {}
            Some(conn) => {
                let read = conn.pace(&self.plan);
                machine.stack.consumed(conn.id, read);
            }
        }
    }

    /// What follows from what happened; the TCP port, when it vanishes by that.
    fn go_on(
        &mut self,
        machine: &mut Machine,
        tools: &mut Tools,
        ledger: &mut Ledger,
        now_ns: u64,
    ) -> Option<u16> {
        let conn = self.conn.as_mut()?;
        conn.speak(&self.plan, &self.rest, ledger);
        self.rest.retain(|&ask| ledger.asks[ask].fate == Fate::Open);
        if self.plan.pause_ns == 0 {
            machine.stack.consumed(conn.id, conn.pace(&self.plan));
        }
        if conn.wants_to_be_asked() {
            machine.stack.wake(conn.id);
        }
        let end = conn.end(&self.plan, &self.rest);
        match end {
            End::Not => return None,
            End::Pace => {
                let due_ns = now_ns + self.plan.pause_ns.max(PACE_NS);
                self.due_ns = Some(self.due_ns.map_or(due_ns, |its_ns| its_ns.min(due_ns)));
                return None;
            }
            End::Leave => machine.stack.release(conn.id),
            End::Reset | End::Over => machine.stack.abort(conn.id),
            End::Vanish => {}
        }
        let conn = self.conn.take()?;
        let port = conn.port;
        self.put_down(conn, tools, ledger);
        self.due_ns = (!self.rest.is_empty() && self.tries > 0).then_some(now_ns + AGAIN_NS);
        matches!(end, End::Vanish).then_some(port)
    }

    /// A connection is over: what was to be answered on it and cannot be asked again is lost.
    fn put_down(&mut self, conn: Conn, tools: &mut Tools, ledger: &mut Ledger) {
        for (place, ask) in conn.unanswered().enumerate() {
            let ask = &mut ledger.asks[ask];
            let repeatable = !matches!(ask.method, "POST" | "PATCH") && self.tries > 0;
            // The first of them has been let down by its server: that would not go otherwise.
            if !repeatable || place == 0 && !ask.answer.fault.is_harmless() {
                ask.fate = Fate::Lost;
            }
        }
        self.rest.retain(|&ask| ledger.asks[ask].fate == Fate::Open);
        conn.release(tools);
    }
}

/// What the connections say, as TCP asks for it.
struct Voices<'a> {
    people: &'a mut [Person],
    tools: &'a mut Tools,
}

impl Seal<Heap> for Voices<'_> {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<HeapChain> {
        let mut people = self.people.iter_mut();
        let found = people.find(|person| person.conn.as_ref().is_some_and(|conn| conn.id == id));
        match found {
            Some(Person { conn: Some(conn), plan, .. }) => conn.fill(room.window, plan, self.tools),
            _ => Fill::Nothing,
        }
    }
}

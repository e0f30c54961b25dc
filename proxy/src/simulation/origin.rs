//! The servers behind the proxy: `Origins`, which answer as the ledger says of each request.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use levee_buf::{Chain, Heap, HeapChain, Memory, Pieces};
use levee_tcp::{ConnId, Fill, Instant, Ready, Room, Seal};

use super::answer::{Say, answer};
use super::dice::Dice;
use super::ledger::{AskId, Fault, Ledger};
use super::machine::Machine;
use super::text::{Head, Reading};

/// All servers, which are one machine.
pub(crate) struct Origins {
    machine: Machine,
    /// By slot.
    conns: BTreeMap<usize, Conn>,
    dice: Dice,
    /// Idle connections are closed after so long; zero: they are not.
    idle_ns: u64,
}

/// A connection of the proxy.
struct Conn {
    id: ConnId,
    inbound: Vec<u8>,
    /// The request under way.
    request: Option<Request>,
    outbound: VecDeque<Say>,
    idle_since_ns: u64,
    /// Has said its last.
    is_over: bool,
}

struct Request {
    id: AskId,
    head: Head,
    content: Reading,
    is_answered: bool,
}

/// Where the servers listen.
pub(crate) const PORT: u16 = 8080;

impl Origins {
    pub(crate) fn new(addresses: &[Ipv4Addr], mtu: u16, idle_ns: u64, dice: Dice) -> Self {
        let mut machine = Machine::new(addresses, mtu);
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        machine.stack.listen(everywhere, 0, 64).expect("a free port");
        Self { machine, conns: BTreeMap::new(), dice, idle_ns }
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
        let Self { machine, conns, idle_ns, .. } = self;
        conns.retain(|_, conn| {
            if conn.is_idle() && *idle_ns > 0 && now_ns >= conn.idle_since_ns + *idle_ns {
                conn.outbound.push_back(Say::End { by_reset: false });
            }
            while matches!(conn.outbound.front(), Some(Say::Wait(until_ns)) if *until_ns <= now_ns) {
                conn.outbound.pop_front();
            }
            match conn.outbound.front() {
                Some(Say::End { by_reset: true }) => {
                    machine.stack.abort(conn.id);
                    return false;
                }
                Some(Say::Wait(_)) | None => {}
                Some(_) => machine.stack.wake(conn.id),
            }
            true
        });
        let memory = machine.memory.clone();
        machine.send(&mut Voices { conns, memory, ledger, now_ns }, now_ns, each);
    }

    fn on_ready(&mut self, id: ConnId, ready: Ready, ledger: &mut Ledger, now_ns: u64) {
        if ready.accepted.is_some() {
            self.conns.insert(id.slot(), Conn::new(id, now_ns));
        }
        let Some(conn) = self.conns.get_mut(&id.slot()).filter(|conn| conn.id == id) else { return };
        if ready.readable {
            let bytes = self.machine.stack.recv(id);
            self.machine.stack.consumed(id, bytes.len());
            conn.inbound.extend(bytes.to_vec());
            conn.read(ledger, &mut self.dice, now_ns);
        }
        if ready.fin {
            // The proxy ends its side when it has what it wants.
            conn.outbound.push_back(Say::End { by_reset: false });
        }
        if ready.closed.is_some() {
            self.conns.remove(&id.slot());
        }
    }

    /// No connection is closed for its age any more.
    pub(crate) const fn heal(&mut self) {
        self.idle_ns = 0;
    }

    /// Ends every connection.
    pub(crate) fn leave(&mut self) {
        for (_, conn) in std::mem::take(&mut self.conns) {
            self.machine.stack.abort(conn.id);
        }
    }

    /// When there is something to do though nothing arrives.
    pub(crate) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let steps = self.conns.values().filter_map(|conn| match conn.outbound.front() {
            Some(Say::Wait(until_ns)) => Some(*until_ns),
            None if self.idle_ns > 0 && conn.is_idle() => Some(conn.idle_since_ns + self.idle_ns),
            _ => None,
        });
        steps.map(|due_ns| due_ns.max(now_ns)).chain(self.machine.next_ns(now_ns)).min()
    }
}

impl Conn {
    fn new(id: ConnId, now_ns: u64) -> Self {
        let (inbound, outbound) = (Vec::new(), VecDeque::new());
        Self { id, inbound, request: None, outbound, idle_since_ns: now_ns, is_over: false }
    }

    fn is_idle(&self) -> bool {
        self.request.is_none() && self.outbound.is_empty() && self.inbound.is_empty() && !self.is_over
    }

    /// Reads requests; what cannot be one is the proxy's fault.
    fn read(&mut self, ledger: &mut Ledger, dice: &mut Dice, now_ns: u64) {
        loop {
            if self.request.is_none() {
                let head = Head::take(&mut self.inbound).expect("an origin gets heads that can be read");
                let Some(head) = head else { return };
                let id = ledger.arrived(&head);
                let content = head.request_content().expect("an origin gets framing that can be read");
                self.request = Some(Request { id, head, content, is_answered: false });
            }
            let Some(request) = &mut self.request else { return };
            let expected = ledger.upload(request.id);
            let whole = request.content.take(&mut self.inbound, &mut |at, bytes| {
                if expected.holds(at, bytes) { Ok(()) } else { Err("other bytes than were uploaded") }
            });
            let whole = whole.expect("an origin gets the content of a request");
            assert!(!whole || request.content.at == expected.length, "an origin got a part as the whole");
            let is_hasty = ledger.asks[request.id].answer.fault == Fault::Hasty;
            if (whole || is_hasty) && !std::mem::replace(&mut request.is_answered, true) {
                self.outbound.extend(answer(request.id, &request.head, ledger, dice, now_ns));
            }
            if !whole {
                return;
            }
            self.request = None;
        }
    }
}

/// What the connections say, as TCP asks for it.
struct Voices<'a> {
    conns: &'a mut BTreeMap<usize, Conn>,
    memory: Heap,
    ledger: &'a mut Ledger,
    now_ns: u64,
}

impl Seal<Heap> for Voices<'_> {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<HeapChain> {
        let conn = self.conns.get_mut(&id.slot()).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return Fill::Nothing };
        let mut said = HeapChain::default();
        while said.len() < room.window {
            match conn.outbound.pop_front() {
                Some(Say::Bytes(mut bytes)) => {
                    let rest = bytes.split_off(bytes.len().min(room.window - said.len()));
                    self.memory.push(&mut said, &bytes).expect("a peer has memory");
                    if !rest.is_empty() {
                        conn.outbound.push_front(Say::Bytes(rest));
                    }
                }
                Some(Say::Answered(id)) => self.ledger.asks[id].answered += 1,
                Some(Say::Wait(until_ns)) if until_ns <= self.now_ns => {}
                Some(Say::End { by_reset: false }) if said.is_empty() => {
                    conn.is_over = true;
                    return Fill::Finished;
                }
                Some(step) => {
                    conn.outbound.push_front(step);
                    break;
                }
                None => break,
            }
        }
        conn.idle_since_ns = self.now_ns;
        if said.is_empty() { Fill::Nothing } else { Fill::Data(said) }
    }
}

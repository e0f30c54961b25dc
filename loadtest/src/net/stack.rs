//! `StackNet`: connections of parties on our own TCP stack, without devices or a clock.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use levee_buf::{Memory, Pieces};
use levee_tcp::{
    Checksums, Config, ConfigError, ConnId, ConnectError, Counters, Fill, Instant, ListenError, Output, Room,
    Seal, Stack,
};

use super::{Event, Net, Party};

/// A stack and who its connections belong to.
///
/// Call order, each turn: [`StackNet::receive`] for every frame, [`StackNet::turn`] once.
pub struct StackNet<M: Memory> {
    stack: Stack<M>,
    /// By slot: the connection that its party knows, and the party.
    ids: Vec<Option<ConnId>>,
    owners: Vec<u8>,
    /// Local addresses, used in turn.
    sources: Vec<IpAddr>,
    next_source: usize,
    /// Whose call is under way.
    party: u8,
    now: Instant,
    /// Slots below have been ended by [`StackNet::abort_some`].
    aborted: usize,
}

/// Connections that end in a turn, when all are to.
const ABORTS: usize = 256;

impl<M: Memory> StackNet<M> {
    /// A stack as `config` says; connections are opened from `sources`, in turn.
    ///
    /// # Errors
    /// What the stack says.
    pub fn new(config: Config, sources: Vec<IpAddr>, memory: M) -> Result<Self, ConfigError> {
        let slots = config.connections;
        Ok(Self {
            stack: Stack::new(config, memory)?,
            ids: vec![None; slots],
            owners: vec![0; slots],
            sources,
            next_source: 0,
            party: 0,
            now: Instant(0),
            aborted: 0,
        })
    }

    /// Accepts connections to `local` for `party`.
    ///
    /// # Errors
    /// What the stack says.
    pub fn listen(&mut self, local: SocketAddrV4, party: u8) -> Result<(), ListenError> {
        self.stack.listen(SocketAddr::V4(local), party.into(), 1024)
    }

    /// A frame that `interface` received.
    pub fn receive(&mut self, interface: u16, frame: M::Chain, checksums: Checksums, now_ns: u64) {
        self.stack.input(interface, frame, checksums, Instant(now_ns));
    }

    /// Lets the parties do what there is to do at `now_ns`; frames to be sent go to `output`. Returns
    /// whether anything happened.
    pub fn turn(
        &mut self,
        parties: &mut [Box<dyn Party<M>>],
        now_ns: u64,
        may_send: bool,
        output: &mut Output<M>,
    ) -> bool {
        self.now = Instant(now_ns);
        let mut happened = false;
        if self.stack.deadline().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now);
        }
        while let Some((id, ready)) = self.stack.ready() {
            happened = true;
            let slot = id.slot();
            if let Some(tag) = ready.accepted {
                self.ids[slot] = Some(id);
                self.owners[slot] = u8::try_from(tag).unwrap_or_default();
            }
            if self.ids[slot] != Some(id) {
                continue;
            }
            let event = Event {
                connected: ready.connected || ready.accepted.is_some(),
                readable: ready.readable,
                fin: ready.fin,
                closed: ready.closed.map(levee_tcp::Reason::name),
            };
            if event.closed.is_some() {
                self.ids[slot] = None;
            }
            self.party = self.owners[slot];
            if event != Event::default()
                && let Some(party) = parties.get_mut(usize::from(self.party))
            {
                party.on_event(slot, event, self);
            }
        }
        for (number, party) in parties.iter_mut().enumerate() {
            self.party = u8::try_from(number).unwrap_or_default();
            happened |= party.turn(self);
        }
        if may_send {
            let mut fills = Fills { parties, owners: &self.owners, ids: &self.ids, now_ns };
            self.stack.emit(self.now, &mut fills, output);
        }
        happened
    }

    /// Ends connections by RST, as many as TCP sends in a turn; whether that were all.
    pub fn abort_some(&mut self) -> bool {
        let mut ended = 0;
        while ended < ABORTS
            && let Some(slot) = (self.aborted..self.ids.len()).find(|&slot| self.ids[slot].is_some())
        {
            self.abort(slot);
            self.aborted = slot + 1;
            ended += 1;
        }
        ended < ABORTS
    }

    /// What TCP counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.stack.counters()
    }
}

impl<M: Memory> Net<M> for StackNet<M> {
    fn now_ns(&self) -> u64 {
        self.now.0
    }

    fn open(&mut self, to: SocketAddrV4) -> Result<usize, &'static str> {
        let mut last = "no_source_address";
        for _ in 0..self.sources.len() {
            let source = self.sources[self.next_source];
            self.next_source = (self.next_source + 1) % self.sources.len();
            match self.stack.connect(source, SocketAddr::V4(to), self.now, &mut |_| true) {
                Ok(id) => {
                    let slot = id.slot();
                    self.ids[slot] = Some(id);
                    self.owners[slot] = self.party;
                    return Ok(slot);
                }
                Err(ConnectError::NoPort) => last = "no_free_port",
                Err(ConnectError::Full) => return Err("no_free_connection"),
                Err(ConnectError::NoRoute) => return Err("no_route"),
                Err(ConnectError::NotLocal | ConnectError::Unsupported) => return Err("bad_address"),
            }
        }
        Err(last)
    }

    fn recv(&mut self, slot: usize) -> M::Chain {
        let Some(id) = self.ids[slot] else { return M::Chain::default() };
        let bytes = self.stack.recv(id);
        self.stack.consumed(id, bytes.len());
        bytes
    }

    fn wake(&mut self, slot: usize) {
        if let Some(id) = self.ids[slot] {
            self.stack.wake(id);
        }
    }

    fn abort(&mut self, slot: usize) {
        if let Some(id) = self.ids[slot].take() {
            self.stack.abort(id);
        }
    }

    fn finish(&mut self, slot: usize) {
        if let Some(id) = self.ids[slot].take() {
            self.stack.release(id);
        }
    }
}

/// The parties, as TCP asks them for bytes.
struct Fills<'a, M: Memory> {
    parties: &'a mut [Box<dyn Party<M>>],
    owners: &'a [u8],
    ids: &'a [Option<ConnId>],
    now_ns: u64,
}

impl<M: Memory> Seal<M> for Fills<'_, M> {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<M::Chain> {
        let slot = id.slot();
        if self.ids[slot] != Some(id) {
            return Fill::Nothing;
        }
        match self.parties.get_mut(usize::from(self.owners[slot])) {
            Some(party) => party.fill(slot, room.window, self.now_ns),
            None => Fill::Nothing,
        }
    }
}

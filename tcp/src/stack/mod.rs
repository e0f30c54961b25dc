//! `Stack`: the whole of it, as the worker sees it.
//!
//! `input` takes frames apart and finds whose they are; `handshake` answers SYNs; `egress` puts frames
//! together; `turn` is emit and the timers; `connect` opens. Here are the surface and the life of slots.

mod connect;
pub(crate) mod egress;
mod handshake;
mod input;
mod link;
mod slots;
mod turn;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use levee_buf::{Memory, Pieces};

use crate::config::{Config, ConfigError, ListenError};
use crate::conn::runs::Runs;
use crate::conn::state::State;
use crate::conn::{Conn, Env, Events, Limits};
use crate::listen::Listeners;
use crate::listen::spent::Spent;
use crate::neigh::Neighbours;
use crate::output::Frame;
use crate::reason::{Counters, Reason};
use crate::table::{HashKey, Table, Tuple};
use crate::time::Instant;
use crate::timer::Wheel;
use crate::wait::TimeWait;
use link::Link;
use slots::{Numbers, Owner, Pace, Visits};

/// A TCP/IP stack of one lcore; see the crate's page for the order of calls.
pub struct Stack<M: Memory> {
    core: Core<M>,
    links: Vec<Link>,
    table: Table,
    conns: Vec<Conn<M>>,
    free: Vec<u32>,
    listeners: Listeners,
    spent: Spent,
    wait: TimeWait,
    neighbours: Neighbours<M::Chain>,
    wheel: Wheel,
    numbers: Numbers,
    /// Connections with something to tell.
    ready: Visits,
    /// Connections with something to send.
    send: Visits,
    /// Frames that answer frames and timers, and wait for the next emit.
    answers: VecDeque<Frame<M::Chain>>,
    keys: Keys,
    ports: RangeInclusive<u16>,
    port_counter: u64,
    /// Cookies are believed until then: a while after the last one was sent.
    cookies_until: Instant,
    resets: Pace,
    echoes: Pace,
    is_announced: bool,
    /// The latest time that was handed down.
    now: Instant,
}

/// A connection's name: dead once `closed` was reported, or after `release` and `abort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    slot: u32,
    generation: u32,
}

impl ConnId {
    /// A number below [`Config::connections`], to index tables of the upper layer by.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What happened to a connection since it was last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// New, by the listener with this tag.
    pub accepted: Option<u16>,
    /// `connect` succeeded.
    pub connected: bool,
    /// [`Stack::recv`] has bytes.
    pub readable: bool,
    /// The peer has sent FIN: nothing follows behind the readable bytes.
    pub fin: bool,
    /// All that was given by `fill` is acknowledged.
    pub acked: bool,
    /// It is over, and the id is dead. Bytes that came before were reported as readable first.
    pub closed: Option<Reason>,
}

/// What the device says of a received frame's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// IP and TCP checksums are right.
    Good,
    /// They were not looked at.
    Unknown,
    /// One of them is wrong.
    Bad,
}

/// What calls into connections need, apart from the tables around them.
pub(crate) struct Core<M: Memory> {
    pub(crate) memory: M,
    pub(crate) runs: Runs<M::Chain>,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
}

impl<M: Memory> Core<M> {
    fn env(&mut self, now: Instant) -> Env<'_, M> {
        let Self { memory, runs, counters, limits } = self;
        Env { memory, runs, counters, limits, now }
    }
}

/// The keys of hashes, one for each purpose.
struct Keys {
    sequence: HashKey,
    timestamp: HashKey,
    port: HashKey,
    cookie: HashKey,
}

/// A connection as frames name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) id: ConnId,
    pub(crate) interface: u16,
    pub(crate) tuple: Tuple,
}

/// Answers that wait for emit.
const ANSWERS: usize = 1024;

impl<M: Memory> Stack<M> {
    /// A stack with everything allocated that `config` bounds.
    ///
    /// # Errors
    /// [`ConfigError`] when `config` cannot work.
    pub fn new(config: Config, memory: M) -> Result<Self, ConfigError> {
        check(&config)?;
        let links: Vec<Link> = config.interfaces.iter().map(Link::new).collect::<Result<_, _>>()?;
        let limits = Limits::of(&config);
        let numbers = Numbers::new(config.connections, config.syn_entries);
        let key = |purpose| HashKey::derive(&config.secret, purpose);
        let (connections, half_open, waiting) =
            (config.connections, config.syn_entries, config.time_wait_entries);
        let slots = u32::try_from(connections).map_err(|_| ConfigError::Entries)?;
        Ok(Self {
            core: Core {
                memory,
                runs: Runs::new(config.out_of_order),
                counters: Counters::default(),
                limits,
            },
            links,
            table: Table::new(connections + half_open + waiting, key(0)),
            conns: (0..connections).map(|_| Conn::free()).collect(),
            free: (0..slots).rev().collect(),
            listeners: Listeners::new(half_open),
            spent: Spent::new(waiting, key(6)),
            wait: TimeWait::new(waiting),
            neighbours: Neighbours::new(config.neighbours, key(1)),
            wheel: Wheel::new(connections + half_open + config.neighbours),
            numbers,
            ready: Visits::new(connections),
            send: Visits::new(connections),
            answers: VecDeque::with_capacity(ANSWERS),
            keys: Keys { sequence: key(2), timestamp: key(3), port: key(4), cookie: key(5) },
            ports: config.ports,
            port_counter: 0,
            cookies_until: Instant(0),
            resets: Pace::default(),
            echoes: Pace::default(),
            is_announced: false,
            now: Instant(0),
        })
    }

    /// Accepts connections to `local`, whose address may be the unspecified one. At most `backlog` SYNs are
    /// remembered; SYN cookies answer those beyond. [`Ready::accepted`] will say `tag`.
    ///
    /// # Errors
    /// [`ListenError`] when `local` cannot be listened on.
    pub fn listen(&mut self, local: SocketAddr, tag: u16, backlog: usize) -> Result<(), ListenError> {
        let IpAddr::V4(address) = local.ip() else { return Err(ListenError::Unsupported) };
        if !address.is_unspecified() && !self.links.iter().any(|link| link.owns(address)) {
            return Err(ListenError::NotLocal);
        }
        let is_free = self.listeners.listen(address, local.port(), tag, backlog);
        if is_free { Ok(()) } else { Err(ListenError::InUse) }
    }

    /// A connection to which something happened, and what. Call until `None`.
    pub fn ready(&mut self) -> Option<(ConnId, Ready)> {
        while let Some(slot) = self.ready.pop() {
            let conn = &mut self.conns[slot as usize];
            if conn.released {
                continue;
            }
            let events = std::mem::take(&mut conn.events);
            let mut ready = Ready {
                accepted: events.has(Events::ACCEPTED).then_some(conn.tag),
                connected: events.has(Events::CONNECTED),
                readable: events.has(Events::READABLE) && !conn.received.is_empty(),
                fin: events.has(Events::FIN),
                acked: events.has(Events::ACKED),
                closed: None,
            };
            let id = ConnId { slot, generation: conn.generation };
            if let Some(reason) = conn.closed {
                // Bytes that came before the end are offered first. An orderly end waits for them to be
                // taken, any other end only for the next call.
                let waits = reason == Reason::Finished && !conn.received.is_empty();
                if ready.readable && !waits {
                    self.ready.push(slot);
                } else if !waits {
                    ready.closed = Some(reason);
                    self.vacate(slot);
                }
            }
            if ready != Ready::default() {
                return Some((id, ready));
            }
        }
        None
    }

    /// All bytes received in order and not yet taken; the empty chain when there are none.
    pub fn recv(&mut self, id: ConnId) -> M::Chain {
        let Some(conn) = self.conn(id) else { return M::Chain::default() };
        let bytes = std::mem::take(&mut conn.received);
        if conn.closed.is_some() {
            self.ready.push(id.slot);
        }
        bytes
    }

    /// The upper layer is done with `bytes` of what it took: the receive window opens by so many, and by
    /// nothing else.
    pub fn consumed(&mut self, id: ConnId, bytes: usize) {
        let Some(conn) = live(&mut self.conns, id) else { return };
        conn.consume(bytes, &self.core.limits);
        self.schedule(id.slot);
    }

    /// What the upper layer took and is not done with lies in at most `segments` segments now: it has copied bytes
    /// together that came in very many. Those count against what a connection may pin.
    pub fn repacked(&mut self, id: ConnId, segments: impl FnOnce() -> usize) {
        let Some(conn) = live(&mut self.conns, id) else { return };
        conn.repack(segments, &self.core.limits);
        self.schedule(id.slot);
    }

    /// [`Seal::fill`](crate::Seal::fill) has, or may have, bytes of `id`: it is asked in the next `emit`.
    pub fn wake(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.wake();
            // Whether they may leave is for emit to see, which also starts the zero-window timer.
            self.send.push(id.slot);
        }
    }

    /// Ends a connection at once with RST. `closed` is not reported.
    pub fn abort(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if conn.state == State::Closed {
            return self.vacate(id.slot);
        }
        conn.released = true;
        if conn.state.is_synchronized() || conn.state == State::SynReceived {
            self.send_reset(id.slot);
        }
        self.close(id.slot, Reason::Aborted);
    }

    /// Forgets a connection: what is queued is sent, FIN follows, and nothing is reported any more. Data
    /// that still arrives is answered with RST (RFC 1122 section 4.2.2.13); who wants to spare the peer
    /// that reads on to its FIN before.
    pub fn release(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = live(&mut self.conns, id) else { return };
        if !conn.state.is_synchronized() {
            return self.abort(id);
        }
        conn.release(&mut self.core.env(now));
        self.send.push(id.slot);
        self.schedule(id.slot);
    }

    /// The peer's address and port.
    #[must_use]
    pub fn peer(&self, id: ConnId) -> Option<SocketAddr> {
        let tuple = self.tuple(id)?;
        Some(SocketAddr::from((tuple.remote, tuple.remote_port)))
    }

    /// Our address and port.
    #[must_use]
    pub fn local(&self, id: ConnId) -> Option<SocketAddr> {
        let tuple = self.tuple(id)?;
        Some(SocketAddr::from((tuple.local, tuple.local_port)))
    }

    /// Bytes taken from `fill` and not yet acknowledged; zero for a dead id.
    #[must_use]
    pub fn in_flight(&self, id: ConnId) -> usize {
        self.conns
            .get(id.slot())
            .filter(|conn| conn.generation == id.generation)
            .map_or(0, |conn| conn.queued())
    }

    /// What happened how often.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Connections that hold a slot, ended ones that were not yet reported among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// Whether no further connection has a slot: [`Stack::connect`] fails, and who connects is refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Half-open connections of listeners.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.listeners.len()
    }

    /// Connections in TIME-WAIT.
    #[must_use]
    pub fn time_wait(&self) -> usize {
        self.wait.len()
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn<M>> {
        live(&mut self.conns, id)
    }

    fn tuple(&self, id: ConnId) -> Option<&Tuple> {
        let conn = self.conns.get(id.slot())?;
        let is_live = conn.generation == id.generation && conn.state != State::Free;
        is_live.then(|| self.table.tuple(id.slot))
    }
}

/// What a stack holds beyond what [`Stack::new`] allocated: nothing when nobody talks to it.
#[cfg(test)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
    pub(crate) time_wait: usize,
    pub(crate) tuples: usize,
    pub(crate) timers: usize,
    pub(crate) neighbours: usize,
    pub(crate) runs: usize,
    pub(crate) run_segments: usize,
    pub(crate) answers: usize,
}

#[cfg(test)]
impl<M: Memory> Stack<M> {
    pub(crate) fn held(&self) -> Held {
        Held {
            connections: self.connections(),
            half_open: self.half_open(),
            time_wait: self.time_wait(),
            tuples: self.table.len(),
            timers: self.wheel.len(),
            neighbours: self.neighbours.len(),
            runs: self.core.runs.len(),
            run_segments: self.core.runs.held(),
            answers: self.answers.len(),
        }
    }
}

fn live<M: Memory>(conns: &mut [Conn<M>], id: ConnId) -> Option<&mut Conn<M>> {
    conns
        .get_mut(id.slot())
        .filter(|conn| conn.generation == id.generation && conn.state != State::Free && !conn.released)
}

fn check(config: &Config) -> Result<(), ConfigError> {
    if config.interfaces.is_empty() || config.interfaces.len() > usize::from(u16::MAX) {
        return Err(ConfigError::Interfaces);
    }
    let sizes = [
        config.connections,
        config.syn_entries,
        config.time_wait_entries,
        config.neighbours,
        config.out_of_order,
    ];
    let total = sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
    if config.connections == 0 || config.neighbours == 0 || total.is_none_or(|total| total > 1 << 30) {
        return Err(ConfigError::Entries);
    }
    let buffers = [config.recv_buffer, config.send_buffer];
    if buffers.iter().any(|buffer| !(2048..=1 << 30).contains(buffer)) {
        return Err(ConfigError::Buffers);
    }
    if config.ports.is_empty() || *config.ports.start() == 0 {
        return Err(ConfigError::Ports);
    }
    Ok(())
}

/// The addresses of an IPv4 pair, when they are such.
fn v4(local: IpAddr, remote: IpAddr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => Some((local, remote)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

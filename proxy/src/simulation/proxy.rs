//! The proxy of a world: `Proxy`, a host as a worker has it, with devices and a clock that a world is made of.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use levee_buf::{Chain, Heap, HeapChain};
use levee_crypto::{PrivateKey, RustCrypto};
use levee_tcp::{Checksums, Frame, Instant, Reason};
use levee_tls::Server;

use super::dice::Dice;
use super::engines::{Mood, MoodyAead, MoodyEngine, Shop};
use super::machine::interface;
use super::setting::{BACK, FRONT, Setting};
use crate::cycles::Cycles;
use crate::host::Host;
use crate::launch::seed::offers;
use crate::log::Log;
use crate::recipe;
use crate::session::{Crypto, Now, Parts, Sessions};
use crate::steer::Steering;

/// A worker's host, without its devices.
pub(crate) struct Proxy {
    pub(crate) host: Host<Heap>,
    memory: Heap,
    segments: usize,
    /// By listener.
    servers: Vec<Option<Rc<Server<Heap>>>>,
    handshakes: usize,
    shop: Rc<Shop>,
    /// Its clock is ahead of the world's by so much.
    ahead_ns: u64,
    /// Frames that the devices have not taken.
    pending: VecDeque<Frame<HeapChain>>,
    takes: usize,
    full_at: usize,
    /// Frames given to it, and taken from it.
    frames_in: u64,
    frames_out: u64,
    /// Until the next turn, if there is nothing but waiting for others of its own.
    pause_ns: u64,
    watch: Cycles,
}

/// Turns of a loop that has something to do follow each other like this, and more slowly while nothing comes of it.
const TURN_NS: u64 = 2_000;
const SLOW_TURN_NS: u64 = 2_000_000;
/// The world begins in the year 2026.
const STARTED_UNIX_MS: u64 = 1_790_000_000_000;

impl Proxy {
    pub(crate) fn new(setting: &Setting, dice: &mut Dice) -> Self {
        let mut config = setting.config(dice);
        let offers = offers(&config).expect("a good offer");
        let keys: Vec<PrivateKey> =
            config.certificates.drain(..).map(|certificate| certificate.key).collect();
        let config = Arc::new(config);
        let memory = Heap::new(setting.segments);
        let secret = [7; 32];
        let shop = Rc::new(Shop { mood: Cell::new(setting.mood), ..Shop::default() });
        let server = |offer: Option<_>| Some(Server::new(offer?, setting.handshakes));
        let servers: Vec<_> = offers.into_iter().map(server).collect();
        let interface = |last, address: Ipv4Addr| interface([2, 0, 0, 0, 0, last], &[address], setting.mtu);
        let interfaces = vec![interface(1, FRONT), interface(2, BACK)];
        let stack = recipe::stack(&config, interfaces, secret, memory.clone()).expect("a good configuration");
        let engine = RustCrypto::new(&keys, setting.handshakes, dice.rng());
        let crypto = Crypto {
            engine: Box::new(MoodyEngine::new(engine, Rc::clone(&shop), dice.noise())),
            aead: Box::new(MoodyAead::new(2 * setting.connections, Rc::clone(&shop), dice.noise())),
            random: Box::new(dice.rng()),
            counters: levee_tls::Counters::default(),
            keylog: None,
            generation: None,
        };
        let sessions = Sessions::new(Parts {
            tls: servers.clone(),
            memory: memory.clone(),
            crypto,
            cache: recipe::cache(&config, secret, memory.clone()),
            steering: Steering::new(0, Vec::new()),
            log: Log::default(),
            now: Now { instant: Instant(0), unix_ms: STARTED_UNIX_MS },
            config,
        });
        Self {
            host: Host::new(stack, sessions),
            memory,
            segments: setting.segments,
            servers,
            handshakes: setting.handshakes,
            shop,
            ahead_ns: 0,
            pending: VecDeque::new(),
            takes: setting.takes,
            full_at: setting.pending,
            frames_in: 0,
            frames_out: 0,
            pause_ns: TURN_NS,
            watch: Cycles::new(None),
        }
    }

    fn now(&self, now_ns: u64) -> Now {
        let instant = Instant(now_ns + self.ahead_ns);
        Now { instant, unix_ms: STARTED_UNIX_MS + instant.millis() }
    }

    /// A frame that a port received; without memory for it the device drops it.
    pub(crate) fn receive(&mut self, port: u16, frame: &[u8], now_ns: u64) {
        if self.memory.in_use() < self.segments {
            let chain = self.memory.chain(frame);
            self.frames_in += 1;
            self.pause_ns = TURN_NS;
            self.host.receive(port, chain, Checksums::Unknown, self.now(now_ns));
        }
    }

    /// A turn of the loop; frames that leave go to `each`, with their port.
    pub(crate) fn turn(&mut self, drained: bool, now_ns: u64, each: &mut dyn FnMut(u16, Vec<u8>)) {
        let now = self.now(now_ns);
        let may_send = self.pending.len() < self.full_at;
        self.host.turn(now, drained, may_send, &mut self.watch);
        self.pending.extend(std::iter::from_fn(|| self.host.output().pop()));
        let taken = self.takes.min(self.pending.len());
        for frame in self.pending.drain(..taken) {
            self.frames_out += 1;
            each(frame.interface, frame.chain.to_vec());
        }
        self.pause_ns = if taken > 0 { TURN_NS } else { (self.pause_ns * 2).min(SLOW_TURN_NS) };
        if !self.host.is_busy() {
            self.host.work_ahead(now);
        }
    }

    /// When there is something to do though nothing arrives.
    pub(crate) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let is_busy = self.host.is_busy()
            || self.host.stack().wants_emit()
            || self.shop.waiting.get() > 0
            || !self.pending.is_empty();
        let deadlines =
            [self.host.stack().deadline().map(|at| at.0), self.host.sessions().next_deadline_ns()];
        let due =
            deadlines.into_iter().flatten().map(|at_ns| at_ns.saturating_sub(self.ahead_ns).max(now_ns));
        due.chain(is_busy.then_some(now_ns + self.pause_ns)).min()
    }

    /// Its clock goes ahead, as that of a machine that slept.
    pub(crate) const fn jump(&mut self, ns: u64) {
        self.ahead_ns += ns;
    }

    /// Nothing is kept from it any more.
    pub(crate) fn heal(&mut self) {
        self.shop.mood.set(Mood::default());
        (self.takes, self.full_at) = (256, 256);
    }

    /// Whether nobody is being served, and TCP has done with those who were.
    pub(crate) fn is_quiet(&self) -> bool {
        let (stack, sessions) = (self.host.stack(), self.host.sessions());
        let engines = sessions.jobs() + self.shop.waiting.get();
        sessions.clients() + stack.half_open() + engines == 0 && stack.connections() == sessions.upstreams()
    }

    /// Whether TCP has no connection any more, and remembers none.
    pub(crate) fn is_empty(&self) -> bool {
        let stack = self.host.stack();
        stack.connections() + stack.half_open() + stack.time_wait() == 0
    }

    /// Engines do nothing, or do again.
    pub(crate) fn park(&self, is_parked: bool) {
        self.shop.mood.set(Mood { is_parked, ..self.shop.mood.get() });
    }

    /// What must hold between any two turns.
    pub(crate) fn check(&mut self) {
        let waiting = self.host.output().len();
        let (stack, sessions) = (self.host.stack(), self.host.sessions());
        sessions.check(stack);
        let counters = stack.counters();
        assert_eq!(counters.frames_in, self.frames_in, "frames given to the stack");
        let kept = (self.pending.len() + waiting) as u64;
        assert_eq!(counters.frames_out, self.frames_out + kept, "frames taken from the stack");
        let ended: u64 = ENDS.iter().map(|&reason| counters[reason]).sum();
        let begun = counters.accepted + counters.connects;
        assert_eq!(
            begun,
            ended + stack.connections() as u64,
            "connections that TCP began, and that ended or are there"
        );
        assert!(self.memory.in_use() <= self.segments);
    }

    /// Every connection has ended by itself: what may be left are idle connections to servers.
    pub(crate) fn check_quiet(&self) {
        for (name, count) in self.host.sessions().held() {
            let may_stay = matches!(name, "upstreams" | "pool_connections");
            assert!(may_stay || count == 0, "{count} {name} are held though nobody is there");
        }
        for server in self.servers.iter().flatten() {
            assert_eq!(server.free_slots(), self.handshakes, "slots of handshakes that are free");
        }
    }

    /// A segment that nobody gives back.
    #[cfg(test)]
    pub(crate) fn leak(&self) {
        std::mem::forget(levee_buf::Memory::alloc(&self.memory, 1));
    }

    /// Ends as a worker does: nothing must be left.
    pub(crate) fn finish(mut self, now_ns: u64) {
        self.heal();
        self.host.abort_all();
        while self.host.sessions().jobs() > 0 || self.shop.waiting.get() > 0 {
            self.turn(true, now_ns, &mut |_, _| {});
        }
        for (name, count) in self.host.sessions().held() {
            assert_eq!(count, 0, "{name} are held at the end");
        }
        self.check_quiet();
        let Self { host, memory, pending, .. } = self;
        drop((host, pending));
        assert_eq!(memory.in_use(), 0, "segments are held at the end");
    }
}

/// Reasons for which TCP ends a connection.
const ENDS: [Reason; 8] = [
    Reason::Finished,
    Reason::Reset,
    Reason::Refused,
    Reason::Unreachable,
    Reason::TimedOut,
    Reason::OrphanTimedOut,
    Reason::DataAfterRelease,
    Reason::Aborted,
];

//! Two stacks and the link between them, on a clock that only the test moves.
//!
//! What the link does to frames is drawn from a seed: loss, duplication, reordering, corruption, delay.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use levee_buf::{Chain, Heap, HeapChain, Memory, Pieces};
use levee_tcp::{
    Checksums, Config, ConnId, Fill, Instant, InterfaceConfig, Output, Ready, Reason, Room, Seal, Stack,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const PORT: u16 = 443;
/// Segments of each host's memory.
pub(crate) const SEGMENTS: usize = 20_000;

/// What the link does to frames: chances in a thousand, and times in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) corrupt: u32,
    pub(crate) delay_us: u64,
    pub(crate) jitter_us: u64,
    /// Bits a second; frames queue up behind each other.
    pub(crate) rate: u64,
    /// Frames that find so many before them are lost.
    pub(crate) queue: u64,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        loss: 0,
        duplicate: 0,
        corrupt: 0,
        delay_us: 500,
        jitter_us: 0,
        rate: 1_000_000_000,
        queue: 1000,
    };
}

pub(crate) fn config(address: Ipv4Addr, mtu: u16) -> Config {
    let interface = InterfaceConfig {
        mac: [2, 0, 0, 0, 0, address.octets()[3]],
        mtu,
        addresses: vec![(IpAddr::V4(address), 24)],
        gateway: None,
        tx_checksum: false,
        rx_checksum: false,
        tso: None,
    };
    let mut config = Config::new(vec![interface], 16, [address.octets()[3]; 32]);
    config.syn_entries = 8;
    // Rough links take their time.
    (config.timeouts.syn_retries, config.timeouts.syn_ack_retries) = (10, 10);
    config.timeouts.user = Duration::from_secs(1000);
    config
}

/// One side: a stack and what its upper layer does.
pub(crate) struct Host {
    pub(crate) stack: Stack<Heap>,
    pub(crate) memory: Heap,
    pub(crate) out: Output<Heap>,
    pub(crate) app: App,
    pub(crate) closed: Vec<(ConnId, Reason)>,
    pub(crate) accepted: Vec<ConnId>,
    /// The clock of this host is ahead by so much.
    pub(crate) skew: Duration,
}

/// An upper layer that sends and receives a stream on each connection.
pub(crate) struct App {
    pub(crate) memory: Heap,
    pub(crate) streams: HashMap<ConnId, Stream>,
    /// Bytes that a new connection is to send.
    pub(crate) to_send: usize,
    /// Bytes of one record.
    pub(crate) record: usize,
    /// Whether received bytes are given back at once.
    pub(crate) consumes: bool,
    /// FIN follows when all was sent.
    pub(crate) finishes: bool,
    pub(crate) fills: usize,
    /// Found no memory, and are to be woken in the next turn.
    pub(crate) starved: Vec<ConnId>,
}

#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) sent: usize,
    pub(crate) to_send: usize,
    pub(crate) received: usize,
    pub(crate) intact: bool,
    pub(crate) fin: bool,
    pub(crate) connected: bool,
}

/// The byte at an offset of every stream.
pub(crate) fn byte(offset: usize) -> u8 {
    let mixed = (offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

impl Seal<Heap> for App {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<HeapChain> {
        assert!(room.window > 0 && room.mss > 0);
        self.fills += 1;
        let Some(stream) = self.streams.get_mut(&id) else { return Fill::Nothing };
        let n = room.window.min(self.record).min(stream.to_send - stream.sent);
        if n == 0 {
            return if self.finishes { Fill::Finished } else { Fill::Nothing };
        }
        let bytes: Vec<u8> = (stream.sent..stream.sent + n).map(byte).collect();
        let mut chain = HeapChain::default();
        for piece in bytes.chunks(1500) {
            let Some(mut segment) = self.memory.alloc(piece.len()) else {
                self.starved.push(id);
                return Fill::Nothing;
            };
            segment.extend(piece.len()).expect("has room").copy_from_slice(piece);
            chain.append(segment);
        }
        stream.sent += n;
        Fill::Data(chain)
    }
}

impl Host {
    pub(crate) fn new(config: Config) -> Self {
        let memory = Heap::new(SEGMENTS);
        let app = App {
            memory: memory.clone(),
            streams: HashMap::new(),
            to_send: 0,
            record: 16_408,
            consumes: true,
            finishes: true,
            fills: 0,
            starved: Vec::new(),
        };
        Self {
            stack: Stack::new(config, memory.clone()).expect("a good configuration"),
            memory,
            out: Output::new(256),
            app,
            closed: Vec::new(),
            accepted: Vec::new(),
            skew: Duration::ZERO,
        }
    }

    pub(crate) fn connect(&mut self, now: Instant) -> ConnId {
        let remote = SocketAddr::from((SERVER, PORT));
        let id = self
            .stack
            .connect(IpAddr::V4(CLIENT), remote, now + self.skew, &mut |_| true)
            .expect("a free connection");
        self.open(id);
        id
    }

    fn open(&mut self, id: ConnId) {
        let stream = Stream { to_send: self.app.to_send, intact: true, ..Stream::default() };
        self.app.streams.insert(id, stream);
        self.stack.wake(id);
    }

    /// One turn: timers, events, emit.
    pub(crate) fn turn(&mut self, now: Instant) {
        let now = now + self.skew;
        self.stack.on_timeout(now);
        self.see_events();
        for id in self.app.starved.split_off(0) {
            self.stack.wake(id);
        }
        self.stack.emit(now, &mut self.app, &mut self.out);
    }

    fn see_events(&mut self) {
        while let Some((id, ready)) = self.stack.ready() {
            self.on_ready(id, ready);
        }
    }

    fn on_ready(&mut self, id: ConnId, ready: Ready) {
        if ready.accepted.is_some() {
            self.accepted.push(id);
            self.open(id);
        }
        let Some(stream) = self.app.streams.get_mut(&id) else { panic!("an event of an unknown connection") };
        stream.connected |= ready.connected;
        if ready.readable {
            let bytes = self.stack.recv(id);
            let mut at = stream.received;
            bytes.for_each(0..bytes.len(), &mut |chunk| {
                for &have in chunk {
                    stream.intact &= have == byte(at);
                    at += 1;
                }
            });
            stream.received = at;
            if self.app.consumes {
                self.stack.consumed(id, bytes.len());
            }
        }
        stream.fin |= ready.fin;
        if let Some(reason) = ready.closed {
            self.closed.push((id, reason));
        }
    }
}

/// Frames under way, and two hosts.
pub(crate) struct Net {
    pub(crate) client: Host,
    pub(crate) server: Host,
    pub(crate) now: Instant,
    pub(crate) weather: Weather,
    rng: ChaCha8Rng,
    /// By arrival time and a counter: to the server or not, and the bytes.
    under_way: BTreeMap<(u64, u64), (bool, Vec<u8>)>,
    free_at: [u64; 2],
    counter: u64,
    pub(crate) carried: usize,
}

impl Net {
    pub(crate) fn new(seed: u64, weather: Weather, client: Config, server: Config) -> Self {
        let mut net = Self {
            client: Host::new(client),
            server: Host::new(server),
            now: Instant::from_millis(1_000_000),
            weather,
            rng: ChaCha8Rng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            free_at: [0; 2],
            counter: 0,
            carried: 0,
        };
        net.client.skew = Duration::from_millis(seed % 1000 * 77_777);
        net.server.stack.listen(SocketAddr::from((SERVER, PORT)), 7, 8).expect("a free port");
        net
    }

    /// Runs until nothing happens any more before `limit`; the time that took.
    pub(crate) fn run(&mut self, limit: Duration) -> Duration {
        let start = self.now;
        let end = self.now + limit;
        loop {
            self.client.turn(self.now);
            self.server.turn(self.now);
            self.carry();
            let arrival = self.under_way.keys().next().map(|&(at, _)| Instant(at));
            let timers = [&self.client, &self.server]
                .into_iter()
                .filter_map(|host| host.stack.deadline().map(|at| (at - host.skew).max(self.now)));
            let Some(next) = arrival.into_iter().chain(timers).min() else { break };
            if next > end {
                self.now = end;
                break;
            }
            // A stack that asks for a turn at this very moment gets it a little later.
            self.now = if next <= self.now && arrival != Some(next) {
                self.now + Duration::from_micros(50)
            } else {
                next
            };
            self.deliver();
        }
        self.now.since(start)
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.rng.next_u32() % 1000 < per_mille
    }

    fn carry(&mut self) {
        for to_server in [true, false] {
            loop {
                let host = if to_server { &mut self.client } else { &mut self.server };
                let Some(frame) = host.out.pop() else { break };
                let bytes = frame.chain.to_vec();
                self.carry_one(to_server, bytes);
            }
        }
    }

    fn carry_one(&mut self, to_server: bool, mut bytes: Vec<u8>) {
        let Weather { loss, duplicate, corrupt, delay_us, jitter_us, rate, queue } = self.weather;
        let way = usize::from(to_server);
        let backlog = self.free_at[way].saturating_sub(self.now.0) / 1000 * rate / 8 / 1500 / 1_000_000;
        if self.chance(loss) || backlog >= queue {
            return;
        }
        self.carried += bytes.len();
        let wire = bytes.len() as u64 * 8 * 1_000_000_000 / rate;
        self.free_at[way] = self.free_at[way].max(self.now.0) + wire;
        if self.chance(corrupt) {
            let at = self.rng.next_u32() as usize % bytes.len();
            bytes[at] ^= 1 << (self.rng.next_u32() % 8);
        }
        let copies = 1 + usize::from(self.chance(duplicate));
        for _ in 0..copies {
            let jitter = if jitter_us == 0 { 0 } else { u64::from(self.rng.next_u32()) % jitter_us };
            let at = self.free_at[way] + (delay_us + jitter) * 1000;
            self.counter += 1;
            self.under_way.insert((at, self.counter), (to_server, bytes.clone()));
        }
    }

    fn deliver(&mut self) {
        while let Some((&key, _)) = self.under_way.iter().next() {
            if key.0 > self.now.0 {
                break;
            }
            let (to_server, bytes) = self.under_way.remove(&key).expect("just seen");
            let host = if to_server { &mut self.server } else { &mut self.client };
            if host.memory.in_use() == SEGMENTS {
                // A device without a buffer loses the frame.
                continue;
            }
            let frame = host.memory.chain(&bytes);
            host.stack.input(0, frame, Checksums::Unknown, self.now + host.skew);
        }
    }

    /// Nothing is left anywhere.
    pub(crate) fn assert_empty(&self) {
        for host in [&self.client, &self.server] {
            assert_eq!(host.stack.connections(), 0);
            assert_eq!(host.stack.half_open(), 0);
            assert_eq!(host.stack.time_wait(), 0);
            assert_eq!(host.memory.in_use(), 0);
        }
    }
}

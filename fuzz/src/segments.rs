//! One connection and a peer who is inside it: any flags, numbers near every edge, any option, any pause, and an upper
//! layer that reads, writes and closes when it likes. After each step what left must be allowed, what was read must be
//! what was sent, and what is held must be bounded; at the end the peer is silent, and everything ends.

mod peer;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use levee_buf::{Chain as _, Heap, HeapChain, Memory as _, Pieces as _};
use levee_tcp::{ConnId, Fill, Ready, Room, Seal};

use crate::link::{Host, OURS, PEER, PEER_PORT, PORT, SEGMENTS, Segment};
use peer::Peer;

/// Steps of one program.
const STEPS: usize = 96;
/// Bytes the stack may hold for the upper layer to read, and of the upper layer's own.
const RECV_BUFFER: usize = 8 << 10;
const SEND_BUFFER: usize = 16 << 10;
/// Segments it may hold: of the larger receive buffer, in pieces, and of the send buffer, cut at the smallest size and
/// once more where what was given was cut.
const HELD: usize = 2 * 200 + 2 * (SEND_BUFFER / 52 + 64);
/// Segments left when somebody else holds the others.
const SPARE: usize = 8;

/// Runs a program.
pub fn run(input: &[u8]) {
    let mut program = Unstructured::new(input);
    let Ok(mut scene) = Scene::new(&mut program) else { return };
    for _ in 0..STEPS {
        if program.is_empty() || scene.step(&mut program).is_err() {
            break;
        }
    }
    scene.settle();
}

/// The upper layer of our side.
struct App {
    memory: Heap,
    /// Bytes given of the stream, and bytes it still has.
    given: usize,
    left: usize,
    finishes: bool,
    /// More than was asked for is given.
    is_generous: bool,
}

struct Scene {
    host: Host,
    app: App,
    peer: Peer,
    id: Option<ConnId>,
    /// The peer's sequence number of the next byte to be read.
    taken: u32,
    has_fin: bool,
    /// Bytes are taken as soon as there are some.
    reads_at_once: bool,
    /// Bytes read and not given back.
    unconsumed: usize,
    hoard: Vec<HeapChain>,
    /// Bytes that were read of connections before this one.
    read: u64,
}

impl Scene {
    fn new(program: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = program.arbitrary()?;
        let mut host = Host::new(|config| {
            (config.syn_entries, config.time_wait_entries, config.out_of_order) = (4, 1, 32);
            (config.recv_buffer, config.send_buffer) = (RECV_BUFFER, SEND_BUFFER);
            if kind & 8 != 0 {
                config.recv_buffer = 100_000;
            }
            if kind & 16 != 0 {
                config.timeouts.keepalive = Some(Duration::from_secs(3));
            }
        });
        host.stack.listen(SocketAddr::from((OURS, PORT)), 1, 4).expect("a free port");
        let mut peer = Peer::new(program.arbitrary()?);
        peer.offer(program)?;
        let app = App {
            memory: host.memory.clone(),
            given: 0,
            left: 0,
            finishes: false,
            is_generous: kind & 32 != 0,
        };
        let mut scene = Self {
            host,
            app,
            peer,
            id: None,
            taken: 0,
            has_fin: false,
            reads_at_once: kind & 64 != 0,
            unconsumed: 0,
            hoard: Vec::new(),
            read: 0,
        };
        if kind & 1 == 0 {
            let syn = scene.peer.syn(PORT);
            scene.send(&syn, usize::MAX);
        } else {
            let remote = SocketAddr::from((PEER, PEER_PORT));
            let now = scene.host.now;
            scene.id = scene.host.stack.connect(IpAddr::V4(OURS), remote, now, &mut |_| true).ok();
            scene.peer.is_passive = true;
            scene.turn();
        }
        if kind & 2 == 0 {
            let answer = scene.peer.answer();
            scene.send(&answer, usize::MAX);
        }
        Ok(scene)
    }

    fn step(&mut self, program: &mut Unstructured<'_>) -> Result<()> {
        match program.arbitrary::<u8>()? % 16 {
            0..=4 => {
                let segment = self.peer.any_segment(program)?;
                let cut = usize::from(program.arbitrary::<u8>()?);
                self.send(&segment, if cut < 128 { usize::MAX } else { 54 + cut - 128 });
            }
            5 => {
                let segment = self.peer.next_segment(usize::from(program.arbitrary::<u16>()? % 1461));
                self.send(&segment, usize::MAX);
            }
            6 => {
                let segment = self.peer.acknowledge(program.arbitrary()?);
                self.send(&segment, usize::MAX);
            }
            7 => self.pass(Duration::from_millis(u64::from(program.arbitrary::<u8>()?))),
            8 => self.pass(Duration::from_millis(u64::from(program.arbitrary::<u16>()?) / 4)),
            9 => {
                // A clock that jumps over its timers.
                let pause = Duration::from_millis(u64::from(program.arbitrary::<u16>()?));
                self.host.now = self.host.now + pause;
            }
            10 => {
                self.app.left += usize::from(program.arbitrary::<u16>()?);
                self.wake();
            }
            11 => {
                self.app.finishes = true;
                self.wake();
            }
            12 => {
                self.take();
                self.consume(self.unconsumed);
            }
            13 => {
                self.take();
                self.consume(usize::from(program.arbitrary::<u16>()?).min(self.unconsumed));
            }
            14 => self.hoard(program.arbitrary()?),
            _ => self.close(program.arbitrary()?),
        }
        self.turn();
        Ok(())
    }

    /// The peer sends a segment, for which there is memory.
    fn send(&mut self, segment: &Segment, cut: usize) {
        self.peer.on_sent(segment);
        self.host.input(&segment.frame(), cut);
        self.turn();
    }

    fn wake(&mut self) {
        if let Some(id) = self.id {
            self.host.stack.wake(id);
        }
    }

    fn take(&mut self) {
        let Some(id) = self.id else { return };
        let bytes = self.host.stack.recv(id);
        for (at, &byte) in bytes.to_vec().iter().enumerate() {
            let seq = self.taken.wrapping_add(u32::try_from(at).expect("small"));
            assert_eq!(byte, peer::byte(seq), "the byte at {seq}");
        }
        self.taken = self.taken.wrapping_add(u32::try_from(bytes.len()).expect("small"));
        self.unconsumed += bytes.len();
        self.read += bytes.len() as u64;
        assert!(self.read <= self.host.stack.counters().bytes_in);
    }

    fn consume(&mut self, bytes: usize) {
        self.unconsumed -= bytes;
        if let Some(id) = self.id {
            self.host.stack.consumed(id, bytes);
        }
    }

    /// Somebody else takes all memory but a little, or gives it back.
    fn hoard(&mut self, takes: bool) {
        self.hoard.clear();
        if takes {
            let free = SEGMENTS - self.host.memory.in_use();
            let memory = self.host.memory.clone();
            self.hoard.extend((SPARE..free).map_while(|_| memory.alloc(1)));
        } else {
            self.wake();
        }
    }

    fn close(&mut self, how: u8) {
        let Some(id) = self.id else { return };
        match how {
            0..=99 => self.host.stack.release(id),
            100..=149 => self.host.stack.abort(id),
            _ => return,
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.id = None;
        self.unconsumed = 0;
    }

    /// Time passes, with every timer in its time.
    fn pass(&mut self, pause: Duration) {
        let end = self.host.now + pause;
        for turns in 0_u128.. {
            assert!(turns < 1000 + pause.as_millis(), "timers without end");
            if !self.host.next_timer(end) {
                break;
            }
            self.turn();
        }
        self.host.now = end;
        self.host.stack.on_timeout(end);
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            while let Some((id, ready)) = self.host.stack.ready() {
                self.on_ready(id, ready);
            }
            let sent = self.host.emit(&mut self.app);
            if sent.is_empty() {
                break;
            }
            for segment in sent {
                self.peer.on_received(&segment);
            }
        }
        let (stack, held) = (&self.host.stack, self.host.memory.in_use() - self.hoard.len());
        assert!(held <= HELD, "{held} segments are held");
        assert!(stack.connections() <= 2 && stack.half_open() <= 1 && stack.time_wait() <= 1);
        let counters = stack.counters();
        assert!(counters.bytes_out <= self.app.given as u64, "more was sent than was given");
        assert!(counters.segments_in <= counters.frames_in);
        if self.hoard.is_empty() {
            assert!(!stack.wants_emit(), "it does not send what it wants to");
            let waits = self.id.is_some_and(|id| stack.in_flight(id) > 0);
            assert!(!waits || stack.deadline().is_some(), "bytes wait for nothing");
        }
    }

    fn on_ready(&mut self, id: ConnId, ready: Ready) {
        let Ready { accepted, connected, readable, fin, closed, .. } = ready;
        if accepted.is_some() {
            // One that is over may wait until its bytes are read; they are not, then.
            if let Some(old) = self.id.replace(id) {
                assert_eq!(self.host.stack.in_flight(old), 0, "two connections with the same peer");
                self.host.stack.abort(old);
            }
        }
        assert_eq!(Some(id), self.id, "told of a connection that is gone");
        if accepted.is_some() || connected {
            self.taken = self.peer.first();
            (self.has_fin, self.unconsumed) = (false, 0);
            (self.app.left, self.app.finishes) = (0, false);
            self.peer.our_first_offset = self.app.given;
        }
        assert!(!(fin && self.has_fin), "FIN twice");
        self.has_fin |= fin;
        if readable && closed.is_none() && self.reads_at_once {
            let before = self.read;
            self.take();
            assert!(self.read > before, "nothing to read");
        }
        if closed.is_some() {
            self.forget();
        }
    }

    /// The peer falls silent: what waits for it ends by itself, and after us nothing is left.
    fn settle(&mut self) {
        self.hoard(false);
        self.turn();
        self.pass(Duration::from_secs(60));
        if let Some(id) = self.id {
            assert_eq!(self.host.stack.in_flight(id), 0, "bytes wait longer than the user timeout");
            self.host.stack.release(id);
            self.forget();
        }
        self.turn();
        self.pass(Duration::from_secs(400));
        self.host.assert_empty();
    }
}

impl Seal<Heap> for App {
    fn fill(&mut self, _: ConnId, room: Room) -> Fill<HeapChain> {
        assert!(room.window > 0 && room.mss > 0);
        let wanted = if self.is_generous { room.window + 999 } else { room.window };
        let n = wanted.min(self.left).min(4096);
        if n == 0 {
            return if self.finishes { Fill::Finished } else { Fill::Nothing };
        }
        let Some(mut chain) = self.memory.alloc(n) else { return Fill::Nothing };
        let place = chain.extend(n).expect("it has room");
        for (at, byte) in place.iter_mut().enumerate() {
            *byte = peer::byte(u32::try_from(self.given + at).expect("small"));
        }
        (self.given, self.left) = (self.given + n, self.left - n);
        Fill::Data(chain)
    }
}

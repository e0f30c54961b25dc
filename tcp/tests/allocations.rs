//! After `Stack::new` a stack asks the global allocator for nothing.
//!
//! Packet memory of tests lies on the heap, so its own calls are left out; all others count.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use allocation_counter::{measure, opt_out};
use levee_buf::{Chain, Heap, HeapChain, Memory, Pieces};
use levee_tcp::{
    Checksums, Config, ConnId, Fill, Instant, InterfaceConfig, Output, Ready, Room, Seal, Stack,
};

/// Heap memory whose calls are not counted.
#[derive(Clone)]
struct Quiet(Heap);

#[derive(Default)]
struct QuietChain(HeapChain);

/// What `call` returns, uncounted.
fn quietly<T>(call: impl FnOnce() -> T) -> T {
    let mut result = None;
    opt_out(|| result = Some(call()));
    result.expect("was called")
}

impl Memory for Quiet {
    type Chain = QuietChain;

    fn alloc(&self, room: usize) -> Option<QuietChain> {
        quietly(|| self.0.alloc(room)).map(QuietChain)
    }

    fn split_to(&self, chain: &mut QuietChain, at: usize) -> Option<QuietChain> {
        quietly(|| self.0.split_to(&mut chain.0, at)).map(QuietChain)
    }

    fn reference(&self, chain: &mut QuietChain, range: Range<usize>) -> Option<QuietChain> {
        quietly(|| self.0.reference(&mut chain.0, range)).map(QuietChain)
    }
}

impl Pieces for QuietChain {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn segments(&self) -> usize {
        self.0.segments()
    }

    fn chunk(&self, at: usize) -> &[u8] {
        self.0.chunk(at)
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        self.0.chunk_mut(at)
    }

    fn is_exclusive(&self, range: Range<usize>) -> bool {
        self.0.is_exclusive(range)
    }
}

impl Chain for QuietChain {
    fn append(&mut self, tail: Self) {
        quietly(|| self.0.append(tail.0));
    }

    fn trim_front(&mut self, n: usize) {
        self.0.trim_front(n);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn headroom(&self) -> usize {
        self.0.headroom()
    }

    fn tailroom(&self) -> usize {
        self.0.tailroom()
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        self.0.prepend(n)
    }

    fn extend(&mut self, n: usize) -> Option<&mut [u8]> {
        self.0.extend(n)
    }
}

/// Sends so many bytes on each connection, then FIN.
struct Source {
    memory: Quiet,
    left: [usize; 8],
}

impl Seal<Quiet> for Source {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<QuietChain> {
        let left = &mut self.left[id.slot()];
        let n = room.window.min(*left).min(2048);
        if n == 0 {
            return Fill::Finished;
        }
        *left -= n;
        let mut chain = self.memory.alloc(n).expect("memory");
        chain.extend(n).expect("room").fill(7);
        Fill::Data(chain)
    }
}

struct Side {
    stack: Stack<Quiet>,
    source: Source,
    out: Output<Quiet>,
    received: usize,
    closed: usize,
}

impl Side {
    fn new(last: u8, memory: &Quiet) -> Self {
        let interface = InterfaceConfig {
            mac: [2, 0, 0, 0, 0, last],
            mtu: 1500,
            addresses: vec![([10, 0, 0, last].into(), 24)],
            gateway: None,
            tx_checksum: false,
            rx_checksum: false,
            tso: None,
        };
        let stack = Stack::new(Config::new(vec![interface], 8, [last; 32]), memory.clone());
        Self {
            stack: stack.expect("a good configuration"),
            source: Source { memory: memory.clone(), left: [300_000; 8] },
            out: Output::new(128),
            received: 0,
            closed: 0,
        }
    }

    fn turn(&mut self, now: Instant) {
        self.stack.on_timeout(now);
        while let Some((id, Ready { accepted, readable, closed, .. })) = self.stack.ready() {
            if accepted.is_some() {
                self.source.left[id.slot()] = 300_000;
                self.stack.wake(id);
            }
            if readable {
                let n = self.stack.recv(id).len();
                self.received += n;
                self.stack.consumed(id, n);
            }
            self.closed += usize::from(closed.is_some());
        }
        self.stack.emit(now, &mut self.source, &mut self.out);
    }

    /// Gives all but every `drop`-th frame to `other`.
    fn carry(&mut self, other: &mut Self, drop: usize, count: &mut usize, now: Instant) {
        while let Some(frame) = self.out.pop() {
            *count += 1;
            if !(*count).is_multiple_of(drop) {
                other.stack.input(0, frame.chain, Checksums::Unknown, now);
            }
        }
    }
}

#[test]
fn a_stack_does_not_allocate() {
    let memory = Quiet(Heap::new(100_000));
    let (mut client, mut server) = (Side::new(1, &memory), Side::new(2, &memory));
    let listening = server.stack.listen(SocketAddr::from(([10, 0, 0, 2], 80)), 0, 8);
    listening.expect("a free port");
    let mut now = Instant::from_millis(1_000);
    let mut count = 0;
    let info = measure(|| {
        for _ in 0..8 {
            let remote = SocketAddr::from(([10, 0, 0, 2], 80));
            let local = IpAddr::from([10, 0, 0, 1]);
            let id = client.stack.connect(local, remote, now, &mut |_| true).expect("a free connection");
            client.stack.wake(id);
        }
        for _ in 0..20_000 {
            client.turn(now);
            client.carry(&mut server, 29, &mut count, now);
            server.turn(now);
            server.carry(&mut client, 31, &mut count, now);
            now = now + Duration::from_millis(3);
        }
    });
    assert_eq!((client.received, server.received), (2_400_000, 2_400_000));
    assert_eq!((client.closed, server.closed), (8, 8));
    assert!(client.stack.counters().timeouts + client.stack.counters().fast_retransmits > 10);
    assert_eq!(info.count_total, 0);
    assert_eq!(memory.0.in_use(), 0);
}

//! A link with a TCP stack at one end: frames put together and taken apart by other code than the stack's own, and a
//! host that is turned by hand.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use levee_buf::{Chain as _, Heap, HeapChain};
use levee_tcp::{Checksums, Config, Instant, InterfaceConfig, Output, Seal, Stack, Timeouts};

/// The stack's address, and its peer's.
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The port the stack listens on, and the peer's.
pub(crate) const PORT: u16 = 80;
pub(crate) const PEER_PORT: u16 = 40_000;
/// Segments of the stack's memory.
pub(crate) const SEGMENTS: usize = 2048;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A TCP segment between the peer and the stack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    /// The stack's port.
    pub(crate) port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// What the stack sent.
#[derive(Debug)]
pub(crate) enum Sent {
    Tcp(Segment),
    /// It asks who has an address.
    Question(Ipv4Addr),
    /// An ARP reply, or ICMP.
    Other,
}

impl Segment {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence numbers it takes.
    pub(crate) fn length(&self) -> u32 {
        let bytes = u32::try_from(self.payload.len()).expect("fits a packet");
        bytes + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// The value of an option, in a list that is right.
    pub(crate) fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.options[..];
        while let [first, behind @ ..] = rest {
            if *first == 1 {
                rest = behind;
                continue;
            }
            let (option, behind) = rest.split_at(usize::from(rest[1]));
            if *first == kind {
                return Some(&option[2..]);
            }
            rest = behind;
        }
        None
    }

    /// From the peer to the stack, in a frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(PEER_PORT.to_be_bytes());
        tcp.extend(self.port.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.push(u8::try_from((20 + self.options.len()) * 4).expect("at most 60 bytes"));
        tcp.push(self.flags);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let sum = tcp_checksum(PEER, OURS, &tcp);
        tcp[16..18].copy_from_slice(&sum);
        datagram(6, &tcp)
    }
}

/// An IP datagram from the peer to the stack, in a frame.
pub(crate) fn datagram(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).expect("fits a packet").to_be_bytes();
    let mut ip = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    ip.extend(PEER.octets());
    ip.extend(OURS.octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum);
    let mut frame = [&OUR_MAC[..], &PEER_MAC, &[8, 0], &ip, payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// The peer's answer to who has `address`.
pub(crate) fn arp_reply(address: Ipv4Addr) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    [&OUR_MAC[..], &PEER_MAC, &[8, 6], &head, &PEER_MAC, &address.octets(), &OUR_MAC, &OURS.octets()].concat()
}

/// Takes apart what the stack sent, all of which has to be right.
fn parse(frame: &[u8]) -> Sent {
    assert_eq!(frame[6..12], OUR_MAC, "from our station");
    if frame[12..14] == [8, 6] {
        assert_eq!((frame.len(), &frame[14..20]), (42, &[0, 1, 8, 0, 6, 4][..]));
        let target = Ipv4Addr::new(frame[38], frame[39], frame[40], frame[41]);
        return if frame[21] == 1 && target != OURS { Sent::Question(target) } else { Sent::Other };
    }
    assert_eq!(frame[12..14], [8, 0]);
    let ip = &frame[14..];
    assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len(), "the length of the datagram");
    let header = usize::from(ip[0] & 15) * 4;
    assert_eq!(checksum(&[&ip[..header]]), [0, 0], "the checksum of the header");
    assert_eq!(ip[12..16], OURS.octets(), "from our address");
    let body = &ip[header..];
    if ip[9] == 1 {
        assert_eq!((body[0], checksum(&[body])), (0, [0, 0]), "an echo reply");
        return Sent::Other;
    }
    assert_eq!((ip[9], header), (6, 20));
    let to = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    assert_eq!(tcp_checksum(OURS, to, body), [0, 0], "the checksum of the segment");
    let number = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let behind = usize::from(body[12] >> 4) * 4;
    if to != PEER || body[2..4] != PEER_PORT.to_be_bytes() {
        return Sent::Other;
    }
    Sent::Tcp(Segment {
        port: u16::from_be_bytes([body[0], body[1]]),
        seq: number(4),
        ack: number(8),
        flags: body[13],
        window: u16::from_be_bytes([body[14], body[15]]),
        options: body[20..behind].to_vec(),
        payload: body[behind..].to_vec(),
    })
}

fn tcp_checksum(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> [u8; 2] {
    let length = u16::try_from(segment.len()).expect("fits a packet").to_be_bytes();
    checksum(&[&from.octets(), &to.octets(), &[0, 6], &length, segment])
}

/// RFC 1071, the slow way; all parts but the last have an even number of bytes.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!u16::try_from(folded).expect("folded twice")).to_be_bytes()
}

/// A stack and the clock it is turned by.
pub(crate) struct Host {
    pub(crate) stack: Stack<Heap>,
    pub(crate) memory: Heap,
    pub(crate) now: Instant,
    /// Questions about neighbours are answered.
    pub(crate) answers: bool,
    out: Output<Heap>,
    frames_in: u64,
    frames_out: u64,
}

impl Host {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let interface = InterfaceConfig {
            mac: OUR_MAC,
            mtu: 1500,
            addresses: vec![(IpAddr::V4(OURS), 24)],
            gateway: None,
            tx_checksum: false,
            rx_checksum: true,
            tso: None,
        };
        let mut config = Config::new(vec![interface], 4, [7; 32]);
        config.neighbours = 8;
        config.timeouts = Timeouts {
            syn_retries: 2,
            syn_ack_retries: 2,
            max_rto: Duration::from_secs(4),
            user: Duration::from_secs(10),
            time_wait: Duration::from_secs(5),
            fin: Duration::from_secs(5),
            ..Timeouts::default()
        };
        change(&mut config);
        let memory = Heap::new(SEGMENTS);
        Self {
            stack: Stack::new(config, memory.clone()).expect("a good configuration"),
            memory,
            now: Instant::from_millis(1_000_000),
            answers: true,
            out: Output::new(64),
            frames_in: 0,
            frames_out: 0,
        }
    }

    /// Gives a frame in pieces, the first of `cut` bytes. A device without a buffer loses it.
    pub(crate) fn input(&mut self, frame: &[u8], cut: usize) {
        if self.memory.in_use() + 2 > SEGMENTS {
            return;
        }
        let (head, tail) = frame.split_at(cut.min(frame.len()));
        let chain: HeapChain =
            if tail.is_empty() { self.memory.chain(head) } else { self.memory.chain_of(&[head, tail]) };
        self.frames_in += 1;
        self.stack.input(0, chain, Checksums::Good, self.now);
        assert_eq!(self.stack.counters().frames_in, self.frames_in);
    }

    /// Emits until nothing more leaves; what left, ARP apart, which is answered.
    pub(crate) fn emit(&mut self, seal: &mut dyn Seal<Heap>) -> Vec<Segment> {
        let mut segments = Vec::new();
        for _ in 0..1000 {
            self.stack.emit(self.now, seal, &mut self.out);
            if self.out.is_empty() {
                assert_eq!(self.stack.counters().frames_out, self.frames_out);
                return segments;
            }
            while let Some(frame) = self.out.pop() {
                self.frames_out += 1;
                match parse(&frame.chain.to_vec()) {
                    Sent::Tcp(segment) => segments.push(segment),
                    Sent::Question(address) if self.answers => self.input(&arp_reply(address), usize::MAX),
                    Sent::Question(_) | Sent::Other => {}
                }
            }
        }
        panic!("it sends without end");
    }

    /// Whether a timer is due at or before `end`; then it has been seen to.
    pub(crate) fn next_timer(&mut self, end: Instant) -> bool {
        let Some(due) = self.stack.deadline().filter(|&due| due <= end) else { return false };
        self.now = self.now.max(due);
        self.stack.on_timeout(self.now);
        true
    }

    /// Nothing is left: connections, memory, timers.
    pub(crate) fn assert_empty(&self) {
        let stack = &self.stack;
        assert_eq!((stack.connections(), stack.half_open(), stack.time_wait()), (0, 0, 0));
        assert_eq!(self.memory.in_use(), 0, "memory leaked");
        assert_eq!(stack.deadline(), None, "a timer of nobody");
    }
}

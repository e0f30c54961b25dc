//! The stack around TCP: ARP, ICMP, IP, routes, configuration, sizes.

use std::net::SocketAddr;

use levee_buf::{Chain, Heap, HeapChain, Pieces};

use super::*;
use crate::config::{ConnectError, InterfaceConfig};
use crate::output::Output;
use crate::seal::{Fill, Room, Seal};
use crate::wire::checksum;

const OURS: [u8; 4] = [10, 0, 0, 1];
const GATEWAY: [u8; 4] = [10, 0, 0, 254];

struct Silent;

impl Seal<Heap> for Silent {
    fn fill(&mut self, _: ConnId, _: Room) -> Fill<HeapChain> {
        Fill::Nothing
    }
}

fn config() -> Config {
    let interface = InterfaceConfig {
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        addresses: vec![(IpAddr::V4(OURS.into()), 24)],
        gateway: Some(IpAddr::V4(GATEWAY.into())),
        tx_checksum: false,
        rx_checksum: false,
        tso: None,
    };
    Config::new(vec![interface], 4, [1; 32])
}

/// A stack that has said what it says at the start.
struct Bench {
    stack: Stack<Heap>,
    memory: Heap,
    out: Output<Heap>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let memory = Heap::new(2048);
        let stack = Stack::new(config(), memory.clone()).unwrap();
        Self { stack, memory, out: Output::new(2048), now: Instant::from_millis(1000) }
    }

    fn input(&mut self, bytes: &[u8]) {
        self.stack.input(0, self.memory.chain(bytes), Checksums::Unknown, self.now);
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        self.stack.emit(self.now, &mut Silent, &mut self.out);
        std::iter::from_fn(|| self.out.pop()).map(|frame| frame.chain.to_vec()).collect()
    }

    fn count(&self, reason: Reason) -> u64 {
        self.stack.counters()[reason]
    }
}

fn arp(operation: u8, sender_mac: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame
        .extend([2, 0, 0, 0, 0, sender_mac, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, sender_mac]);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame
}

/// An IP packet to us in a frame.
fn ip(protocol: u8, source: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, total[0], total[1], 0, 7, 0, 0, 9, protocol, 0, 0];
    header.extend(source);
    header.extend(OURS);
    let sum = checksum::of(&header);
    header[10..12].copy_from_slice(&sum);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend(header);
    frame.extend(payload);
    frame
}

fn echo(bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0, 1, 0, 2];
    message.extend(bytes);
    let sum = checksum::of(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

#[test]
fn it_announces_itself_and_asks_for_the_gateway() {
    let mut bench = Bench::new();
    let frames = bench.frames();
    assert_eq!(frames.len(), 2);
    assert_eq!((&frames[0][28..32], &frames[0][38..42]), (&OURS[..], &OURS[..]));
    assert_eq!((&frames[1][28..32], &frames[1][38..42]), (&OURS[..], &GATEWAY[..]));
    assert!(bench.frames().is_empty());
    // Asked twice more, a second apart, and then not any more.
    for expected in [1, 1, 0, 0] {
        bench.now = bench.now + std::time::Duration::from_secs(1);
        bench.stack.on_timeout(bench.now);
        assert_eq!(bench.frames().len(), expected);
    }
}

#[test]
fn arp_requests_are_answered_and_strangers_not_believed() {
    let mut bench = Bench::new();
    bench.frames();
    bench.input(&arp(1, 9, [10, 0, 0, 9], OURS));
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    let mut reply = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1];
    reply.extend(OURS);
    reply.extend([2, 0, 0, 0, 0, 9, 10, 0, 0, 9]);
    assert_eq!(frames[0], reply);
    // For somebody else, from our own address, unasked.
    bench.input(&arp(1, 9, [10, 0, 0, 9], [10, 0, 0, 7]));
    bench.input(&arp(1, 9, OURS, [10, 0, 0, 7]));
    bench.input(&arp(2, 9, [10, 0, 0, 8], OURS));
    assert_eq!(bench.count(Reason::ArpUnsolicited), 3);
    assert!(bench.frames().is_empty());
}

#[test]
fn the_first_syn_waits_for_the_gateway() {
    let mut bench = Bench::new();
    let remote = SocketAddr::from(([192, 0, 2, 1], 80));
    bench.stack.connect(IpAddr::V4(OURS.into()), remote, bench.now, &mut |_| true).unwrap();
    assert_eq!(bench.frames().len(), 2, "ARP alone");
    bench.input(&arp(2, 0xfe, GATEWAY, OURS));
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!((&frames[0][..6], &frames[0][30..34]), (&[2, 0, 0, 0, 0, 0xfe][..], &[192, 0, 2, 1][..]));
    // Somebody else says to be the gateway: asked about, not believed.
    bench.input(&arp(1, 0x66, GATEWAY, [10, 0, 0, 7]));
    let frames = bench.frames();
    assert_eq!((frames.len(), &frames[0][12..14]), (1, &[8, 6][..]));
    bench.stack.connect(IpAddr::V4(OURS.into()), remote, bench.now, &mut |_| true).unwrap();
    assert_eq!(bench.frames()[0][..6], [2, 0, 0, 0, 0, 0xfe]);
}

#[test]
fn echoes_are_answered_where_they_lie() {
    let mut bench = Bench::new();
    bench.frames();
    for length in [0, 1, 33, 1000] {
        let data: Vec<u8> = (0..=255).cycle().take(length).collect();
        let mut padded = ip(1, [10, 0, 0, 9], &echo(&data));
        padded.resize(padded.len().max(60), 0xaa);
        bench.input(&padded);
        let frames = bench.frames();
        assert_eq!(frames.len(), 1, "{length}");
        let frame = &frames[0];
        assert_eq!(frame.len(), 14 + 20 + 8 + length);
        assert_eq!((&frame[..6], frame[22], frame[34]), (&[2, 0, 0, 0, 0, 9][..], 64, 0));
        assert_eq!((&frame[26..30], &frame[30..34]), (&OURS[..], &[10, 0, 0, 9][..]));
        assert_eq!((checksum::of(&frame[14..34]), checksum::of(&frame[34..])), ([0, 0], [0, 0]));
        assert_eq!(frame[42..], data);
    }
    for _ in 0..1100 {
        bench.input(&ip(1, [10, 0, 0, 9], &echo(b"")));
    }
    assert_eq!(bench.frames().len(), 996);
    assert_eq!(bench.count(Reason::IcmpLimited), 104);
    assert_eq!(bench.memory.in_use(), 0);
}

#[test]
fn what_is_not_for_us_is_counted() {
    let good = ip(1, [10, 0, 0, 9], &echo(b"x"));
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame[24..26].fill(0);
        let sum = checksum::of(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum);
        frame
    };
    let mut short = good.clone();
    short.truncate(20);
    let mut ill = good.clone();
    ill[24] ^= 1;
    let cases: &[(Vec<u8>, Reason)] = &[
        (vec![], Reason::Truncated),
        (short, Reason::Truncated),
        (ill, Reason::IpChecksum),
        (changed(&|frame| frame[5] = 7), Reason::NotOurStation),
        (changed(&|frame| frame[..6].fill(0xff)), Reason::NotOurStation),
        (changed(&|frame| frame[6] = 1), Reason::NotOurStation),
        (changed(&|frame| frame[12..14].copy_from_slice(&[0x86, 0xdd])), Reason::EtherType),
        (changed(&|frame| frame[33] = 2), Reason::NotOurAddress),
        (changed(&|frame| frame[26..30].copy_from_slice(&[127, 0, 0, 1])), Reason::Martian),
        (changed(&|frame| frame[26..30].copy_from_slice(&OURS)), Reason::Martian),
        (changed(&|frame| frame[20] = 0x20), Reason::IpFragment),
        (changed(&|frame| frame[23] = 17), Reason::IpProtocol),
        (changed(&|frame| frame[36] ^= 1), Reason::IcmpMalformed),
        (changed(&|frame| frame[23] = 6), Reason::TcpChecksum),
    ];
    for (frame, reason) in cases {
        let mut bench = Bench::new();
        bench.input(frame);
        assert_eq!(bench.count(*reason), 1, "{reason:?}");
    }
    let mut bench = Bench::new();
    bench.stack.input(9, bench.memory.chain(&good), Checksums::Unknown, bench.now);
    assert_eq!(bench.count(Reason::NoInterface), 1);
}

#[test]
fn connect_and_listen_refuse_what_cannot_work() {
    let mut bench = Bench::new();
    let ours = IpAddr::V4(OURS.into());
    let v6 = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    let mut connect = |local, remote: SocketAddr, owns: bool| {
        bench.stack.connect(local, remote, bench.now, &mut |_| owns).map(|_| ())
    };
    let there = SocketAddr::from(([10, 0, 0, 9], 80));
    assert_eq!(connect(v6, there, true), Err(ConnectError::Unsupported));
    assert_eq!(connect(ours, SocketAddr::from(([10, 0, 0, 9], 0)), true), Err(ConnectError::Unsupported));
    assert_eq!(connect(ours, SocketAddr::from(([224, 0, 0, 9], 80)), true), Err(ConnectError::Unsupported));
    assert_eq!(connect([10, 0, 0, 3].into(), there, true), Err(ConnectError::NotLocal));
    assert_eq!(connect(ours, SocketAddr::from((OURS, 80)), true), Err(ConnectError::NoRoute));
    assert_eq!(connect(ours, there, false), Err(ConnectError::NoPort));
    for _ in 0..4 {
        assert_eq!(connect(ours, there, true), Ok(()));
    }
    assert_eq!(connect(ours, there, true), Err(ConnectError::Full));
    let any = SocketAddr::from(([0, 0, 0, 0], 80));
    assert_eq!(bench.stack.listen(any, 0, 1), Ok(()));
    assert_eq!(bench.stack.listen(any, 0, 1), Err(ListenError::InUse));
    assert_eq!(bench.stack.listen(SocketAddr::from(([10, 0, 0, 3], 80)), 0, 1), Err(ListenError::NotLocal));
    assert_eq!(bench.stack.listen(SocketAddr::new(v6, 80), 0, 1), Err(ListenError::Unsupported));
}

#[test]
fn local_ports_are_spread_and_distinct() {
    let mut big = config();
    big.connections = 3000;
    big.ports = 40_000..=42_999;
    let mut stack = Stack::new(big, Heap::new(16)).unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3000 {
        let remote = SocketAddr::from(([10, 0, 0, 9], 80));
        let id = stack.connect(IpAddr::V4(OURS.into()), remote, Instant(1), &mut |_| true).unwrap();
        let local = stack.local(id).unwrap();
        assert!((40_000..43_000).contains(&local.port()) && seen.insert(local.port()));
        assert_eq!(stack.peer(id), Some(remote));
    }
}

#[test]
fn a_configuration_is_checked() {
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        Stack::new(config, Heap::new(1)).err()
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(refused(&|config| config.interfaces.clear()), Some(ConfigError::Interfaces));
    assert_eq!(refused(&|config| config.connections = 0), Some(ConfigError::Entries));
    assert_eq!(refused(&|config| config.syn_entries = usize::MAX), Some(ConfigError::Entries));
    assert_eq!(refused(&|config| config.recv_buffer = 1000), Some(ConfigError::Buffers));
    assert_eq!(refused(&|config| config.send_buffer = 2 << 30), Some(ConfigError::Buffers));
    assert_eq!(refused(&|config| config.ports = 0..=9), Some(ConfigError::Ports));
}

/// A SYN from `source` to a port that somebody listens on.
fn syn(source: [u8; 4]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0];
    let mut sum = checksum::Sum::pseudo(source.into(), OURS.into(), 6, 20);
    sum.bytes(&segment);
    segment[16..18].copy_from_slice(&sum.finish());
    ip(6, source, &segment)
}

#[test]
fn addresses_that_nobody_has_are_forgotten() {
    let mut bench = Bench::new();
    bench.stack.listen(SocketAddr::from((OURS, 80)), 0, 1000).unwrap();
    bench.frames();
    // A burst of SYNs from our own network, more than are asked for at once anywhere.
    for n in 2..=200 {
        bench.input(&syn([10, 0, 0, n]));
    }
    assert_eq!(bench.stack.held().neighbours, 200);
    assert_eq!(bench.frames().len(), 199, "each is asked for");
    assert_eq!(bench.memory.in_use(), 199, "and a frame waits for each");
    for _ in 0..30 {
        bench.now = bench.now + std::time::Duration::from_secs(1);
        bench.stack.on_timeout(bench.now);
        bench.frames();
    }
    assert_eq!((bench.stack.held(), bench.memory.in_use()), (Held::default(), 0));
}

#[test]
fn padding_is_no_part_of_an_icmp_message() {
    let mut bench = Bench::new();
    let remote = SocketAddr::from(([10, 0, 0, 9], 80));
    bench.stack.connect(IpAddr::V4(OURS.into()), remote, bench.now, &mut |_| true).unwrap();
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
    let sum = checksum::of(&message);
    message[2..4].copy_from_slice(&sum);
    let mut frame = ip(1, [10, 0, 0, 9], &message);
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([0xee; 40]);
    bench.input(&frame);
    assert_eq!((bench.count(Reason::IcmpMalformed), bench.count(Reason::IcmpStale)), (1, 0));
}

#[test]
fn dead_ids_are_harmless() {
    let mut bench = Bench::new();
    let remote = SocketAddr::from(([10, 0, 0, 9], 80));
    let id = bench.stack.connect(IpAddr::V4(OURS.into()), remote, bench.now, &mut |_| true).unwrap();
    bench.stack.abort(id);
    let next = bench.stack.connect(IpAddr::V4(OURS.into()), remote, bench.now, &mut |_| true).unwrap();
    assert_eq!(id.slot(), next.slot());
    assert_ne!(id, next);
    bench.stack.wake(id);
    bench.stack.release(id);
    bench.stack.abort(id);
    bench.stack.consumed(id, 1);
    assert!(bench.stack.recv(id).is_empty());
    assert_eq!((bench.stack.peer(id), bench.stack.in_flight(id)), (None, 0));
    assert_eq!(bench.stack.connections(), 1);
}

/// The memory of a connection without bytes, with chains of 16 bytes as packet buffers have.
#[test]
fn a_connection_is_small() {
    let chains = 3 * (size_of::<HeapChain>() - 16);
    let conn = size_of::<Conn<Heap>>() - chains;
    assert!(conn <= 288, "{conn}");
    // Its tuple, four places of the table at most, timer, free list, two queues.
    let around = 12 + 4 * 8 + 24 + 4 + 2 * 5;
    assert!(conn + around <= 400, "{}", conn + around);
}

//! Packet scripts: what a peer sends and what has to come back, as text.
//!
//! One connection, on a clock that only the script moves. A line is
//!
//! | line | meaning |
//! |---|---|
//! | `< FLAGS FROM[:TO] [ack=] [win=] [mss=] [ws=] [ts=V:E] [port=]` | the peer sends a segment |
//! | ... `[opts=HEX] [fill=BYTE] [from=ADDRESS] [from_port=] [spoil=AT]` | ... with these options, with other bytes, by another, with a bit wrong |
//! | `<< ...` | as `<`, in one turn with the next line |
//! | `> FLAGS FROM[:TO] [...]` | the next segment that left was this; only what is named is compared |
//! | `> nothing` | nothing (more) left |
//! | `! EVENTS` | what `ready` says: `accepted connected readable fin acked closed=reason`, or `nothing` |
//! | `+N` | N milliseconds pass |
//! | `connect`, `write N`, `finish`, `end N` (both), `read N`, `take N` | our upper layer |
//! | `consume N`, `repack N`, `release`, `abort` | our upper layer |
//! | `icmp TYPE CODE SEQ [MTU]` | an ICMP error about our segment at SEQ comes |
//! | `count REASON N` | a counter's value |
//! | `slots N`, `waiting N`, `half_open N` | connections, and those in TIME-WAIT and of listeners |
//! | `runs N`, `held N` | stretches of out-of-order bytes, and segments of packet memory |
//!
//! Numbers are relative to each side's SYN. Bytes are checked by their offset, checksums always. In
//! timestamps, `E` of the peer and `V` of ours count milliseconds from the first of ours.
//!
//! When a script is over, what still lives is aborted, and after twenty minutes nothing may be left: no packet
//! memory, no entry in a table, no timer.

mod attack;
mod close;
mod data;
mod fewest;
mod loss;
mod memory;
mod open;
mod options;
mod overlap;
mod strangers;
mod window;
mod wrap;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use levee_buf::{Chain, Heap, HeapChain, Pieces, Reader, Writer};

use crate::seq::Seq;
use crate::stack::Held;
use crate::wire::arp::Arp;
use crate::wire::checksum::Sum;
use crate::wire::ether::{self, Ether};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::tcp::{Flags, Options, Tcp, Timestamps};
use crate::{
    Checksums, Config, ConnId, Fill, Instant, InterfaceConfig, Output, Ready, Reason, Room, Seal, Stack,
    TxOffload,
};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OUR_MAC: ether::Mac = [2, 0, 0, 0, 0, 1];
const PEER_MAC: ether::Mac = [2, 0, 0, 0, 0, 2];
const PORT: u16 = 80;
const PEER_PORT: u16 = 40_000;
const PEER_ISS: Seq = Seq(u32::MAX - 50);

/// Runs a script with the usual configuration.
fn run(script: &str) {
    run_with(script, |_| {});
}

/// Runs a script, with changes to the configuration.
fn run_with(script: &str, change: impl FnOnce(&mut Config)) {
    let mut config = config();
    change(&mut config);
    Player::new(config).perform(script);
}

/// Runs a script without looking at what was sent.
fn run_quietly(script: &str) {
    let seen: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('>')).collect();
    let mut player = Player::new(config());
    player.is_quiet = true;
    player.perform(&seen.join("\n"));
}

fn config() -> Config {
    let interface = InterfaceConfig {
        mac: OUR_MAC,
        mtu: 1500,
        addresses: vec![(IpAddr::V4(OURS), 24)],
        gateway: None,
        tx_checksum: false,
        rx_checksum: false,
        tso: None,
    };
    let mut config = Config::new(vec![interface], 2, [9; 32]);
    config.recv_buffer = 65_535;
    config
}

/// A header and how many bytes followed it.
type Sent = (Tcp, usize);

struct Player {
    stack: Stack<Heap>,
    memory: Heap,
    out: Output<Heap>,
    app: App,
    now: Instant,
    id: Option<ConnId>,
    our_iss: Option<Seq>,
    our_port: u16,
    our_first_ts: Option<u32>,
    segments: VecDeque<Sent>,
    peer_iss: Seq,
    /// What is sent is not looked at.
    is_quiet: bool,
    /// Where we are, for messages.
    at: String,
}

/// The upper layer: so many bytes are left to be sent.
#[derive(Default)]
struct App {
    memory: Option<Heap>,
    given: usize,
    left: usize,
    finished: bool,
    taken: usize,
}

impl Seal<Heap> for App {
    fn fill(&mut self, _: ConnId, room: Room) -> Fill<HeapChain> {
        let n = room.window.min(self.left);
        if n == 0 {
            return if self.finished { Fill::Finished } else { Fill::Nothing };
        }
        let bytes: Vec<u8> = (self.given..self.given + n).map(byte).collect();
        (self.given, self.left) = (self.given + n, self.left - n);
        let memory = self.memory.as_ref().expect("set at the start");
        Fill::Data(memory.chain(&bytes))
    }
}

/// The byte at an offset of a stream.
fn byte(offset: usize) -> u8 {
    u8::try_from(offset % 251).expect("below 251")
}

impl Player {
    fn new(config: Config) -> Self {
        let memory = Heap::new(4096);
        let mut stack = Stack::new(config, memory.clone()).expect("a good configuration");
        stack.listen(SocketAddr::from((OURS, PORT)), 3, 4).expect("a free port");
        Self {
            stack,
            app: App { memory: Some(memory.clone()), ..App::default() },
            memory,
            out: Output::new(64),
            now: Instant::from_millis(50_000),
            id: None,
            our_iss: None,
            our_port: PORT,
            our_first_ts: None,
            segments: VecDeque::new(),
            peer_iss: PEER_ISS,
            is_quiet: false,
            at: String::new(),
        }
    }

    /// A player in whose script the numbers of both sides begin where it says.
    fn with_numbers(config: &Config, ours: Seq, peer: Seq) -> Self {
        let later = |micros| {
            let mut player = Self::new(config.clone());
            player.now = player.now + Duration::from_micros(micros);
            player.peer_iss = peer;
            player
        };
        let answer = |micros| {
            let mut player = later(micros);
            player.play("< S 0");
            player.our_iss.expect("an answer")
        };
        // RFC 6528: the initial number grows by one every four microseconds.
        let wait = u64::from(ours.0.wrapping_sub(answer(0).0)) * 4;
        assert_eq!(answer(wait), ours);
        later(wait)
    }

    /// Plays a whole script, and sees that nothing is left of it.
    fn perform(&mut self, script: &str) {
        for (number, line) in script.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                self.at = format!("line {}: {line}", number + 1);
                self.play(line);
            }
        }
        self.at = "the end".into();
        if !self.is_quiet {
            self.expect_nothing();
        }
        self.settle();
    }

    /// Aborts what lives; nothing is left when all timers have come.
    fn settle(&mut self) {
        while let Some((id, _)) = self.stack.ready() {
            self.stack.abort(id);
        }
        if let Some(id) = self.id {
            self.stack.abort(id);
        }
        self.pass(20 * 60 * 1000);
        self.segments.clear();
        assert_eq!(self.stack.held(), Held::default(), "{}: {:?}", self.at, self.stack.counters());
        assert_eq!(self.memory.in_use(), 0, "{}: memory leaked", self.at);
    }

    fn play(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a word");
        let words: Vec<&str> = words.collect();
        let number = |at: usize| words.get(at).map(|word| word.parse::<usize>().expect("a number"));
        match verb {
            "<<" => self.send(&words),
            "<" => {
                self.send(&words);
                self.turn();
            }
            ">" if words == ["nothing"] => self.expect_nothing(),
            ">" => self.expect(&words),
            "!" => self.expect_events(&words),
            "connect" => {
                let remote = SocketAddr::from((PEER, PEER_PORT));
                let id = self.stack.connect(IpAddr::V4(OURS), remote, self.now, &mut |_| true);
                self.id = Some(id.expect("a free connection"));
                self.our_port = self.stack.local(self.id()).expect("alive").port();
                self.turn();
            }
            "write" => {
                self.app.left += number(0).expect("how much");
                self.wake();
            }
            "end" => {
                (self.app.left, self.app.finished) = (number(0).expect("how much"), true);
                self.wake();
            }
            "finish" => {
                self.app.finished = true;
                self.wake();
            }
            "read" => {
                let n = self.take();
                assert_eq!(Some(n), number(0), "{}", self.at);
                self.stack.consumed(self.id(), n);
                self.turn();
            }
            "take" => assert_eq!(Some(self.take()), number(0), "{}", self.at),
            "consume" => {
                self.stack.consumed(self.id(), number(0).expect("how much"));
                self.turn();
            }
            "repack" => {
                self.stack.repacked(self.id(), || number(0).expect("into how many segments"));
                self.turn();
            }
            "release" => {
                self.stack.release(self.id());
                self.turn();
            }
            "abort" => {
                self.stack.abort(self.id());
                self.turn();
            }
            "icmp" => self.icmp(number(0), number(1), number(2), number(3)),
            "count" => {
                let reason = Reason::ALL.iter().find(|reason| reason.name() == words[0]).expect("a reason");
                let count = usize::try_from(self.stack.counters()[*reason]).ok();
                assert_eq!(count, number(1), "{}", self.at);
            }
            "half_open" => assert_eq!(Some(self.stack.half_open()), number(0), "{}", self.at),
            "runs" => assert_eq!(Some(self.stack.held().runs), number(0), "{}", self.at),
            "held" => assert_eq!(Some(self.memory.in_use()), number(0), "{}", self.at),
            "slots" => assert_eq!(Some(self.stack.connections()), number(0), "{}", self.at),
            "waiting" => assert_eq!(Some(self.stack.time_wait()), number(0), "{}", self.at),
            _ => match verb.strip_prefix('+') {
                Some(millis) => self.pass(millis.parse().expect("milliseconds")),
                None => panic!("unknown word in {}", self.at),
            },
        }
    }

    fn id(&self) -> ConnId {
        self.id.unwrap_or_else(|| panic!("no connection at {}", self.at))
    }

    fn wake(&mut self) {
        self.stack.wake(self.id());
        self.turn();
    }

    fn take(&mut self) -> usize {
        let bytes = self.stack.recv(self.id());
        let expected: Vec<u8> = (self.app.taken..self.app.taken + bytes.len()).map(byte).collect();
        assert_eq!(bytes.to_vec(), expected, "{}", self.at);
        self.app.taken += bytes.len();
        bytes.len()
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.stack.deadline().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.stack.on_timeout(self.now);
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    /// Emits, answers ARP, and takes apart what left.
    fn turn(&mut self) {
        loop {
            self.stack.emit(self.now, &mut self.app, &mut self.out);
            let Some(frame) = self.out.pop() else { return };
            self.on_frame(&frame.chain.to_vec(), frame.offload);
        }
    }

    fn on_frame(&mut self, frame: &[u8], offload: TxOffload) {
        let mut reader = Reader::new(frame);
        let ether = Ether::parse(&mut reader).expect("an Ethernet header");
        assert_eq!(ether.source, OUR_MAC);
        if ether.kind == Ether::ARP {
            let arp = Arp::parse(&mut reader).expect("ARP");
            if arp.is_request && arp.target == PEER {
                let reply = Arp {
                    is_request: false,
                    sender_mac: PEER_MAC,
                    sender: PEER,
                    target_mac: OUR_MAC,
                    target: OURS,
                };
                let mut room = [0; 60];
                let mut out = Writer::new(&mut room);
                Ether { destination: OUR_MAC, source: PEER_MAC, kind: Ether::ARP }
                    .write(&mut out)
                    .expect("room");
                reply.write(&mut out).expect("room");
                self.stack.input(0, self.memory.chain(&room), Checksums::Unknown, self.now);
            }
            return;
        }
        assert_eq!(ether.destination, PEER_MAC);
        let ip = Ipv4::parse(&mut reader, frame.len() - ether::LENGTH, offload.checksum).expect("IPv4");
        assert_eq!((ip.source, ip.destination, ip.payload + 34), (OURS, PEER, frame.len()));
        let length = u16::try_from(ip.payload).expect("fits into 16 bits");
        if offload.checksum {
            let length = if offload.tso_mss.is_some() { 0 } else { length };
            let sum = Sum::pseudo(ip.source, ip.destination, 6, length);
            assert_eq!(
                (&reader.rest()[16..18], &frame[24..26]),
                (&sum.raw()[..], &[0, 0][..]),
                "{}",
                self.at
            );
        } else {
            let mut sum = Sum::pseudo(ip.source, ip.destination, 6, length);
            sum.bytes(reader.rest());
            assert!(sum.is_intact(), "wrong checksum of ours at {}", self.at);
        }
        let (tcp, header) = Tcp::parse(&mut reader, ip.payload).expect("TCP");
        if tcp.flags.has(Flags::SYN) {
            self.our_iss = Some(tcp.seq);
            self.our_first_ts =
                self.our_first_ts.or(tcp.options.timestamps.map(|timestamps| timestamps.value));
        }
        if let Some(iss) = self.our_iss
            && !reader.rest().is_empty()
        {
            let from = tcp.seq.beyond(iss + 1);
            let expected: Vec<u8> = (from..from + reader.len()).map(byte).collect();
            assert_eq!(reader.rest(), expected, "payload at {}", self.at);
        }
        self.segments.push_back((tcp, ip.payload - header));
    }

    /// The absolute numbers of ours and of the peer.
    fn ours(&self, relative: i64) -> Seq {
        shifted(self.our_iss.unwrap_or(Seq(0)), relative)
    }

    fn parse(&self, words: &[&str], is_ours: bool) -> (Line, usize) {
        let mut line = Line { flags: flags(words[0]), ..Line::default() };
        let (from, to) = words[1].split_once(':').unwrap_or((words[1], words[1]));
        let (from, to): (i64, i64) = (from.parse().expect("a number"), to.parse().expect("a number"));
        line.seq = if is_ours { self.ours(from) } else { shifted(self.peer_iss, from) };
        for word in &words[2..] {
            let (name, value) = word.split_once('=').expect("name=value");
            if name == "ts" {
                let (value, echo) = value.split_once(':').expect("value:echo");
                line.ts = Some((value.parse().expect("a number"), echo.parse().expect("a number")));
                continue;
            }
            if name == "opts" {
                line.options = Some(hex(value));
                continue;
            }
            if name == "from" {
                line.from = Some(value.parse().expect("an address"));
                continue;
            }
            let value: i64 = value.parse().expect("a number");
            match name {
                "ack" if is_ours => line.ack = Some(shifted(self.peer_iss, value)),
                "ack" => line.ack = Some(self.ours(value)),
                "win" => line.window = u16::try_from(value).ok(),
                "mss" => line.mss = u16::try_from(value).ok(),
                "ws" => line.scale = u8::try_from(value).ok(),
                "port" => line.port = u16::try_from(value).ok(),
                "from_port" => line.from_port = u16::try_from(value).ok(),
                "fill" => line.fill = u8::try_from(value).ok(),
                "spoil" => line.spoil = usize::try_from(value).ok(),
                _ => panic!("unknown field in {}", self.at),
            }
        }
        (line, usize::try_from(to - from).expect("from before to"))
    }

    fn send(&mut self, words: &[&str]) {
        let (line, length) = self.parse(words, false);
        let timestamps = line.ts.map(|(value, echo)| Timestamps {
            value: u32::try_from(value).expect("fits"),
            echo: self.our_first_ts.unwrap_or(0).wrapping_add(u32::try_from(echo).expect("fits")),
        });
        let tcp = Tcp {
            source: line.from_port.unwrap_or(PEER_PORT),
            destination: line.port.unwrap_or(self.our_port),
            seq: line.seq,
            ack: line.ack.unwrap_or(Seq(0)),
            flags: line.flags,
            window: line.window.unwrap_or(65_535),
            options: Options { mss: line.mss, scale: line.scale, timestamps },
        };
        let start = line.seq.beyond(self.peer_iss + 1);
        let payload: Vec<u8> =
            (start..start + length).map(|offset| line.fill.unwrap_or_else(|| byte(offset))).collect();
        self.input_tcp(&tcp, &payload, &line);
    }

    fn input_tcp(&mut self, tcp: &Tcp, payload: &[u8], line: &Line) {
        let mut room = [0; 60];
        let mut out = Writer::new(&mut room);
        tcp.write(&mut out).expect("room");
        let mut segment = out.written().to_vec();
        if let Some(options) = &line.options {
            segment.truncate(20);
            segment.extend(options);
            segment.resize(segment.len().next_multiple_of(4), 0);
            segment[12] = u8::try_from(segment.len() * 4).expect("at most 60 bytes");
        }
        segment.extend(payload);
        let from = line.from.unwrap_or(PEER);
        let mut sum = Sum::pseudo(from, OURS, 6, u16::try_from(segment.len()).expect("fits into 16 bits"));
        sum.bytes(&segment);
        segment[16..18].copy_from_slice(&sum.finish());
        if let Some(at) = line.spoil {
            segment[at] ^= 4;
        }
        self.input_ip(Ipv4::TCP, from, &segment);
    }

    fn input_ip(&mut self, protocol: u8, from: Ipv4Addr, payload: &[u8]) {
        let mut room = [0; 34];
        let mut out = Writer::new(&mut room);
        Ether { destination: OUR_MAC, source: PEER_MAC, kind: Ether::IPV4 }.write(&mut out).expect("room");
        Ipv4::write(protocol, from, OURS, payload.len(), false, &mut out).expect("room");
        let mut frame = out.written().to_vec();
        frame.extend(payload);
        // Short frames are padded.
        frame.resize(frame.len().max(60), 0xee);
        self.stack.input(0, self.memory.chain(&frame), Checksums::Unknown, self.now);
    }

    fn icmp(&mut self, kind: Option<usize>, code: Option<usize>, seq: Option<usize>, mtu: Option<usize>) {
        let small = |value: Option<usize>| u8::try_from(value.expect("a number")).expect("a byte");
        let [mtu_high, mtu_low] = u16::try_from(mtu.unwrap_or(0)).expect("an MTU").to_be_bytes();
        let mut message = vec![small(kind), small(code), 0, 0, 0, 0, mtu_high, mtu_low];
        let mut room = [0; ipv4::LENGTH + 8];
        let mut out = Writer::new(&mut room);
        Ipv4::write(Ipv4::TCP, OURS, PEER, 20, false, &mut out).expect("room");
        out.u16(self.our_port).expect("room");
        out.u16(PEER_PORT).expect("room");
        out.u32(self.ours(i64::try_from(seq.expect("a number")).expect("small")).0).expect("room");
        message.extend(room);
        let mut sum = Sum::default();
        sum.bytes(&message);
        message[2..4].copy_from_slice(&sum.finish());
        self.input_ip(Ipv4::ICMP, PEER, &message);
        self.turn();
    }

    fn expect(&mut self, words: &[&str]) {
        let Some((tcp, length)) = self.segments.pop_front() else {
            panic!("{}: nothing was sent", self.at);
        };
        let (line, expected_length) = self.parse(words, true);
        let ts = tcp.options.timestamps.map(|timestamps| {
            let value = timestamps.value.wrapping_sub(self.our_first_ts.unwrap_or(0));
            (i64::from(value), i64::from(timestamps.echo))
        });
        let relative = tcp.seq.0.wrapping_sub(self.our_iss.unwrap_or(Seq(0)).0).cast_signed();
        let got = format!("{}: sent {tcp:?} (relative {relative}), {length} bytes", self.at);
        // A RST for nothing has numbers of the segment it answers.
        assert_eq!((tcp.flags, tcp.seq, length), (line.flags, line.seq, expected_length), "{got}");
        assert!(line.ack.is_none_or(|ack| ack == tcp.ack), "{got}");
        assert!(line.window.is_none_or(|window| window == tcp.window), "{got}");
        assert!(line.mss.is_none_or(|mss| Some(mss) == tcp.options.mss), "{got}");
        assert!(line.scale.is_none_or(|scale| Some(scale) == tcp.options.scale), "{got}");
        assert!(line.ts.is_none_or(|expected| Some(expected) == ts), "{got}");
    }

    fn expect_nothing(&mut self) {
        assert!(self.segments.is_empty(), "{}: sent {:?}", self.at, self.segments);
    }

    fn expect_events(&mut self, words: &[&str]) {
        let Some((id, ready)) = self.stack.ready() else {
            assert_eq!(words, ["nothing"], "{}", self.at);
            return;
        };
        if ready.accepted.is_some() {
            self.id = Some(id);
        }
        assert_eq!(Some(id), self.id, "{}", self.at);
        let mut expected = Ready::default();
        for word in words {
            match *word {
                "accepted" => expected.accepted = Some(3),
                "connected" => expected.connected = true,
                "readable" => expected.readable = true,
                "fin" => expected.fin = true,
                "acked" => expected.acked = true,
                "nothing" => {}
                other => {
                    let name = other.strip_prefix("closed=").expect("an event");
                    expected.closed = Reason::ALL.iter().copied().find(|reason| reason.name() == name);
                    assert!(expected.closed.is_some(), "{}", self.at);
                }
            }
        }
        assert_eq!(ready, expected, "{}", self.at);
    }
}

/// A segment as a line says it.
#[derive(Default)]
struct Line {
    flags: Flags,
    seq: Seq,
    ack: Option<Seq>,
    window: Option<u16>,
    mss: Option<u16>,
    scale: Option<u8>,
    ts: Option<(i64, i64)>,
    port: Option<u16>,
    from: Option<Ipv4Addr>,
    from_port: Option<u16>,
    /// Options as bytes, in place of those above.
    options: Option<Vec<u8>>,
    fill: Option<u8>,
    /// Where in the segment a bit is wrong.
    spoil: Option<usize>,
}

fn flags(word: &str) -> Flags {
    let flag = |letter| match letter {
        'S' => Flags::SYN,
        'F' => Flags::FIN,
        'R' => Flags::RST,
        'P' => Flags::PSH,
        'U' => Flags(32),
        '.' => Flags::ACK,
        _ => Flags::default(),
    };
    word.chars().fold(Flags::default(), |flags, letter| flags | flag(letter))
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal");
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn shifted(seq: Seq, by: i64) -> Seq {
    let by = i32::try_from(by).expect("a relative number");
    Seq(seq.0.wrapping_add_signed(by))
}

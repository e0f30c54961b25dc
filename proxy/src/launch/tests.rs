//! Workers that panic, over real ports: two of them behind a cable, with a TCP stack at the other end.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory as _};
use levee_dpdk::{Chain, Frame, Port, PortConfig, Queues, Received, TxOffload};
use levee_tcp::{Checksums, ConnId, Fill, InterfaceConfig, Output, Room, Seal, Stack};

use super::*;
use crate::testing::{eal, in_a_process};
use crate::worker::FAULT;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);
const LEVEE: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);

/// Connections of a round: the workers share them.
const CONNECTIONS: usize = 32;

#[test]
fn a_worker_that_panics_serves_on() {
    in_a_process("launch::tests::a_worker_that_panics_serves_on", || {
        let (running, mut client) = start("restart");
        let before = client.connect(CONNECTIONS);
        // Their last ACK shall not be lost with the fault's burst.
        client.run_until(Duration::from_millis(100), |_| false);
        client.send_fault();
        let after = client.connect(CONNECTIONS);
        assert!(!running.lost_a_worker());
        // Of the connections before, those of the other worker live.
        client.say_something(&before);
        client.run_until(Duration::from_secs(1), |client| client.closed.len() >= CONNECTIONS);
        let lost = before.iter().filter(|id| client.closed.contains(id)).count();
        assert!((1..CONNECTIONS).contains(&lost), "{lost} of {CONNECTIONS} are lost");
        assert!(after.iter().all(|id| !client.closed.contains(id)));

        let pools = running.pools.clone();
        let Outcome { report, .. } = running.stop().expect("all workers end well");
        assert_eq!(report.counters["restarts"], 1);
        assert_eq!(report.counters["accepted"], 2 * CONNECTIONS as u64, "what was counted before is kept");
        assert!(report.held.values().all(|&held| held == 0), "{:?}", report.held);
        // What the workers sent at their end is theirs until it is received.
        client.run_until(Duration::from_millis(100), |_| false);
        assert!(pools.iter().all(|pool| pool.usage() == Usage::default()));
    });
}

#[test]
fn the_process_ends_where_no_panic_is_allowed() {
    in_a_process("launch::tests::the_process_ends_where_no_panic_is_allowed", || ends_after(1, "stop"));
}

/// A worker that panics all the time is no better than one that is gone.
#[test]
fn the_process_ends_after_ten_panics() {
    in_a_process("launch::tests::the_process_ends_after_ten_panics", || ends_after(10, "restart"));
}

fn ends_after(panics: usize, on_panic: &str) {
    let (running, mut client) = start(on_panic);
    for panic in 0..panics {
        client.connect(1);
        assert!(!running.lost_a_worker(), "after {panic} panics");
        client.send_fault();
    }
    client.run_until(Duration::from_secs(5), |_| running.lost_a_worker());
    assert!(running.lost_a_worker());
    let error = running.stop().err().expect("a worker is missing");
    assert!(error.to_string().contains("panicked"), "{error}");
}

fn start(on_panic: &str) -> (Running, Client) {
    let eal = eal("panics");
    let [client, levee] = levee_dpdk::cable(&eal, "panics", 512).expect("memory for rings");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("levee.toml");
    let text = format!(
        "[eal]\nhugepages = \"off\"\n\
         [workers]\nlcores = [0, 1]\nconnections = 256\non_panic = \"{on_panic}\"\n\
         [[port]]\nname = \"client\"\ndevice = \"{levee}\"\naddress = \"{LEVEE}/24\"\n\
         [[listener]]\naddress = \"{LEVEE}:80\"\ntls = false\nredirect_to_https = true\nredirect_port = 443\n\
         [timeouts]\nshutdown_ms = 100\n\
         [tls]\naead = \"software\"\n"
    );
    fs::write(&path, text).expect("the file can be written");
    let (config, _) = crate::config::load(&path).expect("a good configuration");
    let running = Running::start(&eal, config).expect("it starts");
    (running, Client::new(&eal, &client))
}

/// A host at the other end of the cable.
struct Client {
    stack: Stack<Pool>,
    output: Output<Pool>,
    memory: Pool,
    port: Queues,
    _port: Port,
    words: Words,
    started: Instant,
    connected: usize,
    closed: Vec<ConnId>,
}

/// Says a byte on some connections.
struct Words {
    memory: Pool,
    to_say: Vec<ConnId>,
}

impl Seal<Pool> for Words {
    fn fill(&mut self, id: ConnId, _: Room) -> Fill<Chain> {
        let Some(at) = self.to_say.iter().position(|each| *each == id) else { return Fill::Nothing };
        self.to_say.remove(at);
        let mut chain = self.memory.alloc(1).expect("memory");
        chain.extend(1).expect("room").copy_from_slice(b"G");
        Fill::Data(chain)
    }
}

impl Client {
    fn new(eal: &Eal, device: &str) -> Self {
        let sizes = Sizes { segments: 2047, records: 63, references: 2047, cache: 32 };
        let memory = Pool::create(eal, device, sizes, None).expect("memory for a pool");
        let mut port = Port::by_name(eal, device).expect("the device is there");
        let queues = port.start(&PortConfig::default(), std::slice::from_ref(&memory)).expect("it starts");
        let interface = InterfaceConfig {
            mac: port.mac().expect("an address"),
            mtu: 1500,
            addresses: vec![(IpAddr::V4(CLIENT), 24)],
            gateway: None,
            tx_checksum: false,
            rx_checksum: false,
            tso: None,
        };
        let config = levee_tcp::Config::new(vec![interface], 256, [1; 32]);
        Self {
            stack: Stack::new(config, memory.clone()).expect("a good configuration"),
            output: Output::new(256),
            words: Words { memory: memory.clone(), to_say: Vec::new() },
            memory,
            port: queues,
            _port: port,
            started: Instant::now(),
            connected: 0,
            closed: Vec::new(),
        }
    }

    fn now(&self) -> levee_tcp::Instant {
        levee_tcp::Instant(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Opens `count` connections, and waits until they are.
    fn connect(&mut self, count: usize) -> Vec<ConnId> {
        let wanted = self.connected + count;
        let remote = SocketAddr::from((LEVEE, 80));
        let now = self.now();
        let mut open = || self.stack.connect(IpAddr::V4(CLIENT), remote, now, &mut |_| true);
        let ids = (0..count).map(|_| open().expect("a free connection")).collect();
        self.run_until(Duration::from_secs(10), |client| client.connected >= wanted);
        assert_eq!(self.connected, wanted);
        ids
    }

    fn say_something(&mut self, ids: &[ConnId]) {
        self.words.to_say.extend(ids);
        for id in ids {
            self.stack.wake(*id);
        }
    }

    /// A frame on which the worker that receives it panics.
    fn send_fault(&mut self) {
        let mut chain = self.memory.alloc(60).expect("memory");
        let frame = chain.extend(60).expect("room");
        frame.fill(0);
        frame[12..14].copy_from_slice(&FAULT);
        self.send(Frame { chain, offload: TxOffload::default() });
    }

    fn send(&mut self, frame: Frame) {
        let mut frames = std::collections::VecDeque::from([frame]);
        while !frames.is_empty() {
            self.port.tx[0].burst(&mut frames);
        }
    }

    fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !done(self) && Instant::now() < deadline {
            self.turn();
            std::thread::yield_now();
        }
    }

    fn turn(&mut self) {
        let now = self.now();
        let mut burst = Vec::with_capacity(64);
        self.port.rx[0].burst(&mut burst);
        for Received { chain, .. } in burst {
            self.stack.input(0, chain, Checksums::Unknown, now);
        }
        self.stack.on_timeout(now);
        while let Some((id, ready)) = self.stack.ready() {
            self.connected += usize::from(ready.connected);
            if ready.closed.is_some() {
                self.closed.push(id);
            }
        }
        self.stack.emit(now, &mut self.words, &mut self.output);
        while let Some(frame) = self.output.pop() {
            self.send(Frame { chain: frame.chain, offload: TxOffload::default() });
        }
    }
}

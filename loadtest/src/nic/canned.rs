//! The row of the generator itself: ClientHellos to a peer that answers each with bytes of the shape of a
//! server's flight, made beforehand. What it gives is what the load could do to a server without limits.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use levee_buf::Memory;
use levee_dpdk::{Clock, Eal, Pool, cable};
use levee_tcp::{Config, Fill, InterfaceConfig, Timeouts};
use miette::{IntoDiagnostic, miette};

use super::row::parse;
use super::server::{CLIENT_SIDE, SOURCE};
use super::{Measured, Options};
use crate::device::{self, Started};
use crate::net::dpdk::Lane;
use crate::net::{Event, Net, Party, StackNet};
use crate::report::{Generator, Part};
use crate::{handshake, run};

/// The name of the row.
pub(super) const NAME: &str = "abandoned handshake, canned peer";

/// Connections of the peer at a time.
const CONNECTIONS: usize = 8192;

/// The lengths of the records of a TLS 1.3 flight with an ECDSA certificate: ServerHello in the clear, then
/// one protected record of EncryptedExtensions to Finished.
const RECORDS: [(u8, usize); 2] = [(22, 90), (23, 800)];

/// Measures the row in this process.
///
/// # Errors
/// Anything that could not be started.
pub(super) fn measure(options: &Options) -> miette::Result<Measured> {
    let eal = device::start(&options.memory(), &[], options.cpu)?;
    let [client, peer] = cable(&eal, "client", super::row::CABLE).into_diagnostic()?;
    let stop = Arc::new(AtomicBool::new(false));
    let half = options.memory / 2;
    let peer = start(&eal, &peer, options.server_cpu, half, Arc::clone(&stop))?;
    let arguments = format!(
        "{CLIENT_SIDE}:443 --mode abandon --connections 256 --device {client} --address {SOURCE} --sources 16 \
         --cpu {} --memory {half} --quiet --duration {}",
        options.cpu, options.seconds
    );
    let load: handshake::command::Options = parse(&arguments)?;
    let summary = run::run_on(&eal, "handshake", &load.place, &handshake::command::cast(&load))?;
    stop.store(true, Ordering::Relaxed);
    let peer: Generator = peer.join().map_err(|_| miette!("the peer panicked"))?;
    handshake::command::verdict(&summary.load, CLIENT_SIDE)?;
    let clock = Clock::new(&eal);
    let cycles = summary.load.seconds * clock.hz() as f64;
    let units = summary.load.completed as f64;
    let frames = (summary.generator.frames_in + summary.generator.frames_out) as f64;
    Ok(Measured {
        row: NAME.to_owned(),
        unit: summary.load.unit.clone(),
        per_second: summary.load.per_second,
        cycles_per_unit: cycles * peer.busy / units,
        cycles_per_frame: cycles * peer.busy / frames,
        cycles_per_byte: 0.0,
        generator_cycles_per_unit: cycles * summary.generator.busy / units,
        stages: Vec::new(),
        server_busy: peer.busy,
        generator_busy: summary.generator.busy,
        limited_by: Measured::limit(peer.busy, summary.generator.busy),
        hz: clock.hz(),
        machine: summary.machine,
    })
}

fn start(
    eal: &Eal,
    device: &str,
    cpu: usize,
    memory_mib: u32,
    stop: Arc<AtomicBool>,
) -> miette::Result<levee_dpdk::Worker<Generator>> {
    let pool = device::pool(eal, "peer", memory_mib)?;
    let Started { port, mac, mut queues } = device::open(eal, device, 1500, &pool, false)?;
    let address: Ipv4Addr = CLIENT_SIDE.parse().into_diagnostic()?;
    let interface = InterfaceConfig {
        mac,
        mtu: queues.granted.mtu,
        addresses: vec![(IpAddr::V4(address), 24)],
        gateway: None,
        tx_checksum: false,
        rx_checksum: false,
        tso: None,
    };
    let config = Config {
        timeouts: Timeouts { fin: std::time::Duration::from_secs(1), ..Timeouts::default() },
        ..Config::new(vec![interface], CONNECTIONS, [7; 32])
    };
    let clock = Clock::new(eal);
    let ports = vec![(queues.rx.remove(0), queues.tx.remove(0))];
    let body = move || {
        let mut net =
            StackNet::new(config, Vec::new(), pool.clone()).expect("the configuration is a constant");
        net.listen(SocketAddrV4::new(address, 443), 0).expect("nobody else listens");
        let mut parties: Vec<Box<dyn Party<Pool>>> = vec![Box::new(Canned::new(pool))];
        let lane = Lane { net, ports, clock, stop, parts: Vec::new() };
        let (_, generator) = lane.run(&mut parties, |_, _| {});
        drop(port);
        generator
    };
    eal.launch(cpu, "peer", body).into_diagnostic()
}

/// A server that answers whatever comes first with a flight made beforehand.
struct Canned<M: Memory> {
    memory: M,
    flight: Vec<u8>,
    /// By slot: whether the flight is still to be sent.
    due: Vec<bool>,
    finished: VecDeque<usize>,
}

impl<M: Memory> Canned<M> {
    fn new(memory: M) -> Self {
        let record = |&(kind, length): &(u8, usize)| {
            let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
            let mut record = vec![kind, 3, 3, high, low];
            record.resize(record.len() + length, 0);
            record
        };
        let flight = RECORDS.iter().flat_map(record).collect();
        Self { memory, flight, due: vec![false; CONNECTIONS], finished: VecDeque::new() }
    }
}

impl<M: Memory> Party<M> for Canned<M> {
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>) {
        if event.readable {
            drop(net.recv(slot));
            self.due[slot] = true;
            net.wake(slot);
        }
        if event.fin && event.closed.is_none() {
            self.finished.push_back(slot);
        }
        if event.closed.is_some() {
            self.due[slot] = false;
        }
    }

    fn fill(&mut self, slot: usize, _room: usize, _now_ns: u64) -> Fill<M::Chain> {
        let mut flight = M::Chain::default();
        if !std::mem::take(&mut self.due[slot]) || self.memory.push(&mut flight, &self.flight).is_err() {
            return Fill::Nothing;
        }
        Fill::Data(flight)
    }

    fn turn(&mut self, net: &mut dyn Net<M>) -> bool {
        let any = !self.finished.is_empty();
        while let Some(slot) = self.finished.pop_front() {
            net.finish(slot);
        }
        any
    }

    fn is_done(&self, _now_ns: u64) -> bool {
        false
    }

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }

    fn part(&self, _now_ns: u64) -> Option<Part> {
        None
    }
}

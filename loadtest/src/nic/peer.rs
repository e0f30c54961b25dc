//! The rows without Levee: a party of our own is the server, on the other CPU behind a cable. They measure
//! the load itself: what it could do to a server without limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use levee_dpdk::{Clock, Eal, Pool, Worker, cable};
use levee_tcp::{Config, InterfaceConfig, Timeouts};
use miette::{IntoDiagnostic, miette};

use super::canned::Canned;
use super::row::{CABLE, parse};
use super::server::{CLIENT_SIDE, SOURCE};
use super::{Measured, Options};
use crate::device::{self, Started};
use crate::net::dpdk::Lane;
use crate::net::{Party, StackNet};
use crate::origin::party::OriginParty;
use crate::report::{Generator, Summary};
use crate::{handshake, http, run};

/// A row: its name, its load and its peer.
pub(super) struct Row {
    pub(super) name: &'static str,
    load: Load,
    /// Connections of the peer at a time.
    connections: usize,
}

enum Load {
    /// Abandoned handshakes, to [`Canned`]; arguments of `handshake` behind the target.
    Handshake(&'static str),
    /// Plain requests, to [`OriginParty`]; arguments of `http` behind the URL.
    Http(&'static str),
}

/// All of them.
pub(super) const ROWS: [Row; 2] = [
    Row {
        name: "abandoned handshake, canned peer",
        load: Load::Handshake("--mode abandon --connections 256 --sources 16"),
        connections: 8192,
    },
    Row {
        name: "request 1 KiB, 1,000,000 connections, plain peer",
        load: Load::Http("--connections 1000000 --sources 32"),
        connections: 1_000_000,
    },
];

/// Measures one row in this process.
///
/// # Errors
/// Anything that could not be started, or was not served.
pub(super) fn measure(row: &Row, options: &Options) -> miette::Result<Measured> {
    let eal = device::start(&options.memory(), &[], options.cpu)?;
    let [client, cable] = cable(&eal, "client", CABLE).into_diagnostic()?;
    let stop = Arc::new(AtomicBool::new(false));
    let peer = start(&eal, &cable, row, options, Arc::clone(&stop))?;
    let summary = load(&eal, &client, &row.load, options);
    stop.store(true, Ordering::Relaxed);
    let peer = peer.join().map_err(|_| miette!("the peer panicked"))?;
    let summary = summary?;
    handshake::command::verdict(&summary.load, CLIENT_SIDE)?;
    let open = summary.load.open;
    if matches!(row.load, Load::Http(_)) && open != row.connections as u64 {
        return Err(miette!("{open} connections were open at the end, not {}", row.connections));
    }
    Ok(measured(row.name, summary, &peer, Clock::new(&eal).hz()))
}

fn load(eal: &Eal, device: &str, load: &Load, options: &Options) -> miette::Result<Summary> {
    let place = format!(
        "--device {device} --address {SOURCE} --cpu {} --memory {} --quiet --duration {}",
        options.cpu,
        options.memory / 2,
        options.seconds
    );
    match load {
        Load::Handshake(arguments) => {
            let load: handshake::command::Options = parse(&format!("{CLIENT_SIDE}:443 {place} {arguments}"))?;
            run::run_on(eal, "handshake", &load.place, &handshake::command::cast(&load))
        }
        Load::Http(arguments) => {
            let load: http::command::Options =
                parse(&format!("http://{CLIENT_SIDE}/bytes/1024 {place} {arguments}"))?;
            run::run_on(eal, "http", &load.place, &http::command::cast(&load)?)
        }
    }
}

fn measured(name: &str, summary: Summary, peer: &Generator, hz: u64) -> Measured {
    let Summary { load, generator, machine, .. } = summary;
    let cycles = load.seconds * hz as f64;
    let units = load.completed as f64;
    let frames = (generator.frames_in + generator.frames_out) as f64;
    Measured {
        row: name.to_owned(),
        unit: load.unit.clone(),
        per_second: load.per_second,
        cycles_per_unit: cycles * peer.busy / units,
        cycles_per_frame: cycles * peer.busy / frames,
        cycles_per_byte: 0.0,
        generator_cycles_per_unit: cycles * generator.busy / units,
        stages: Vec::new(),
        server_busy: peer.busy,
        generator_busy: generator.busy,
        limited_by: Measured::limit(peer.busy, generator.busy),
        hz,
        machine,
    }
}

fn start(
    eal: &Eal,
    device: &str,
    row: &Row,
    options: &Options,
    stop: Arc<AtomicBool>,
) -> miette::Result<Worker<Generator>> {
    let pool = device::pool(eal, "peer", options.memory / 2)?;
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
        timeouts: Timeouts { fin: Duration::from_secs(1), ..Timeouts::default() },
        ..Config::new(vec![interface], row.connections, [7; 32])
    };
    let clock = Clock::new(eal);
    let ports = vec![(queues.rx.remove(0), queues.tx.remove(0))];
    let (is_canned, connections) = (matches!(row.load, Load::Handshake(_)), row.connections);
    let body = move || {
        let mut net =
            StackNet::new(config, Vec::new(), pool.clone()).expect("the configuration is a constant");
        net.listen(SocketAddrV4::new(address, if is_canned { 443 } else { 80 }), 0)
            .expect("nobody else listens");
        let party: Box<dyn Party<Pool>> = if is_canned {
            Box::new(Canned::new(pool, connections))
        } else {
            Box::new(OriginParty::new(pool, connections).expect("the pool is new").alone())
        };
        let lane = Lane { net, ports, clock, stop, parts: Vec::new() };
        let (_, generator) = lane.run(&mut [party], |_, _| {});
        drop(port);
        generator
    };
    eal.launch(options.server_cpu, "peer", body).into_diagnostic()
}

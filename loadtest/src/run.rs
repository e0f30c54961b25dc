//! One run: parties on a place, until they are done, and the summary of it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use levee_buf::{Heap, Memory};
use levee_crypto::SystemRandom;
use levee_dpdk::{Clock, Eal, Pool};
use levee_tcp::{Config, InterfaceConfig, Timeouts};
use miette::{Context, IntoDiagnostic, miette};
use rand_core::Rng;

use crate::device::{self, Started};
use crate::net::dpdk::Lane;
use crate::net::sockets::SocketLane;
use crate::net::{Party, Place, StackNet};
use crate::origin::party::OriginParty;
use crate::report::{Generator, Machine, ProgressLine, Summary};

/// Makes the parties of a run, on the thread that runs them.
pub trait Cast: Clone + Send + 'static {
    /// The parties; the first is the load, the second, if there is one, the client that behaves.
    ///
    /// # Errors
    /// What they cannot be made of.
    fn parties<M: Memory>(&self, memory: &M, slots: usize) -> miette::Result<Vec<Box<dyn Party<M>>>>;

    /// Connections that the parties have at a time, all together.
    fn connections(&self) -> usize;

    /// Bytes that a connection may receive ahead of being read.
    fn receive_buffer(&self) -> usize;
}

/// What becomes of the results.
#[derive(clap::Args, Clone, Debug)]
pub struct Results {
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write plots as SVG into this directory.
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    pub quiet: bool,
}

/// Connections of the backend side of a proxy that an origin can have.
const ORIGIN_CONNECTIONS: usize = 8192;
/// A stack of our own answers 10 million frames a second with far fewer.
const OUT_OF_ORDER: usize = 1 << 14;

/// Runs the parties of `cast` from `place` and sums up what they found out.
///
/// # Errors
/// A place that cannot be used.
pub fn run(
    kind: &str,
    place: &Place,
    cast: &impl Cast,
    duration: Duration,
    results: &Results,
) -> miette::Result<Summary> {
    let stop = stop_signals()?;
    let watch = Watch { progress: ProgressLine::new(Some(duration), results.quiet, 0) };
    let outcome = match &place.device {
        Some(device) => over_dpdk(device, place, cast.clone(), stop, watch)?,
        None => over_sockets(place, cast, stop, watch)?,
    };
    summary(kind, outcome)
}

/// Runs the parties of `cast` on the ports of `place`, which `eal` has already.
///
/// # Errors
/// A place that cannot be used.
pub fn run_on(eal: &Eal, kind: &str, place: &Place, cast: &impl Cast) -> miette::Result<Summary> {
    let device = place.device.as_deref().ok_or_else(|| miette!("the run has no port"))?;
    let watch = Watch { progress: ProgressLine::new(None, true, 0) };
    summary(kind, over_ports(eal, device, place, cast.clone(), stop_signals()?, watch)?)
}

fn summary(kind: &str, (parts, generator): Outcome) -> miette::Result<Summary> {
    let mut parts = parts.into_iter();
    let load = parts.next().ok_or_else(|| miette!("the run had no load"))?;
    Ok(Summary {
        kind: kind.to_owned(),
        arguments: std::env::args().skip(2).collect(),
        machine: Machine::here(),
        load,
        legitimate: parts.next(),
        generator,
    })
}

type Outcome = (Vec<crate::report::Part>, Generator);

/// What is shown while a run lasts.
struct Watch {
    progress: ProgressLine,
}

impl Watch {
    fn look<M: Memory>(&mut self, now_ns: u64, parties: &[Box<dyn Party<M>>]) {
        if let Some(load) = parties.first() {
            let (completed, failed) = load.counts();
            self.progress.update(now_ns, completed, failed);
        }
    }
}

fn over_dpdk(
    device: &str,
    place: &Place,
    cast: impl Cast,
    stop: Arc<AtomicBool>,
    watch: Watch,
) -> miette::Result<Outcome> {
    let devices: Vec<&str> =
        std::iter::once(device).chain(place.origin.as_ref().map(|origin| origin.device.as_str())).collect();
    let eal = device::start(&place.memory, &devices, place.cpu)?;
    over_ports(&eal, device, place, cast, stop, watch)
}

/// Runs on ports that EAL has: that of `device`, and the origin's if `place` has one.
fn over_ports(
    eal: &Eal,
    device: &str,
    place: &Place,
    cast: impl Cast,
    stop: Arc<AtomicBool>,
    mut watch: Watch,
) -> miette::Result<Outcome> {
    let origin = place.origin.clone();
    let pool = device::pool(eal, "load", place.memory.memory)?;
    let addresses = place.source_addresses()?;
    let sources = addresses.iter().map(|&(address, _)| address).collect();
    let gateway = place.gateway.map(IpAddr::V4);
    let client = device::open(eal, device, place.mtu, &pool, false)?;
    let mut opened = vec![(client, addresses, gateway)];
    if let Some(origin) = &origin {
        let address = (IpAddr::V4(origin.prefix.address), origin.prefix.length);
        opened.push((device::open(eal, &origin.device, place.mtu, &pool, false)?, vec![address], None));
    }
    let mut interfaces = Vec::new();
    let mut ports = Vec::new();
    let mut queues = Vec::new();
    for (Started { port, mac, queues: mut each }, addresses, gateway) in opened {
        let offloads = each.granted.offloads;
        interfaces.push(InterfaceConfig {
            mac,
            mtu: each.granted.mtu,
            addresses,
            gateway,
            tx_checksum: offloads.tx_checksum,
            rx_checksum: offloads.rx_checksum,
            tso: None,
        });
        queues.push((each.rx.remove(0), each.tx.remove(0)));
        ports.push(port);
    }
    let slots = cast.connections() + origin.as_ref().map_or(0, |_| ORIGIN_CONNECTIONS);
    let config = stack_config(interfaces, slots, cast.receive_buffer());
    let clock = Clock::new(eal);
    let body = move || -> miette::Result<Outcome> {
        let mut net = StackNet::new(config, sources, pool.clone())
            .map_err(|error| miette!("the stack cannot be made: {error:?}"))?;
        let mut parties: Vec<Box<dyn Party<Pool>>> = cast.parties(&pool, slots)?;
        if let Some(origin) = origin {
            let party =
                OriginParty::new(pool.clone(), slots).map_err(|_| miette!("no memory for the origin"))?;
            let number = u8::try_from(parties.len()).unwrap_or(u8::MAX);
            parties.push(Box::new(party));
            net.listen(origin.listen(), number)
                .map_err(|error| miette!("the origin cannot listen: {error:?}"))?;
        }
        let lane = Lane { net, ports: queues, clock, stop, parts: Vec::new() };
        let outcome = lane.run(&mut parties, |now_ns, parties| watch.look(now_ns, parties));
        watch.progress.clear();
        Ok(outcome)
    };
    let lane = eal.launch(place.cpu, "levee-load", body).into_diagnostic()?;
    let outcome = lane.join().map_err(|_| miette!("the run panicked"))??;
    drop(ports);
    Ok(outcome)
}

fn over_sockets(
    place: &Place,
    cast: &impl Cast,
    stop: Arc<AtomicBool>,
    mut watch: Watch,
) -> miette::Result<Outcome> {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(place.cpu)
        .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus))
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot run on CPU {}", place.cpu))?;
    let slots = cast.connections();
    // What the parties may hold: a few segments a connection, and what is on its way.
    let memory = Heap::new(64 * slots + 65_536);
    let mut parties = cast.parties(&memory, slots)?;
    let lane = SocketLane::new(slots, memory, stop).into_diagnostic().wrap_err("no epoll")?;
    let outcome = lane
        .run(&mut parties, |now_ns, parties| watch.look(now_ns, parties))
        .into_diagnostic()
        .wrap_err("epoll failed")?;
    watch.progress.clear();
    Ok(outcome)
}

fn stack_config(interfaces: Vec<InterfaceConfig>, slots: usize, receive_buffer: usize) -> Config {
    let mut secret = [0; 32];
    SystemRandom.fill_bytes(&mut secret);
    Config {
        // Connections that were closed here wait elsewhere: the ports are wanted again.
        timeouts: Timeouts {
            time_wait: Duration::from_secs(1),
            fin: Duration::from_secs(10),
            ..Timeouts::default()
        },
        out_of_order: OUT_OF_ORDER,
        recv_buffer: receive_buffer,
        ports: 1024..=65_535,
        ..Config::new(interfaces, slots, secret)
    }
}

/// A flag that SIGINT and SIGTERM set.
fn stop_signals() -> miette::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error: io::Error| miette!("cannot take signals: {error}"))?;
    }
    debug_assert!(!stop.load(Ordering::Relaxed));
    Ok(stop)
}

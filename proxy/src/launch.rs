//! From a configuration to workers on their lcores: EAL, pools, ports, rings, threads, and back.

mod confine;
mod eal;
mod ports;
pub(crate) mod seed;

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use crossbeam::queue::ArrayQueue;
use levee_dpdk::{Clock, Eal, Pool, Sizes, Usage};
use miette::{IntoDiagnostic, WrapErr, miette};

use crate::config::{Config, Service};
use crate::control::ControlPlane;
use crate::generation::Generation;
use crate::log::Log;
use crate::metrics::Published;
use crate::offload::Devices;
use crate::public_key::PublicKeyDevices;
use crate::report::Report;
use crate::steer::Steering;
use crate::time::Time;
use crate::worker::{Control, Mate};
use ports::{Links, Started};
use seed::Seed;

/// Serves as `config` says until SIGINT or SIGTERM; then says on standard output, as one line of JSON, what
/// was done and whether all packet memory came back.
///
/// # Errors
/// What could not be started; a worker that died; anything that did not come back.
pub fn run(config: Config) -> miette::Result<()> {
    start_log(&config);
    let told = Told::new(&config);
    // From the start of the control plane on, signals stop Levee in good order.
    let eal = start_eal(&config).map_err(perhaps_for_want_of_root)?;
    let generation = told.generation.clone();
    let mut plane = ControlPlane::new(&config, told.published.clone(), told.events.clone(), generation)?;
    let running = Running::with(&eal, config, told, Rights::Confined).map_err(perhaps_for_want_of_root)?;
    let mut links = Links::new(&running.ports);
    plane.watch(|| {
        links.look_at(&running.ports);
        running.time.follow();
        running.lost_a_worker()
    });
    let outcome = running.stop();
    plane.write_events();
    outcome?.say()
}

/// Drivers say of a permission that is missing no more than that there is no such device.
fn perhaps_for_want_of_root(error: miette::Report) -> miette::Report {
    match nix::unistd::geteuid() {
        user if user.is_root() => error,
        user => {
            error.wrap_err(format!("user {user} started Levee, not root, whose rights most devices need"))
        }
    }
}

/// Workers that serve, on threads of their own.
pub struct Running {
    control: Arc<Control>,
    /// Workers that have not returned.
    alive: Arc<AtomicUsize>,
    threads: Vec<levee_dpdk::Worker<miette::Result<Report>>>,
    ports: Vec<Started>,
    /// `None` once it was stopped.
    devices: Option<(Devices, PublicKeyDevices)>,
    pools: Vec<Pool>,
    rights: Rights,
    time: Time,
}

/// What [`Running::stop`] found.
pub struct Outcome {
    /// What the workers did.
    pub report: Report,
    /// Packet memory that did not come back.
    pub leaks: Usage,
}

impl Running {
    /// Serves as `config` says, on the ports that EAL was given.
    ///
    /// # Errors
    /// What could not be started.
    pub fn start(eal: &Eal, config: Config) -> miette::Result<Self> {
        let told = Told::new(&config);
        Self::with(eal, config, told, Rights::AsBefore)
    }

    fn with(eal: &Eal, mut config: Config, told: Told, rights: Rights) -> miette::Result<Self> {
        let offers = seed::offers(&config)?;
        let keys: Arc<[_]> = config.certificates.drain(..).map(|certificate| certificate.key).collect();
        let config = Arc::new(config);
        let workers = config.workers.lcores.len();
        let pools = (0..workers)
            .map(|worker| create_pool(eal, &config, worker))
            .collect::<miette::Result<Vec<_>>>()?;
        let mut running = Self {
            control: Arc::new(Control::default()),
            alive: Arc::new(AtomicUsize::new(workers)),
            threads: Vec::with_capacity(workers),
            devices: Some((
                Devices::open(eal, &config, &pools)?,
                PublicKeyDevices::open(eal, &config, &keys)?,
            )),
            ports: ports::start(eal, &config, &pools)?,
            pools,
            rights,
            time: Time::new(Clock::new(eal)),
        };
        let secret = random()?;
        let mut mates = mesh(eal, workers)?;
        let mut gates = Vec::with_capacity(workers);
        for (worker, &cpu) in config.workers.lcores.iter().enumerate().rev() {
            let number = u16::try_from(worker).into_diagnostic()?;
            let ports = &mut running.ports;
            let (crypto, public_key) = match &mut running.devices {
                Some((aead, public_key)) => (aead.pairs_of(worker), public_key.pairs_of(worker)),
                None => (Vec::new(), Vec::new()),
            };
            let seed = Seed {
                config: Arc::clone(&config),
                keys: Arc::clone(&keys),
                offers: offers.clone(),
                interfaces: ports
                    .iter()
                    .zip(&config.ports)
                    .map(|(port, config)| port.interface(config))
                    .collect(),
                memory: running.pools[worker].clone(),
                queues: ports.iter_mut().map(|port| port.queues_of(worker)).collect(),
                crypto,
                public_key,
                steering: Steering::new(number, ports::rules(ports, workers)),
                log: told.events.get(worker).map_or_else(Log::default, |queue| Log::to(Arc::clone(queue))),
                time: running.time.clone(),
                secret,
                generation: told.generation.clone(),
            };
            let mates = mates.pop().unwrap_or_default();
            gates.push(running.spawn(eal, worker, cpu.into(), seed, mates, &told)?);
        }
        for gate in &gates {
            gate.wait_until_grown()?;
        }
        if rights == Rights::Confined {
            confine::confine(&config)?;
        }
        for gate in gates {
            gate.open();
        }
        announce(&config, &running.ports);
        Ok(running)
    }

    /// Starts a thread on which `seed` grows, and waits at the gate before it serves.
    fn spawn(
        &mut self,
        eal: &Eal,
        worker: usize,
        cpu: usize,
        seed: Seed,
        mates: Vec<Option<Mate>>,
        told: &Told,
    ) -> miette::Result<Gate> {
        let (control, alive) = (Arc::clone(&self.control), Arc::clone(&self.alive));
        let published = Arc::clone(&told.published[worker]);
        let rights = self.rights;
        let (grown, is_grown) = mpsc::sync_channel(1);
        let (go, may_go) = mpsc::sync_channel(1);
        let body = move || {
            let guard = Leaving { alive, control: Arc::clone(&control) };
            let worker = match seed.grow(mates, control, published) {
                Ok(worker) => worker,
                Err(error) => {
                    let _ = grown.send(Err(error));
                    return Ok(Report::default());
                }
            };
            let _ = grown.send(Ok(()));
            // Where the start failed elsewhere, nobody opens the gate.
            if may_go.recv().is_err() {
                return Ok(Report::default());
            }
            if rights == Rights::Confined {
                confine::renounce()?;
            }
            let report = worker.run();
            drop(guard);
            report
        };
        self.threads.push(eal.launch(cpu, &format!("levee-worker-{worker}"), body).into_diagnostic()?);
        Ok(Gate { is_grown, go })
    }

    /// Whether a worker has returned though none was told to.
    fn lost_a_worker(&self) -> bool {
        self.alive.load(Ordering::Relaxed) < self.threads.len()
    }

    /// Has the workers finish what is under way, and closes devices and ports.
    ///
    /// # Errors
    /// A worker that died, a port that is still in use.
    pub fn stop(mut self) -> miette::Result<Outcome> {
        let report = self.join()?;
        drop(self.devices.take());
        for port in std::mem::take(&mut self.ports) {
            port.port.close().map_err(|_| miette!("a port is still in use"))?;
        }
        let mut leaks = Usage::default();
        for pool in &self.pools {
            let usage = pool.usage();
            leaks.segments += usage.segments;
            leaks.records += usage.records;
            leaks.references += usage.references;
        }
        Ok(Outcome { report, leaks })
    }
}

impl Running {
    /// Ends the workers, all of them, and sums up what they did.
    fn join(&mut self) -> miette::Result<Report> {
        self.control.stop.store(true, Ordering::Relaxed);
        let ended: Vec<_> = self.threads.drain(..).map(levee_dpdk::Worker::join).collect();
        let mut report = Report::default();
        for part in ended {
            report.merge(&part.map_err(|_| miette!("a worker panicked"))??);
        }
        Ok(report)
    }
}

/// Workers do not outlive who holds them, whatever became of that.
impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            // What went wrong before is what is told.
            let _ = self.join();
        }
    }
}

impl Outcome {
    /// Says all of it on standard output, as one line of JSON.
    ///
    /// # Errors
    /// Something did not come back.
    fn say(&self) -> miette::Result<()> {
        let Self { report, leaks } = self;
        let line = serde_json::json!({
            "leaks": {
                "segments": leaks.segments, "records": leaks.records, "references": leaks.references,
            },
            "held": report.held,
            "connections": report.connections,
            "counters": report.counters,
            "cycles": report.cycles,
        });
        println!("{line}");
        match *leaks == Usage::default() && report.held.values().all(|&count| count == 0) {
            true => Ok(()),
            false => Err(miette!("not all came back: {leaks:?}, {:?}", report.held)),
        }
    }
}

/// What the process may do while workers serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// All that it may already.
    AsBefore,
    /// What the configuration leaves it.
    Confined,
}

/// Where a worker waits, grown, until all that start are allowed to serve.
struct Gate {
    is_grown: mpsc::Receiver<miette::Result<()>>,
    go: mpsc::SyncSender<()>,
}

impl Gate {
    fn wait_until_grown(&self) -> miette::Result<()> {
        self.is_grown.recv().unwrap_or_else(|_| Err(miette!("a worker panicked at the start")))
    }

    fn open(self) {
        // A worker that is gone is missed by who watches.
        let _ = self.go.send(());
    }
}

/// Through what the workers tell the control plane things; each by worker.
struct Told {
    published: Vec<Arc<Published>>,
    /// Empty when nobody wants to know.
    events: Vec<Arc<ArrayQueue<crate::log::Event>>>,
    /// Where nonces are made ahead.
    generation: Option<Generation>,
}

impl Told {
    fn new(config: &Config) -> Self {
        let workers = config.workers.lcores.len();
        let wants_events = config.log.access.is_some() || config.tls.keylog.is_some();
        let events = if wants_events { workers } else { 0 };
        Self {
            published: (0..workers).map(|_| Arc::new(Published::default())).collect(),
            events: (0..events).map(|_| Arc::new(ArrayQueue::new(EVENTS))).collect(),
            generation: config.tls.nonces_ahead.then(Generation::new),
        }
    }
}

/// Counts a worker out when its thread ends, by a panic too.
struct Leaving {
    alive: Arc<AtomicUsize>,
    control: Arc<Control>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits for a worker that is gone.
        if std::thread::panicking() {
            self.control.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Buffers of each kind that a worker keeps at hand.
const POOL_CACHE: u32 = 256;
/// Events a worker can be ahead of the control plane.
const EVENTS: usize = 4096;
/// Frames between two workers.
const RING: u32 = 2048;
fn start_log(config: &Config) {
    use crate::config::{LogFormat, LogLevel};
    let level = match config.log.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A subscriber that is there already is as good.
    let _ = match config.log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}

fn start_eal(config: &Config) -> miette::Result<Eal> {
    use levee_dpdk::log::Level;
    levee_dpdk::log::set_sink(|level, line| match level {
        Level::Error => tracing::error!("DPDK: {line}"),
        Level::Warning => tracing::warn!("DPDK: {line}"),
        Level::Notice | Level::Info => tracing::info!("DPDK: {line}"),
        Level::Debug => tracing::debug!("DPDK: {line}"),
    });
    let args = eal::arguments(config)?;
    tracing::debug!(?args, "starting EAL");
    Eal::init(&args).into_diagnostic().wrap_err("cannot start DPDK")
}

fn create_pool(eal: &Eal, config: &Config, worker: usize) -> miette::Result<Pool> {
    let sizes = Sizes {
        segments: u32::try_from(config.workers.segments).into_diagnostic()?,
        records: u32::try_from(config.workers.records).into_diagnostic()?,
        references: u32::try_from(config.workers.references).into_diagnostic()?,
        cache: POOL_CACHE,
    };
    Pool::create(eal, &format!("levee-{worker}"), sizes, None).into_diagnostic()
}

/// Rings between each two workers, both ways.
fn mesh(eal: &Eal, workers: usize) -> miette::Result<Vec<Vec<Option<Mate>>>> {
    let ring =
        |source, target| levee_dpdk::ring(eal, &format!("levee-{source}-{target}"), RING).into_diagnostic();
    let mut mates: Vec<Vec<_>> = (0..workers).map(|_| (0..workers).map(|_| None).collect()).collect();
    for (one, other) in (0..workers).flat_map(|one| (one + 1..workers).map(move |other| (one, other))) {
        let (to_other, from_one) = ring(one, other)?;
        let (to_one, from_other) = ring(other, one)?;
        mates[one][other] = Some(Mate { to: to_other, from: from_other });
        mates[other][one] = Some(Mate { to: to_one, from: from_one });
    }
    Ok(mates)
}

fn announce(config: &Config, ports: &[Started]) {
    for port in ports {
        tracing::info!(port = port.name, mac = ?port.mac, link = port.is_up(), "ready");
    }
    for listener in &config.listeners {
        let service = match &listener.service {
            Service::Https { .. } => "https",
            Service::Http => "http",
            Service::Redirect { .. } => "redirect to https",
        };
        tracing::info!(address = %listener.address, service, "listening");
    }
    eprintln!("levee is ready");
}

fn random() -> miette::Result<[u8; 32]> {
    let mut secret = [0; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut secret)).into_diagnostic()?;
    Ok(secret)
}

#[cfg(test)]
mod tests;

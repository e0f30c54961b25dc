//! What a worker is made of: a [`Seed`] is sent to its thread and grows there, since most of a worker
//! never leaves its thread.

use std::sync::Arc;

use levee_buf::Memory;
use levee_crypto::{Engine, EngineKind, KeyId, PrivateKey};
use levee_dpdk::Pool;
use levee_dpdk::crypto::QueuePair;
use levee_tcp::{InterfaceConfig, Stack};
use levee_tls::{CertificateEntry, Server, ServerConfig};
use miette::{IntoDiagnostic, miette};

use crate::config::{Config, EngineChoice, Service};
use crate::cycles::Cycles;
use crate::generation::Generation;
use crate::host::Host;
use crate::log::{Event, Log, Secret};
use crate::metrics::Published;
use crate::offload::Offload;
use crate::public_key::{Device, Pair, Shared};
use crate::session::{Crypto, KeyLog, Parts, Sessions};
use crate::steer::Steering;
use crate::worker::{Control, Mate, PortQueues, Time, Worker};

/// What one worker grows from.
pub(super) struct Seed {
    pub(super) config: Arc<Config>,
    /// By `KeyId`.
    pub(super) keys: Arc<[PrivateKey]>,
    /// What each listener offers; `None` where it is plain.
    pub(super) offers: Vec<Option<Arc<ServerConfig>>>,
    pub(super) interfaces: Vec<InterfaceConfig>,
    pub(super) memory: Pool,
    pub(super) queues: Vec<PortQueues>,
    /// Queue pairs of the crypto devices.
    pub(super) crypto: Vec<QueuePair>,
    /// Those of public-key devices.
    pub(super) public_key: Vec<Pair>,
    pub(super) steering: Steering,
    pub(super) log: Log,
    pub(super) time: Time,
    pub(super) secret: [u8; 32],
    /// Where nonces are made ahead.
    pub(super) generation: Option<Generation>,
}

impl Seed {
    /// The worker, on its own thread.
    pub(super) fn grow(
        self,
        mates: Vec<Option<Mate>>,
        control: Arc<Control>,
        published: Arc<Published>,
    ) -> miette::Result<Worker> {
        let config = self.config;
        let nonces_ahead = self.generation.is_some();
        let engine = engine(&config, &self.keys, nonces_ahead, self.public_key, self.time)?;
        let aead = Offload::new(self.crypto, 2 * config.workers.connections);
        let stack = stack(&config, self.interfaces, self.secret, self.memory.clone())?;
        let sessions = Sessions::new(Parts {
            tls: self
                .offers
                .into_iter()
                .map(|offer| Some(Server::new(offer?, config.limits.handshakes)))
                .collect(),
            crypto: crypto(&config, engine, Box::new(aead), &self.log, self.generation),
            cache: cache(&config, self.secret, self.memory.clone()),
            memory: self.memory.clone(),
            steering: self.steering.clone(),
            log: self.log,
            now: self.time.now(),
            config: Arc::clone(&config),
        });
        Ok(Worker {
            host: Host::new(stack, sessions),
            memory: self.memory,
            queues: self.queues,
            mates,
            steering: self.steering,
            time: self.time,
            control,
            published,
            cycles: Cycles::new(config.diagnostics.cycles.then_some(self.time.clock)),
            shutdown_ns: u64::try_from(config.timeouts.shutdown.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

/// A TCP stack with the listeners of the configuration open.
pub(crate) fn stack<M: Memory>(
    config: &Config,
    interfaces: Vec<InterfaceConfig>,
    secret: [u8; 32],
    memory: M,
) -> miette::Result<Stack<M>> {
    let tcp = levee_tcp::Config {
        syn_entries: config.limits.half_open,
        recv_buffer: config.limits.receive_buffer_bytes,
        send_buffer: config.limits.send_buffer_bytes,
        time_wait_entries: config.limits.time_wait,
        timeouts: levee_tcp::Timeouts {
            user: config.timeouts.unacknowledged,
            time_wait: config.timeouts.time_wait,
            ..levee_tcp::Timeouts::default()
        },
        ..levee_tcp::Config::new(interfaces, config.workers.connections, secret)
    };
    let mut stack = Stack::new(tcp, memory).map_err(|error| miette!("the TCP stack refuses: {error:?}"))?;
    for (tag, listener) in config.listeners.iter().enumerate() {
        let tag = u16::try_from(tag).into_diagnostic()?;
        stack
            .listen(listener.address, tag, config.workers.connections)
            .map_err(|error| miette!("cannot listen on {}: {error:?}", listener.address))?;
    }
    Ok(stack)
}

/// What each listener offers.
pub(crate) fn offers(config: &Config) -> miette::Result<Vec<Option<Arc<ServerConfig>>>> {
    let offer = |service: &Service| {
        let Service::Https { certificates, alpn } = service else { return Ok(None) };
        let entries = certificates.iter().map(|&index| {
            Ok(CertificateEntry {
                chain: config.certificates[index].chain.clone(),
                key: KeyId(u16::try_from(index).into_diagnostic()?),
            })
        });
        let options = levee_tls::Options {
            versions: config.tls.versions.clone(),
            suites: config.tls.suites.clone(),
            groups: config.tls.groups.clone(),
            alpn: alpn.clone(),
            ..levee_tls::Options::default()
        };
        let offer = ServerConfig::new(entries.collect::<miette::Result<_>>()?, options);
        offer
            .map(|offer| Some(Arc::new(offer)))
            .map_err(|error| miette!("TLS refuses the configuration: {error:?}"))
    };
    config.listeners.iter().map(|listener| offer(&listener.service)).collect()
}

/// The engine that the configuration names, and beside it the devices of which it has queue pairs.
fn engine(
    config: &Config,
    keys: &[PrivateKey],
    nonces_ahead: bool,
    pairs: Vec<Pair>,
    time: Time,
) -> miette::Result<Box<dyn Engine>> {
    let kind = match config.tls.engine {
        EngineChoice::Auto => EngineKind::Auto,
        EngineChoice::Batch => EngineKind::Batch,
        EngineChoice::Batch4 => EngineKind::Batch4,
        EngineChoice::AwsLc => EngineKind::AwsLc,
        EngineChoice::RustCrypto => EngineKind::RustCrypto,
    };
    let capacity = config.limits.handshakes;
    let mut cpu = levee_crypto::engine(kind, keys, capacity).into_diagnostic()?;
    if nonces_ahead {
        cpu.keep_nonces();
    }
    if pairs.is_empty() {
        return Ok(cpu);
    }
    let devices = pairs.into_iter().map(|pair| Box::new(pair) as Box<dyn Device>).collect();
    let clock = Box::new(move || time.clock.now());
    Ok(Box::new(Shared::new(cpu, devices, keys, capacity, clock)))
}

fn crypto<M: Memory>(
    config: &Config,
    engine: Box<dyn Engine>,
    aead: Box<dyn levee_crypto::Aead<M>>,
    log: &Log,
    generation: Option<Generation>,
) -> Crypto<M> {
    let log = log.clone();
    let keylog = config.tls.keylog.is_some().then(|| -> KeyLog {
        Box::new(move |label, client_random, secret| {
            log.say(Event::Secret(Secret::new(label, *client_random, secret)));
        })
    });
    Crypto {
        engine,
        generation,
        aead,
        random: Box::new(levee_crypto::SystemRandom),
        counters: levee_tls::Counters::default(),
        keylog,
    }
}

/// The cache, if a route has it.
pub(crate) fn cache<M: Memory>(
    config: &Config,
    secret: [u8; 32],
    memory: M,
) -> Option<levee_cache::Store<M>> {
    let cache = config.cache?;
    let limits = levee_cache::Limits {
        bytes: usize::try_from(cache.bytes).unwrap_or(usize::MAX),
        entry_bytes: usize::try_from(cache.entry_bytes).unwrap_or(usize::MAX),
        entries: cache.entries,
        fills: cache.fills,
        waiters: cache.waiters,
    };
    let mut key = [0; 16];
    key.copy_from_slice(&secret[..16]);
    Some(levee_cache::Store::new(limits, key, memory))
}

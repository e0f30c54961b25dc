//! What a host is made of, and made again after a panic: `Recipe`.

use std::sync::Arc;

use levee_buf::Memory;
use levee_crypto::{Engine, EngineKind, PrivateKey};
use levee_dpdk::crypto::QueuePair;
use levee_dpdk::{Clock, Pool};
use levee_tcp::{InterfaceConfig, Stack};
use levee_tls::{Server, ServerConfig};
use miette::{IntoDiagnostic, miette};

use crate::config::{Config, EngineChoice};
use crate::generation::Generation;
use crate::host::Host;
use crate::lent::{Home, Lent};
use crate::log::{Event, Log, Secret};
use crate::offload::Offload;
use crate::public_key::{Device, Pair, Shared};
use crate::session::{Crypto, KeyLog, Parts, Sessions};
use crate::steer::Steering;
use crate::time::Time;

/// What a worker's host is made of. Queue pairs are lent to it.
pub(crate) struct Recipe {
    pub(crate) config: Arc<Config>,
    /// By `KeyId`.
    pub(crate) keys: Arc<[PrivateKey]>,
    pub(crate) offers: Vec<Option<Arc<ServerConfig>>>,
    pub(crate) interfaces: Vec<InterfaceConfig>,
    pub(crate) memory: Pool,
    pub(crate) crypto: Home<QueuePair>,
    pub(crate) public_key: Home<Pair>,
    pub(crate) steering: Steering,
    pub(crate) log: Log,
    pub(crate) time: Time,
    pub(crate) secret: [u8; 32],
    pub(crate) generation: Option<Generation>,
}

impl Recipe {
    /// A host without connections. The one before is gone.
    ///
    /// # Errors
    /// What a room refuses.
    pub(crate) fn host(&self) -> miette::Result<Host<Pool>> {
        let config = &self.config;
        let pairs = self.public_key.lend(Pair::reset);
        let engine = engine(config, &self.keys, self.generation.is_some(), pairs, self.time.clock)?;
        let clock = self.time.clock;
        let pairs = self.crypto.lend(QueuePair::reset);
        let aead = Offload::new(pairs, 2 * config.workers.connections, Box::new(move || clock.now()));
        let stack = stack(config, self.interfaces.clone(), self.secret, self.memory.clone())?;
        let servers = self.offers.iter().cloned();
        let sessions = Sessions::new(Parts {
            tls: servers.map(|offer| Some(Server::new(offer?, config.limits.handshakes))).collect(),
            crypto: crypto(config, engine, Box::new(aead), &self.log, self.generation.clone()),
            cache: cache(config, self.secret, self.memory.clone()),
            memory: self.memory.clone(),
            steering: self.steering.clone(),
            log: self.log.clone(),
            now: self.time.now(),
            config: Arc::clone(config),
        });
        Ok(Host::new(stack, sessions))
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

/// The engine that the configuration names, and beside it the devices of which it has queue pairs.
fn engine(
    config: &Config,
    keys: &[PrivateKey],
    nonces_ahead: bool,
    pairs: Vec<Lent<Pair>>,
    clock: Clock,
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
    let clock = Box::new(move || clock.now());
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
        random: Box::new(levee_crypto::RandomStock::new()),
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

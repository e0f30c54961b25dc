//! What a worker is made of: a [`Seed`] is sent to its thread and grows there, since most of a worker
//! never leaves its thread.

use std::sync::Arc;

use levee_crypto::{KeyId, PrivateKey};
use levee_dpdk::Pool;
use levee_dpdk::crypto::QueuePair;
use levee_tcp::InterfaceConfig;
use levee_tls::{CertificateEntry, ServerConfig};
use miette::{IntoDiagnostic, miette};

use crate::config::{Config, Service};
use crate::cycles::Cycles;
use crate::generation::Generation;
use crate::lent::Home;
use crate::log::Log;
use crate::metrics::Published;
use crate::public_key::Pair;
use crate::recipe::Recipe;
use crate::steer::Steering;
use crate::time::Time;
use crate::worker::{Control, Mate, PortQueues, Progress, Worker};

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
        let recipe = Recipe {
            config: self.config,
            keys: self.keys,
            offers: self.offers,
            interfaces: self.interfaces,
            memory: self.memory,
            crypto: Home::new(self.crypto),
            public_key: Home::new(self.public_key),
            steering: self.steering,
            log: self.log,
            time: self.time,
            secret: self.secret,
            generation: self.generation,
        };
        let config = &recipe.config;
        Ok(Worker {
            host: recipe.host()?,
            memory: recipe.memory.clone(),
            queues: self.queues,
            mates,
            steering: recipe.steering.clone(),
            time: recipe.time.clone(),
            control,
            published,
            cycles: Cycles::new(config.diagnostics.cycles.then_some(recipe.time.clock)),
            shutdown_ns: u64::try_from(config.timeouts.shutdown.as_nanos()).unwrap_or(u64::MAX),
            progress: Progress::default(),
            recipe,
        })
    }
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

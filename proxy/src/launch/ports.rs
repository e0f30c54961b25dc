//! The ports: started by the control plane, their queues given to the workers, their links watched.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levee_dpdk::{Eal, Granted, Offloads, Pool, Port, PortConfig, Queues, Rss};
use miette::{IntoDiagnostic, WrapErr};

use crate::config::{self, Config};
use crate::worker::{PortQueues, Tx};

/// Starts the ports of the configuration, with queues for as many workers as there are pools.
///
/// # Errors
/// There is no such device, or what the driver said.
pub(super) fn start(eal: &Eal, config: &Config, pools: &[Pool]) -> miette::Result<Vec<Started>> {
    let start = |wanted| {
        start_one(eal, wanted, pools)
            .wrap_err_with(|| format!("cannot start the port `{}`, {}", wanted.name, wanted.device.text()))
    };
    config.ports.iter().map(start).collect()
}

fn start_one(eal: &Eal, wanted: &config::Port, pools: &[Pool]) -> miette::Result<Started> {
    let workers = u16::try_from(pools.len()).into_diagnostic()?;
    let mut port = Port::by_name(eal, wanted.device.name()).into_diagnostic()?;
    let info = port.info().into_diagnostic()?;
    let queues = wanted.queues.unwrap_or(workers).min(workers);
    let asked = Offloads {
        rx_checksum: wanted.offloads.checksum,
        tx_checksum: wanted.offloads.checksum,
        tso: wanted.offloads.tso,
        ..Offloads::ALL
    };
    let port_config = PortConfig {
        rx_queues: queues.min(info.max_rx_queues),
        tx_queues: workers.min(info.max_tx_queues),
        rx_descriptors: wanted.rx_descriptors,
        tx_descriptors: wanted.tx_descriptors,
        mtu: wanted.mtu,
        asked,
        ..PortConfig::default()
    };
    let queues = port.start(&port_config, pools).into_diagnostic()?;
    tracing::info!(port = wanted.name, driver = info.driver, granted = ?queues.granted, "port started");
    Started::new(&wanted.name, port, queues)
}

/// The rule by which each port's flows belong to workers.
pub(super) fn rules(ports: &[Started], workers: usize) -> Vec<Rss> {
    if workers == 1 {
        return Vec::new();
    }
    let everyone = u16::try_from(workers).unwrap_or(u16::MAX);
    let own =
        |port: &Started| port.granted.rss.clone().filter(|_| usize::from(port.granted.rx_queues) == workers);
    ports.iter().map(|port| own(port).unwrap_or_else(|| Rss::software(everyone))).collect()
}

/// A port that is started.
pub(super) struct Started {
    pub(super) name: String,
    pub(super) port: Port,
    pub(super) mac: [u8; 6],
    granted: Granted,
    /// By queue; taken by the workers.
    rx: Vec<Option<levee_dpdk::RxQueue>>,
    tx: Vec<Option<levee_dpdk::TxQueue>>,
}

impl Started {
    fn new(name: &str, port: Port, queues: Queues) -> miette::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            mac: port.mac().into_diagnostic()?,
            port,
            granted: queues.granted,
            rx: queues.rx.into_iter().map(Some).collect(),
            tx: queues.tx.into_iter().map(Some).collect(),
        })
    }

    /// What the TCP stack has to know of it.
    pub(super) fn interface(&self, config: &crate::config::Port) -> levee_tcp::InterfaceConfig {
        let offloads = self.granted.offloads;
        levee_tcp::InterfaceConfig {
            mac: self.mac,
            mtu: self.granted.mtu,
            addresses: config.addresses.clone(),
            gateway: config.gateway,
            tx_checksum: offloads.tx_checksum,
            rx_checksum: offloads.rx_checksum,
            tso: (offloads.tso && offloads.tx_checksum).then_some(TSO_BYTES),
        }
    }

    /// The queues of `worker`.
    pub(super) fn queues_of(&mut self, worker: usize) -> PortQueues {
        let queues = self.tx.len().max(1);
        PortQueues {
            rx: self.rx.get_mut(worker).and_then(Option::take),
            tx: self.tx.get_mut(worker).and_then(Option::take).map_or(Tx::Via(worker % queues), Tx::Queue),
            pending: VecDeque::with_capacity(PENDING),
            took_at_ns: 0,
        }
    }

    /// Whether the device has a link. One that cannot tell has.
    pub(super) fn is_up(&self) -> bool {
        self.port.link().map_or(true, |link| link.up)
    }
}

/// What was last seen of the ports' links.
pub(super) struct Links {
    /// By port.
    up: Vec<bool>,
    looked: Instant,
}

/// Between looks at links.
const LOOK: Duration = Duration::from_secs(1);

impl Links {
    pub(super) fn new(ports: &[Started]) -> Self {
        Self { up: ports.iter().map(Started::is_up).collect(), looked: Instant::now() }
    }

    /// Tells of links that came or went, every now and then.
    pub(super) fn look_at(&mut self, ports: &[Started]) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        for (port, was_up) in ports.iter().zip(&mut self.up) {
            match (std::mem::replace(was_up, port.is_up()), *was_up) {
                (true, false) => tracing::warn!(port = port.name, "the link is down"),
                (false, true) => tracing::info!(port = port.name, "the link is up"),
                _ => {}
            }
        }
    }
}

/// Frames kept for a device that has no room: what the stack gives out in a turn, and what was left.
const PENDING: usize = 1024;
/// Payload of a TCP super-segment: an IPv4 packet holds at most 65,535 bytes with its headers.
const TSO_BYTES: usize = 64_000;

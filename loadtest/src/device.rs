//! DPDK for a tool: the environment, and ports from the command line.

use std::fs;

use clap::ValueEnum;
use levee_dpdk::{Eal, Offloads, Pool, Port, PortConfig, Queues, Sizes, log};
use miette::{Context, IntoDiagnostic, miette};

/// Packet memory of a tool, as its command line says.
#[derive(clap::Args, Clone, Debug)]
pub struct Memory {
    /// MiB of packet memory.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub memory: u32,
    /// Where packet memory comes from: hugepages if enough are free, or ordinary pages.
    #[arg(long, value_enum, default_value_t = Hugepages::Auto)]
    pub hugepages: Hugepages,
}

/// Where packet memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hugepages {
    /// Hugepages if enough are free.
    Auto,
    /// Ordinary pages.
    Off,
}

/// Starts DPDK with these virtual devices (`net_af_packet0,iface=c0`); its main lcore is `cpu`.
///
/// # Errors
/// What DPDK says.
pub fn start(memory: &Memory, devices: &[&str], cpu: usize) -> miette::Result<Eal> {
    log::set_sink(|level, line| {
        if level <= log::Level::Warning {
            eprintln!("DPDK: {line}");
        }
    });
    // Two processes with one prefix would share memory.
    let mut arguments = vec![
        format!("--file-prefix=levee-load-{}", std::process::id()),
        format!("--lcores=0@{cpu}"),
        "--log-level=notice".into(),
        "--no-pci".into(),
        "-m".into(),
        memory.memory.to_string(),
    ];
    if memory.hugepages == Hugepages::Auto && free_hugepages_mib() >= u64::from(memory.memory) {
        // memif shares memory by file descriptor: one file for all of it is what its zero-copy needs.
        arguments.extend(["--in-memory".into(), "--single-file-segments".into()]);
    } else {
        arguments.extend(["--no-huge".into(), "--no-shconf".into()]);
    }
    arguments.extend(devices.iter().map(|device| format!("--vdev={device}")));
    Eal::init(&arguments).into_diagnostic().wrap_err("cannot start DPDK")
}

/// A pool that fills about half of the memory with segments, the rest with what refers to them.
///
/// # Errors
/// Not enough memory.
pub fn pool(eal: &Eal, name: &str, memory_mib: u32) -> miette::Result<Pool> {
    // A segment takes about 2.4 KiB, a record 17 KiB, a reference 192 bytes.
    let segments = memory_mib.saturating_mul(1024 / 2) / 3;
    let sizes = Sizes { segments, records: segments / 64 + 64, references: segments * 2, cache: 256 };
    Pool::create(eal, name, sizes, None).into_diagnostic()
}

/// A started port of one queue each way.
pub struct Started {
    /// The port; closed when it and its queues are dropped.
    pub port: Port,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its queues and what the device does for them.
    pub queues: Queues,
}

/// Opens and starts the port of `device`, which [`start`] was given.
///
/// # Errors
/// What the driver says.
pub fn open(eal: &Eal, device: &str, mtu: u16, pool: &Pool, promiscuous: bool) -> miette::Result<Started> {
    let name = device.split(',').next().unwrap_or_default();
    let mut port = Port::by_name(eal, name).into_diagnostic()?;
    let config = PortConfig {
        mtu,
        asked: Offloads { rss: false, ..Offloads::ALL },
        promiscuous,
        ..PortConfig::default()
    };
    let queues = port.start(&config, std::slice::from_ref(pool)).into_diagnostic()?;
    if queues.rx.is_empty() || queues.tx.is_empty() {
        return Err(miette!("{name} has no queue both ways"));
    }
    Ok(Started { mac: port.mac().into_diagnostic()?, port, queues })
}

fn free_hugepages_mib() -> u64 {
    let read = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    2 * read("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or(0)
}

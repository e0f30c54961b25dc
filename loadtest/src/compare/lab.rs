//! What all measurements share: namespaces, certificates, files, limits of this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use miette::{Context, IntoDiagnostic, miette};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Pid, geteuid};

use super::certificates::Certificates;
use super::network::{LOAD_CPU, Network, SERVER_CPU, Setting};
use super::process::{Interrupt, run};
use super::rows::Scenario;
use super::{Options, load, peers};

/// How load and server are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// veth without offloads, the load on DPDK.
    Veth,
    /// veth with the offloads of the kernel for servers on kernel sockets, the load on kernel sockets too:
    /// DPDK cannot read such frames.
    KernelLoad,
    /// Shared memory, both ends DPDK.
    Memif,
}

impl Link {
    /// For table and file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::KernelLoad => "veth, offloads",
            Self::Memif => "memif",
        }
    }

    /// The devices of a load on DPDK: towards the server, and the origin's.
    pub(super) fn load_devices(self, prefix: &str) -> Option<[String; 2]> {
        match self {
            Self::Veth => Some([af_packet(0, "c0"), af_packet(1, "o0")]),
            Self::KernelLoad => None,
            Self::Memif => Some([memif(0, "client", prefix, "client"), memif(1, "client", prefix, "origin")]),
        }
    }

    /// The devices of a server on DPDK: towards the load, and towards the origin.
    pub(super) fn server_devices(self, prefix: &str) -> [String; 2] {
        match self {
            Self::Veth | Self::KernelLoad => [af_packet(0, "lv-client"), af_packet(1, "lv-origin")],
            Self::Memif => [memif(0, "server", prefix, "client"), memif(1, "server", prefix, "origin")],
        }
    }
}

fn af_packet(number: u32, interface: &str) -> String {
    format!("net_af_packet{number},iface={interface},blocksz=65536,framesz=2048,framecnt=2048")
}

fn memif(number: u32, role: &str, prefix: &str, end: &str) -> String {
    format!("net_memif{number},role={role},socket-abstract=yes,socket={prefix}-{end}")
}

/// The laboratory; all it changed on the machine is put back with it.
pub(super) struct Lab {
    pub(super) network: Network,
    pub(super) certificates: Certificates,
    pub(super) interrupt: Interrupt,
    pub(super) link: Link,
    /// This program, for the load.
    pub(super) program: PathBuf,
    /// The binary of Levee.
    pub(super) levee: PathBuf,
    /// Files that a process may have open.
    pub(super) open_files: u64,
    /// Configurations, logs and summaries.
    directory: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    _settings: [Option<Setting>; 2],
}

/// Frames that wait for a kernel's receive work on a CPU; the kernel's own 1000 are less than a window.
const BACKLOG: u64 = 16_384;

impl Lab {
    /// Sets it up for the scenarios.
    pub(super) fn new(options: &Options, link: Link, scenarios: &[&Scenario]) -> miette::Result<Self> {
        let program = env::current_exe().into_diagnostic()?;
        let levee = options.levee.clone().unwrap_or_else(|| program.with_file_name("levee"));
        check_machine(options, &levee)?;
        // From here on, Ctrl-C leads through all the guards.
        let interrupt = Interrupt::new().into_diagnostic()?;
        let mut cpus = CpuSet::new();
        cpus.set(LOAD_CPU).into_diagnostic()?;
        sched_setaffinity(Pid::from_raw(0), &cpus)
            .into_diagnostic()
            .wrap_err("cannot bind to the load's CPU")?;

        let temporary = tempfile::Builder::new().prefix("levee-bench-").tempdir().into_diagnostic()?;
        let (directory, temporary) = match options.keep {
            true => (temporary.keep(), None),
            false => (temporary.path().to_owned(), Some(temporary)),
        };
        let most = scenarios.iter().map(|scenario| scenario.server.connections).max().unwrap_or(0);
        let settings = [
            Setting::at_least("net/core/netdev_max_backlog", BACKLOG)?,
            reserve_hugepages(peers::levee::memory_mib(most) + load::memory_mib(most))?,
        ];
        Ok(Self {
            certificates: Certificates::make(&directory.join("certificates"))?,
            network: Network::up(&options.prefix)?,
            interrupt,
            link,
            program,
            levee,
            open_files: getrlimit(Resource::RLIMIT_NOFILE).into_diagnostic()?.1,
            directory,
            _temporary: temporary,
            _settings: settings,
        })
    }

    /// A file of this comparison.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn check_machine(options: &Options, levee: &Path) -> miette::Result<()> {
    if !geteuid().is_root() {
        return Err(miette!("namespaces, hugepages and DPDK need root"));
    }
    if thread::available_parallelism().into_diagnostic()?.get() <= SERVER_CPU {
        return Err(miette!("a comparison needs two CPUs: one for the server, one for the load"));
    }
    for peer in &options.peers {
        peer.version(levee)?;
    }
    for tool in [["ip", "-V"], ["ethtool", "--version"], ["taskset", "-V"], ["openssl", "version"]] {
        run(&tool).wrap_err("`etc/install-deps.sh` installs what a comparison needs")?;
    }
    Ok(())
}

/// Sees to it that so many MiB of hugepages are free.
fn reserve_hugepages(mib: u32) -> miette::Result<Option<Setting>> {
    let needed = u64::from(mib).div_ceil(PAGE_MIB);
    let free = || hugepages("HugePages_Free");
    let missing = needed.saturating_sub(free()?);
    let setting = Setting::at_least("vm/nr_hugepages", hugepages("HugePages_Total")? + missing)?;
    match free()? >= needed {
        true => Ok(setting),
        false => Err(miette!("this machine cannot spare {needed} hugepages of {PAGE_MIB} MiB")),
    }
}

/// Size of a hugepage.
const PAGE_MIB: u64 = 2;

fn hugepages(key: &str) -> miette::Result<u64> {
    let table = fs::read_to_string("/proc/meminfo").into_diagnostic()?;
    peers::account::field(&table, key).ok_or_else(|| miette!("/proc/meminfo has no {key}"))
}

//! Two network namespaces, with nothing between them but two links:
//!
//! ```text
//! PREFIX-load                               PREFIX-proxy
//!   c0 10.9.1.100 and up ---- 10.9.1.1 lv-client
//!   o0 10.9.2.2 ------------- 10.9.2.1 lv-origin
//! ```
//!
//! Who drives the ends changes from server to server: DPDK, and then the kernel has no address there, or the kernel.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use miette::{Context, IntoDiagnostic};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::run;

/// The CPU of the load, and of all else that is not the server.
pub(super) const LOAD_CPU: usize = 0;

/// The CPU of the server.
pub(super) const SERVER_CPU: usize = 1;

/// Where the server listens, on port 443.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);

/// The server's address towards the origin.
pub(super) const SERVER_BEHIND: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 1);

/// The first address of the load.
pub(super) const LOAD: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 100);

/// The origin, on port 8080.
pub(super) const ORIGIN: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 2);

/// Both ends of both links: interface, namespace, the address that a kernel has there, and the CPU that does
/// a kernel's receive work. Without such steering the CPU that sends a frame into a link receives it at the
/// other end too.
const ENDS: [End; 4] = [
    End { interface: "c0", place: Place::Load, address: LOAD },
    End { interface: "o0", place: Place::Load, address: ORIGIN },
    End { interface: "lv-client", place: Place::Proxy, address: SERVER },
    End { interface: "lv-origin", place: Place::Proxy, address: SERVER_BEHIND },
];

struct End {
    interface: &'static str,
    place: Place,
    address: Ipv4Addr,
}

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of the load.
    Load,
    /// Of the server.
    Proxy,
}

/// Who speaks TCP at one side of the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    /// The kernel has addresses there.
    Kernel,
    /// DPDK has the interfaces.
    Dpdk,
}

/// The namespaces; gone with the value.
pub(super) struct Network {
    prefix: String,
}

impl Network {
    /// Makes them, after removing what an earlier run of this prefix left.
    pub(super) fn up(prefix: &str) -> miette::Result<Self> {
        let network = Self { prefix: prefix.to_owned() };
        network.down();
        for place in [Place::Load, Place::Proxy] {
            run(&["ip", "netns", "add", &network.name(place)])?;
            run(&["ip", "-n", &network.name(place), "link", "set", "lo", "up"])?;
            // What an administrator of a busy front server sets: queues for more than a few connections at once.
            for setting in ["net.core.somaxconn=65535", "net.ipv4.tcp_max_syn_backlog=65535"] {
                run(&["ip", "netns", "exec", &network.name(place), "sysctl", "-qw", setting])?;
            }
        }
        let [load, proxy] = [Place::Load, Place::Proxy].map(|place| network.name(place));
        for (far, near) in [("c0", "lv-client"), ("o0", "lv-origin")] {
            run(&[
                "ip", "link", "add", far, "netns", &load, "type", "veth", "peer", "name", near, "netns",
                &proxy,
            ])?;
        }
        for end in &ENDS {
            let quiet = format!("net.ipv6.conf.{}.disable_ipv6=1", end.interface);
            network.run_in(end.place, &["sysctl", "-qw", &quiet])?;
            run(&["ip", "-n", &network.name(end.place), "link", "set", end.interface, "up"])?;
        }
        Ok(network)
    }

    /// Gives the ends to the stacks of a measurement. `offloads` are those of all ends: no NIC hands unfinished
    /// checksums or frames of 64 KiB to the other side of a cable, and DPDK could not read them.
    pub(super) fn prepare(&self, load: Stack, proxy: Stack, offloads: bool) -> miette::Result<()> {
        let switch = if offloads { "on" } else { "off" };
        for end in &ENDS {
            let (stack, cpu) = match end.place {
                Place::Load => (load, LOAD_CPU),
                Place::Proxy => (proxy, SERVER_CPU),
            };
            let name = self.name(end.place);
            let features = ["tx", "rx", "tso", "gso", "gro"];
            let mut words = vec!["ethtool", "-K", end.interface];
            words.extend(features.iter().flat_map(|feature| [*feature, switch]));
            self.run_in(end.place, &words)?;
            run(&["ip", "-n", &name, "address", "flush", "dev", end.interface])?;
            if stack == Stack::Kernel {
                let address = format!("{}/24", end.address);
                run(&["ip", "-n", &name, "address", "add", &address, "dev", end.interface])?;
            }
            // A server on DPDK polls its CPU: a frame is put into its ring by the sender, as a NIC would put it.
            let steered = stack == Stack::Kernel || end.place == Place::Load;
            let mask = if steered { 1 << cpu } else { 0 };
            let queue = format!("echo {mask:x} >/sys/class/net/{}/queues/rx-0/rps_cpus", end.interface);
            self.run_in(end.place, &["sh", "-c", &queue])?;
        }
        Ok(())
    }

    /// A command in a namespace and on one CPU. The namespace's `ip` and `taskset` become the program: the
    /// process's id is the program's.
    pub(super) fn command(&self, place: Place, cpu: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), "taskset", "-c", &cpu.to_string()]).arg(program);
        command
    }

    /// What the names of this network begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    fn run_in(&self, place: Place, words: &[&str]) -> miette::Result<String> {
        let name = self.name(place);
        run(&[&["ip", "netns", "exec", &name], words].concat())
    }

    fn name(&self, place: Place) -> String {
        let last = match place {
            Place::Load => "load",
            Place::Proxy => "proxy",
        };
        format!("{}-{last}", self.prefix)
    }

    fn down(&self) {
        for place in [Place::Load, Place::Proxy] {
            let name = self.name(place);
            if !fs::exists(format!("/run/netns/{name}")).unwrap_or(false) {
                continue;
            }
            let inside = || run(&["ip", "netns", "pids", &name]).unwrap_or_default();
            let end = Instant::now() + Duration::from_secs(5);
            while !inside().trim().is_empty() && Instant::now() < end {
                for id in inside().split_whitespace().filter_map(|id| id.parse().ok()) {
                    let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
                }
                thread::sleep(Duration::from_millis(20));
            }
            if let Err(error) = run(&["ip", "netns", "delete", &name]) {
                eprintln!("levee-load: {error}");
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.down();
    }
}

/// A number of the kernel's that was too low, and is put back with the value.
pub(super) struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Sets `path` under `/proc/sys` to `value`, if it is less now.
    pub(super) fn at_least(path: &str, value: u64) -> miette::Result<Option<Self>> {
        let path = PathBuf::from("/proc/sys").join(path);
        let context = || format!("cannot set {}", path.display());
        let before = fs::read_to_string(&path).into_diagnostic().wrap_err_with(context)?;
        if before.trim().parse::<u64>().is_ok_and(|now| now >= value) {
            return Ok(None);
        }
        fs::write(&path, value.to_string()).into_diagnostic().wrap_err_with(context)?;
        Ok(Some(Self { path, before }))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if fs::write(&self.path, &self.before).is_err() {
            eprintln!("levee-load: {} was {}, and stays changed", self.path.display(), self.before.trim());
        }
    }
}

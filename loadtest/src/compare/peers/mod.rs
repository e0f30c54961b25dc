//! The servers that are compared: how each is configured, started, watched and stopped.

pub(super) mod account;
mod haproxy;
pub(super) mod levee;
mod nginx;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use miette::{Context, IntoDiagnostic, miette};

use super::lab::{Lab, Link};
use super::measure::Failure;
use super::network::{LOAD_CPU, ORIGIN, Place, SERVER, SERVER_CPU, Stack};
use super::process::{Process, run};
use super::rows::{Setup, Work};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// What is measured.
    Levee,
    /// What it is compared to.
    Nginx,
    /// The other that it is compared to.
    Haproxy,
}

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(60);

impl Peer {
    /// Its name, as its authors write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Levee => "Levee",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// What it says of its version.
    pub(super) fn version(self, levee: &Path) -> miette::Result<String> {
        let said = match self {
            Self::Levee => run(&[&levee.display().to_string(), "--version"]),
            // nginx says it on standard error.
            Self::Nginx => run(&["sh", "-c", "nginx -v 2>&1"]),
            Self::Haproxy => run(&["haproxy", "-v"]),
        };
        let said = said.wrap_err_with(|| match self {
            Self::Levee => "Levee is not built: `make build`, or `--levee FILE`".to_owned(),
            _ => format!("{} is not there: `etc/install-deps.sh bench`", self.name()),
        })?;
        let first = said.lines().next().unwrap_or_default();
        Ok(first.trim_start_matches("nginx version: ").to_owned())
    }

    /// Who speaks TCP for it.
    pub(super) const fn stack(self) -> Stack {
        match self {
            Self::Levee => Stack::Dpdk,
            Self::Nginx | Self::Haproxy => Stack::Kernel,
        }
    }

    /// Why it cannot do what a scenario asks for on this machine.
    pub(super) fn cannot(self, lab: &Lab, work: Work, setup: Setup) -> Option<String> {
        let needed = u64::from(setup.connections) + haproxy::OTHER_FILES;
        match (self, work) {
            (Self::Haproxy, Work::Idle) if needed > lab.open_files => Some(format!(
                "HAProxy is one process, which may have {} files open: too few for {} connections",
                lab.open_files, setup.connections
            )),
            _ => None,
        }
    }

    /// Starts it for a scenario, with the links it needs, and waits until it listens.
    pub(super) fn start(self, lab: &Lab, setup: Setup) -> miette::Result<Server> {
        self.connect(lab)?;
        let config = lab.file(&format!("{}.conf", self.name()));
        let text = match self {
            Self::Levee => levee::config(lab, setup),
            Self::Nginx => nginx::config(lab, setup)?,
            Self::Haproxy => haproxy::config(lab, setup)?,
        };
        fs::write(&config, text).into_diagnostic()?;
        let mut command = match self {
            Self::Levee => lab.network.command(Place::Proxy, SERVER_CPU, &lab.levee),
            Self::Nginx => lab.network.command(Place::Proxy, SERVER_CPU, "nginx"),
            Self::Haproxy => lab.network.command(Place::Proxy, SERVER_CPU, "haproxy"),
        };
        match self {
            Self::Levee => command.args(["run", "-c"]),
            Self::Nginx => command.arg("-c"),
            Self::Haproxy => command.args(["-db", "-f"]),
        };
        command.arg(&config);
        let origin = (lab.link == Link::KernelLoad).then(|| start_origin(lab)).transpose()?;
        let process = Process::start(self.name(), command, lab.file(&format!("{}.log", self.name())))?;
        let mut server = Server { peer: self, process, _origin: origin };
        let ready = |process: &Process| match self {
            Self::Levee => process.output().contains("levee is ready"),
            Self::Nginx | Self::Haproxy => listens(process, SERVER, 443),
        };
        wait_until(lab, self.name(), &mut server.process, ready)?;
        Ok(server)
    }

    fn connect(self, lab: &Lab) -> miette::Result<()> {
        match (lab.link, self.stack()) {
            (Link::Memif, _) => Ok(()),
            (Link::Veth, stack) => lab.network.prepare(Stack::Dpdk, stack, false),
            (Link::KernelLoad, Stack::Dpdk) => lab.network.prepare(Stack::Kernel, Stack::Dpdk, false),
            (Link::KernelLoad, Stack::Kernel) => lab.network.prepare(Stack::Kernel, Stack::Kernel, true),
        }
    }
}

/// The origin, where the load is not the origin too.
fn start_origin(lab: &Lab) -> miette::Result<Process> {
    let mut command = lab.network.command(Place::Load, LOAD_CPU, &lab.program);
    command.args(["origin", "--listen", &format!("{ORIGIN}:8080")]);
    let mut process = Process::start("the origin", command, lab.file("origin.log"))?;
    wait_until(lab, "the origin", &mut process, |process| listens(process, ORIGIN, 8080))?;
    Ok(process)
}

fn wait_until(
    lab: &Lab,
    name: &str,
    process: &mut Process,
    ready: impl Fn(&Process) -> bool,
) -> miette::Result<()> {
    let listens = lab.interrupt.wait(START, || match process.ended()? {
        Some(status) => Err(miette!("{name} ended with {status}:\n{}", process.last_words())),
        None => Ok(ready(process).then_some(())),
    })?;
    listens.ok_or_else(|| miette!("{name} does not listen after {START:?}:\n{}", process.last_words()))
}

/// Whether somebody listens there in the namespace of a process.
fn listens(process: &Process, address: Ipv4Addr, port: u16) -> bool {
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", process.id())).unwrap_or_default();
    let listener = listener(address, port);
    table.lines().any(|line| line.contains(&listener))
}

/// A line of `/proc/net/tcp`: the address as a number of this machine's, any remote one, state LISTEN.
fn listener(address: Ipv4Addr, port: u16) -> String {
    let number = u32::from_ne_bytes(address.octets());
    format!(" {number:08X}:{port:04X} 00000000:0000 0A ")
}

/// A server that runs.
pub(super) struct Server {
    peer: Peer,
    process: Process,
    _origin: Option<Process>,
}

impl Server {
    /// Its process, or the first of them.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Bytes of memory that its processes have, with their hugepages and page tables.
    pub(super) fn memory(&self) -> miette::Result<u64> {
        account::memory_of_group(self.process.id())
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.process.ended()? {
            Some(status) => Err(self.failure(&format!("ended with {status} in the middle"))),
            None => Ok(()),
        }
    }

    /// Ends it, and returns what Levee says of its time.
    pub(super) fn stop(mut self) -> Result<Option<levee::Account>, Failure> {
        let reason = match (self.process.stop()?, self.peer) {
            (None, _) => "did not end when it was asked to".to_owned(),
            (Some(status), Peer::Levee) if !status.success() => format!("ended with {status}"),
            (Some(_), Peer::Levee) => match levee::Account::read(&self.process.output()) {
                Ok(account) => return Ok(Some(account)),
                Err(reason) => reason,
            },
            (Some(_), Peer::Nginx | Peer::Haproxy) => return Ok(None),
        };
        Err(self.failure(&reason))
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::Run(format!("{} {reason}: {}", self.peer.name(), self.process.last_words()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::process::Interrupt;
    use super::*;

    #[test]
    fn a_listener_is_seen_in_the_kernels_table() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = listener(Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port());
        let seen = || fs::read_to_string("/proc/self/net/tcp").unwrap().contains(&wanted);
        assert!(seen(), "{wanted}");
        drop(socket);
        // A process that another test is about to start has the socket too until it becomes its program.
        let interrupt = Interrupt::new().unwrap();
        let gone = interrupt.wait(Duration::from_secs(5), || Ok((!seen()).then_some(())));
        assert!(gone.unwrap().is_some());
    }
}

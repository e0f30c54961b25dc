//! The load: this program again, as a child in the load's namespace and on its CPU.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use super::certificates::HOST;
use super::lab::{Lab, Link};
use super::measure::Failure;
use super::network::{LOAD, LOAD_CPU, ORIGIN, Place, SERVER};
use super::peers::Peer;
use super::process::Process;
use super::rows::{Scenario, Setup, Version, WarmUp, Work};
use crate::report::{Summary, read_json};

/// How long the load goes on, and at which rate if not as fast as the server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Amount {
    pub(super) time: Duration,
    pub(super) rate: Option<f64>,
}

/// How long a warm-up goes on, and with how many connections at most.
const WARM_UP: Amount = Amount { time: Duration::from_millis(500), rate: None };
const WARM_UP_CONNECTIONS: u32 = 64;

/// Addresses that connections come from, where they are many or new ones come fast.
const SOURCES: u32 = 8;

/// Connections that come from one address at most, out of some 60,000 ports.
const CONNECTIONS_PER_SOURCE: u32 = 20_000;

/// How long a load may take beyond its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of this program for some work with `peer`: what is done, not where from.
pub(super) fn arguments(peer: Peer, work: Work, setup: Setup, amount: Amount) -> Vec<String> {
    let mut words: Vec<String> = match work {
        Work::Handshake { mode, version, legitimate } => {
            let mut words = handshake(peer, mode, version, setup);
            words.extend(legitimate.into_iter().flat_map(|path| ["--legitimate".into(), path.to_owned()]));
            words
        }
        Work::Idle => {
            let mut words = handshake(peer, "stall", Version::Tls13, setup);
            words.extend(["--stage".into(), "established".into()]);
            words
        }
        Work::Http { path, per_request, pipeline } => {
            let url = format!("https://{SERVER}{path}");
            let mut words = vec!["http".into(), url, "--version".into(), "1.3".into()];
            words.extend(per_request.then(|| "--per-request".into()));
            let length = path.rsplit('/').next().filter(|length| length.parse::<u64>().is_ok());
            words.extend(length.into_iter().flat_map(|length| ["--expect-length".into(), length.to_owned()]));
            if pipeline > 1 {
                words.extend(["--pipeline".into(), pipeline.to_string()]);
            }
            words
        }
    };
    words.extend(["--name".into(), HOST.into(), "--connections".into(), setup.connections.to_string()]);
    words.extend(["--duration".into(), amount.time.as_secs_f64().to_string()]);
    words.extend(amount.rate.into_iter().flat_map(|rate| ["--rate".into(), format!("{rate:.0}")]));
    words
}

/// One suite for all servers, whatever their order of preference.
fn handshake(peer: Peer, mode: &str, version: Version, setup: Setup) -> Vec<String> {
    let kind = setup.certificate.kind();
    let (version, group, suite) = match version {
        Version::Tls13Hybrid if peer == Peer::Levee => {
            ("1.3", "x25519mlkem768", "TLS_AES_128_GCM_SHA256".to_owned())
        }
        Version::Tls13 | Version::Tls13Hybrid => ("1.3", "x25519", "TLS_AES_128_GCM_SHA256".to_owned()),
        Version::Tls12 => {
            ("1.2", "secp256r1", format!("TLS_ECDHE_{}_WITH_AES_128_GCM_SHA256", kind.to_uppercase()))
        }
    };
    let target = format!("{SERVER}:443");
    ["handshake", &target, "--mode", mode, "--close", "rst", "--version", version, "--suite", &suite]
        .into_iter()
        .chain(["--group", group, "--certificate", kind])
        .map(str::to_owned)
        .collect()
}

/// Where the load comes from: the devices of a link, addresses, and the origin if the server needs one.
fn devices(link: Link, prefix: &str, connections: u32, origin: bool) -> Vec<String> {
    let Some([front, behind]) = link.load_devices(prefix) else { return Vec::new() };
    let sources = SOURCES.max(connections.div_ceil(CONNECTIONS_PER_SOURCE));
    let mut words = vec!["--device".into(), front, "--address".into(), format!("{LOAD}/24")];
    words.extend(["--sources".into(), sources.to_string(), "--cpu".into(), LOAD_CPU.to_string()]);
    words.extend(["--memory".into(), memory_mib(connections).to_string()]);
    if origin {
        words.extend(["--origin".into(), format!("{behind}@{}:8080", subnet(ORIGIN))]);
    }
    words
}

fn subnet(address: Ipv4Addr) -> String {
    format!("{address}/24")
}

/// Packet memory of a load with so many connections, in MiB.
pub(super) fn memory_mib(connections: u32) -> u32 {
    if connections > CONNECTIONS_PER_SOURCE { 1024 } else { 512 }
}

/// A load that runs.
pub(super) struct Load {
    process: Process,
    summary: std::path::PathBuf,
    patience: Duration,
}

impl Load {
    /// Starts what a scenario does.
    pub(super) fn start(lab: &Lab, peer: Peer, scenario: &Scenario, amount: Amount) -> miette::Result<Self> {
        Self::spawn(lab, scenario, &arguments(peer, scenario.work, scenario.server, amount), amount.time)
    }

    /// Starts what comes before.
    pub(super) fn warm_up(
        lab: &Lab,
        peer: Peer,
        scenario: &Scenario,
        rate: Option<f64>,
    ) -> miette::Result<Self> {
        let work = match scenario.warm_up {
            WarmUp::Same => scenario.work,
            WarmUp::Requests(path) => Work::Http { path, per_request: false, pipeline: 1 },
            WarmUp::Handshakes => Work::Handshake { mode: "full", version: Version::Tls13, legitimate: None },
        };
        let connections = scenario.server.connections.min(WARM_UP_CONNECTIONS);
        // At the rate of the run: Levee's account has the warm-up in it.
        let rate = rate.filter(|_| scenario.is_http());
        let words =
            arguments(peer, work, Setup { connections, ..scenario.server }, Amount { rate, ..WARM_UP });
        Self::spawn(lab, scenario, &words, WARM_UP.time)
    }

    fn spawn(lab: &Lab, scenario: &Scenario, words: &[String], time: Duration) -> miette::Result<Self> {
        let summary = lab.file("load.json");
        // A summary of the run before must not be taken for this one's.
        let _ = fs::remove_file(&summary);
        let place = if lab.link == Link::Memif { Place::Proxy } else { Place::Load };
        let mut command: Command = lab.network.command(place, LOAD_CPU, &lab.program);
        let devices =
            devices(lab.link, lab.network.prefix(), scenario.server.connections, scenario.needs_origin());
        command.args(words).args(devices).arg("--quiet").arg("--json").arg(&summary);
        let process = Process::start("the load", command, lab.file("load.log"))?;
        Ok(Self { process, summary, patience: time + PATIENCE })
    }

    /// Waits for its end, and reads what it found out.
    pub(super) fn finish(mut self, lab: &Lab) -> Result<Summary, Failure> {
        let reason = match self.process.wait(self.patience, &lab.interrupt)? {
            Some(status) if status.success() => None,
            Some(status) => Some(format!("the load ended with {status}")),
            None => Some("the load did not end".to_owned()),
        };
        if let Some(reason) = reason {
            return Err(Failure::Run(format!("{reason}: {}", self.process.last_words())));
        }
        Ok(read_json(&self.summary)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::SCENARIOS;
    use super::*;

    fn words(peer: Peer, name: &str, seconds: f64, rate: Option<f64>) -> String {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let amount = Amount { time: Duration::from_secs_f64(seconds), rate };
        arguments(peer, scenario.work, scenario.server, amount).join(" ")
    }

    #[test]
    fn work_becomes_a_command_line() {
        assert_eq!(
            words(Peer::Levee, "full-tls12-rsa3072", 5.0, None),
            "handshake 10.9.1.1:443 --mode full --close rst --version 1.2 \
             --suite TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 --group secp256r1 --certificate rsa \
             --name bench.levee.test --connections 64 --duration 5"
        );
        assert_eq!(
            words(Peer::Levee, "flood-abandon", 5.0, None),
            "handshake 10.9.1.1:443 --mode abandon --close rst --version 1.3 --suite TLS_AES_128_GCM_SHA256 \
             --group x25519 --certificate ecdsa --legitimate /cached/1024 --name bench.levee.test \
             --connections 256 --duration 5"
        );
        assert_eq!(
            words(Peer::Levee, "per-request-1k", 2.5, Some(1234.5)),
            "http https://10.9.1.1/cached/1024 --version 1.3 --per-request --expect-length 1024 --name bench.levee.test \
             --connections 256 --duration 2.5 --rate 1234"
        );
        assert_eq!(
            words(Peer::Levee, "idle-10k", 18.0, Some(2000.0)),
            "handshake 10.9.1.1:443 --mode stall --close rst --version 1.3 --suite TLS_AES_128_GCM_SHA256 \
             --group x25519 --certificate ecdsa --stage established --name bench.levee.test --connections 10000 \
             --duration 18 --rate 2000"
        );
    }

    #[test]
    fn the_hybrid_is_for_levee_alone() {
        for (peer, group) in
            [(Peer::Levee, "x25519mlkem768"), (Peer::Nginx, "x25519"), (Peer::Haproxy, "x25519")]
        {
            let words = words(peer, "full-tls13-mlkem", 5.0, None);
            assert!(words.contains(" --version 1.3 ") && words.contains(&format!(" --group {group} ")));
        }
    }

    #[test]
    fn the_load_comes_by_the_devices_of_its_link() {
        assert!(devices(Link::KernelLoad, "p", 64, true).is_empty());
        let veth = devices(Link::Veth, "p", 100_000, true).join(" ");
        assert!(veth.starts_with("--device net_af_packet0,iface=c0,"), "{veth}");
        assert!(veth.contains(" --address 10.9.1.100/24 --sources 8 --cpu 0 --memory 1024 "), "{veth}");
        assert!(veth.ends_with("@10.9.2.2/24:8080"), "{veth}");
        let memif = devices(Link::Memif, "p", 64, false).join(" ");
        assert!(memif.contains("role=client") && memif.contains("socket=p-client"), "{memif}");
        assert!(!memif.contains("--origin"));
    }
}

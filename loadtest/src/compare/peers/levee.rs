//! Levee: configuration, and the account it gives at its end.

use serde::Deserialize;

use crate::compare::lab::{Lab, Link};
use crate::compare::network::{ORIGIN, SERVER, SERVER_BEHIND, SERVER_CPU};
use crate::compare::rows::Setup;

/// Connections besides those of clients: to the origin, and of clients that go as others come.
const OTHER_CONNECTIONS: u32 = 1024;

/// Packet memory that Levee takes for so many clients at most, in MiB.
pub(in crate::compare) fn memory_mib(connections: u32) -> u32 {
    448 + connections / 48
}

pub(super) fn config(lab: &Lab, setup: Setup) -> String {
    let [front, behind] = lab.link.server_devices(lab.network.prefix());
    let certificate = setup.certificate;
    let connections = setup.connections + OTHER_CONNECTIONS;
    let (chain, key) = (lab.certificates.chain(certificate), lab.certificates.key(certificate));
    // What memif has over shared memory that is one file.
    let arguments = if lab.link == Link::Memif { "args = [\"--single-file-segments\"]\n" } else { "" };
    format!(
        r#"[eal]
file_prefix = "{prefix}"
hugepages = "required"
{arguments}
[workers]
lcores = [{SERVER_CPU}]
connections = {connections}

[[port]]
name = "client"
device = "{front}"
address = "{SERVER}/24"

[[port]]
name = "origin"
device = "{behind}"
address = "{SERVER_BEHIND}/24"

[[listener]]
address = "{SERVER}:443"
certificates = ["bench"]

[[certificate]]
name = "bench"
chain = "{chain}"
key = "{key}"

[[backend]]
name = "origin"
servers = ["{ORIGIN}:8080"]

[[route]]
path = "/"
backend = "origin"

[[route]]
path = "/cached"
backend = "origin"
cache = true

[limits]
requests_per_connection = 1000000000

[timeouts]
request_head_ms = {patience}000
keepalive_ms = {patience}000
shutdown_ms = 100

[diagnostics]
cycles = true
"#,
        prefix = lab.network.prefix(),
        patience = setup.patience,
        chain = chain.display(),
        key = key.display(),
    )
}

/// What Levee says when it ends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::compare) struct Account {
    counters: Counters,
    cycles: Cycles,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Counters {
    handshakes: f64,
    responses: f64,
}

/// Cycles of the time-stamp counter, of all workers together.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Cycles {
    hz: f64,
    busy: f64,
    stages: Stages,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Stages {
    receive: f64,
    transmit: f64,
}

impl Account {
    /// Reads it off the last line of its kind.
    pub(super) fn read(output: &str) -> Result<Self, String> {
        let line = output.lines().rev().find(|line| line.starts_with('{') && line.contains("\"leaks\""));
        let line = line.ok_or_else(|| "gave no account when it ended".to_owned())?;
        serde_json::from_str(line)
            .map_err(|error| format!("gave an account that is not as expected: {error}"))
    }

    /// Handshakes it completed.
    pub(in crate::compare) fn handshakes(&self) -> f64 {
        self.counters.handshakes
    }

    /// Responses it sent.
    pub(in crate::compare) fn responses(&self) -> f64 {
        self.counters.responses
    }

    /// Seconds in which it had something to do.
    pub(in crate::compare) fn busy(&self) -> f64 {
        self.cycles.busy / self.cycles.hz
    }

    /// Those of them outside of receiving and sending frames.
    pub(in crate::compare) fn outside_pmd(&self) -> f64 {
        let stages = &self.cycles.stages;
        ((self.cycles.busy - stages.receive - stages.transmit) / self.cycles.hz).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read() {
        let output = "levee is ready\n{\"leaks\":{},\"held\":{},\"connections\":3,\"counters\":{\"handshakes\":9,\"responses\":4},\
             \"cycles\":{\"hz\":2e9,\"total\":9000000000,\"idle\":3000000000,\"busy\":6000000000,\"stages\":\
             {\"receive\":1000000000,\"tcp_in\":1,\"sessions\":1,\"engine\":1,\"aead\":1,\"tcp_out\":1,\
             \"transmit\":500000000}}}\nbye\n";
        let account = Account::read(output).unwrap();
        assert!((account.busy() - 3.0).abs() < 1e-9);
        assert!((account.outside_pmd() - 2.25).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_account_is_an_error() {
        assert!(Account::read("levee is ready\n").unwrap_err().contains("no account"));
        assert!(Account::read("{\"leaks\":{}}\n").unwrap_err().contains("not as expected"));
    }
}

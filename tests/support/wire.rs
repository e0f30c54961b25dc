//! `levee-load wire` between the clients and Levee.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::levee::binary;
use crate::network::Network;
use crate::process::Process;

/// The wire, as long as it is not stopped.
pub(crate) struct Wire {
    process: Process,
    json: PathBuf,
}

/// What a wire says that it did, from when it was there to its end.
#[derive(Clone, Debug)]
pub struct Passage(Value);

/// A direction through the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the clients to Levee.
    ToLevee,
    /// From Levee to the clients.
    ToClient,
}

/// Both directions.
pub const WAYS: [Way; 2] = [Way::ToLevee, Way::ToClient];

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

impl Wire {
    /// Closes the gap of `network`. The clients are at its a, Levee at its b.
    pub(crate) fn start(network: &Network, arguments: &str, directory: &Path) -> Self {
        let json = directory.join("wire.json");
        let mut command = network.gap().command(binary("levee-load"));
        // Hugepages are Levee's, and its CPU too.
        command.args(["wire", "--cpu", "1", "--memory", "64", "--hugepages", "off"]);
        for (index, (end, device)) in [("--a", "w-client"), ("--b", "w-proxy")].into_iter().enumerate() {
            command.args([end, &format!("net_af_packet{index},iface={device}")]);
        }
        command.args(arguments.split_whitespace()).arg("--json").arg(&json);
        let mut process = Process::start("wire", command, directory);
        process.wait_for_output("the wire is ready", START);
        Self { process, json }
    }

    /// Ends it by SIGTERM.
    ///
    /// # Panics
    /// When it does not end in time and well, or gives no account.
    pub(crate) fn stop(mut self) -> Passage {
        let status = self.process.stop();
        assert!(status.success(), "the wire ended with {status}");
        let account = fs::read(&self.json).expect("the wire gives an account when it ends");
        Passage(serde_json::from_slice(&account).expect("the account is JSON"))
    }
}

impl Passage {
    /// A counter of one direction, as `levee-load wire` calls it.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn counter(&self, way: Way, name: &str) -> u64 {
        let way = match way {
            Way::ToLevee => "a_to_b",
            Way::ToClient => "b_to_a",
        };
        self.0[way][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {}", self.0))
    }
}

//! What a run found out, as data: `Summary`, the object that `--json` writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One run of `handshake` or `http`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// `handshake` or `http`.
    pub kind: String,
    /// The arguments of the run.
    pub arguments: Vec<String>,
    /// Where it was done.
    pub machine: Machine,
    /// What the run was made of: the flood, or the requests.
    pub load: Part,
    /// A client that behaves, beside a flood.
    pub legitimate: Option<Part>,
    /// How the generator itself fared.
    pub generator: Generator,
}

/// One kind of work in a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// What is counted: `handshakes`, `client_hellos`, `connections` or `requests`.
    pub unit: String,
    /// Seconds that were counted.
    pub seconds: f64,
    /// Units that were begun.
    pub started: u64,
    /// Units that were completed, each verified.
    pub completed: u64,
    /// `completed` for each second.
    pub per_second: f64,
    /// Of these, handshakes that resumed a session.
    pub resumed: u64,
    /// Units that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Connections open when the run ended.
    pub open: u64,
    /// Body bytes received and verified.
    pub body_bytes: u64,
    /// From the beginning of a unit, or from when its rate said it should begin, to its end.
    pub latency: Latency,
    /// `completed` in each tenth of a second, in order.
    pub progress: Vec<u64>,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Values.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
    /// Half are below.
    pub p50: f64,
    /// 90 % are below.
    pub p90: f64,
    /// 99 % are below.
    pub p99: f64,
    /// 99.9 % are below.
    pub p999: f64,
    /// The whole of it for plots: share below (0 to 1) and value.
    pub distribution: Vec<(f64, f64)>,
}

/// The load side of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// Share of the generator's CPU time in which it had something to do: near 1, it was the limit.
    pub busy: f64,
    /// Frames sent; zero over kernel sockets.
    pub frames_out: u64,
    /// Frames received; zero over kernel sockets.
    pub frames_in: u64,
    /// Segments sent again by our TCP.
    pub retransmits: u64,
}

/// The machine a run was made on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// CPUs.
    pub cpus: usize,
    /// MiB of memory.
    pub memory_mib: u64,
    /// The kernel's name and release.
    pub kernel: String,
    /// The day of the run, as 2026-11-22.
    pub date: String,
    /// Version of this program.
    pub version: String,
}

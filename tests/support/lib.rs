//! What the end-to-end tests are made of: networks, peers, and Levee itself as a guarded process.
//!
//! Each thing is a value that undoes itself when dropped: namespaces are removed, processes are ended by
//! their id, and a test that fails shows the end of their output. Everything waits with a deadline.
#![forbid(unsafe_code)]

mod backend;
mod capture;
mod certificates;
mod client;
mod config;
mod corpus;
mod curl;
mod faulty_device;
mod levee;
mod manners;
mod network;
mod origin;
mod process;
mod site;
mod wire;

pub use backend::Backend;
pub use capture::{Capture, Segment};
pub use certificates::{Certificates, KINDS, Kind, NAME};
pub use client::{Client, Response, Tls, Version, read_response};
pub use config::Config;
pub use corpus::{Case, cases, unescape};
pub use curl::{Curl, Fetched};
pub use faulty_device::{Fault, FaultyDevice};
pub use levee::{Final, Levee, binary};
pub use manners::{Manners, Reading, Request};
pub use network::{CLIENT, Network, ORIGIN, PROXY_CLIENT_SIDE, PROXY_ORIGIN_SIDE, Place};
pub use origin::{Origin, Seen, answer};
pub use process::{Ended, Process, run};
pub use site::{ORIGIN_PORT, Site, start_origin};
pub use wire::{Passage, WAYS, Way};

use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The first `length` bytes of the origin's pattern.
#[must_use]
pub fn pattern(length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    levee_loadtest::pattern::write(&mut bytes, length).expect("writing to a Vec cannot fail");
    bytes
}

/// Asks `condition` until it answers.
///
/// # Panics
/// After `patience`, naming `what`.
pub fn wait_for<T>(what: &str, patience: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Peers of Levee for demonstrations, tests and measurements.
//!
//! | file | job |
//! |---|---|
//! | `handshake` | floods of handshakes, whole or left undone |
//! | `http` | requests, every response verified |
//! | `engine` | the public-key engines alone |
//! | `nic` | Levee's packet path alone, between rings of one process |
//! | `origin` | a backend whose every byte is known |
//! | `run` | one run: parties on a place, and the summary of it |
//! | `net` | how load reaches its target: our own TCP over DPDK, or the kernel's sockets |
//! | `channel`, `tally` | a connection's bytes with or without TLS; what is counted |
//! | `tls_options` | what a client offers |
//! | `target` | where load may be sent |
//! | `device` | DPDK from a command line |
//! | `paper` | two papers' tables, done again |
//! | `compare` | Levee beside other servers, in turn |
//! | `report` | what a run found out |
//! | `wire` | a bad network between two links |
#![forbid(unsafe_code)]

pub mod channel;
pub mod compare;
pub mod device;
pub mod engine;
pub mod handshake;
pub mod http;
pub mod net;
pub mod nic;
pub mod origin;
pub mod paper;
pub mod pattern;
pub mod report;
pub mod run;
pub mod tally;
pub mod target;
pub mod tls_options;
pub mod wire;

//! The proxy: from a configuration file to workers on their lcores.
//!
//! | file | job |
//! |---|---|
//! | `config` | a TOML file becomes a checked `Config`, or all that is wrong with it |
//! | `launch` | EAL, ports, pools, workers: the whole topology in one place |
//! | `worker` | the loop of an lcore: burst in, host, burst out |
//! | `host` | an lcore's stack and sessions, without devices or a clock |
//! | `session` | connections: TCP, TLS and HTTP meet |
//! | `upstream` | connections to backends, and which server is chosen |
//! | `route` | which backend a request goes to |
//! | `offload` | AEAD by DPDK cryptodev |
//! | `public_key` | public-key work by the batched engine and by DPDK cryptodev |
//! | `health` | which crypto devices are left out |
//! | `steer` | which lcore owns a flow |
//! | `control` | signals, status line, log files |
//! | `metrics`, `report`, `log` | what is counted, and said to people |
//! | `cycles` | where a worker's cycles go |
//! | `slab`, `deadlines` | tables of fixed size |
//! | `simulation` | for tests and fuzzing alone: the whole proxy in a world made of a seed |
#![forbid(unsafe_code)]

pub mod config;
pub mod launch;

mod control;
mod cycles;
mod deadlines;
mod generation;
mod health;
mod host;
mod lent;
mod log;
mod metrics;
mod offload;
mod public_key;
mod recipe;
mod report;
mod route;
mod session;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
mod slab;
mod steer;
#[cfg(test)]
mod testing;
mod time;
mod upstream;
mod worker;

pub use cycles::CycleSums;
pub use report::Report;

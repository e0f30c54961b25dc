//! Peers of Levee for demonstrations, tests and measurements.
//!
//! | file | job |
//! |---|---|
//! | `origin` | a backend on kernel sockets, whose every byte is known |
//! | `target` | where load may be sent |
//! | `device` | DPDK from a command line |
//! | `report` | what a run found out |
//! | `compare` | Levee beside other servers |
#![forbid(unsafe_code)]

pub mod compare;
pub mod device;
pub mod origin;
pub mod pattern;
pub mod report;
pub mod target;

//! Peers of Levee for demonstrations, tests and measurements.
//!
//! | file | job |
//! |---|---|
//! | `origin` | a backend on kernel sockets, whose every byte is known |
//! | `target` | where load may be sent |
//! | `device` | DPDK from a command line |
//! | `paper` | two papers' tables, done again |
//! | `report` | what a run found out |
#![forbid(unsafe_code)]

pub mod device;
pub mod origin;
pub mod paper;
pub mod pattern;
pub mod report;
pub mod target;

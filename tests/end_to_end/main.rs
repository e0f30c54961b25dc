//! Levee as its users meet it: the release binary on DPDK ports, in network namespaces, between clients
//! and servers that are not ours.
//!
//! Every test sets its scene up, and ends by stopping Levee and asking it what is left: nothing.
#![forbid(unsafe_code)]

mod cache;
mod commands;
mod crowds;
mod devices;
mod failures;
mod faults;
mod faulty_devices;
mod handshakes;
mod hostile_requests;
mod hostile_responses;
mod http;
mod impaired;
mod levee_load;
mod load;
mod logs;
mod privileges;
mod soak;
mod tcp;
mod tools;
mod transfers;
mod wire;

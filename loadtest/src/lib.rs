//! Peers of Levee for demonstrations, tests and measurements.
//!
//! They use kernel sockets and threads and share no code with the data path, so that what they see is
//! what any other client or server would see.
#![forbid(unsafe_code)]

pub mod origin;
pub mod pattern;

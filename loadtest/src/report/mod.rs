//! What a run found out, and how people and programs read it.

mod latency;
mod summary;

pub use latency::{Progress, Recorder};
pub use summary::{Generator, Latency, Machine, Part, Summary};

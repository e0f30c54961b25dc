//! What a run found out, and how people and programs read it.

mod summary;

pub use summary::{Generator, Latency, Machine, Part, Summary};

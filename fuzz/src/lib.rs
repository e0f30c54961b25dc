//! What a fuzzer runs: one module for each target, each a function of arbitrary bytes that panics when an
//! invariant does not hold.
//!
//! `fuzz_targets/` has the same functions as programs of libFuzzer (`README.md` tells how to run them);
//! `tests/replay.rs` runs each over its committed corpus.
#![forbid(unsafe_code)]

pub mod chunked;
pub mod frame;
mod link;
pub mod proxy;
pub mod segments;

/// A target: the name of its program and corpus, and what runs one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] =
    &[("chunked", chunked::run), ("frame", frame::run), ("proxy", proxy::run), ("segments", segments::run)];

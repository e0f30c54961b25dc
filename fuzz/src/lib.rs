//! What a fuzzer runs: one module for each target, each a function of arbitrary bytes that panics when an
//! invariant does not hold.
//!
//! `fuzz_targets/` has the same functions as programs of libFuzzer (`README.md` tells how to run them);
//! `tests/replay.rs` runs each over its committed corpus.
#![forbid(unsafe_code)]

pub mod cache_control;
pub mod chunked;
pub mod client_hello;
pub mod configuration;
pub mod frame;
pub mod handshake;
pub mod http_head;
mod link;
pub mod proxy;
pub mod segments;
pub mod tls_records;

/// What the tests of `http` share.
#[path = "../../http/tests/support/mod.rs"]
mod http;
/// What the tests of `tls` share.
#[path = "../../tls/tests/support/mod.rs"]
mod tls;

/// A target: the name of its program and corpus, and what runs one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("cache_control", cache_control::run),
    ("chunked", chunked::run),
    ("client_hello", client_hello::run),
    ("configuration", configuration::run),
    ("frame", frame::run),
    ("handshake", handshake::run),
    ("http_head", http_head::run),
    ("proxy", proxy::run),
    ("segments", segments::run),
    ("tls_records", tls_records::run),
];

/// A TLS server with one certificate: with more, reading their keys would be most of a target's work.
fn rig() -> tls::Rig {
    tls::Rig::with(&[&tls::identities().ecdsa], tls::options())
}

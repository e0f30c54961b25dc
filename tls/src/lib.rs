//! A TLS server without IO: TLS 1.3 (RFC 8446) and TLS 1.2 (RFC 5246 with ECDHE and AEAD only). And, in
//! [`load`], a client for load generators and tests that shares its records and keys, and keeps no secret.
//!
//! A [`Connection`] takes wire bytes as a chain, split anywhere, and gives application bytes in the
//! segments they came in; it gives wire bytes at the moment TCP asks for them. It never computes: public
//! keys go to the [`Engine`](levee_crypto::Engine) and records to the [`Aead`](levee_crypto::Aead) of
//! [`Out`], which answer at once or later. It has no clock, no socket and no allocation of its own.
//!
//! # Calls
//!
//! | call | when | after it |
//! |---|---|---|
//! | [`Connection::input`] | TCP has bytes | `read`, `fill` |
//! | [`Connection::on_job`] | the engine finished a job of ours | `read`, `fill` |
//! | [`Connection::on_aead`] | the AEAD engine finished a record of ours | `read`, `fill` |
//! | [`Connection::resume`] | a turn after [`Connection::wants_resume`] | `read`, `fill` |
//! | [`Connection::fill`] | TCP may send | send; close when [`Connection::send_closed`] |
//! | [`Connection::close`] | no more plaintext will come | `fill` |
//! | [`Connection::release`] | once, before the drop | |
//!
//! An error leaves the connection with an alert to give: `fill` until [`Connection::send_closed`].
//!
//! # Memory
//!
//! Received bytes stay in their chain; a record is opened where it lies and a handshake message is read
//! there, unless it crosses segments: then it alone is copied ([`Counters::gathered`]). A flight is
//! written into one segment. What the peer can make us hold: the chains given to `input`, which the
//! caller bounds by [`Connection::buffered`]; one handshake slot of [`Server`]; a ClientHello of 16 KiB.
//!
//! The key of a certificate is named by its [`KeyId`](levee_crypto::KeyId); its kind is read from the
//! leaf. [`Server`] stands between [`ServerConfig`] and connections: it is a worker's handle, with
//! preallocated slots for handshakes, so that an established connection carries no handshake state.
#![forbid(unsafe_code)]

mod codec;
mod config;
mod connection;
mod counters;
mod ending;
mod error;
mod handshake;
mod keys;
pub mod load;
mod messages;
mod names;
mod record;
mod server;
mod suite;
mod transcript;

pub use config::{
    CertificateEntry, ConfigError, DEFAULT_KEY_LIMIT, MAX_CERTIFICATE_MESSAGE, Options, ServerConfig,
};
pub use connection::Connection;
pub use counters::Counters;
pub use ending::Filled;
pub use error::{Alert, Blame, Error};
pub use handshake::Established;
pub use server::{KeyLog, Out, SLOT_SIZE, Server};
pub use suite::{Suite, Version};

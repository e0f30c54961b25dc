//! A TLS client **for load and for tests alone**: whoever listens can read all that it says.
//!
//! Its key share is the generator of the group itself: u = 9 of X25519, G of P-256 and P-384, as though its
//! private key were one. So the agreed secret is the server's own share, which lies in the open (its 32 bytes;
//! its x coordinate), and costs nothing. Of the hybrid it sends an ML-KEM key that hides nothing besides, and
//! reads the secret from the ciphertext (`mlkem.rs`). The server's work is what it always is: the share is a
//! valid point of full order, the key a valid one, and agreement and encapsulation take constant time. A core so
//! carries many more handshakes than the server it measures. Never send anything through it that is worth a
//! secret.
//!
//! For the same reason it trusts whoever answers: [`Verify`] looks at signatures at most, never at who
//! issued a certificate. The server's Finished is always verified.
//!
//! What it speaks: TLS 1.3 (RFC 8446) with HelloRetryRequest, tickets, psk_dhe_ke and KeyUpdate; TLS 1.2
//! (RFC 5246 with ECDHE and AEAD only) with tickets (RFC 5077), session ids and renegotiation (RFC 5746).
//! Neither early data nor client certificates: a server that insists on one is refused.
//!
//! # Calls
//!
//! | call | when | after it |
//! |---|---|---|
//! | [`Client::fill`] | TCP may send; the first one gives the ClientHello | send, `read`; close when [`Client::send_closed`] |
//! | [`Client::input`] | TCP has bytes | `read`, `fill` |
//! | [`Client::on_aead`] | the AEAD engine finished a record of ours | `read`, `fill` |
//! | [`Client::resume`] | a turn after [`Client::wants_resume`] | `read`, `fill` |
//! | [`Client::close`] | no more plaintext will come | `fill` |
//! | [`Client::release`] | once, before the drop | |
//!
//! A flight of ours is written when `fill` asks for it, and what came behind the server's is looked at
//! only then. So a caller that does not call `fill` stops a handshake where it stands: see [`Stage`].
//!
//! An error leaves the client with an alert to give: `fill` until [`Client::send_closed`].
//!
//! # Memory
//!
//! As of [`Connection`](crate::Connection). A server can make us hold: the chains given to `input`; one
//! handshake slot of [`ClientHandle`]; handshake messages of 64 KiB; its newest 16 tickets of at most
//! 4 KiB, and those that handshakes under way have offered.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod client;
mod config;
mod handshake;
mod hello;
mod mlkem;
mod tickets;
mod tls12;
mod tls13;
mod traffic;

pub use client::Client;
pub use config::{ClientHandle, ClientOptions, ClientOut, Verify};
use levee_crypto::{Group, SignatureScheme};

use crate::suite::{Suite, Version};

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nothing was sent.
    Start,
    /// The ClientHello was given out.
    HelloSent,
    /// A ServerHello came; after a HelloRetryRequest that is the second one.
    HelloReceived,
    /// The server's flight came, and it waits for the rest of ours: until [`Client::fill`] is called, and
    /// in TLS 1.2 until the server's Finished.
    FlightReceived,
    /// The handshake is complete.
    Established,
    /// The connection failed, or the peer closed it, or it was released.
    Over,
}

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientEstablished {
    /// The version.
    pub version: Version,
    /// The cipher suite.
    pub suite: Suite,
    /// The group of the key agreement; there is none in a session of TLS 1.2 that was resumed.
    pub group: Option<Group>,
    /// How the server signed; not at all, when the session was resumed.
    pub scheme: Option<SignatureScheme>,
    /// Whether a ticket or a session id of an earlier connection was taken.
    pub resumed: bool,
    /// The application protocol, as an index into [`ClientOptions::alpn`].
    pub protocol: Option<u8>,
}

//! A client connection: `Client` and what it is doing.

use std::net::SocketAddr;

use levee_buf::Memory;
use levee_http::h1::HeadScanner;
use levee_tcp::ConnId;

use super::exchange::{Exchange, Stage};
use crate::slab::Key;

/// A connection that a client opened.
pub(super) struct Client<M: Memory> {
    pub(super) conn: ConnId,
    /// Index in the configuration's listeners.
    pub(super) listener: u16,
    pub(super) peer: SocketAddr,
    /// `None` on a plain listener.
    pub(super) tls: Option<levee_tls::Connection<M>>,
    /// Bytes taken from TCP whose room has not been given back to the peer's window.
    pub(super) received: usize,
    /// Plain bytes from the client, not yet made use of.
    pub(super) inbound: M::Chain,
    /// Plain bytes for the client, not yet sealed.
    pub(super) outbound: M::Chain,
    pub(super) scanner: HeadScanner,
    pub(super) phase: Phase<M>,
    pub(super) requests: u64,
    /// The client has ended its side of the TCP connection.
    pub(super) fin: bool,
    /// The client will say no more: what it sent is all in `inbound`.
    pub(super) peer_done: bool,
    /// The last response was cut off: the stream ends without close_notify, which tells the client.
    pub(super) truncated: bool,
    /// Bytes moved since the deadline was last set.
    pub(super) progress: bool,
    /// In the list of clients to be looked at.
    pub(super) touched: bool,
}

/// What a client connection is doing.
pub(super) enum Phase<M: Memory> {
    /// The TLS handshake; counted against the limit of those.
    Handshake,
    /// Reading the head of a request, or waiting for one.
    Request,
    /// Answering one.
    Exchange(Exchange<M>),
    /// Passing bytes both ways after an upgrade.
    Tunnel(Key),
    /// Sending what is left, then our end of the stream.
    Closing,
    /// All is sent: waiting for the client to close, so that it reads our last bytes before a reset
    /// could take them away (RFC 9112 section 9.6).
    Lingering,
}

/// What a client connection waits for, each with its timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Handshake,
    RequestHead,
    RequestBody,
    ResponseTaken,
    Keepalive,
    Tunnel,
    Linger,
    /// Another's fetch into the cache.
    Fetch,
}

impl Wait {
    pub(super) const ALL: [Self; 8] = [
        Self::Handshake,
        Self::RequestHead,
        Self::RequestBody,
        Self::ResponseTaken,
        Self::Keepalive,
        Self::Tunnel,
        Self::Linger,
        Self::Fetch,
    ];

    /// Whether bytes that move start the wait anew. Heads and handshakes are to be there as a whole in
    /// their time: else a byte a second holds a connection for ever.
    pub(super) const fn restarts(self) -> bool {
        matches!(self, Self::RequestBody | Self::ResponseTaken | Self::Tunnel)
    }
}

impl<M: Memory> Client<M> {
    pub(super) fn new(
        conn: ConnId,
        listener: u16,
        peer: SocketAddr,
        tls: Option<levee_tls::Connection<M>>,
    ) -> Self {
        let phase = if tls.is_some() { Phase::Handshake } else { Phase::Request };
        Self {
            conn,
            listener,
            peer,
            tls,
            received: 0,
            inbound: M::Chain::default(),
            outbound: M::Chain::default(),
            scanner: HeadScanner::default(),
            phase,
            requests: 0,
            fin: false,
            peer_done: false,
            truncated: false,
            progress: false,
            touched: false,
        }
    }

    /// Bytes for the client wait here or in TLS.
    pub(super) fn has_output(&self) -> bool {
        !levee_buf::Pieces::is_empty(&self.outbound)
            || self.tls.as_ref().is_some_and(levee_tls::Connection::wants_write)
    }

    /// What the connection waits for on the client's side; `None` when it is the backend's turn.
    pub(super) fn wait(&self) -> Option<Wait> {
        match &self.phase {
            Phase::Handshake => Some(Wait::Handshake),
            Phase::Lingering => Some(Wait::Linger),
            Phase::Tunnel(_) => Some(Wait::Tunnel),
            Phase::Closing => Some(Wait::ResponseTaken),
            Phase::Exchange(exchange) if exchange.is_parked() => Some(Wait::Fetch),
            _ if self.has_output() => Some(Wait::ResponseTaken),
            Phase::Request if levee_buf::Pieces::is_empty(&self.inbound) => Some(Wait::Keepalive),
            Phase::Request => Some(Wait::RequestHead),
            Phase::Exchange(exchange) if exchange.wants_request_body() => Some(Wait::RequestBody),
            Phase::Exchange(_) => None,
        }
    }

    /// Notes that the client is done once it has ended its side and nothing of what it sent is still being
    /// decrypted.
    pub(super) fn see_end(&mut self) {
        self.peer_done |= match &self.tls {
            Some(tls) => tls.peer_closed() || self.fin && (tls.wants_input() || tls.error().is_some()),
            None => self.fin,
        };
    }

    /// Nothing that the client sends is of interest any more.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Lingering)
    }

    /// What it holds of the bytes of the backend that it is tied to. What an entry has of them is the cache's.
    pub(super) const fn relayed(&self) -> &M::Chain {
        match &self.phase {
            Phase::Exchange(exchange) if matches!(exchange.stage, Stage::Filling(..)) => &exchange.rest,
            _ => &self.outbound,
        }
    }

    /// The backend connection it is tied to.
    pub(super) const fn upstream(&self) -> Option<Key> {
        match &self.phase {
            Phase::Tunnel(upstream) => Some(*upstream),
            Phase::Exchange(exchange) => exchange.upstream(),
            _ => None,
        }
    }
}

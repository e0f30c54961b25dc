//! Connections to backends: `Upstream`, and `pool` that chooses among servers.

pub(crate) mod pool;

use levee_buf::Memory;
use levee_http::h1::HeadScanner;
use levee_tcp::ConnId;

use crate::slab::Key;
use pool::ServerId;

/// A connection to a backend's server.
pub(crate) struct Upstream<M: Memory> {
    pub(crate) conn: ConnId,
    pub(crate) server: ServerId,
    /// The client whose request it carries; `None` while it waits in the pool.
    pub(crate) client: Option<Key>,
    /// TCP is established.
    pub(crate) connected: bool,
    /// It has carried a request before: the backend may be closing it at this moment.
    pub(crate) reused: bool,
    /// Bytes of the present request that TCP has taken.
    pub(crate) asked: usize,
    /// Bytes taken from TCP whose room has not been given back to the backend's window.
    pub(crate) received: usize,
    /// Bytes from the backend, not yet made use of.
    pub(crate) inbound: M::Chain,
    /// Bytes for the backend, not yet sent.
    pub(crate) outbound: M::Chain,
    pub(crate) scanner: HeadScanner,
    /// The backend will send no more.
    pub(crate) fin: bool,
    /// TCP has ended the connection: nothing can be sent either.
    pub(crate) closed: bool,
    /// It ended by a reset or by a timeout: what was received may not be all.
    pub(crate) broken: bool,
    /// Our end of the stream follows `outbound`.
    pub(crate) finishing: bool,
    /// Bytes moved since the deadline was last set.
    pub(crate) progress: bool,
}

impl<M: Memory> Upstream<M> {
    pub(crate) fn new(conn: ConnId, server: ServerId, client: Key) -> Self {
        Self {
            conn,
            server,
            client: Some(client),
            connected: false,
            reused: false,
            asked: 0,
            received: 0,
            inbound: M::Chain::default(),
            outbound: M::Chain::default(),
            scanner: HeadScanner::default(),
            fin: false,
            closed: false,
            broken: false,
            finishing: false,
            progress: false,
        }
    }
}

/// What a connection to a backend waits for; each backend has its own timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The handshake of TCP.
    Connect,
    /// The response, or more of it.
    Response,
}

impl Wait {
    /// The queue of deadlines for this wait on `backend`.
    pub(crate) fn queue(self, backend: u16) -> usize {
        usize::from(backend) * 2 + usize::from(self == Self::Response)
    }
}

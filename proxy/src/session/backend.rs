//! Connections to backends: opened for a request, given back, lost, and the request tried again.

use levee_buf::{Chain, Memory, Pieces};
use levee_http::h1::{HeadScanner, encode};
use levee_http::{Length, RequestHead, Version};
use levee_tcp::{ConnId, ConnectError, Ready, Stack};

use super::client::Phase;
use super::exchange::{Exchange, Stage};
use super::{Owner, Sessions};
use crate::config::Server;
use crate::metrics::Counter;
use crate::slab::Key;
use crate::upstream::Upstream;
use crate::upstream::pool::{Choice, ServerId, Tried};

/// How a backend let a request down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letdown {
    /// No connection.
    Connect,
    /// The connection ended before the response.
    Lost,
    /// No answer in time.
    Timeout,
    /// An answer that is none.
    Invalid,
    /// Bytes that came before the request had reached it.
    Unasked,
}

impl Letdown {
    const fn counter(self) -> Counter {
        match self {
            Self::Connect => Counter::UpstreamConnectFailed,
            Self::Lost => Counter::UpstreamLost,
            Self::Timeout => Counter::UpstreamTimeout,
            Self::Invalid => Counter::UpstreamInvalid,
            Self::Unasked => Counter::UpstreamUnasked,
        }
    }

    /// RFC 9110 sections 15.6.3 and 15.6.5.
    const fn status(self) -> u16 {
        match self {
            Self::Connect | Self::Lost | Self::Invalid | Self::Unasked => 502,
            Self::Timeout => 504,
        }
    }
}

impl<M: Memory> Sessions<M> {
    /// Ties the client's exchange to a connection to its backend and queues the request's head on it.
    /// Otherwise the client is answered with an error.
    pub(super) fn request_backend(
        &mut self,
        key: Key,
        request: &RequestHead<'_>,
        tried: Option<Tried>,
        stack: &mut Stack<M>,
    ) {
        let Some(backend) = self.exchange(key).map(|exchange| exchange.backend) else { return };
        let upstream = match self.pools.choose(backend, tried, self.now.instant.0) {
            Choice::Full => {
                self.counters.count(Counter::UpstreamFull);
                self.answer_error(key, 503, stack);
                return;
            }
            Choice::Connect(server) => self.connect(key, server, stack),
            Choice::Reuse(upstream, _) => {
                self.reuse(key, upstream);
                Some(upstream)
            }
        };
        let Some(upstream) = upstream else {
            self.answer_error(key, 502, stack);
            return;
        };
        self.set_stage(key, Stage::Requested(upstream));
        if !(self.send_request(key, request, upstream) && self.repeat_end(key, upstream)) {
            self.shed(key, stack);
        }
    }

    /// A chunked body that was read to its end before the first try failed was empty, or there would be no
    /// second one: its last chunk is due again. False without memory for it.
    fn repeat_end(&mut self, key: Key, upstream: Key) -> bool {
        let due = |exchange: &mut Exchange<M>| exchange.length == Length::Chunked && exchange.body_done;
        if !self.exchange(key).is_some_and(due) {
            return true;
        }
        let Some(upstream) = self.upstreams.get_mut(upstream) else { return false };
        encode::last_chunk(&self.memory, &mut upstream.outbound).is_ok()
    }

    fn connect(&mut self, key: Key, id: ServerId, stack: &mut Stack<M>) -> Option<Key> {
        let backend = self.config.backends.get(usize::from(id.backend))?;
        let server = backend.servers.get(usize::from(id.server))?;
        let server = *server;
        let mut opened = self.open(&server, stack);
        if opened == Err(ConnectError::Full)
            && let Some(idle) = self.pools.any_idle()
        {
            // A request goes before a connection that waits for one.
            self.drop_upstream(idle, stack);
            opened = self.open(&server, stack);
        }
        let inserted = opened.ok().and_then(|conn| {
            self.upstreams
                .insert(Upstream::new(conn, id, key))
                .map_err(|_| stack.abort(conn))
                .ok()
                .map(|key| (conn, key))
        });
        let Some((conn, upstream)) = inserted else {
            self.pools.lost(id);
            self.counters.count(Counter::UpstreamConnectFailed);
            return None;
        };
        self.set_owner(conn, Owner::Upstream(upstream));
        self.counters.count(Counter::UpstreamConnects);
        Some(upstream)
    }

    fn open(&self, server: &Server, stack: &mut Stack<M>) -> Result<ConnId, ConnectError> {
        let mut owns = |local| self.steering.owns(server.port, local, server.address);
        stack.connect(server.source, server.address, self.now.instant, &mut owns)
    }

    /// Ends an idle connection to a server where TCP has no room for another client.
    pub(crate) fn make_room(&mut self, stack: &mut Stack<M>) {
        if stack.is_full()
            && let Some(idle) = self.pools.any_idle()
        {
            self.drop_upstream(idle, stack);
        }
    }

    /// Ties a connection out of the pool to the client.
    fn reuse(&mut self, key: Key, upstream: Key) {
        let Some(upstream) = self.upstreams.get_mut(upstream) else { return };
        upstream.client = Some(key);
        upstream.reused = true;
        upstream.asked = 0;
        upstream.scanner = HeadScanner::default();
        self.counters.count(Counter::UpstreamReused);
    }

    /// Something happened to a connection to a backend.
    pub(super) fn on_upstream(&mut self, key: Key, ready: Ready, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.connected |= ready.connected;
        if ready.readable {
            let bytes = stack.recv(upstream.conn);
            upstream.received += bytes.len();
            upstream.inbound.append(bytes);
        }
        upstream.progress |= ready.readable || ready.connected;
        if let Some(reason) = ready.closed {
            upstream.closed = true;
            upstream.broken |= reason != levee_tcp::Reason::Finished && !upstream.fin && !ready.fin;
        }
        upstream.fin |= ready.fin || upstream.closed;
        // Whoever has not yet acknowledged a byte of the request has not said this in answer to it.
        let unasked = stack.in_flight(upstream.conn) >= upstream.asked;
        match upstream.client {
            Some(client) if unasked && !upstream.inbound.is_empty() => {
                self.let_down(client, key, Letdown::Unasked, stack);
                self.touch(client);
            }
            Some(client) => {
                if ready.closed.is_some() {
                    self.on_upstream_closed(key, client, stack);
                }
                self.touch(client);
            }
            // Nothing was asked: whatever an idle connection says or does, it is of no use any more.
            None if upstream.fin || !upstream.inbound.is_empty() => {
                let server = upstream.server;
                self.pools.lost_idle(server, key);
                self.remove_upstream(key, stack);
            }
            None => {}
        }
    }

    /// The connection has ended, by its peer or by TCP: what it had said is still worth reading.
    fn on_upstream_closed(&mut self, key: Key, client: Key, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.outbound = M::Chain::default();
        if !upstream.connected {
            self.let_down(client, key, Letdown::Connect, stack);
        }
    }

    pub(super) fn on_upstream_deadline(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        let Some(client) = upstream.client else { return };
        let letdown = if upstream.connected { Letdown::Timeout } else { Letdown::Connect };
        self.let_down(client, key, letdown, stack);
        self.touch(client);
    }

    /// The backend failed the client's request: another server is tried if nothing can have happened by
    /// the first try, else the client is told.
    pub(super) fn let_down(&mut self, key: Key, upstream: Key, letdown: Letdown, stack: &mut Stack<M>) {
        let Some(up) = self.upstreams.get(upstream) else { return };
        let (server, reused, unsent) = (up.server, up.reused, up.asked == 0);
        // What was not asked for is no answer, and what makes no sense is one.
        let silent = letdown == Letdown::Unasked || letdown != Letdown::Invalid && up.inbound.is_empty();
        self.counters.count(letdown.counter());
        // A kept connection may have been closed for its age just when it was used again, or long before by a server
        // that was not heard.
        let was_gone = reused && matches!(letdown, Letdown::Lost | Letdown::Unasked);
        if !was_gone {
            self.pools.failed(server, self.now.instant.0);
        }
        self.drop_upstream(upstream, stack);
        let Some(client) = self.clients.get_mut(key) else { return };
        let Phase::Exchange(exchange) = &mut client.phase else { return };
        if !matches!(exchange.stage, Stage::Requested(_)) {
            self.counters.count(Counter::UpstreamTruncated);
            self.cut_off(key, stack);
            return;
        }
        let unsent = unsent || letdown == Letdown::Connect;
        if silent && exchange.interim == 0 && exchange.may_retry(unsent, was_gone) {
            self.counters.count(Counter::UpstreamRetries);
            let tried = Some(Tried { server, was_gone });
            self.with_request(key, |this, request| this.request_backend(key, request, tried, stack));
        } else {
            self.answer_error(key, letdown.status(), stack);
        }
    }

    /// The response ends before its time. What there is of it goes out; then the missing rest shows in the
    /// framing, or, to a client of HTTP/1.0 whose framing is the end of the connection, by a reset.
    fn cut_off(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(exchange) = self.exchange(key) else { return };
        let (framed, stage) = (exchange.version == Version::Http11, exchange.stage);
        match stage {
            _ if !framed => self.drop_client(key, stack),
            Stage::Filling(_, serving) => self.serve_cut(key, serving),
            _ => self.end_short(key, stack),
        }
    }

    /// Ends the client's connection after what is queued, so that it notices that something is missing.
    pub(super) fn end_short(&mut self, key: Key, stack: &mut Stack<M>) {
        self.end_exchange_of(key, stack);
        let Some(client) = self.clients.get_mut(key) else { return };
        client.truncated = true;
        client.phase = Phase::Closing;
        self.touch(key);
    }

    /// The response is complete: keeps the connection for another request if it can take one.
    pub(super) fn finish_upstream(&mut self, key: Key, reusable: bool, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        self.pools.answered(upstream.server);
        let clean = upstream.inbound.is_empty() && upstream.outbound.is_empty() && !upstream.fin;
        if !(reusable && clean) {
            self.drop_upstream_when_sent(key, stack);
            return;
        }
        upstream.client = None;
        // What the client has not taken yet is bounded by its own connection from here on.
        let rest = std::mem::take(&mut upstream.received);
        stack.consumed(upstream.conn, rest);
        self.upstream_deadlines.clear(key.index());
        if !self.pools.give_back(upstream.server, key) {
            self.remove_upstream(key, stack);
        }
    }

    /// Resets a connection that carries a request, and forgets it.
    pub(super) fn drop_upstream(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        let (conn, server, idle) = (upstream.conn, upstream.server, upstream.client.is_none());
        stack.abort(conn);
        if idle {
            self.pools.lost_idle(server, key);
        } else {
            self.pools.lost(server);
        }
        self.remove_upstream(key, stack);
    }

    /// Ends a connection in good order where everything is sent, and forgets it.
    pub(super) fn drop_upstream_when_sent(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        if !upstream.outbound.is_empty() {
            self.drop_upstream(key, stack);
            return;
        }
        self.pools.lost(upstream.server);
        self.remove_upstream(key, stack);
    }

    fn remove_upstream(&mut self, key: Key, stack: &mut Stack<M>) {
        self.upstream_deadlines.clear(key.index());
        let Some(upstream) = self.upstreams.remove(key) else { return };
        self.disown(upstream.conn, Owner::Upstream(key));
        stack.release(upstream.conn);
    }
}

//! How fast a client goes: room in TCP windows, and deadlines.
//!
//! # Back-pressure
//!
//! Received bytes give their room in the TCP window back only when nothing here holds them any more: what
//! a client sends waits in its TLS connection, in `inbound` or in the backend's `outbound`; what a backend
//! sends waits in its `inbound` or in the client's `outbound`. So each side of a connection holds at most
//! one receive buffer, whatever the other side does; answers to pipelined requests may wait up to a send
//! buffer. What goes into a cache entry is the cache's, within its limits: others wait for it, so that it goes at
//! the backend's pace and not at its first client's.

use levee_buf::{Memory, Pieces};
use levee_tcp::{ConnId, Stack};

use super::Sessions;
use super::client::{Phase, Wait};
use crate::metrics::Counter;
use crate::slab::Key;
use crate::upstream;

impl<M: Memory> Sessions<M> {
    /// Ends what has waited too long; a bounded number a call.
    pub(crate) fn run_deadlines(&mut self, stack: &mut Stack<M>) {
        let now_ns = self.now.instant.0;
        for _ in 0..DEADLINES_A_TURN {
            let Some((index, queue)) = self.client_deadlines.due(now_ns) else { break };
            if let (Some(key), Some(&wait)) = (self.clients.key_at(index), Wait::ALL.get(queue)) {
                self.on_client_deadline(key, wait, stack);
            }
        }
        for _ in 0..DEADLINES_A_TURN {
            let Some((index, _)) = self.upstream_deadlines.due(now_ns) else { break };
            if let Some(key) = self.upstreams.key_at(index) {
                self.on_upstream_deadline(key, stack);
            }
        }
    }

    /// When [`Sessions::run_deadlines`] has something to do, in nanoseconds.
    #[must_use]
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        let both = [self.client_deadlines.next_ns(), self.upstream_deadlines.next_ns()];
        both.into_iter().flatten().min()
    }

    /// Gives the room of bytes that are gone back to their sender, sets the deadlines, and has TCP ask for
    /// what is there.
    pub(super) fn settle(&mut self, key: Key, stack: &mut Stack<M>) {
        let now_ns = self.now.instant.0;
        let Some(client) = self.clients.get_mut(key) else { return };
        let tied = client.upstream();
        let mut is_connecting = false;
        let mut held = client.inbound.len() + client.tls.as_ref().map_or(0, levee_tls::Connection::buffered);
        if let Some((key, upstream)) = tied.and_then(|key| Some((key, self.upstreams.get_mut(key)?))) {
            held += upstream.outbound.len();
            is_connecting = !upstream.connected;
            let passed_on = client.relayed();
            give_back(
                stack,
                upstream.conn,
                &mut upstream.received,
                upstream.inbound.len() + passed_on.len(),
                || upstream.inbound.segments() + passed_on.segments(),
            );
            if upstream.connected && (!upstream.outbound.is_empty() || upstream.finishing) {
                stack.wake(upstream.conn);
            }
            let backends_turn = match &client.phase {
                Phase::Exchange(exchange) => {
                    exchange.is_filling() || client.outbound.is_empty() && !exchange.wants_request_body()
                }
                _ => false,
            };
            let progress = std::mem::take(&mut upstream.progress);
            let backend = upstream.server.backend;
            match (upstream.connected, backends_turn) {
                (false, _) => {
                    let queue = upstream::Wait::Connect.queue(backend);
                    self.upstream_deadlines.ensure(key.index(), queue, now_ns);
                }
                (true, true) if progress => {
                    self.upstream_deadlines.start(
                        key.index(),
                        upstream::Wait::Response.queue(backend),
                        now_ns,
                    );
                }
                (true, true) => {
                    self.upstream_deadlines.ensure(
                        key.index(),
                        upstream::Wait::Response.queue(backend),
                        now_ns,
                    );
                }
                (true, false) => self.upstream_deadlines.clear(key.index()),
            }
        }
        let on_its_way = tied.and_then(|key| self.upstreams.get(key)).map(|upstream| &upstream.outbound);
        give_back(stack, client.conn, &mut client.received, held, || {
            client.inbound.segments()
                + client.tls.as_ref().map_or(0, levee_tls::Connection::segments)
                + on_its_way.map_or(0, Pieces::segments)
        });
        if client.has_output() || matches!(client.phase, Phase::Closing) {
            stack.wake(client.conn);
        }
        let progress = std::mem::take(&mut client.progress);
        match client.wait() {
            // It is the backend that is waited for, whatever the client has to say.
            Some(Wait::RequestBody) if is_connecting => self.client_deadlines.clear(key.index()),
            Some(wait) if progress && wait.restarts() => {
                self.client_deadlines.start(key.index(), wait as usize, now_ns);
            }
            Some(wait) => self.client_deadlines.ensure(key.index(), wait as usize, now_ns),
            None => self.client_deadlines.clear(key.index()),
        }
    }

    fn on_client_deadline(&mut self, key: Key, wait: Wait, stack: &mut Stack<M>) {
        let (counter, action) = match wait {
            Wait::Handshake => (Counter::TimeoutHandshake, Overdue::Abort),
            Wait::RequestHead => (Counter::TimeoutRequestHead, Overdue::Answer),
            Wait::RequestBody => (Counter::TimeoutRequestBody, Overdue::Answer),
            Wait::ResponseTaken => (Counter::TimeoutResponseTaken, Overdue::Abort),
            Wait::Keepalive => (Counter::TimeoutKeepalive, Overdue::Close),
            Wait::Tunnel => (Counter::TimeoutTunnel, Overdue::Close),
            Wait::Linger => (Counter::TimeoutLinger, Overdue::Forget),
            Wait::Fetch => (Counter::TimeoutFetch, Overdue::Fetch),
        };
        self.counters.count(counter);
        match action {
            Overdue::Answer => {
                self.answer_error(key, REQUEST_TIMEOUT, stack);
                self.touch(key);
            }
            Overdue::Close => {
                self.end_exchange_of(key, stack);
                self.set_phase(key, Phase::Closing);
                self.touch(key);
            }
            Overdue::Abort => self.drop_client(key, stack),
            Overdue::Forget => self.forget_client(key, stack),
            Overdue::Fetch => {
                self.stop_waiting(key);
                self.with_request(key, |this, request| this.request_backend(key, request, None, stack));
                self.touch(key);
            }
        }
    }
}

/// What to do with a client that has waited too long.
enum Overdue {
    /// Answer 408 and close.
    Answer,
    /// Close.
    Close,
    /// Reset.
    Abort,
    /// All is said: leave the rest to TCP.
    Forget,
    /// Ask the backend itself.
    Fetch,
}

/// A request waits no longer than this for another's fetch into the cache, which goes at the backend's pace.
pub(super) const FETCH_BY_ANOTHER: std::time::Duration = std::time::Duration::from_secs(2);

const REQUEST_TIMEOUT: u16 = 408;
const DEADLINES_A_TURN: usize = 256;

/// Of the bytes `received` on `conn`, `held` are still here, in `segments` segments: the room of the others is the
/// peer's again.
fn give_back<M: Memory>(
    stack: &mut Stack<M>,
    conn: ConnId,
    received: &mut usize,
    held: usize,
    segments: impl FnOnce() -> usize,
) {
    let gone = received.saturating_sub(held);
    if gone > 0 {
        *received -= gone;
        stack.consumed(conn, gone);
    }
    if *received > 0 {
        stack.repacked(conn, segments);
    }
}

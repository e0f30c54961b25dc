//! A request under way: `Exchange`, its stages, and the bodies that move through them.

use levee_buf::{Chain, Memory, Pieces};
use levee_cache::{EntryId, FillId};
use levee_http::h1::{Body, BodyRead, HeadScanner, encode};
use levee_http::{Length, Method, Reason, Version};
use levee_tcp::Stack;

use super::Sessions;
use super::backend::Letdown;
use super::client::Phase;
use super::thin::thicken;
use crate::metrics::Counter;
use crate::slab::Key;

/// One request and its answer.
pub(super) struct Exchange<M: Memory> {
    /// The request's head as received: for a second try, and for the cache.
    pub(super) head: M::Chain,
    pub(super) method: Method,
    pub(super) version: Version,
    /// Index in the configuration's backends; of no meaning for answers of our own.
    pub(super) backend: u16,
    /// How the request's body came.
    pub(super) length: Length,
    pub(super) body: Body,
    pub(super) body_done: bool,
    pub(super) body_bytes: u64,
    pub(super) upgrade: bool,
    pub(super) expect_continue: bool,
    /// No other request follows on the backend's connection.
    pub(super) alone: bool,
    /// Whether the client's connection can take another request afterwards.
    pub(super) keep_alive: bool,
    pub(super) retries_left: u32,
    pub(super) stage: Stage,
    /// The response is being fetched into the cache.
    pub(super) fill: Option<FillId>,
    /// The entry that the fetch may confirm by a 304.
    pub(super) stale: Option<EntryId>,
    /// What came of the response's body and did not fit the entry any more: it follows what the entry has.
    pub(super) rest: M::Chain,
    /// Interim responses passed on.
    pub(super) interim: u8,
    /// The answer came out of the cache.
    pub(super) cached: bool,
    pub(super) status: u16,
    pub(super) sent: u64,
    pub(super) started_ns: u64,
}

/// How far the answer is.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Waiting for another client's fetch into the cache.
    Parked,
    /// The request is with a backend; no head of a response yet.
    Requested(Key),
    /// The response's body comes from a backend.
    Relaying(Relay),
    /// It comes from a backend into an entry, and out of that to the client.
    Filling(Relay, Serving),
    /// The body comes out of the cache.
    Cached {
        /// How far it is.
        serving: Serving,
        /// Bytes in all.
        end: u64,
        /// The backend broke off there.
        cut: bool,
    },
    /// The whole answer is queued.
    Answered,
}

/// The body of a backend's response.
#[derive(Clone, Copy)]
pub(super) struct Relay {
    /// The connection.
    pub(super) upstream: Key,
    /// How its end is found.
    pub(super) body: Body,
    /// Whether it leaves in chunks.
    pub(super) chunked: bool,
    /// Whether the backend's connection lives on.
    pub(super) reusable: bool,
}

/// A body that an entry has.
#[derive(Clone, Copy)]
pub(super) struct Serving {
    /// Pinned.
    pub(super) entry: EntryId,
    /// Bytes already queued.
    pub(super) at: u64,
    /// Whether it leaves in chunks.
    pub(super) chunked: bool,
}

/// What a backend's connection has of a body.
pub(super) enum Part<C> {
    /// Some of it.
    Data(C),
    /// Nothing, for now.
    None,
    /// The end.
    End,
    /// No end: the backend has let the client down, who was told.
    Lost,
}

impl<M: Memory> Exchange<M> {
    /// The request's body has not all arrived.
    pub(super) const fn wants_request_body(&self) -> bool {
        !self.body_done
    }

    /// Another's fetch into the cache is waited for.
    pub(super) const fn is_parked(&self) -> bool {
        matches!(self.stage, Stage::Parked)
    }

    /// A part of the answer is on its way.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Relaying(_) | Stage::Filling(..) | Stage::Cached { .. })
    }

    pub(super) const fn upstream(&self) -> Option<Key> {
        match self.stage {
            Stage::Requested(upstream) => Some(upstream),
            Stage::Relaying(relay) | Stage::Filling(relay, _) => Some(relay.upstream),
            _ => None,
        }
    }

    /// What the backend sends is taken whatever the client takes: it goes into an entry.
    pub(super) const fn is_filling(&self) -> bool {
        matches!(self.stage, Stage::Filling(..)) && self.fill.is_some()
    }

    /// Whether the request may be sent again.
    ///
    /// RFC 9110 section 9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests." What never
    /// left (`unsent`) was not tried. A body that was passed on is not there any more. To find a kept connection gone
    /// (`was_gone`) says nothing of the server, and does not count as a try: the next one is a new connection.
    pub(super) const fn may_retry(&mut self, unsent: bool, was_gone: bool) -> bool {
        let repeatable = self.method.is_idempotent() || unsent;
        if !repeatable || self.body_bytes > 0 || !was_gone && self.retries_left == 0 {
            return false;
        }
        self.retries_left -= !was_gone as u32;
        true
    }
}

impl<M: Memory> Sessions<M> {
    /// Moves bodies; true when the exchange is over and the client can be looked at again.
    pub(super) fn advance_exchange(&mut self, key: Key, stack: &mut Stack<M>) -> bool {
        if !self.advance_request_body(key, stack) {
            return true;
        }
        let Some(exchange) = self.exchange(key) else { return true };
        match exchange.stage {
            Stage::Parked => false,
            Stage::Requested(upstream) => self.read_response(key, upstream, stack),
            Stage::Relaying(relay) => self.relay_body(key, relay, stack),
            Stage::Filling(relay, serving) => self.fill_body(key, relay, serving, stack),
            Stage::Cached { serving, end, cut } => self.serve_cached(key, serving, end, cut, stack),
            Stage::Answered => {
                self.finish_exchange(key, stack);
                true
            }
        }
    }

    /// Passes what arrived of the request's body on to the backend; false when that ended the exchange. It stays
    /// here until there is a connection, so that another server can be tried if this one has none.
    fn advance_request_body(&mut self, key: Key, stack: &mut Stack<M>) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Phase::Exchange(exchange) = &mut client.phase else { return false };
        let mut upstream = exchange.upstream().and_then(|upstream| self.upstreams.get_mut(upstream));
        if upstream.as_ref().is_some_and(|upstream| !upstream.connected) {
            return true;
        }
        while !exchange.body_done && !matches!(exchange.stage, Stage::Parked | Stage::Answered) {
            match exchange.body.read(&self.memory, &mut client.inbound) {
                Ok(BodyRead::Data(data)) => {
                    exchange.body_bytes = exchange.body_bytes.saturating_add(data.len() as u64);
                    if exchange.body_bytes > self.config.limits.request_body_bytes {
                        self.counters.count(Counter::BodyTooLarge);
                        self.answer_error(key, 413, stack);
                        return false;
                    }
                    let Some(upstream) = &mut upstream else { continue };
                    let framed = match exchange.length {
                        Length::Chunked => encode::chunk(&self.memory, data),
                        _ => Ok(data),
                    };
                    let Ok(framed) = framed else {
                        self.counters.count(Counter::ShedMemory);
                        self.answer_error(key, 503, stack);
                        return false;
                    };
                    upstream.outbound.append(framed);
                    if thicken(&self.memory, &mut upstream.outbound) {
                        self.counters.count(Counter::Thickened);
                    }
                }
                Ok(BodyRead::More) if client.peer_done => {
                    // Answers to the requests before it may still be on their way.
                    exchange.keep_alive = false;
                    self.counters.count(Counter::Rejected);
                    self.answer_error(key, Reason::ContentTruncated.status(), stack);
                    return false;
                }
                Ok(BodyRead::More) => break,
                Ok(BodyRead::End) => {
                    exchange.body_done = true;
                    if exchange.length == Length::Chunked
                        && let Some(upstream) = &mut upstream
                        && encode::last_chunk(&self.memory, &mut upstream.outbound).is_err()
                    {
                        self.counters.count(Counter::ShedMemory);
                        self.answer_error(key, 503, stack);
                        return false;
                    }
                }
                Err(rejection) if rejection.reason == Reason::MemoryExhausted => {
                    self.touch(key);
                    break;
                }
                Err(rejection) => {
                    self.counters.count(Counter::Rejected);
                    exchange.keep_alive = false;
                    self.answer_error(key, rejection.status, stack);
                    return false;
                }
            }
        }
        true
    }

    /// Passes what arrived of the response's body on to the client.
    fn relay_body(&mut self, key: Key, mut relay: Relay, stack: &mut Stack<M>) -> bool {
        loop {
            let part = self.next_part(key, &mut relay, stack);
            match part {
                Part::Data(data) => {
                    if let Some(exchange) = self.exchange(key) {
                        exchange.sent = exchange.sent.saturating_add(data.len() as u64);
                    }
                    if !self.queue(key, data, relay.chunked, stack) {
                        return false;
                    }
                }
                Part::None | Part::Lost => return false,
                Part::End => break,
            }
        }
        if !self.queue_end(key, relay.chunked, stack) {
            return false;
        }
        self.set_stage(key, Stage::Answered);
        self.finish_response(key, relay, stack);
        true
    }

    /// What has come of the body since the last time.
    pub(super) fn next_part(&mut self, key: Key, relay: &mut Relay, stack: &mut Stack<M>) -> Part<M::Chain> {
        let Some(upstream) = self.upstreams.get_mut(relay.upstream) else { return Part::None };
        let read = relay.body.read(&self.memory, &mut upstream.inbound);
        let (fin, broken) = (upstream.fin, upstream.broken);
        if let Some(exchange) = self.exchange(key) {
            match &mut exchange.stage {
                Stage::Relaying(its) | Stage::Filling(its, _) => *its = *relay,
                _ => {}
            }
        }
        let letdown = match read {
            Ok(BodyRead::Data(data)) => return Part::Data(data),
            Ok(BodyRead::End) => return Part::End,
            Ok(BodyRead::More) if fin && !broken && relay.body.finish().is_ok() => return Part::End,
            Ok(BodyRead::More) if fin => Letdown::Lost,
            Ok(BodyRead::More) => return Part::None,
            Err(rejection) if rejection.reason == Reason::MemoryExhausted => {
                self.touch(key);
                return Part::None;
            }
            Err(_) => Letdown::Invalid,
        };
        self.let_down(key, relay.upstream, letdown, stack);
        Part::Lost
    }

    /// Queues a part of the response's body for the client; false without memory for it, and without the client
    /// then.
    pub(super) fn queue(&mut self, key: Key, data: M::Chain, chunked: bool, stack: &mut Stack<M>) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let framed = if chunked { encode::chunk(&self.memory, data) } else { Ok(data) };
        let Ok(framed) = framed else {
            self.counters.count(Counter::ShedMemory);
            self.drop_client(key, stack);
            return false;
        };
        client.outbound.append(framed);
        if thicken(&self.memory, &mut client.outbound) {
            self.counters.count(Counter::Thickened);
        }
        true
    }

    /// Queues the end of the response's body, as [`Sessions::queue`] its parts.
    pub(super) fn queue_end(&mut self, key: Key, chunked: bool, stack: &mut Stack<M>) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        if chunked && encode::last_chunk(&self.memory, &mut client.outbound).is_err() {
            self.counters.count(Counter::ShedMemory);
            self.drop_client(key, stack);
            return false;
        }
        true
    }

    /// The response's body has ended at the backend.
    pub(super) fn finish_response(&mut self, key: Key, relay: Relay, stack: &mut Stack<M>) {
        let complete = self.exchange(key).is_some_and(|exchange| exchange.body_done);
        self.finish_fill(key);
        self.finish_upstream(relay.upstream, relay.reusable && complete, stack);
    }

    /// The answer is queued: the client's connection goes on to the next request, or ends.
    pub(super) fn finish_exchange(&mut self, key: Key, stack: &mut Stack<M>) {
        self.log_access(key);
        let draining = self.draining;
        let Some(client) = self.clients.get_mut(key) else { return };
        let Phase::Exchange(exchange) = &client.phase else { return };
        let goes_on = exchange.keep_alive && exchange.body_done && !draining;
        client.scanner = HeadScanner::default();
        self.end_exchange_of(key, stack);
        self.set_phase(key, if goes_on { Phase::Request } else { Phase::Closing });
    }

    /// Gives back what the client's exchange holds: its backend connection, its place in the cache.
    pub(super) fn end_exchange_of(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let upstream = client.upstream();
        if let Phase::Exchange(exchange) = &mut client.phase {
            let fill = exchange.fill.take();
            let pinned = match exchange.stage {
                Stage::Filling(_, serving) | Stage::Cached { serving, .. } => Some(serving.entry),
                _ => None,
            };
            exchange.stage = Stage::Answered;
            exchange.rest = M::Chain::default();
            if let Some(cache) = &mut self.cache {
                if let Some(fill) = fill {
                    cache.abandon(fill);
                }
                if let Some(entry) = pinned {
                    cache.release(entry);
                }
            }
        }
        if let Some(upstream) = upstream {
            self.drop_upstream(upstream, stack);
        }
    }

    pub(super) fn exchange(&mut self, key: Key) -> Option<&mut Exchange<M>> {
        match &mut self.clients.get_mut(key)?.phase {
            Phase::Exchange(exchange) => Some(exchange),
            _ => None,
        }
    }

    pub(super) fn set_stage(&mut self, key: Key, stage: Stage) {
        if let Some(exchange) = self.exchange(key) {
            exchange.stage = stage;
        }
    }
}

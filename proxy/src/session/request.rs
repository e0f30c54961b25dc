//! A request's head becomes an action: refuse, redirect, serve from the cache, ask a backend.

use levee_buf::{Chain, Full, MAX_ROOM, Memory, Pieces, Writer};
use levee_http::framing::{self, RequestFraming};
use levee_http::h1::{self, Body, HeadScanner, encode};
use levee_http::{FieldTable, Length, Method, Rejection, RequestHead, Version};
use levee_tcp::Stack;

use super::Sessions;
use super::client::Phase;
use super::exchange::{Exchange, Stage};
use crate::config::Service;
use crate::log::{Access, Event, Text};
use crate::metrics::{Counter, Counters};
use crate::slab::Key;

impl<M: Memory> Sessions<M> {
    /// Reads a request's head and acts on it; false when it has not all arrived.
    pub(super) fn read_request(&mut self, key: Key, stack: &mut Stack<M>) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        // A pipelined request waits until the answers before it have mostly left.
        if client.outbound.len() > self.config.limits.send_buffer_bytes {
            return false;
        }
        let length = match client.scanner.scan(&client.inbound, &self.http_limits) {
            Ok(Some(length)) => length,
            Ok(None) if client.peer_done => {
                client.phase = Phase::Closing;
                return true;
            }
            Ok(None) => {
                let kept = h1::compact(&self.memory, &mut client.inbound).is_ok();
                if !kept {
                    self.shed(key, stack);
                }
                return !kept;
            }
            Err(rejection) => {
                self.reject(key, rejection, stack);
                return true;
            }
        };
        client.scanner = HeadScanner::default();
        let Some(head) = take_head(&self.memory, &mut client.inbound, length, &mut self.counters) else {
            self.shed(key, stack);
            return true;
        };
        self.counters.count(Counter::Requests);
        let mut fields = FieldTable::new();
        let parsed = h1::parse_request(head.chunk(0), &mut fields, &self.http_limits)
            .and_then(|request| Ok((request, framing::request(&request)?)));
        match parsed {
            Ok((request, framing)) => {
                self.begin_exchange(key, &request, &framing);
                self.act(key, &request, &framing, stack);
            }
            Err(rejection) => {
                self.reject(key, rejection, stack);
                return true;
            }
        }
        if let Some(exchange) = self.exchange(key) {
            exchange.head = head;
        }
        true
    }

    fn begin_exchange(&mut self, key: Key, request: &RequestHead<'_>, framing: &RequestFraming) {
        let limit = self.config.limits.requests_per_connection;
        let (draining, started_ns) = (self.draining, self.now.instant.0);
        let Some(client) = self.clients.get_mut(key) else { return };
        client.requests += 1;
        client.phase = Phase::Exchange(Exchange {
            head: M::Chain::default(),
            method: request.method,
            version: request.version,
            backend: 0,
            length: framing.length,
            body: Body::new(framing.length),
            body_done: matches!(framing.length, Length::None | Length::Exact(0)),
            body_bytes: 0,
            upgrade: framing.upgrade,
            expect_continue: framing.expect_continue,
            alone: framing.alone,
            keep_alive: framing.keep_alive && client.requests < limit && !draining,
            retries_left: 0,
            stage: Stage::Answered,
            fill: None,
            stale: None,
            rest: M::Chain::default(),
            interim: 0,
            cached: false,
            status: 0,
            sent: 0,
            started_ns,
        });
    }

    fn act(&mut self, key: Key, request: &RequestHead<'_>, framing: &RequestFraming, stack: &mut Stack<M>) {
        let Some(listener) = self.clients.get(key).map(|client| usize::from(client.listener)) else { return };
        if let Some(Service::Redirect { port }) = self.config.listeners.get(listener).map(|it| &it.service) {
            let port = *port;
            self.counters.count(Counter::Redirected);
            self.answer(key, 301, encode::redirect_room(request), stack, |page, out| {
                encode::redirect(request, port, page, out)
            });
            return;
        }
        if framing.last_hop {
            self.answer(key, 204, encode::PAGE_ROOM, stack, encode::options);
            return;
        }
        if matches!(framing.length, Length::Exact(length) if length > self.config.limits.request_body_bytes) {
            self.counters.count(Counter::BodyTooLarge);
            self.answer_error(key, 413, stack);
            return;
        }
        let Some(route) = self.routes.find(request.authority.as_bytes(), request.target.path()) else {
            self.counters.count(Counter::NoRoute);
            self.answer_error(key, 404, stack);
            return;
        };
        let (backend, cache) = (route.backend, route.cache && self.cache.is_some());
        let retries = self.config.backends.get(backend).map_or(0, |backend| backend.retries);
        let Ok(backend) = u16::try_from(backend) else { return };
        let Some(exchange) = self.exchange(key) else { return };
        exchange.backend = backend;
        exchange.retries_left = retries;
        if cache {
            self.look_up(key, request, stack);
        } else {
            self.request_backend(key, request, None, stack);
        }
    }

    /// Writes the request's head for a backend onto `upstream`; false without memory for it.
    pub(super) fn send_request(&mut self, key: Key, request: &RequestHead<'_>, upstream: Key) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let https = client.tls.is_some();
        let Phase::Exchange(exchange) = &client.phase else { return false };
        let rewrite = encode::RequestRewrite {
            client: client.peer.ip(),
            https,
            length: exchange.length,
            keep_alive: !exchange.alone,
            upgrade: exchange.upgrade,
            expect_continue: exchange.expect_continue,
            host: None,
            fetch: exchange.fill.map(|_| conditions(self.cache.as_ref(), exchange.stale)),
        };
        let room = encode::request_room(request, &rewrite);
        let head = write(&self.memory, room, |out| encode::request(request, &rewrite, out));
        match (head, self.upstreams.get_mut(upstream)) {
            (Some(head), Some(upstream)) => {
                upstream.outbound.append(head);
                true
            }
            _ => false,
        }
    }

    /// Parses the exchange's head again and calls `with` with it: for second tries and for the cache.
    pub(super) fn with_request<R>(
        &mut self,
        key: Key,
        with: impl FnOnce(&mut Self, &RequestHead<'_>) -> R,
    ) -> Option<R> {
        let head = self.exchange(key)?.head.take();
        let mut fields = FieldTable::new();
        let request = h1::parse_request(head.chunk(0), &mut fields, &self.http_limits).ok()?;
        let result = with(self, &request);
        if let Some(exchange) = self.exchange(key) {
            exchange.head = head;
        }
        Some(result)
    }

    /// Answers a request that makes no sense, and closes.
    fn reject(&mut self, key: Key, rejection: Rejection, stack: &mut Stack<M>) {
        self.counters.count(Counter::Rejected);
        if let Some(exchange) = self.exchange(key) {
            exchange.keep_alive = false;
        }
        self.answer_error(key, rejection.status, stack);
    }

    /// Gives a request up for want of packet memory.
    pub(super) fn shed(&mut self, key: Key, stack: &mut Stack<M>) {
        self.counters.count(Counter::ShedMemory);
        self.answer_error(key, 503, stack);
    }

    /// Answers with a short page that says what `status` means. Where a response has begun already, only a
    /// reset can say that it is not complete.
    pub(super) fn answer_error(&mut self, key: Key, status: u16, stack: &mut Stack<M>) {
        self.answer(key, status, encode::PAGE_ROOM, stack, |page, out| {
            encode::status_page(status, page, out)
        });
    }

    /// Answers with what `page` writes, and ends the part of the backend and the cache in it.
    fn answer(
        &mut self,
        key: Key,
        status: u16,
        room: usize,
        stack: &mut Stack<M>,
        page: impl FnOnce(&encode::Page<'_>, &mut Writer<'_>) -> Result<(), Full>,
    ) {
        let Some(client) = self.clients.get(key) else { return };
        let (client_version, head_only, keep_alive) = match &client.phase {
            Phase::Exchange(exchange) if exchange.has_begun() => {
                self.drop_client(key, stack);
                return;
            }
            Phase::Exchange(exchange) => {
                (exchange.version, exchange.method == Method::Head, exchange.keep_alive && exchange.body_done)
            }
            _ => (Version::Http11, false, false),
        };
        self.end_exchange_of(key, stack);
        let facts = encode::Page { client: client_version, keep_alive, head_only, date: self.date.text() };
        let written = write(&self.memory, room, |out| page(&facts, out));
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(head) = written else {
            self.drop_client(key, stack);
            return;
        };
        client.outbound.append(head);
        match &mut client.phase {
            Phase::Exchange(exchange) => {
                exchange.keep_alive = keep_alive;
                exchange.status = status;
            }
            phase => *phase = Phase::Closing,
        }
        self.count_response(status);
    }

    pub(super) fn count_response(&mut self, status: u16) {
        self.counters.count(Counter::Responses);
        self.counters.count(Counter::of_status(status));
    }

    /// Tells people of an answered request, if they listen.
    pub(super) fn log_access(&mut self, key: Key) {
        if !self.access_log {
            return;
        }
        let Some(peer) = self.clients.get(key).map(|client| client.peer) else { return };
        let now = self.now;
        let line = self.with_request(key, |this, request| {
            let exchange = this.exchange(key)?;
            Some(Access {
                unix_ms: now.unix_ms,
                peer,
                method: Text::new(request.method_name),
                authority: Text::new(request.authority.as_bytes()),
                path: Text::new(request.target.path()),
                status: exchange.status,
                sent: exchange.sent,
                duration_us: now.instant.0.saturating_sub(exchange.started_ns) / 1000,
                cached: exchange.cached,
            })
        });
        if let Some(access) = line.flatten()
            && !self.log.say(Event::Access(access))
        {
            self.counters.count(Counter::LogOverflow);
        }
    }
}

/// The first `length` bytes of `bytes`, contiguous; `None` without memory for them.
pub(super) fn take_head<M: Memory>(
    memory: &M,
    bytes: &mut M::Chain,
    length: usize,
    counters: &mut Counters,
) -> Option<M::Chain> {
    let mut head = memory.split_to(bytes, length)?;
    let copied = h1::gather(memory, &mut head, length).ok()?;
    counters.add(Counter::HeadsGathered, u64::from(copied));
    Some(head)
}

/// What a fetch into the cache is conditional on: that the `stale` entry does not hold any more.
fn conditions<M: Memory>(
    cache: Option<&levee_cache::Store<M>>,
    stale: Option<levee_cache::EntryId>,
) -> encode::Conditions<'_> {
    let validators = cache.zip(stale).map(|(cache, entry)| cache.validators(entry)).unwrap_or_default();
    encode::Conditions { if_none_match: validators.etag, if_modified_since: validators.last_modified }
}

/// A chain with what `head` writes, at most `room` bytes; `None` without memory for it.
pub(super) fn write<M: Memory>(
    memory: &M,
    room: usize,
    head: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Option<M::Chain> {
    if room > MAX_ROOM {
        return write_long(memory, head);
    }
    let mut chain = memory.alloc(room)?;
    let mut out = Writer::new(chain.extend(room)?);
    head(&mut out).ok()?;
    let length = out.len();
    chain.truncate(length);
    Some(chain)
}

/// As [`write`], for a head that may be longer than a segment: the longest that was received and what is added
/// to it, which may be a stored entity tag of that length.
#[cold]
fn write_long<M: Memory>(
    memory: &M,
    head: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Option<M::Chain> {
    let mut room = [0; 3 * MAX_ROOM];
    let mut out = Writer::new(&mut room);
    head(&mut out).ok()?;
    let mut chain = M::Chain::default();
    memory.push(&mut chain, out.written()).ok()?;
    Some(chain)
}

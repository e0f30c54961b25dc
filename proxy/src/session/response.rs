//! A backend's head becomes the client's.

use levee_buf::{Chain, Memory, Pieces};
use levee_cache::Stored;
use levee_http::framing::{self, ResponseFraming};
use levee_http::h1::{self, Body, HeadScanner, encode};
use levee_http::{FieldTable, Length, ResponseHead, Version};
use levee_tcp::Stack;

use super::Sessions;
use super::backend::Letdown;
use super::client::Phase;
use super::exchange::{Exchange, Relay, Serving, Stage};
use super::request::{take_head, write};
use crate::metrics::Counter;
use crate::slab::Key;

impl<M: Memory> Sessions<M> {
    /// Reads the head of a response; false when it has not all arrived.
    pub(super) fn read_response(&mut self, key: Key, upstream_key: Key, stack: &mut Stack<M>) -> bool {
        let Some(upstream) = self.upstreams.get_mut(upstream_key) else {
            self.answer_error(key, 502, stack);
            return true;
        };
        let length = match upstream.scanner.scan(&upstream.inbound, &self.http_limits) {
            Ok(Some(length)) => length,
            Ok(None) if upstream.fin => {
                let letdown = if upstream.inbound.is_empty() { Letdown::Lost } else { Letdown::Invalid };
                self.let_down(key, upstream_key, letdown, stack);
                return true;
            }
            Ok(None) => {
                let kept = h1::compact(&self.memory, &mut upstream.inbound).is_ok();
                if !kept {
                    self.shed(key, stack);
                }
                return !kept;
            }
            Err(_) => {
                self.let_down(key, upstream_key, Letdown::Invalid, stack);
                return true;
            }
        };
        upstream.scanner = HeadScanner::default();
        let Some(head) = take_head(&self.memory, &mut upstream.inbound, length, &mut self.counters) else {
            self.shed(key, stack);
            return true;
        };
        let Some((method, upgrade)) = self.exchange(key).map(|exchange| (exchange.method, exchange.upgrade))
        else {
            return false;
        };
        let mut fields = FieldTable::new();
        let parsed = h1::parse_response(head.chunk(0), &mut fields, &self.http_limits)
            .and_then(|response| Ok((response, framing::response(&response, method, upgrade)?)));
        match parsed {
            Ok((response, framing)) => self.relay_head(key, upstream_key, &response, &framing, stack),
            Err(_) => self.let_down(key, upstream_key, Letdown::Invalid, stack),
        }
        true
    }

    fn relay_head(
        &mut self,
        key: Key,
        upstream: Key,
        response: &ResponseHead<'_>,
        framing: &ResponseFraming,
        stack: &mut Stack<M>,
    ) {
        if framing.interim {
            self.relay_interim(key, upstream, response, stack);
            return;
        }
        if !framing.upgrade && self.confirm(key, upstream, response, framing, stack) {
            return;
        }
        self.offer_to_cache(key, response, framing.length);
        let Some(exchange) = self.exchange(key) else { return };
        let (length, persists) = framing::to_client(framing.length, exchange.version);
        exchange.keep_alive &= persists;
        exchange.status = response.status;
        let (keep_alive, alone) = (exchange.keep_alive, exchange.alone);
        let written = self.write_response(
            key,
            response,
            length,
            framing.content_length,
            keep_alive,
            framing.upgrade,
            None,
        );
        if !written {
            self.shed(key, stack);
            return;
        }
        self.count_response(response.status);
        if framing.upgrade {
            self.counters.count(Counter::Tunnels);
            self.log_access(key);
            self.set_phase(key, Phase::Tunnel(upstream));
            return;
        }
        let chunked = length == Length::Chunked;
        let (body, reusable) = (Body::new(framing.length), framing.keep_alive && !alone);
        let relay = Relay { upstream, body, chunked, reusable };
        let stage = match self.growing(key) {
            Some(entry) => Stage::Filling(relay, Serving { entry, at: 0, chunked }),
            None => Stage::Relaying(relay),
        };
        self.set_stage(key, stage);
    }

    /// RFC 9110 section 15.2: "A proxy MUST forward 1xx responses unless the proxy itself requested the
    /// generation of the 1xx response", and "A server MUST NOT send a 1xx response to an HTTP/1.0 client."
    fn relay_interim(&mut self, key: Key, upstream: Key, response: &ResponseHead<'_>, stack: &mut Stack<M>) {
        let Some(exchange) = self.exchange(key) else { return };
        exchange.interim = exchange.interim.saturating_add(1);
        if exchange.interim > INTERIM_RESPONSES {
            self.let_down(key, upstream, Letdown::Invalid, stack);
            return;
        }
        if exchange.version == Version::Http10 {
            return;
        }
        if self.write_response(key, response, Length::None, None, true, false, None) {
            self.counters.count(Counter::Responses1xx);
        } else {
            self.shed(key, stack);
        }
    }

    /// Queues a response's head for the client; false without memory for it.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the head")]
    pub(super) fn write_response(
        &mut self,
        key: Key,
        response: &ResponseHead<'_>,
        length: Length,
        content_length: Option<u64>,
        keep_alive: bool,
        upgrade: bool,
        age: Option<u64>,
    ) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Phase::Exchange(exchange) = &client.phase else { return false };
        let rewrite = encode::ResponseRewrite {
            client: exchange.version,
            length,
            content_length,
            keep_alive,
            upgrade,
            only: None,
            age,
            date: self.date.text(),
        };
        let room = encode::response_room(response);
        let Some(head) = write(&self.memory, room, |out| encode::response(response, &rewrite, out)) else {
            return false;
        };
        client.outbound.append(head);
        true
    }

    /// Has the cache judge the response, if it is fetched for it or may make an entry invalid.
    fn offer_to_cache(&mut self, key: Key, response: &ResponseHead<'_>, length: Length) {
        let now = self.cache_now();
        let concerned = |exchange: &mut Exchange<M>| exchange.fill.is_some() || !exchange.method.is_safe();
        if self.cache.is_none() || !self.exchange(key).is_some_and(concerned) {
            return;
        }
        let https = self.clients.get(key).is_some_and(|client| client.tls.is_some());
        self.with_request(key, |this, request| {
            let fill = this.exchange(key).and_then(|exchange| exchange.fill);
            let Some(cache) = &mut this.cache else { return };
            if !request.method.is_safe() {
                cache.invalidate(request, request.authority.as_bytes(), https, response);
            }
            let Some(fill) = fill else { return this.tell_others(request, https, response.status) };
            let stored = cache.begin(fill, request, response, length, now);
            if let (Stored::NotStorable(_), Some(exchange)) = (stored, this.exchange(key)) {
                exchange.fill = None;
            }
        });
    }
}

/// Interim responses to one request, at most.
const INTERIM_RESPONSES: u8 = 16;

//! Answers out of the cache, and responses on their way into it.

use levee_buf::{Chain, Memory, Pieces};
use levee_cache::{EntryId, Lookup, Serve};
use levee_http::framing::ResponseFraming;
use levee_http::{FieldTable, Length, Method, RequestHead, ResponseHead};
use levee_tcp::Stack;

use super::Sessions;
use super::client::Phase;
use super::exchange::Stage;
use crate::slab::Key;

/// Bytes of an entry queued at a time: a TLS record.
const PIECE: usize = 1 << 14;

impl<M: Memory> Sessions<M> {
    pub(super) const fn cache_now(&self) -> levee_cache::Now {
        levee_cache::Now(self.now.unix_ms)
    }

    /// Answers the request from the cache, asks the backend, or waits for another who does.
    pub(super) fn look_up(&mut self, key: Key, request: &RequestHead<'_>, stack: &mut Stack<M>) {
        let now = self.cache_now();
        let https = self.clients.get(key).is_some_and(|client| client.tls.is_some());
        let Some(cache) = &mut self.cache else { return };
        let authority = request.authority.as_bytes();
        let lookup = cache.lookup(request, authority, https, now, key.to_u64());
        let Some(exchange) = self.exchange(key) else { return };
        match lookup {
            Lookup::Hit(entry) => self.answer_cached(key, request, entry, stack),
            Lookup::Wait => exchange.stage = Stage::Parked,
            Lookup::OnlyIfCached504 => self.answer_error(key, 504, stack),
            Lookup::Fill(fill) => {
                exchange.fill = Some(fill);
                self.request_backend(key, request, None, stack);
            }
            Lookup::Revalidate { fill, entry } => {
                exchange.fill = Some(fill);
                exchange.stale = Some(entry);
                self.request_backend(key, request, None, stack);
            }
            Lookup::Bypass(_) => self.request_backend(key, request, None, stack),
        }
    }

    /// Looks up again for those whose wait for another's fetch is over.
    pub(crate) fn run_cache(&mut self, stack: &mut Stack<M>) {
        while let Some(waiter) = self.cache.as_mut().and_then(levee_cache::Store::woken) {
            let key = Key::from_u64(waiter);
            if self.exchange(key).is_some_and(|exchange| exchange.is_parked()) {
                self.with_request(key, |this, request| this.look_up(key, request, stack));
                self.touch(key);
            }
        }
    }

    /// Queues the head of the answer that `entry` gives; the entry is pinned.
    fn answer_cached(&mut self, key: Key, request: &RequestHead<'_>, entry: EntryId, stack: &mut Stack<M>) {
        let now = self.cache_now();
        let Some(cache) = &mut self.cache else { return };
        let mut fields = FieldTable::new();
        let serve = cache.conditional(entry, request);
        let (age, end) = (cache.age(entry, now), cache.body_len(entry));
        let Some(head) = cache.head(entry, &mut fields) else {
            cache.release(entry);
            self.request_backend(key, request, None, stack);
            return;
        };
        let modified = !matches!(serve, Serve::NotModified);
        let head =
            if modified { head } else { ResponseHead { status: 304, reason: b"Not Modified", ..head } };
        let with_body = modified && request.method != Method::Head;
        let length = if with_body { Length::Exact(end) } else { Length::None };
        let status = head.status;
        let Some(client) = self.clients.get_mut(key) else { return };
        let Phase::Exchange(exchange) = &mut client.phase else { return };
        exchange.cached = true;
        exchange.status = status;
        exchange.stage = Stage::Cached { entry, at: 0, end: if with_body { end } else { 0 } };
        let keep_alive = exchange.keep_alive;
        let rewrite = levee_http::h1::encode::ResponseRewrite {
            client: exchange.version,
            length,
            content_length: modified.then_some(end),
            keep_alive,
            upgrade: false,
            only: (!modified).then_some(levee_cache::in_not_modified as fn(&[u8]) -> bool),
            age: Some(age),
            date: self.date.text(),
        };
        let room = levee_http::h1::encode::response_room(&head);
        let written = super::request::write(&self.memory, room, |out| {
            levee_http::h1::encode::response(&head, &rewrite, out)
        });
        match written {
            Some(head) => client.outbound.append(head),
            None => {
                self.drop_client(key, stack);
                return;
            }
        }
        self.count_response(status);
    }

    /// Queues more of an entry's body; true when that was the last of it.
    pub(super) fn serve_cached(&mut self, key: Key, entry: EntryId, mut at: u64, end: u64) -> bool {
        let limit = self.config.limits.send_buffer_bytes;
        let Some(cache) = &mut self.cache else { return false };
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Phase::Exchange(exchange) = &mut client.phase else { return false };
        while at < end && client.outbound.len() < limit {
            let Some(piece) = cache.read(entry, at, PIECE).filter(|piece| !piece.is_empty()) else {
                // Packet memory ran out: more of it may be there when the client has taken some.
                exchange.stage = Stage::Cached { entry, at, end };
                self.touch(key);
                return false;
            };
            at += piece.len() as u64;
            client.outbound.append(piece);
        }
        exchange.sent = at;
        if at < end {
            exchange.stage = Stage::Cached { entry, at, end };
            return false;
        }
        exchange.stage = Stage::Answered;
        cache.release(entry);
        true
    }

    /// A 304 to our own question: the entry holds, and is the answer. False when it is none of ours.
    pub(super) fn confirm(
        &mut self,
        key: Key,
        upstream: Key,
        response: &ResponseHead<'_>,
        framing: &ResponseFraming,
        stack: &mut Stack<M>,
    ) -> bool {
        let now = self.cache_now();
        let Some(exchange) = self.exchange(key) else { return false };
        let asked = exchange.stale.take().and(exchange.fill);
        let Some(fill) = asked.filter(|_| response.status == 304) else { return false };
        let Some(cache) = &mut self.cache else { return false };
        let entry = cache.not_modified(fill, response, now);
        if entry.is_some() {
            self.set_fill(key, None);
        }
        self.set_stage(key, Stage::Answered);
        self.finish_upstream(upstream, framing.keep_alive, stack);
        self.with_request(key, |this, request| match entry {
            Some(entry) => this.answer_cached(key, request, entry, stack),
            None => this.request_backend(key, request, None, stack),
        });
        true
    }

    /// The response is complete: its entry, if there is one, can serve others.
    pub(super) fn finish_fill(&mut self, key: Key) {
        let now = self.cache_now();
        let fill = self.exchange(key).and_then(|exchange| exchange.fill.take());
        if let (Some(fill), Some(cache)) = (fill, &mut self.cache) {
            cache.finish(fill, now);
        }
    }

    /// Gives up the client's place among those who wait for another's fetch.
    pub(super) fn stop_waiting(&mut self, key: Key) {
        let parked = self.exchange(key).is_some_and(|exchange| exchange.is_parked());
        if let Some(cache) = self.cache.as_mut().filter(|_| parked) {
            cache.forget(key.to_u64());
        }
    }

    fn set_fill(&mut self, key: Key, fill: Option<levee_cache::FillId>) {
        if let Some(exchange) = self.exchange(key) {
            exchange.fill = fill;
        }
    }
}

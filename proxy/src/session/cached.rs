//! Answers out of the cache, and responses on their way into it.

use levee_buf::{Chain, Memory, Pieces};
use levee_cache::{EntryId, Lookup, Serve};
use levee_http::framing::ResponseFraming;
use levee_http::h1::encode;
use levee_http::{FieldTable, Length, Method, RequestHead, ResponseHead};
use levee_tcp::Stack;

use super::Sessions;
use super::client::Phase;
use super::exchange::{Part, Relay, Serving, Stage};
use super::thin::thicken;
use crate::metrics::Counter;
use crate::slab::Key;

/// Bytes of an entry queued at a time: a TLS record.
const PIECE: u64 = 1 << 14;

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
        let serving = Serving { entry, at: 0, chunked: false };
        exchange.stage = Stage::Cached { serving, end: if with_body { end } else { 0 }, cut: false };
        let keep_alive = exchange.keep_alive;
        let rewrite = encode::ResponseRewrite {
            client: exchange.version,
            length,
            content_length: modified.then_some(end),
            keep_alive,
            upgrade: false,
            only: (!modified).then_some(levee_cache::in_not_modified as fn(&[u8]) -> bool),
            age: Some(age),
            date: self.date.text(),
        };
        let room = encode::response_room(&head);
        let written = super::request::write(&self.memory, room, |out| encode::response(&head, &rewrite, out));
        match written {
            Some(head) => client.outbound.append(head),
            None => {
                self.drop_client(key, stack);
                return;
            }
        }
        self.count_response(status);
    }

    /// Takes what arrived of the response's body into its entry, and gives the client of that what it takes. What
    /// no longer fits is passed on when the client has got what did.
    pub(super) fn fill_body(
        &mut self,
        key: Key,
        mut relay: Relay,
        serving: Serving,
        stack: &mut Stack<M>,
    ) -> bool {
        while let Some(fill) = self.exchange(key).and_then(|exchange| exchange.fill) {
            match self.next_part(key, &mut relay, stack) {
                Part::Data(mut data) => {
                    let fits = self.cache.as_mut().is_some_and(|cache| cache.append(fill, &mut data));
                    if let Some(exchange) = self.exchange(key).filter(|_| !fits) {
                        exchange.fill = None;
                        exchange.rest = data;
                    }
                }
                Part::None => break,
                Part::End => {
                    let end = self.length_of(serving.entry);
                    self.set_stage(key, Stage::Cached { serving, end, cut: false });
                    self.finish_response(key, relay, stack);
                    return true;
                }
                Part::Lost => return true,
            }
        }
        let end = self.length_of(serving.entry);
        if !self.serve(key, serving, end) {
            return false;
        }
        let Some(exchange) = self.exchange(key).filter(|exchange| exchange.fill.is_none()) else {
            return false;
        };
        exchange.stage = Stage::Relaying(relay);
        self.release(serving.entry);
        self.queue_rest(key, relay.chunked, stack)
    }

    /// Queues more of an entry's body, and what follows it; true when that was the last of it.
    pub(super) fn serve_cached(
        &mut self,
        key: Key,
        serving: Serving,
        end: u64,
        cut: bool,
        stack: &mut Stack<M>,
    ) -> bool {
        if !self.serve(key, serving, end) {
            return false;
        }
        if cut {
            if self.queue_rest(key, serving.chunked, stack) {
                self.end_short(key, stack);
            }
            return true;
        }
        if !self.queue_end(key, serving.chunked, stack) {
            return false;
        }
        self.set_stage(key, Stage::Answered);
        self.release(serving.entry);
        true
    }

    /// The backend broke off a response on its way into an entry: the client gets what came of it.
    pub(super) fn serve_cut(&mut self, key: Key, serving: Serving) {
        let end = self.length_of(serving.entry);
        let Some(exchange) = self.exchange(key) else { return };
        exchange.stage = Stage::Cached { serving, end, cut: true };
        if let (Some(fill), Some(cache)) = (exchange.fill.take(), &mut self.cache) {
            cache.abandon(fill);
        }
        self.touch(key);
    }

    /// The entry that the client's response grows into, pinned, if it is being stored.
    pub(super) fn growing(&mut self, key: Key) -> Option<EntryId> {
        let fill = self.exchange(key)?.fill?;
        self.cache.as_mut()?.growing(fill)
    }

    /// Queues of an entry's body what there is room for; true when all up to `end` is queued.
    fn serve(&mut self, key: Key, mut serving: Serving, end: u64) -> bool {
        let limit = self.config.limits.send_buffer_bytes;
        let (Some(cache), Some(client)) = (&mut self.cache, self.clients.get_mut(key)) else { return false };
        let mut dry = false;
        while serving.at < end && client.outbound.len() < limit && !dry {
            let piece = cache.read(serving.entry, serving.at, to_boundary(serving.at));
            let piece = piece.filter(|piece| !piece.is_empty());
            let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let framed = match piece {
                Some(piece) if serving.chunked => encode::chunk(&self.memory, piece).ok(),
                piece => piece,
            };
            // Where packet memory ran out, more of it may be there when the client has taken some.
            dry = framed.is_none();
            if let Some(framed) = framed {
                serving.at += length;
                client.outbound.append(framed);
            }
        }
        if thicken(&self.memory, &mut client.outbound) {
            self.counters.count(Counter::Thickened);
        }
        let Phase::Exchange(exchange) = &mut client.phase else { return false };
        exchange.sent = serving.at;
        if let Stage::Filling(_, its) | Stage::Cached { serving: its, .. } = &mut exchange.stage {
            *its = serving;
        }
        if dry {
            self.touch(key);
        }
        serving.at >= end
    }

    /// Queues what came of the body and did not fit its entry.
    fn queue_rest(&mut self, key: Key, chunked: bool, stack: &mut Stack<M>) -> bool {
        let Some(exchange) = self.exchange(key) else { return false };
        let rest = exchange.rest.take();
        exchange.sent = exchange.sent.saturating_add(rest.len() as u64);
        self.queue(key, rest, chunked, stack)
    }

    fn length_of(&self, entry: EntryId) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.body_len(entry))
    }

    fn release(&mut self, entry: EntryId) {
        if let Some(cache) = &mut self.cache {
            cache.release(entry);
        }
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

/// Bytes from `at` to where the cache cuts a body: to cut elsewhere would put a record into more segments.
fn to_boundary(at: u64) -> usize {
    usize::try_from(PIECE - at % PIECE).unwrap_or(0)
}

//! What becomes of a fetched response: begin, append, finish, abandon, and 304.

use levee_buf::{MAX_ROOM, Memory, Pieces};
use levee_http::{FieldTable, Length, RequestHead, ResponseHead};

use super::{Store, VARIANTS};
use crate::body::cost;
use crate::conditional::{is_weak, strongly_equal, weakly_equal};
use crate::control::{RequestControl, ResponseControl};
use crate::entry::Entry;
use crate::fresh::{Freshness, age_value, date};
use crate::head::{self, Source};
use crate::reason::Reason;
use crate::slab::NONE;
use crate::{EntryId, FillId, Now, Stored, rules, vary};

impl<M: Memory> Store<M> {
    /// Judges the final response to a fill's request (RFC 9111 section 3), received `now`. `length` is that
    /// of the content, as framing has it.
    ///
    /// `request` is the client's, as it was looked up. When the answer is [`Stored::NotStorable`] the fill
    /// has ended; what it was to validate is gone too, unless the response is a server error.
    pub fn begin(
        &mut self,
        fill: FillId,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        length: Length,
        now: Now,
    ) -> Stored {
        self.now = now;
        let slot = fill.0.slot;
        let Some(fill) = self.fills.get_mut(fill.0) else { return Stored::NotStorable(Reason::NoSuchFill) };
        let validates = fill.validates;
        match self.try_begin(slot, request, response, length, now) {
            Ok(()) => Stored::Storing,
            Err(reason) => {
                // RFC 9111 section 4.3.3: a full response says that what is stored is no longer so.
                if let Some(entry) = validates.filter(|_| response.status < 500) {
                    self.counters.removed += u64::from(self.entries[entry].linked);
                    self.unlink(entry);
                }
                self.give_up(slot, reason);
                Stored::NotStorable(reason)
            }
        }
    }

    /// The entry that a fill makes grow, pinned for the caller, who serves the request that fetches out of it as
    /// far as it has come. `None` when the response is not being stored.
    ///
    /// It can be read until [`Store::release`], whatever becomes of the fill.
    pub fn growing(&mut self, fill: FillId) -> Option<EntryId> {
        let entry = self.fills.get_mut(fill.0)?.storing?;
        self.pin_slot(entry);
        Some(EntryId(self.entries.id(entry)))
    }

    /// Links a part of the body behind what came before: `chain` is empty then.
    ///
    /// False when the fill has ended, now or before: the response grew over a limit, over its announced
    /// length, or memory ran out. `chain` still has what did not become part of the entry.
    pub fn append(&mut self, fill: FillId, chain: &mut M::Chain) -> bool {
        let slot = fill.0.slot;
        let Some(fill) = self.fills.get_mut(fill.0) else { return false };
        let done = match (fill.storing, fill.length) {
            (Some(entry), length) => self.try_append(entry, length, chain),
            (None, _) => Err(Reason::NoSuchFill),
        };
        if let Err(reason) = done {
            self.give_up(slot, reason);
        }
        done.is_ok()
    }

    /// The response is complete: publishes the entry and wakes who waits for it. The entry is not pinned.
    ///
    /// `None` when it is not stored: fewer bytes came than were announced, it was invalidated meanwhile, or
    /// the fill had ended before.
    pub fn finish(&mut self, fill: FillId, now: Now) -> Option<EntryId> {
        self.now = now;
        let slot = fill.0.slot;
        let fill = self.fills.get_mut(fill.0)?;
        let (doomed, length) = (fill.doomed, fill.length);
        let Some(entry) = fill.storing else {
            self.give_up(slot, Reason::Incomplete);
            return None;
        };
        // RFC 9111 section 3.3: incomplete responses are not stored by a cache without Range.
        let complete = length.is_none_or(|length| length == self.entries[entry].body.len());
        if doomed || !complete {
            self.give_up(slot, if doomed { Reason::Invalidated } else { Reason::Incomplete });
            return None;
        }
        self.publish(entry);
        self.counters.stored += 1;
        let id = self.entries.id(entry);
        self.end(slot);
        Some(EntryId(id))
    }

    /// Forgets a fill whose response failed or is not wanted, and wakes who waits for it: the first of them
    /// that looks up again fetches.
    pub fn abandon(&mut self, fill: FillId) {
        let slot = fill.0.slot;
        if self.fills.get_mut(fill.0).is_some() {
            self.counters.not_stored[Reason::Incomplete as usize] += 1;
            self.end(slot);
        }
    }

    /// A 304 to a fill's conditional request, received `now`: freshens what is stored (RFC 9111 section
    /// 4.3.4), ends the fill and hands out the entry pinned, to be served to the request.
    ///
    /// `None` when the 304 is not about the stored response (which is gone then) or the fill validates
    /// nothing: the fill goes on, and the caller asks again without conditions, or abandons it.
    pub fn not_modified(&mut self, fill: FillId, response: &ResponseHead<'_>, now: Now) -> Option<EntryId> {
        self.now = now;
        let slot = fill.0.slot;
        let fill = self.fills.get_mut(fill.0)?;
        let request_time = fill.request_time;
        if fill.storing.is_some() {
            return None;
        }
        // The fill's pin becomes the caller's.
        let entry = fill.validates.take()?;
        if !confirms(response, self.entries[entry].head()) {
            self.counters.removed += u64::from(self.entries[entry].linked);
            self.unlink(entry);
            self.release_slot(entry);
            return None;
        }
        self.counters.validated += 1;
        if self.freshen(entry, response, request_time, now).is_err() {
            self.unlink(entry);
        }
        self.eviction.touch(entry);
        let id = self.entries.id(entry);
        self.end(slot);
        Some(EntryId(id))
    }

    fn try_begin(
        &mut self,
        slot: u32,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        length: Length,
        now: Now,
    ) -> Result<(), Reason> {
        let fill = self.fills.at(slot);
        if fill.doomed {
            return Err(Reason::Invalidated);
        }
        if fill.storing.is_some() {
            return Err(Reason::Incomplete);
        }
        let control = ResponseControl::of(&response.fields);
        let no_store = RequestControl::of(&request.fields).no_store;
        rules::storable(request, no_store, response, &control, &self.policy)?;
        let age = age_value(&response.fields);
        let fresh = Freshness::of(response, &control, &self.policy, age, fill.request_time, now);
        let length = match length {
            Length::None => Some(0),
            Length::Exact(length) => Some(length),
            Length::Chunked | Length::UntilClose => None,
        };
        if length.is_some_and(|length| length > self.limits.entry_bytes as u64) {
            return Err(Reason::TooLarge);
        }
        let always_validates = fresh.always_validates();
        if always_validates && !head::has_validator(|name| response.fields.get(name)) {
            return Err(Reason::NeverReusable);
        }
        let entry = self.store_head(slot, request, response, now)?;
        let date_s = date(&response.fields, b"date").unwrap_or(now.seconds());
        let shareable = rules::permits_sharing(&control);
        let stored = &mut self.entries[entry];
        (stored.fresh, stored.date_s, stored.shareable) = (fresh, date_s, shareable);
        let varies = !stored.vary().is_empty();
        let fill = self.fills.at_mut(slot);
        (fill.storing, fill.length) = (Some(entry), length);
        if always_validates {
            // Each request has to ask by itself: nobody waits for it.
            let hash = fill.hash;
            self.fills.hide(slot);
            self.mark(hash);
        } else if varies {
            // Only some of those that wait select it, which they find out themselves.
            self.fills.wake(slot);
        }
        Ok(())
    }

    /// A fresh entry with key, Vary section and head, pinned by the fill and not linked.
    fn store_head(
        &mut self,
        slot: u32,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        now: Now,
    ) -> Result<u32, Reason> {
        let source = Source {
            status: response.status,
            reason: response.reason,
            fields: response.fields,
            update: None,
            received_s: now.seconds(),
            keep_cookies: self.policy.store_set_cookie,
        };
        let key_len = self.fills.at(slot).key.len();
        let vary_len = vary::measure(&response.fields, &request.fields)?;
        let head_len = source.measure().ok_or(Reason::HeadTooLong)?;
        let len = key_len.saturating_add(vary_len).saturating_add(head_len);
        if len > MAX_ROOM {
            return Err(Reason::HeadTooLong);
        }
        while self.entries.is_full() {
            if !self.evict() {
                return Err(Reason::EntriesFull);
            }
        }
        // The key moves over from the fill, whose own copy lookups still read.
        let key = std::mem::take(&mut self.fills.at_mut(slot).key);
        let text = self.text(len, |out| {
            out.bytes(key.chunk(0))?;
            vary::write(&response.fields, &request.fields, out)?;
            source.write(out)
        });
        let fill = self.fills.at_mut(slot);
        fill.key = key;
        let hash = fill.hash;
        let (text, cost) = text?;
        if cost > self.limits.entry_bytes {
            return Err(Reason::TooLarge);
        }
        let entry = self.entries.take().ok_or(Reason::EntriesFull)?.slot;
        self.entries[entry] = Entry::new(hash, text, key_len, vary_len, cost);
        self.held += cost;
        self.pin_slot(entry);
        Ok(entry)
    }

    fn try_append(&mut self, entry: u32, length: Option<u64>, chain: &mut M::Chain) -> Result<(), Reason> {
        if chain.is_empty() {
            return Ok(());
        }
        let (bytes, pinned) = (chain.len(), cost(chain));
        let stored = &self.entries[entry];
        if length.is_some_and(|length| stored.body.len().saturating_add(bytes as u64) > length) {
            return Err(Reason::Incomplete);
        }
        if stored.cost.saturating_add(pinned) > self.limits.entry_bytes {
            return Err(Reason::TooLarge);
        }
        self.reserve(pinned)?;
        self.entries[entry].cost += pinned;
        self.held += pinned;
        self.locked += pinned;
        self.bodies.append(&mut self.entries[entry].body, &self.memory, chain).map_err(|_| Reason::Exhausted)
    }

    /// Lookups find the half-filled `entry` from now on, in the place of what it replaces.
    fn publish(&mut self, entry: u32) {
        let hash = self.entries[entry].hash;
        let mut variants = 0;
        let mut oldest = None;
        let mut at = self.index.first(hash);
        while at != NONE {
            let other = at;
            at = self.index.next(other);
            let (new, old) = (&self.entries[entry], &self.entries[other]);
            if old.key() != new.key() {
                continue;
            }
            if old.vary() == new.vary() {
                self.counters.removed += 1;
                self.unlink(other);
                continue;
            }
            variants += 1;
            let age = (old.fresh.response_time, other);
            oldest = Some(oldest.map_or(age, |oldest: (Now, u32)| oldest.min(age)));
        }
        if let Some((_, oldest)) = oldest.filter(|_| variants >= VARIANTS) {
            self.counters.removed += 1;
            self.unlink(oldest);
        }
        self.index.insert(entry, hash);
        let stored = &mut self.entries[entry];
        stored.linked = true;
        self.eviction.insert(entry, hash, stored.cost);
    }

    /// Merges the fields of a 304 into the stored head. An error means that the entry can serve this
    /// request, which it was validated for, and no other.
    fn freshen(
        &mut self,
        entry: u32,
        response: &ResponseHead<'_>,
        request_time: Now,
        now: Now,
    ) -> Result<(), Reason> {
        // RFC 9111 section 4.1: what selects it is known for the names of the old Vary only.
        if response.fields.contains(b"vary")
            && !vary::has_names_of(self.entries[entry].vary(), &response.fields)
        {
            return Err(Reason::VaryInvalid);
        }
        let mut table = FieldTable::new();
        // Out of its place while the store makes room; it is pinned, so that nobody frees it.
        let (key_len, vary_len) = self.entries[entry].lengths();
        let old = self.entries[entry].set_text(M::Chain::default(), 0, 0);
        let prefix_len = key_len + vary_len;
        let merged = self.merge(&old, prefix_len, &mut table, response, now);
        let (text, new_cost) = match merged {
            Ok(merged) => merged,
            Err(reason) => {
                self.entries[entry].set_text(old, key_len, vary_len);
                return Err(reason);
            }
        };
        let old_cost = cost(&old);
        let stored = &mut self.entries[entry];
        stored.set_text(text, key_len, vary_len);
        stored.cost = stored.cost - old_cost + new_cost;
        let linked = stored.linked;
        let total = stored.cost;
        self.held = self.held - old_cost + new_cost;
        self.locked = self.locked - old_cost + new_cost;
        if linked {
            self.eviction.resize(entry, total);
        }
        let stored = &mut self.entries[entry];
        let mut table = FieldTable::new();
        let head = head::parse(stored.head(), &mut table).ok_or(Reason::HeadTooLong)?;
        let control = ResponseControl::of(&head.fields);
        let age = age_value(&response.fields);
        let fresh = Freshness::of(&head, &control, &self.policy, age, request_time, now);
        let date_s = date(&head.fields, b"date").unwrap_or(now.seconds());
        let shareable = rules::permits_sharing(&control);
        (stored.fresh, stored.date_s, stored.shareable) = (fresh, date_s, shareable);
        if control.no_store {
            Err(Reason::NoStore)
        } else if control.private {
            Err(Reason::Private)
        } else {
            Ok(())
        }
    }

    /// The text of an entry with the fields of a 304 in the place of its own.
    fn merge(
        &mut self,
        old: &M::Chain,
        prefix_len: usize,
        table: &mut FieldTable,
        response: &ResponseHead<'_>,
        now: Now,
    ) -> Result<(M::Chain, usize), Reason> {
        let (prefix, head) = old.chunk(0).split_at_checked(prefix_len).ok_or(Reason::HeadTooLong)?;
        let head = head::parse(head, table).ok_or(Reason::HeadTooLong)?;
        let source = Source {
            status: head.status,
            reason: head.reason,
            fields: head.fields,
            update: Some(response.fields),
            received_s: now.seconds(),
            keep_cookies: self.policy.store_set_cookie,
        };
        let len = prefix_len.saturating_add(source.measure().ok_or(Reason::HeadTooLong)?);
        if len > MAX_ROOM {
            return Err(Reason::HeadTooLong);
        }
        self.text(len, |out| {
            out.bytes(prefix)?;
            source.write(out)
        })
    }

    /// Ends a fill whose response is not stored.
    fn give_up(&mut self, slot: u32, reason: Reason) {
        self.counters.not_stored[reason as usize] += 1;
        if concerns_everyone(reason) {
            let hash = self.fills.at(slot).hash;
            self.mark(hash);
        }
        self.end(slot);
    }

    /// Ends a fill and gives back what it holds.
    fn end(&mut self, slot: u32) {
        let fill = self.fills.end(slot);
        self.held -= fill.key_cost;
        self.locked -= fill.key_cost;
        for entry in fill.validates.into_iter().chain(fill.storing) {
            self.release_slot(entry);
        }
    }

    /// Requests for this key do not wait for each other for a short while.
    fn mark(&mut self, hash: u64) {
        self.fills.mark(hash, Now(self.now.0.saturating_add(self.policy.hit_for_miss_ms)));
    }
}

/// Whether a response that was not stored for `reason` would not have been stored for others either. What
/// one request alone brings about must not keep a key out of the cache.
const fn concerns_everyone(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Method
            | Reason::RequestNoStore
            | Reason::AuthorizedResponse
            | Reason::Invalidated
            | Reason::NoSuchFill
    )
}

/// Whether a 304 is about the response with this stored head (RFC 9111 section 4.3.4): the entity tag, when
/// it has one, or else the date is the stored one's; one without validator is about what was asked.
fn confirms(response: &ResponseHead<'_>, stored: &[u8]) -> bool {
    if let Some(tag) = response.fields.get(b"etag") {
        return head::value(stored, b"etag")
            .is_some_and(|own| if is_weak(tag) { weakly_equal(tag, own) } else { strongly_equal(tag, own) });
    }
    match (response.fields.get(b"last-modified"), head::value(stored, b"last-modified")) {
        (Some(date), Some(own)) => date == own,
        _ => true,
    }
}

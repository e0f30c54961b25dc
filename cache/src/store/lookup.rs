//! What becomes of a request: `Store::lookup`, and who waits.

use levee_buf::{Chain, Full, MAX_ROOM, Memory, Pieces, Writer};
use levee_http::{Method, RequestHead};

use super::{Selection, Store};
use crate::body::{cost, cost_of_alloc};
use crate::control::RequestControl;
use crate::fill::{Fill, Waiter};
use crate::fresh::Use;
use crate::head;
use crate::key::Key;
use crate::reason::Reason;
use crate::{EntryId, FillId, Lookup, Now, vary};

impl<M: Memory> Store<M> {
    /// What becomes of `request`, which is for `authority` (RFC 9111 section 4). `waiter` names it to the
    /// caller, should it have to wait.
    ///
    /// A waiter looks up again right after [`Store::woken`] returned it, with the same arguments and a
    /// newer `now`: a response that arrived while it waited then satisfies its `no-cache`, `max-age` and
    /// `min-fresh`, which otherwise would make waiters fetch one after the other.
    pub fn lookup(
        &mut self,
        request: &RequestHead<'_>,
        authority: &[u8],
        https: bool,
        now: Now,
        waiter: u64,
    ) -> Lookup {
        self.now = now;
        let outcome = self.decide(request, authority, https, now, waiter).unwrap_or_else(Lookup::Bypass);
        let counters = &mut self.counters;
        match outcome {
            Lookup::Hit(_) => counters.hits += 1,
            Lookup::Revalidate { .. } => counters.revalidations += 1,
            Lookup::Fill(_) => counters.misses += 1,
            Lookup::Wait => counters.waits += 1,
            Lookup::Bypass(reason) => counters.bypass[reason as usize] += 1,
            Lookup::OnlyIfCached504 => counters.only_if_cached += 1,
        }
        outcome
    }

    /// The next waiter that has to look up again; called until `None`.
    pub fn woken(&mut self) -> Option<u64> {
        self.fills.woken()
    }

    /// Takes out a waiter whose request went away; false when it does not wait. Looks at every waiter.
    pub fn forget(&mut self, waiter: u64) -> bool {
        self.fills.forget(waiter)
    }

    fn decide(
        &mut self,
        request: &RequestHead<'_>,
        authority: &[u8],
        https: bool,
        now: Now,
        waiter: u64,
    ) -> Result<Lookup, Reason> {
        let since = self.fills.resume(waiter);
        if !matches!(request.method, Method::Get | Method::Head) {
            return Err(Reason::Method);
        }
        let asked = Asked::of(request);
        if asked.has_content {
            return Err(Reason::RequestBody);
        }
        let key = Key::of(request, authority, https)?;
        let hash = key.hash(&self.secret);
        let selection = self.select(hash, &key, &request.fields);
        if let Some(slot) = selection.selected {
            if asked.authorized && !self.entries[slot].shareable {
                return Err(Reason::Authorization);
            }
            let verdict = self.entries[slot].fresh.judge(&asked.control, now, since);
            if verdict != Use::Validate {
                self.counters.stale_hits += u64::from(verdict == Use::Stale);
                self.eviction.touch(slot);
                self.pin_slot(slot);
                return Ok(Lookup::Hit(EntryId(self.entries.id(slot))));
            }
        }
        if asked.control.only_if_cached {
            return Ok(Lookup::OnlyIfCached504);
        }
        if let Some(reason) = asked.unfit_to_fetch {
            return Err(reason);
        }
        if selection.selected.is_none() && self.fills.is_marked(hash, now) {
            return Err(Reason::HitForMiss);
        }
        let variant = selection
            .varied
            .or_else(|| self.varied_under_way(hash, &key))
            .map_or(0, |slot| vary::hash(self.entries[slot].vary(), &request.fields, &self.secret));
        // A response to a request with Authorization is rarely one that others may have, and one that has
        // to be validated for each request is no good to who waits.
        let shared = !asked.authorized
            && !selection.selected.is_some_and(|slot| self.entries[slot].fresh.always_validates());
        if shared && let Some(fill) = self.fetch_under_way(hash, &key, request, &selection, variant) {
            let waiter = Waiter { token: waiter, since: since.unwrap_or(now) };
            return if self.fills.wait(fill, waiter) { Ok(Lookup::Wait) } else { Err(Reason::WaitersFull) };
        }
        self.begin_fetch(hash, &key, &selection, variant, shared, now)
    }

    /// A half-filled response of this key that has a Vary.
    fn varied_under_way(&self, hash: u64, key: &Key<'_>) -> Option<u32> {
        let mut storing = self.fills.of_hash(hash).filter_map(|slot| self.fills.at(slot).storing);
        storing.find(|&entry| {
            let entry = &self.entries[entry];
            !entry.vary().is_empty() && key.matches(entry.key())
        })
    }

    /// The fetch that will answer a request like this one.
    fn fetch_under_way(
        &self,
        hash: u64,
        key: &Key<'_>,
        request: &RequestHead<'_>,
        selection: &Selection,
        variant: u64,
    ) -> Option<u32> {
        self.fills.of_hash(hash).find(|&slot| {
            let fill = self.fills.at(slot);
            let same = match (fill.storing, fill.validates) {
                (Some(entry), _) => vary::matches(self.entries[entry].vary(), &request.fields),
                (None, Some(entry)) => selection.selected == Some(entry),
                (None, None) => fill.variant == variant,
            };
            same && key.matches(fill.key.chunk(0))
        })
    }

    fn begin_fetch(
        &mut self,
        hash: u64,
        key: &Key<'_>,
        selection: &Selection,
        variant: u64,
        shared: bool,
        now: Now,
    ) -> Result<Lookup, Reason> {
        if self.fills.is_full() {
            return Err(Reason::FillsFull);
        }
        let len = key.len();
        if len > MAX_ROOM {
            return Err(Reason::KeyTooLong);
        }
        // Pinned before room is made, so that it is not what makes room.
        let validates = selection.selected.filter(|&slot| self.has_validator(slot));
        if let Some(slot) = validates {
            self.pin_slot(slot);
        }
        let text = self.text(len, |out| key.write(out));
        let (text, key_cost) = match text {
            Ok(text) => text,
            Err(reason) => {
                if let Some(slot) = validates {
                    self.release_slot(slot);
                }
                return Err(reason);
            }
        };
        let fill = Fill {
            key: text,
            key_cost,
            hash,
            variant,
            request_time: now,
            validates,
            shared,
            ..Fill::default()
        };
        self.held += key_cost;
        self.locked += key_cost;
        let fill = FillId(self.fills.begin(fill).ok_or(Reason::FillsFull)?);
        Ok(match validates {
            Some(slot) => Lookup::Revalidate { fill, entry: EntryId(self.entries.id(slot)) },
            None => Lookup::Fill(fill),
        })
    }

    fn has_validator(&self, slot: u32) -> bool {
        let head = self.entries[slot].head();
        head::has_validator(|name| head::value(head, name))
    }

    /// A contiguous chain of `len` bytes that `write` fills, within the budget, and what it costs. The
    /// caller charges it.
    pub(super) fn text(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<(M::Chain, usize), Reason> {
        self.reserve(cost_of_alloc(len))?;
        let mut text = self.memory.alloc(len).ok_or(Reason::Exhausted)?;
        let room = text.extend(len).ok_or(Reason::Exhausted)?;
        write(&mut Writer::new(room)).map_err(|_| Reason::HeadTooLong)?;
        let cost = cost(&text);
        Ok((text, cost))
    }
}

/// What the fields of a request say to the cache, read in one pass.
#[derive(Debug, Default)]
struct Asked {
    control: RequestControl,
    authorized: bool,
    /// A GET or HEAD with content. It is no part of the key, and a backend that looks at it would answer
    /// others with what one client sent.
    has_content: bool,
    /// Why it does not fetch for the cache, when nothing stored satisfies it.
    unfit_to_fetch: Option<Reason>,
}

impl Asked {
    fn of(request: &RequestHead<'_>) -> Self {
        let mut asked = Self::default();
        let mut controlled = false;
        for (name, value) in request.fields.iter() {
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            match name.len() {
                5 if is(b"range") => asked.unfit_to_fetch = Some(Reason::Range),
                6 if is(b"pragma") => controlled = true,
                7 if is(b"upgrade") => asked.unfit_to_fetch = Some(Reason::Upgrade),
                8 if is(b"if-match") => asked.unfit_to_fetch = Some(Reason::Precondition),
                13 if is(b"cache-control") => controlled = true,
                13 if is(b"authorization") => asked.authorized = true,
                14 if is(b"content-length") => asked.has_content |= value.iter().any(|&digit| digit != b'0'),
                17 if is(b"transfer-encoding") => asked.has_content = true,
                19 if is(b"if-unmodified-since") => asked.unfit_to_fetch = Some(Reason::Precondition),
                _ => {}
            }
        }
        if controlled {
            asked.control = RequestControl::of(&request.fields);
        }
        if request.method == Method::Head {
            asked.unfit_to_fetch = Some(Reason::Head);
        }
        // RFC 9111 section 5.2.1.5.
        if asked.control.no_store {
            asked.unfit_to_fetch = Some(Reason::RequestNoStore);
        }
        asked
    }
}

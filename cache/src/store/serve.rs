//! What a hit is answered with: head, age, body, validators, and its pin.

use levee_buf::Memory;
use levee_http::{FieldTable, RequestHead, ResponseHead};

use super::Store;
use crate::conditional::{Serve, evaluate, is_conditional, is_entity_tag};
use crate::{EntryId, Now, Validators, head};

impl<M: Memory> Store<M> {
    /// The stored head, without the fields of one connection and without Age and Content-Length, which the
    /// caller adds. `None` when the entry is gone.
    #[must_use]
    pub fn head<'a>(&'a self, entry: EntryId, fields: &'a mut FieldTable) -> Option<ResponseHead<'a>> {
        head::parse(self.entries.get(entry.0)?.head(), fields)
    }

    /// Whether the entry answers `request` in full or with 304; in full when the entry is gone.
    #[must_use]
    pub fn conditional(&self, entry: EntryId, request: &RequestHead<'_>) -> Serve {
        let Some(stored) = self.entries.get(entry.0) else { return Serve::Full };
        if !is_conditional(&request.fields) {
            return Serve::Full;
        }
        let mut table = FieldTable::new();
        let received_s = stored.fresh.response_time.seconds();
        match head::parse(stored.head(), &mut table) {
            Some(head) => evaluate(request, &head, received_s),
            None => Serve::Full,
        }
    }

    /// The value of the answer's Age, in seconds: current_age of RFC 9111 section 4.2.3.
    #[must_use]
    pub fn age(&self, entry: EntryId, now: Now) -> u64 {
        self.entries.get(entry.0).map_or(0, |entry| entry.fresh.current_age_s(now))
    }

    /// Bytes of the body.
    #[must_use]
    pub fn body_len(&self, entry: EntryId) -> u64 {
        self.entries.get(entry.0).map_or(0, |entry| entry.body.len())
    }

    /// References at most `max` bytes of the body from `offset`, in constant time for each 16 KiB of them;
    /// an empty chain at or beyond the end. `None` when packet memory is exhausted or the entry is gone.
    pub fn read(&mut self, entry: EntryId, offset: u64, max: usize) -> Option<M::Chain> {
        let body = self.entries.get(entry.0)?.body;
        self.bodies.read(&body, &self.memory, offset, max)
    }

    /// The conditions for asking whether the entry still holds.
    #[must_use]
    pub fn validators(&self, entry: EntryId) -> Validators<'_> {
        self.entries.get(entry.0).map_or_else(Validators::default, |entry| Validators {
            etag: head::value(entry.head(), b"etag").filter(|tag| is_entity_tag(tag)),
            last_modified: head::value(entry.head(), b"last-modified"),
        })
    }

    /// Keeps the entry from being freed, once more; false when it is gone.
    pub fn pin(&mut self, entry: EntryId) -> bool {
        let there = self.entries.contains(entry.0);
        if there {
            self.pin_slot(entry.0.slot);
        }
        there
    }

    /// Takes one pin back. An entry that was evicted meanwhile is freed with the last one.
    pub fn release(&mut self, entry: EntryId) {
        if self.entries.contains(entry.0) {
            self.release_slot(entry.0.slot);
        }
    }
}

//! The store: `Store`, what lookups find in it, and its packet memory.
//!
//! Lookups are in `lookup`, filling it is in `fetch`, reading from it in `serve`, forgetting in `invalidate`.

mod fetch;
mod invalidate;
mod lookup;
mod serve;

use levee_buf::Memory;

use crate::body::Bodies;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::evict::Eviction;
use crate::fill::Fills;
use crate::index::Index;
use crate::key::Key;
use crate::reason::Reason;
use crate::slab::Slab;
use crate::{Limits, Now, Policy, vary};

use levee_http::Fields;

/// The most stored responses of one key; the least recent goes when there would be more.
const VARIANTS: usize = 16;

/// A shared cache in packet memory, of one lcore.
#[derive(Debug)]
pub struct Store<M: Memory> {
    limits: Limits,
    policy: Policy,
    secret: [u8; 16],
    memory: M,
    entries: Slab<Entry<M::Chain>>,
    index: Index,
    bodies: Bodies<M::Chain>,
    eviction: Eviction,
    fills: Fills<M::Chain>,
    counters: Counters,
    /// Bytes of packet memory held: all entries, and the keys of fills.
    held: usize,
    /// Those of them that eviction cannot free: pinned entries, half-filled ones among them, and keys of
    /// fills.
    locked: usize,
    /// The latest time that a caller told.
    now: Now,
}

impl<M: Memory> Store<M> {
    /// An empty store with the default [`Policy`]; `secret` keys its hashes.
    ///
    /// All that it needs but packet memory is allocated here.
    #[must_use]
    pub fn new(limits: Limits, secret: [u8; 16], memory: M) -> Self {
        Self {
            limits,
            policy: Policy::default(),
            secret,
            memory,
            entries: Slab::new(limits.entries),
            index: Index::new(limits.entries),
            bodies: Bodies::new(limits.entries, limits.bytes),
            eviction: Eviction::new(limits.entries, limits.bytes),
            fills: Fills::new(limits.fills, limits.waiters, limits.entries),
            counters: Counters::default(),
            held: 0,
            locked: 0,
            now: Now::default(),
        }
    }

    /// The same store under another policy.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// What was counted since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of packet memory held, counted as [`Limits::bytes`] are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.held
    }

    /// Entries held, half-filled ones and those that only a pin keeps included.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.in_use()
    }

    /// Evicts entries until at least `bytes` of packet memory are free that were not, as far as there are
    /// entries without pins, and returns how many bytes are: for a caller whose packet memory runs low.
    pub fn shed(&mut self, bytes: usize) -> usize {
        let before = self.held;
        while before - self.held < bytes && self.evict() {}
        before - self.held
    }

    /// Forgets everything: entries are gone but for those that are pinned, which no lookup finds, and what
    /// is being fetched will not be stored.
    pub fn purge_all(&mut self) {
        for slot in self.fills.slots() {
            if self.fills.is_taken(slot) {
                self.doom(slot);
            }
        }
        for slot in self.entries.slots() {
            if self.entries.is_taken(slot) && self.entries[slot].linked {
                self.counters.removed += 1;
                self.unlink(slot);
            }
        }
        self.fills.clear_marks();
    }

    /// The response of a fill is not to be stored, whatever it is.
    fn doom(&mut self, slot: u32) {
        self.fills.at_mut(slot).doomed = true;
        self.fills.hide(slot);
    }

    /// Makes room for `bytes` more of packet memory within the budget.
    fn reserve(&mut self, bytes: usize) -> Result<(), Reason> {
        // What cannot help is not evicted for it.
        if self.locked.saturating_add(bytes) > self.limits.bytes {
            return Err(Reason::Budget);
        }
        while self.held + bytes > self.limits.bytes {
            if !self.evict() {
                return Err(Reason::Budget);
            }
        }
        Ok(())
    }

    /// Evicts an entry; false when nothing is held that this could free.
    fn evict(&mut self) -> bool {
        if self.held == self.locked {
            return false;
        }
        let entries = &self.entries;
        let Some(slot) = self.eviction.victim(|slot| entries[slot].pins > 0) else { return false };
        self.counters.evictions += 1;
        self.counters.evicted_bytes += self.entries[slot].cost as u64;
        self.unlink(slot);
        true
    }

    /// Lookups find it no longer; it is freed when nobody has it pinned.
    fn unlink(&mut self, slot: u32) {
        if std::mem::take(&mut self.entries[slot].linked) {
            self.index.remove(slot);
            self.eviction.remove(slot);
            self.free_if_unused(slot);
        }
    }

    fn pin_slot(&mut self, slot: u32) {
        let entry = &mut self.entries[slot];
        if entry.pins == 0 {
            self.locked += entry.cost;
        }
        entry.pins += 1;
    }

    fn release_slot(&mut self, slot: u32) {
        let entry = &mut self.entries[slot];
        let Some(pins) = entry.pins.checked_sub(1) else { return };
        entry.pins = pins;
        if pins == 0 {
            self.locked -= entry.cost;
            self.free_if_unused(slot);
        }
    }

    fn free_if_unused(&mut self, slot: u32) {
        let entry = &self.entries[slot];
        if entry.pins == 0 && !entry.linked {
            let entry = self.entries.put(slot);
            self.held -= entry.cost;
            self.bodies.clear(entry.body);
        }
    }

    /// The stored response of `key` that `request` selects, and one of the same key that has a Vary.
    fn select(&self, hash: u64, key: &Key<'_>, request: &Fields<'_>) -> Selection {
        let mut selection = Selection::default();
        let mut best = None;
        for slot in self.index.iter(hash) {
            let entry = &self.entries[slot];
            if !key.matches(entry.key()) {
                continue;
            }
            let varies = !entry.vary().is_empty();
            if varies {
                selection.varied.get_or_insert(slot);
            }
            // RFC 9111 section 4.1: "the cache SHOULD choose the most recent [...] stored response with a
            // valid Vary field value"; section 4: "the most recent one (as determined by the Date header
            // field)".
            let rank = (varies, entry.date_s, entry.fresh.response_time);
            if best.is_none_or(|best| rank > best) && vary::matches(entry.vary(), request) {
                best = Some(rank);
                selection.selected = Some(slot);
            }
        }
        selection
    }
}

/// What a key has stored.
#[derive(Clone, Copy, Debug, Default)]
struct Selection {
    /// What the request selects.
    selected: Option<u32>,
    /// Any response with a Vary.
    varied: Option<u32>,
}

#[cfg(test)]
mod tests;

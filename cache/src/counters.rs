//! What the store counts: `Counters`.

use crate::reason::Reason;

/// Counts since the store was made.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Requests served from the store, stale ones included.
    pub hits: u64,
    /// Requests served stale, since they took it (`max-stale`).
    pub stale_hits: u64,
    /// Fetches begun for what was not stored.
    pub misses: u64,
    /// Fetches begun to validate what was stored.
    pub revalidations: u64,
    /// Validations that a 304 confirmed.
    pub validated: u64,
    /// Lookups that wait for someone else's fetch.
    pub waits: u64,
    /// Requests refused by `only-if-cached`.
    pub only_if_cached: u64,
    /// Responses stored.
    pub stored: u64,
    /// Entries evicted.
    pub evictions: u64,
    /// Bytes of packet memory of evicted entries, pinned ones included.
    pub evicted_bytes: u64,
    /// Entries invalidated by unsafe requests, or replaced, or purged.
    pub removed: u64,
    /// Requests that bypassed, by [`Reason`].
    pub bypass: [u64; Reason::ALL.len()],
    /// Fetches whose response was not stored, by [`Reason`].
    pub not_stored: [u64; Reason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            hits: 0,
            stale_hits: 0,
            misses: 0,
            revalidations: 0,
            validated: 0,
            waits: 0,
            only_if_cached: 0,
            stored: 0,
            evictions: 0,
            evicted_bytes: 0,
            removed: 0,
            bypass: [0; Reason::ALL.len()],
            not_stored: [0; Reason::ALL.len()],
        }
    }
}

impl Counters {
    /// Requests that bypassed for `reason`.
    #[must_use]
    pub const fn bypassed(&self, reason: Reason) -> u64 {
        self.bypass[reason as usize]
    }

    /// Fetches whose response was not stored for `reason`.
    #[must_use]
    pub const fn not_stored(&self, reason: Reason) -> u64 {
        self.not_stored[reason as usize]
    }
}

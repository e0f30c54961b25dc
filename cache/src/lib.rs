//! An HTTP cache without IO (RFC 9111), shared by all clients of one lcore.
//!
//! A [`Store`] keeps responses in packet memory: body, head and key are chains of the same segments that
//! the network filled, so a fill links what it forwards and a hit is a reference to it. No clock, no
//! randomness, no copy of a body, and no call to the allocator after [`Store::new`].
//!
//! # A request, in order
//!
//! 1. [`Store::lookup`] answers with a [`Lookup`].
//! 2. [`Lookup::Hit`]: the entry comes pinned. [`Store::conditional`] says whether 200 or 304 is the
//!    answer, [`Store::head`] and [`Store::age`] give the head to encode (the caller adds Age and
//!    Content-Length from [`Store::body_len`]), [`Store::read`] references the body piece by piece, and
//!    [`Store::release`] ends the pin.
//! 3. [`Lookup::Fill`]: the caller fetches. The request it sends must ask for the whole representation:
//!    no If-* and no Range. [`Store::begin`] judges the response's head; while that says
//!    [`Stored::Storing`] each part of the body goes to [`Store::append`], and the caller serves its own client
//!    out of the entry that grows ([`Store::growing`], [`Store::read`], [`Store::release`]), which need not keep
//!    up; [`Store::finish`] publishes the entry, [`Store::abandon`] forgets it. Every fill ends by one of these: a fill that
//!    [`Stored::NotStorable`] or a false from `append` has ended may be finished or abandoned again
//!    without effect.
//! 4. [`Lookup::Revalidate`]: as a fill, with the conditions that [`Store::validators`] names in the place
//!    of the client's: a 304 to other conditions would freshen what it is not about. The 304 goes to
//!    [`Store::not_modified`], which hands out the refreshed entry pinned, as a hit; `None` means that the
//!    304 was about something else: the fill goes on, and the caller asks again without conditions. Any
//!    other status goes to `begin`.
//! 5. [`Lookup::Wait`]: someone else fetches it. [`Store::woken`] gives the waiter back when it is time
//!    to look up again. A waiter that went away is given to [`Store::forget`], or ignored when woken.
//! 6. [`Lookup::Bypass`]: the cache has no part in it. After the response of an unsafe request the caller
//!    calls [`Store::invalidate`], on every lcore's store.
//!
//! # What is not here
//!
//! stale-while-revalidate and stale-if-error (RFC 5861); partial responses: a Range request for a stored
//! response is served the full 200, as RFC 9110 section 14.2 permits ("A server MAY ignore the Range
//! header field"), and one for anything else bypasses; freshening by HEAD (RFC 9111 section 4.3.5, a
//! MAY); If-Match and If-Unmodified-Since, which "are not applicable to a cache" (section 4.3.2): ignored
//! on a hit, forwarded otherwise.
//!
//! # Choices
//!
//! - [`Serve`] has no precondition-failed: the fields that could fail are not applicable to a cache.
//! - [`Store::head`] takes the caller's [`FieldTable`] and returns a true [`ResponseHead`], for the same
//!   encoder that forwards a backend's; it is kept as the text of a head, parsed again on a hit.
//! - [`Store::with_policy`], [`Store::forget`], [`Store::invalidate`], [`Store::purge`] and [`Store::shed`] are
//!   additions.
//!
//! # Bytes
//!
//! Packet memory held is at most [`Limits::bytes`], pinned and half-filled entries included: what does not
//! fit is not stored. Besides it the store holds, from the start, at most 650 bytes for each of
//! [`Limits::entries`] (half of that while bodies are mostly below 16 KiB), 40 for each 16 KiB of
//! [`Limits::bytes`], 200 for each of [`Limits::fills`] and 32 for each of [`Limits::waiters`].
#![forbid(unsafe_code)]

mod body;
mod conditional;
mod control;
mod counters;
mod entry;
mod evict;
mod fill;
mod fresh;
mod head;
mod index;
mod key;
mod list;
mod reason;
mod rules;
mod slab;
mod store;
#[cfg(test)]
mod testing;
mod vary;

pub use conditional::{Serve, in_not_modified};
pub use counters::Counters;
pub use reason::Reason;
pub use store::Store;

#[cfg(doc)]
use levee_http::{FieldTable, ResponseHead};

/// Wall-clock time: milliseconds since 1970-01-01 00:00 UTC.
///
/// The caller derives it from a monotonic clock and the wall clock at launch, so that it never goes back;
/// where it does, an entry counts as received at that moment, and no arithmetic fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(pub u64);

impl Now {
    /// `seconds` since 1970 and `milliseconds` more.
    #[must_use]
    pub const fn new(seconds: u64, milliseconds: u64) -> Self {
        Self(seconds.saturating_mul(1000).saturating_add(milliseconds))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Milliseconds since `earlier`; zero when that is later.
    #[must_use]
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a [`Store`] may hold. All of it but the packet memory itself is set aside by [`Store::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of packet memory, counted as whole segments with their headroom: a segment that holds one
    /// byte of a body is pinned as a whole.
    pub bytes: usize,
    /// Bytes of packet memory of one entry, counted alike. A response that grows beyond is not stored. An
    /// entry is freed at once, segment by segment: the longest pause of the store is in proportion to this.
    pub entry_bytes: usize,
    /// Entries, half-filled ones included.
    pub entries: usize,
    /// Fetches under way. Beyond, requests bypass.
    pub fills: usize,
    /// Requests that wait for a fetch of someone else. Beyond, requests bypass.
    pub waiters: usize,
}

/// What RFC 9111 leaves to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most seconds that a response without explicit expiration counts as fresh; 0 switches
    /// heuristics off (RFC 9111 section 4.2.2).
    pub heuristic_cap_s: u64,
    /// Whether a response with Set-Cookie may be stored when it also says `public`. Never without.
    pub store_set_cookie: bool,
    /// How long requests for a response that was not storable bypass instead of waiting for each other.
    pub hit_for_miss_ms: u64,
}

impl Default for Policy {
    /// Heuristics up to a day, no Set-Cookie, two seconds.
    fn default() -> Self {
        Self { heuristic_cap_s: 86_400, store_set_cookie: false, hit_for_miss_ms: 2000 }
    }
}

/// Names an entry. An id of an entry that is gone names nothing, never another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub(crate) slab::Id);

/// Names a fill. An id of a fill that has ended names nothing, never another fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FillId(pub(crate) slab::Id);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Served from this entry, which is pinned until [`Store::release`].
    Hit(EntryId),
    /// The caller asks the backend whether `entry` still holds, by [`Store::validators`].
    Revalidate {
        /// The fetch.
        fill: FillId,
        /// What it is about; kept by the fill until that ends, not pinned for the caller.
        entry: EntryId,
    },
    /// The caller fetches, others wait.
    Fill(FillId),
    /// Someone else fetches: look up again when [`Store::woken`] gives the waiter back.
    Wait,
    /// The request goes to the backend without the cache.
    Bypass(Reason),
    /// Not stored, and the request said `only-if-cached`: 504 (RFC 9111 section 5.2.1.7).
    OnlyIfCached504,
}

/// What becomes of a fetched response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The body goes through [`Store::append`], and then [`Store::finish`] or [`Store::abandon`].
    Storing,
    /// The fill has ended; who waited is woken.
    NotStorable(Reason),
}

/// The conditions that a revalidation sends (RFC 9111 section 4.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The value for If-None-Match.
    pub etag: Option<&'a [u8]>,
    /// The value for If-Modified-Since.
    pub last_modified: Option<&'a [u8]>,
}

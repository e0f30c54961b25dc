//! Invalidation by unsafe requests (RFC 9111 section 4.4).

use levee_buf::{Memory, Pieces};
use levee_http::{RequestHead, ResponseHead};

use super::Store;
use crate::key::Key;
use crate::slab::NONE;

impl<M: Memory> Store<M> {
    /// Forgets what an unsafe request has outdated, once its response is there: its target, and the targets
    /// of Location and Content-Location when they are of the same origin. Returns the number of entries
    /// that are gone; a safe request and an error response outdate nothing.
    ///
    /// Each lcore has its own store: the caller tells them all.
    pub fn invalidate(
        &mut self,
        request: &RequestHead<'_>,
        authority: &[u8],
        https: bool,
        response: &ResponseHead<'_>,
    ) -> usize {
        // "A cache MUST invalidate the target URI when it receives a non-error status code in response to
        // an unsafe request method (including methods whose safety is unknown)." Non-error is 2xx and 3xx.
        if request.method.is_safe() || !(200..400).contains(&response.status) {
            return 0;
        }
        let Ok(target) = Key::of(request, authority, https) else { return 0 };
        let mut gone = self.invalidate_key(&target);
        for name in [&b"location"[..], b"content-location"] {
            let reference = response.fields.get(name);
            if let Some(other) = reference.and_then(|reference| target.resolve(reference)) {
                gone += self.invalidate_key(&other);
            }
        }
        gone
    }

    /// Forgets what is stored for one URI, and returns how many entries that were. `path` and `query` are
    /// as in a request target.
    pub fn purge(&mut self, https: bool, authority: &[u8], path: &[u8], query: Option<&[u8]>) -> usize {
        Key::new(https, authority, path, query).map_or(0, |key| self.invalidate_key(&key))
    }

    fn invalidate_key(&mut self, key: &Key<'_>) -> usize {
        let hash = key.hash(&self.secret);
        // What is being fetched may be from before the change.
        for slot in self.fills.slots() {
            let fill = self.fills.at(slot);
            if self.fills.is_taken(slot) && fill.hash == hash && key.matches(fill.key.chunk(0)) {
                self.doom(slot);
            }
        }
        let mut gone = 0;
        let mut at = self.index.first(hash);
        while at != NONE {
            let slot = at;
            at = self.index.next(slot);
            if key.matches(self.entries[slot].key()) {
                self.counters.removed += 1;
                self.unlink(slot);
                gone += 1;
            }
        }
        gone
    }
}

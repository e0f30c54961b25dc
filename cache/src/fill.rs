//! Fetches under way: `Fills`, who waits for them, and the keys for which waiting is no use.
//!
//! One fetch a key: the first request that misses fetches, the others wait, first come first woken. A fetch
//! that does not end in an entry wakes them all: the first to look up again fetches, the others join it.
//! Where the response cannot be shared, the key is marked for a short while, and all of them go to the
//! backend side by side instead of one after the other.

use levee_buf::Chain;

use crate::Now;
use crate::index::Index;
use crate::list::{Links, List};
use crate::slab::{Id, NONE, Pool, Slab};

/// A fetch under way.
#[derive(Debug, Default)]
pub(crate) struct Fill<C> {
    /// The key's normal form, contiguous.
    pub(crate) key: C,
    /// Packet memory that `key` holds.
    pub(crate) key_cost: usize,
    pub(crate) hash: u64,
    /// A hash of the request fields that told stored responses of this key apart when it began.
    pub(crate) variant: u64,
    pub(crate) request_time: Now,
    /// The slot of the entry it validates, pinned.
    pub(crate) validates: Option<u32>,
    /// The slot of the entry it fills, pinned.
    pub(crate) storing: Option<u32>,
    /// The length that the response's head announced.
    pub(crate) length: Option<u64>,
    /// The response must not be stored: its key was invalidated meanwhile.
    pub(crate) doomed: bool,
    /// Whether lookups find it.
    pub(crate) shared: bool,
    pub(crate) waiters: List,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiter {
    /// The caller's name for it.
    pub(crate) token: u64,
    /// When it first waited.
    pub(crate) since: Now,
}

/// All fetches under way.
#[derive(Debug)]
pub(crate) struct Fills<C> {
    slab: Slab<Fill<C>>,
    index: Index,
    waiters: Pool<Waiter>,
    links: Links,
    woken: List,
    /// The one that [`Fills::woken`] gave out last: its next lookup goes on where it waited.
    resumed: Option<Waiter>,
    marks: Vec<Mark>,
}

/// A key for which waiting is no use. A collision costs a request its turn in the cache, nothing else.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    hash: u64,
    until: Now,
}

impl<C: Chain> Fills<C> {
    pub(crate) fn new(fills: usize, waiters: usize, marks: usize) -> Self {
        Self {
            slab: Slab::new(fills),
            index: Index::new(fills),
            waiters: Pool::new(waiters),
            links: Links::new(waiters),
            woken: List::default(),
            resumed: None,
            marks: vec![Mark::default(); marks.max(64).next_power_of_two()],
        }
    }

    /// Begins a fetch. `None` when there are too many.
    pub(crate) fn begin(&mut self, fill: Fill<C>) -> Option<Id> {
        let id = self.slab.take()?;
        if fill.shared {
            self.index.insert(id.slot, fill.hash);
        }
        self.slab[id.slot] = fill;
        Some(id)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Fill<C>> {
        self.slab.get_mut(id)
    }

    pub(crate) fn at(&self, slot: u32) -> &Fill<C> {
        &self.slab[slot]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Fill<C> {
        &mut self.slab[slot]
    }

    /// All slots, taken or not.
    pub(crate) fn slots(&self) -> std::ops::Range<u32> {
        self.slab.slots()
    }

    /// Whether `slot` holds a fetch.
    pub(crate) fn is_taken(&self, slot: u32) -> bool {
        self.slab.is_taken(slot)
    }

    /// The fetches of a key with that hash that lookups find.
    pub(crate) fn of_hash(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.index.iter(hash)
    }

    /// Lookups find it no longer, and who waits for it looks up again.
    pub(crate) fn hide(&mut self, slot: u32) {
        if std::mem::take(&mut self.slab[slot].shared) {
            self.index.remove(slot);
        }
        self.wake(slot);
    }

    /// Ends a fetch and wakes who waits for it.
    pub(crate) fn end(&mut self, slot: u32) -> Fill<C> {
        self.hide(slot);
        self.slab.put(slot)
    }

    /// Adds a waiter; false when there are too many.
    pub(crate) fn wait(&mut self, slot: u32, waiter: Waiter) -> bool {
        let Some(place) = self.waiters.take() else { return false };
        self.waiters[place] = waiter;
        self.slab[slot].waiters.push(&mut self.links, place);
        true
    }

    /// Who waits for it looks up again.
    pub(crate) fn wake(&mut self, slot: u32) {
        while let Some(place) = self.slab[slot].waiters.pop(&mut self.links) {
            self.woken.push(&mut self.links, place);
        }
    }

    /// The next waiter to look up again.
    pub(crate) fn woken(&mut self) -> Option<u64> {
        let place = self.woken.pop(&mut self.links)?;
        let waiter = self.waiters.put(place);
        self.resumed = Some(waiter);
        Some(waiter.token)
    }

    /// When the request first waited, if it is the one woken last.
    pub(crate) fn resume(&mut self, token: u64) -> Option<Now> {
        self.resumed.take_if(|waiter| waiter.token == token).map(|waiter| waiter.since)
    }

    /// Takes a waiter out, wherever it waits. Looks at all waiters.
    pub(crate) fn forget(&mut self, token: u64) -> bool {
        for slot in self.slab.slots() {
            let list = &mut self.slab[slot].waiters;
            if let Some(place) = find(list, &self.links, &self.waiters, token) {
                list.remove(&mut self.links, place);
                self.waiters.put(place);
                return true;
            }
        }
        let Some(place) = find(&self.woken, &self.links, &self.waiters, token) else { return false };
        self.woken.remove(&mut self.links, place);
        self.waiters.put(place);
        true
    }

    /// Marks a key: lookups do not wait for it until then.
    pub(crate) fn mark(&mut self, hash: u64, until: Now) {
        let mark = self.mark_of(hash);
        *mark = Mark { hash, until };
    }

    /// Whether the key is marked.
    pub(crate) fn is_marked(&mut self, hash: u64, now: Now) -> bool {
        let mark = self.mark_of(hash);
        mark.hash == hash && now < mark.until
    }

    /// Takes all marks back.
    pub(crate) fn clear_marks(&mut self) {
        self.marks.fill(Mark::default());
    }

    fn mark_of(&mut self, hash: u64) -> &mut Mark {
        let place = usize::try_from(hash & (self.marks.len() as u64 - 1)).unwrap_or(0);
        &mut self.marks[place]
    }
}

fn find(list: &List, links: &Links, waiters: &Pool<Waiter>, token: u64) -> Option<u32> {
    let mut place = list.head();
    while place != NONE {
        if waiters[place].token == token {
            return Some(place);
        }
        place = List::next(links, place);
    }
    None
}

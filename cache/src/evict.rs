//! Which entry goes first: S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction",
//! SOSP 2023), over slots, by packet memory.
//!
//! A small queue of a tenth of the budget takes what is seen for the first time, so that a scan passes
//! through without touching the main queue; what is asked for twice while there moves on; a ghost
//! remembers keys that left the small queue and lets them into the main one when they come again.
//! The ghost is a table of fixed size, the work for one victim is bounded by [`STEPS`].

use crate::list::{Links, List};

/// Entries looked at for one victim.
const STEPS: usize = 128;

/// Uses that count.
const MAX_FREQUENCY: u8 = 3;

/// Uses in the small queue that lead to the main one.
const PROMOTION: u8 = 2;

/// The queues.
#[derive(Debug)]
pub(crate) struct Eviction {
    links: Links,
    slots: Vec<Slot>,
    small: Queue,
    main: Queue,
    small_target: usize,
    ghost: Ghost,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    fingerprint: u64,
    cost: usize,
    frequency: u8,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Small,
    Main,
}

#[derive(Debug, Default)]
struct Queue {
    list: List,
    cost: usize,
}

impl Eviction {
    /// For slots below `slots`, which together cost at most `bytes`.
    pub(crate) fn new(slots: usize, bytes: usize) -> Self {
        Self {
            links: Links::new(slots),
            slots: vec![Slot::default(); slots],
            small: Queue::default(),
            main: Queue::default(),
            small_target: bytes / 10,
            ghost: Ghost::new(slots),
        }
    }

    /// Adds `slot`, whose key has this hash.
    pub(crate) fn insert(&mut self, slot: u32, fingerprint: u64, cost: usize) {
        let place = if self.ghost.take(fingerprint) { Place::Main } else { Place::Small };
        self.slots[slot as usize] = Slot { fingerprint, cost, frequency: 0, place: Place::Nowhere };
        self.push(slot, place);
    }

    /// Notes a use.
    pub(crate) fn touch(&mut self, slot: u32) {
        let frequency = &mut self.slots[slot as usize].frequency;
        *frequency = (*frequency + 1).min(MAX_FREQUENCY);
    }

    /// The cost of `slot` is another.
    pub(crate) fn resize(&mut self, slot: u32, cost: usize) {
        let place = self.slots[slot as usize].place;
        let before = std::mem::replace(&mut self.slots[slot as usize].cost, cost);
        if let Some(queue) = self.queue(place) {
            queue.cost = queue.cost - before + cost;
        }
    }

    /// Takes `slot` out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Slot { cost, place, .. } = self.slots[slot as usize];
        let queue = match place {
            Place::Nowhere => return,
            Place::Small => &mut self.small,
            Place::Main => &mut self.main,
        };
        queue.list.remove(&mut self.links, slot);
        queue.cost -= cost;
        self.slots[slot as usize].place = Place::Nowhere;
    }

    /// Takes out the slot that goes first. What is `pinned` would free nothing: it is passed over, but for
    /// a long row of it.
    pub(crate) fn victim(&mut self, pinned: impl Fn(u32) -> bool) -> Option<u32> {
        let mut passed_over = false;
        for step in 0.. {
            let from_small = self.small.cost > self.small_target || self.main.list.is_empty() || passed_over;
            let slot = if from_small && !self.small.list.is_empty() {
                self.small.list.head()
            } else if !self.main.list.is_empty() {
                self.main.list.head()
            } else {
                return None;
            };
            let Slot { fingerprint, frequency, place, .. } = self.slots[slot as usize];
            self.remove(slot);
            // Where the main queue starts with what is pinned, the small one may have something.
            passed_over = place == Place::Main && pinned(slot);
            let stays = match place {
                Place::Small if frequency >= PROMOTION => Some(0),
                Place::Main if frequency > 0 => Some(frequency - 1),
                _ if pinned(slot) => Some(0),
                _ => None,
            };
            match stays {
                Some(frequency) if step < STEPS => {
                    self.slots[slot as usize].frequency = frequency;
                    self.push(slot, Place::Main);
                }
                _ => {
                    if place == Place::Small {
                        self.ghost.put(fingerprint);
                    }
                    return Some(slot);
                }
            }
        }
        None
    }

    /// What the queues hold together.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> usize {
        self.small.cost + self.main.cost
    }

    fn push(&mut self, slot: u32, place: Place) {
        let cost = self.slots[slot as usize].cost;
        let queue = match place {
            Place::Nowhere => return,
            Place::Small => &mut self.small,
            Place::Main => &mut self.main,
        };
        queue.list.push(&mut self.links, slot);
        queue.cost += cost;
        self.slots[slot as usize].place = place;
    }

    fn queue(&mut self, place: Place) -> Option<&mut Queue> {
        match place {
            Place::Nowhere => None,
            Place::Small => Some(&mut self.small),
            Place::Main => Some(&mut self.main),
        }
    }
}

const WAYS: usize = 4;

/// Hashes of keys that left the small queue unused, in buckets of four by hash.
///
/// One counts until as many others came as there are slots, or four of its bucket.
#[derive(Debug)]
struct Ghost {
    buckets: Vec<[Trace; WAYS]>,
    /// Hashes remembered since the start, from 1.
    clock: u64,
    span: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    fingerprint: u64,
    /// The clock when it came; 0 is never.
    at: u64,
}

impl Ghost {
    fn new(slots: usize) -> Self {
        let buckets = slots.div_ceil(2).max(1).next_power_of_two();
        Self { buckets: vec![[Trace::default(); WAYS]; buckets], clock: 0, span: slots as u64 }
    }

    fn bucket(&mut self, fingerprint: u64) -> &mut [Trace; WAYS] {
        // The index of entries uses the low bits of the same hash.
        let index = usize::try_from((fingerprint >> 32) & (self.buckets.len() as u64 - 1)).unwrap_or(0);
        &mut self.buckets[index]
    }

    fn put(&mut self, fingerprint: u64) {
        self.clock += 1;
        let at = self.clock;
        let bucket = self.bucket(fingerprint);
        if let Some(place) =
            bucket.iter_mut().min_by_key(|trace| if trace.fingerprint == fingerprint { 0 } else { trace.at })
        {
            *place = Trace { fingerprint, at };
        }
    }

    /// Whether it is remembered; it is forgotten by that.
    fn take(&mut self, fingerprint: u64) -> bool {
        let (clock, span) = (self.clock, self.span);
        let found = self
            .bucket(fingerprint)
            .iter_mut()
            .find(|trace| trace.at > 0 && trace.fingerprint == fingerprint && clock - trace.at < span);
        found.is_some_and(|trace| {
            *trace = Trace::default();
            true
        })
    }
}

#[cfg(test)]
mod tests;

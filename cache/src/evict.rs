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

    /// Takes out the slot that goes first.
    pub(crate) fn victim(&mut self) -> Option<u32> {
        for step in 0.. {
            let from_small = self.small.cost > self.small_target || self.main.list.is_empty();
            let slot = if from_small && !self.small.list.is_empty() {
                self.small.list.head()
            } else if !self.main.list.is_empty() {
                self.main.list.head()
            } else {
                return None;
            };
            let Slot { fingerprint, frequency, place, .. } = self.slots[slot as usize];
            self.remove(slot);
            let patient = step < STEPS;
            match place {
                Place::Small if frequency >= PROMOTION && patient => {
                    self.slots[slot as usize].frequency = 0;
                    self.push(slot, Place::Main);
                }
                Place::Main if frequency > 0 && patient => {
                    self.slots[slot as usize].frequency = frequency - 1;
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

/// Hashes of keys that left the small queue unused: as many as there are slots, or up to four times that.
///
/// Buckets of four by hash. A hash counts until as many others came as there are slots.
#[derive(Debug)]
struct Ghost {
    buckets: Vec<[Memory; WAYS]>,
    /// Hashes remembered since the start, from 1.
    clock: u64,
    span: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    fingerprint: u64,
    /// The clock when it came; 0 is never.
    at: u64,
}

impl Ghost {
    fn new(slots: usize) -> Self {
        let buckets = slots.div_ceil(2).max(1).next_power_of_two();
        Self { buckets: vec![[Memory::default(); WAYS]; buckets], clock: 0, span: slots as u64 }
    }

    fn bucket(&mut self, fingerprint: u64) -> &mut [Memory; WAYS] {
        // The index of entries uses the low bits of the same hash.
        let index = usize::try_from((fingerprint >> 32) & (self.buckets.len() as u64 - 1)).unwrap_or(0);
        &mut self.buckets[index]
    }

    fn put(&mut self, fingerprint: u64) {
        self.clock += 1;
        let at = self.clock;
        let bucket = self.bucket(fingerprint);
        if let Some(place) = bucket
            .iter_mut()
            .min_by_key(|memory| if memory.fingerprint == fingerprint { 0 } else { memory.at })
        {
            *place = Memory { fingerprint, at };
        }
    }

    /// Whether it is remembered; it is forgotten by that.
    fn take(&mut self, fingerprint: u64) -> bool {
        let (clock, span) = (self.clock, self.span);
        let found = self
            .bucket(fingerprint)
            .iter_mut()
            .find(|memory| memory.at > 0 && memory.fingerprint == fingerprint && clock - memory.at < span);
        found.is_some_and(|memory| {
            *memory = Memory::default();
            true
        })
    }
}

#[cfg(test)]
mod tests;

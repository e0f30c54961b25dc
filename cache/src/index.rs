//! Slots by hash: `Index`, with separate chaining through arrays set aside once.
//!
//! Several slots may have one hash. The hash is keyed, so strangers cannot choose the chain they land in.

use crate::slab::NONE;

/// Slots by 64-bit hash.
#[derive(Debug)]
pub(crate) struct Index {
    heads: Vec<u32>,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    hash: u64,
    next: u32,
}

impl Index {
    /// An index of slots below `slots`.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            heads: vec![NONE; slots.max(1).next_power_of_two()],
            links: vec![Link { hash: 0, next: NONE }; slots],
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        // The mask leaves less than the number of buckets.
        usize::try_from(hash & (self.heads.len() as u64 - 1)).unwrap_or(0)
    }

    /// Adds `slot`, which is not in the index.
    pub(crate) fn insert(&mut self, slot: u32, hash: u64) {
        let bucket = self.bucket(hash);
        self.links[slot as usize] = Link { hash, next: self.heads[bucket] };
        self.heads[bucket] = slot;
    }

    /// Removes `slot`; false when it was not there.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        let Link { hash, next } = self.links[slot as usize];
        let bucket = self.bucket(hash);
        let mut at = self.heads[bucket];
        if at == slot {
            self.heads[bucket] = next;
            return true;
        }
        while at != NONE {
            let follower = self.links[at as usize].next;
            if follower == slot {
                self.links[at as usize].next = next;
                return true;
            }
            at = follower;
        }
        false
    }

    /// The first slot of `hash`.
    pub(crate) fn first(&self, hash: u64) -> u32 {
        self.of_hash(self.heads[self.bucket(hash)], hash)
    }

    /// The slot of the same hash behind `slot`.
    pub(crate) fn next(&self, slot: u32) -> u32 {
        let Link { hash, next } = self.links[slot as usize];
        self.of_hash(next, hash)
    }

    /// The slots of `hash`, the latest first.
    pub(crate) fn iter(&self, hash: u64) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(self.first(hash)), |&slot| (slot != NONE).then(|| self.next(slot)))
            .take_while(|&slot| slot != NONE)
    }

    fn of_hash(&self, mut slot: u32, hash: u64) -> u32 {
        while slot != NONE && self.links[slot as usize].hash != hash {
            slot = self.links[slot as usize].next;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn slots_are_found_by_hash_only_until_removed() {
        let mut index = Index::new(4);
        // 1, 5 and 9 share a bucket of four.
        for (slot, hash) in [(0, 1), (1, 5), (2, 1), (3, 9)] {
            index.insert(slot, hash);
        }
        assert_eq!(index.iter(1).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(index.iter(5).collect::<Vec<_>>(), [1]);
        assert!(index.remove(1) && index.remove(0) && !index.remove(0));
        assert_eq!(index.iter(1).collect::<Vec<_>>(), [2]);
        assert_eq!(index.iter(5).count(), 0);
        assert_eq!(index.iter(9).collect::<Vec<_>>(), [3]);
    }
}

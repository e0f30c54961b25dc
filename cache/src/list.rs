//! Doubly linked lists of slots: `List`, through `Links` set aside once.
//!
//! A slot is in at most one list of the same `Links`; which one, its owner knows.

use crate::slab::NONE;

/// The links of all slots.
#[derive(Debug)]
pub(crate) struct Links(Vec<[u32; 2]>);

impl Links {
    /// Links of slots below `slots`.
    pub(crate) fn new(slots: usize) -> Self {
        Self(vec![[NONE; 2]; slots])
    }
}

/// A list of slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE }
    }
}

const PREVIOUS: usize = 0;
const NEXT: usize = 1;

impl List {
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// The first slot, or NONE.
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// The slot behind `slot`, or NONE.
    pub(crate) fn next(links: &Links, slot: u32) -> u32 {
        links.0[slot as usize][NEXT]
    }

    /// Puts `slot`, which is in no list, at the end.
    pub(crate) fn push(&mut self, links: &mut Links, slot: u32) {
        links.0[slot as usize] = [self.tail, NONE];
        match self.tail {
            NONE => self.head = slot,
            tail => links.0[tail as usize][NEXT] = slot,
        }
        self.tail = slot;
    }

    /// Takes the first slot.
    pub(crate) fn pop(&mut self, links: &mut Links) -> Option<u32> {
        let slot = self.head;
        (slot != NONE).then(|| {
            self.remove(links, slot);
            slot
        })
    }

    /// Takes `slot`, which is in this list.
    pub(crate) fn remove(&mut self, links: &mut Links, slot: u32) {
        let [previous, next] = std::mem::replace(&mut links.0[slot as usize], [NONE; 2]);
        match previous {
            NONE => self.head = next,
            previous => links.0[previous as usize][NEXT] = next,
        }
        match next {
            NONE => self.tail = previous,
            next => links.0[next as usize][PREVIOUS] = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Links, List};

    #[test]
    fn first_in_first_out_and_removal_anywhere() {
        let mut links = Links::new(5);
        let mut list = List::default();
        for slot in 0..5 {
            list.push(&mut links, slot);
        }
        list.remove(&mut links, 0);
        list.remove(&mut links, 2);
        list.remove(&mut links, 4);
        assert_eq!(List::next(&links, list.head()), 3);
        list.push(&mut links, 2);
        let order: Vec<_> = std::iter::from_fn(|| list.pop(&mut links)).collect();
        assert_eq!(order, [1, 3, 2]);
        assert!(list.is_empty());
    }
}

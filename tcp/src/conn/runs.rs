//! `Runs`: out-of-order bytes of all connections, in one bounded pool.
//!
//! A run is a stretch of consecutive bytes behind a hole. A connection's runs are a list in order of
//! their sequence numbers, without overlap and never touching, so that its length is the number of holes.
//! The pool bounds runs, and by the same number the segments that lie in them: bytes sent one by one behind
//! a hole pin a packet buffer each.

use levee_buf::Chain;

use crate::reason::Reason;
use crate::seq::Seq;

/// The end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// Holes of one connection.
const MAX_RUNS: usize = 32;

/// The pool.
pub(crate) struct Runs<C> {
    runs: Vec<Run<C>>,
    free: u32,
    /// Segments of all runs.
    held: usize,
}

struct Run<C> {
    seq: Seq,
    next: u32,
    bytes: C,
}

impl<C: Chain> Run<C> {
    fn end(&self) -> Seq {
        self.seq + self.bytes.len()
    }
}

impl<C: Chain> Runs<C> {
    pub(crate) fn new(capacity: usize) -> Self {
        let count = u32::try_from(capacity).unwrap_or(NONE - 1);
        let run =
            |next| Run { seq: Seq(0), next: if next == count { NONE } else { next }, bytes: C::default() };
        Self { runs: (1..=count).map(run).collect(), free: if count == 0 { NONE } else { 0 }, held: 0 }
    }

    /// Adds `bytes` that begin at `seq` to the list at `head`. What the list already has is dropped.
    pub(crate) fn insert(&mut self, head: &mut u32, mut seq: Seq, mut bytes: C) -> Result<(), Reason> {
        if self.held + bytes.segments() > self.runs.len() {
            return Err(Reason::OutOfOrderFull);
        }
        let mut previous = NONE;
        let mut at = *head;
        let mut passed = 0;
        while at != NONE && self.run(at).end().before(seq) {
            (previous, at) = (at, self.run(at).next);
            passed += 1;
        }
        // `at` is the first run that ends at or behind `seq`.
        if at != NONE && self.run(at).seq.at_or_before(seq) {
            let known = self.run(at).end().beyond(seq);
            if known >= bytes.len() {
                return Err(Reason::Duplicate);
            }
            bytes.trim_front(known);
            seq += known;
            debug_assert_eq!(self.run(at).end(), seq);
            self.change(at, |have| have.append(bytes));
            self.join(at);
            return Ok(());
        }
        // It begins in front of `at`: whole runs that it covers go, and it ends where the next one begins.
        let end = seq + bytes.len();
        while at != NONE && self.run(at).end().at_or_before(end) {
            at = self.unlink(head, previous, at);
        }
        if at != NONE && self.run(at).seq.at_or_before(end) {
            let gap = self.run(at).seq.beyond(seq);
            bytes.truncate(gap);
            self.change(at, |have| {
                bytes.append(have.take());
                *have = bytes;
            });
            self.run(at).seq = seq;
            return Ok(());
        }
        if self.free == NONE || passed + self.count(at) >= MAX_RUNS {
            return Err(Reason::OutOfOrderFull);
        }
        let fresh = self.free;
        self.free = self.run(fresh).next;
        self.change(fresh, |empty| *empty = bytes);
        (self.run(fresh).seq, self.run(fresh).next) = (seq, at);
        *self.link(head, previous) = fresh;
        Ok(())
    }

    /// The first run's bytes from `rcv_nxt` on, when it begins there or before; empty when it ends before.
    pub(crate) fn take(&mut self, head: &mut u32, rcv_nxt: Seq) -> Option<C> {
        if *head == NONE || self.run(*head).seq.after(rcv_nxt) {
            return None;
        }
        let known = rcv_nxt.beyond(self.run(*head).seq);
        let mut bytes = self.change(*head, Chain::take);
        bytes.trim_front(known);
        self.unlink(head, NONE, *head);
        Some(bytes)
    }

    /// Drops the bytes from `end` on.
    pub(crate) fn cut(&mut self, head: &mut u32, end: Seq) {
        let (mut previous, mut at) = (NONE, *head);
        while at != NONE {
            let keep = end.beyond(self.run(at).seq);
            if keep == 0 {
                at = self.unlink(head, previous, at);
            } else {
                self.change(at, |bytes| bytes.truncate(keep));
                (previous, at) = (at, self.run(at).next);
            }
        }
    }

    /// Drops the whole list.
    pub(crate) fn clear(&mut self, head: &mut u32) {
        while *head != NONE {
            self.unlink(head, NONE, *head);
        }
    }

    /// Segments that the list at `head` pins.
    pub(crate) fn segments(&mut self, head: u32) -> u32 {
        let (mut at, mut segments) = (head, 0);
        while at != NONE {
            let run = self.run(at);
            segments += run.bytes.segments();
            at = run.next;
        }
        u32::try_from(segments).unwrap_or(u32::MAX)
    }

    /// Runs of all connections.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let (mut at, mut free) = (self.free, 0);
        while at != NONE {
            (at, free) = (self.runs[at as usize].next, free + 1);
        }
        self.runs.len() - free
    }

    /// Segments of all connections.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Joins to `at` the runs that it reaches.
    fn join(&mut self, at: u32) {
        loop {
            let end = self.run(at).end();
            let mut next = self.run(at).next;
            if next == NONE || self.run(next).seq.after(end) {
                return;
            }
            let known = end.beyond(self.run(next).seq);
            let mut bytes = self.change(next, Chain::take);
            bytes.trim_front(known);
            self.change(at, |have| have.append(bytes));
            let after = self.run(next).next;
            self.run(at).next = after;
            self.give_back(&mut next);
        }
    }

    /// Takes `at` out of the list behind `previous`, drops its bytes and returns its successor.
    fn unlink(&mut self, head: &mut u32, previous: u32, mut at: u32) -> u32 {
        let next = self.run(at).next;
        *self.link(head, previous) = next;
        drop(self.change(at, Chain::take));
        self.give_back(&mut at);
        next
    }

    fn give_back(&mut self, at: &mut u32) {
        self.run(*at).next = self.free;
        self.free = *at;
    }

    fn link<'a>(&'a mut self, head: &'a mut u32, previous: u32) -> &'a mut u32 {
        if previous == NONE { head } else { &mut self.run(previous).next }
    }

    fn count(&mut self, mut at: u32) -> usize {
        let mut count = 0;
        while at != NONE {
            count += 1;
            at = self.run(at).next;
        }
        count
    }

    /// Every change of a run's bytes, counted.
    fn change<R>(&mut self, at: u32, change: impl FnOnce(&mut C) -> R) -> R {
        let bytes = &mut self.run(at).bytes;
        let before = bytes.segments();
        let result = change(bytes);
        let after = bytes.segments();
        self.held = self.held - before + after;
        result
    }

    fn run(&mut self, at: u32) -> &mut Run<C> {
        &mut self.runs[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use levee_buf::{Heap, HeapChain, Pieces};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_the_stream(
            pieces in prop::collection::vec((1_usize..300, 1_usize..60), 1..80),
            base in prop::sample::select(vec![0_u32, u32::MAX - 100]),
        ) {
            let heap = Heap::new(400);
            let stream: Vec<u8> = (0..400_usize).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let start = Seq(base);
            let mut runs: Runs<HeapChain> = Runs::new(64);
            let mut head = NONE;
            let mut have = [false; 400];
            for (offset, len) in pieces {
                let bytes = heap.chain(&stream[offset..offset + len]);
                match runs.insert(&mut head, start + offset, bytes) {
                    Ok(()) => have[offset..offset + len].fill(true),
                    Err(Reason::Duplicate) => prop_assert!(have[offset..offset + len].iter().all(|&have| have)),
                    Err(reason) => prop_assert_eq!(reason, Reason::OutOfOrderFull),
                }
            }
            let mut at = 0;
            while head != NONE {
                let hole = (at..400).find(|&n| have[n]).unwrap();
                prop_assert!(runs.take(&mut head, start + (hole - 1)).is_none());
                let bytes = runs.take(&mut head, start + hole).unwrap();
                prop_assert_eq!(bytes.to_vec(), &stream[hole..hole + bytes.len()]);
                prop_assert!(have[hole..hole + bytes.len()].iter().all(|&have| have));
                at = hole + bytes.len();
                prop_assert!(at == 400 || !have[at]);
            }
            prop_assert!(!have[at..].contains(&true));
            prop_assert_eq!(heap.in_use(), 0);
        }
    }

    #[test]
    fn the_number_of_holes_is_bounded() {
        let heap = Heap::new(100);
        let mut runs: Runs<HeapChain> = Runs::new(64);
        let mut head = NONE;
        for n in 0..MAX_RUNS {
            assert_eq!(runs.insert(&mut head, Seq(0) + 2 * n, heap.chain(b"x")), Ok(()));
        }
        assert_eq!(runs.insert(&mut head, Seq(1000), heap.chain(b"x")), Err(Reason::OutOfOrderFull));
        assert_eq!(runs.insert(&mut head, Seq(1), heap.chain(b"x")), Ok(()));
        runs.clear(&mut head);
        assert_eq!((head, heap.in_use()), (NONE, 0));
        let mut tiny: Runs<HeapChain> = Runs::new(1);
        let (mut a, mut b) = (NONE, NONE);
        assert_eq!(tiny.insert(&mut a, Seq(1), heap.chain(b"x")), Ok(()));
        assert_eq!(tiny.insert(&mut b, Seq(1), heap.chain(b"x")), Err(Reason::OutOfOrderFull));
    }
}

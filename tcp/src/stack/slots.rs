//! Small parts of the stack: which number means what, queues of slots, and a pace for answers.

use std::collections::VecDeque;

use crate::time::Instant;

/// Numbers of the table and the wheel: connections first, then half-open entries, then TIME-WAIT in the
/// table and neighbours in the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    connections: u32,
    half_open: u32,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Conn(u32),
    HalfOpen(u32),
    /// TIME-WAIT in the table, a neighbour in the wheel.
    Other(u32),
}

impl Numbers {
    pub(crate) fn new(connections: usize, half_open: usize) -> Self {
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX / 4);
        Self { connections: number(connections), half_open: number(half_open) }
    }

    pub(crate) const fn owner(self, number: u32) -> Owner {
        if number < self.connections {
            Owner::Conn(number)
        } else if number < self.connections + self.half_open {
            Owner::HalfOpen(number - self.connections)
        } else {
            Owner::Other(number - self.connections - self.half_open)
        }
    }

    pub(crate) const fn half_open(self, id: u32) -> u32 {
        self.connections + id
    }

    pub(crate) const fn other(self, id: u32) -> u32 {
        self.connections + self.half_open + id
    }
}

/// A queue of slots, each at most once, so that it never outgrows its first allocation.
pub(crate) struct Visits {
    queue: VecDeque<u32>,
    is_queued: Vec<bool>,
}

impl Visits {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::with_capacity(capacity), is_queued: vec![false; capacity] }
    }

    /// Queues `slot` behind the others, unless it is queued already.
    pub(crate) fn push(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.is_queued[slot as usize], true) {
            self.queue.push_back(slot);
        }
    }

    /// Queues `slot` in front of the others.
    pub(crate) fn push_front(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.is_queued[slot as usize], true) {
            self.queue.push_front(slot);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.queue.pop_front()?;
        self.is_queued[slot as usize] = false;
        Some(slot)
    }
}

/// A token bucket: answers to strangers (RST, ICMP) leave at no more than this pace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    tokens: u64,
    at_ms: u64,
}

impl Pace {
    const PER_MS: u64 = 10;
    const BURST: u64 = 1_000;

    /// Whether one more may leave: ten a millisecond, a thousand at once.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let now_ms = now.millis() + Self::BURST / Self::PER_MS;
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(Self::PER_MS);
        self.tokens = self.tokens.saturating_add(gained).min(Self::BURST);
        self.at_ms = now_ms;
        let allows = self.tokens > 0;
        self.tokens -= u64::from(allows);
        allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_one_thing() {
        let numbers = Numbers::new(3, 2);
        assert_eq!(numbers.owner(2), Owner::Conn(2));
        assert_eq!(numbers.owner(numbers.half_open(1)), Owner::HalfOpen(1));
        assert_eq!(numbers.owner(numbers.other(0)), Owner::Other(0));
    }

    #[test]
    fn a_slot_is_queued_once() {
        let mut visits = Visits::new(2);
        for slot in [0, 1, 0, 1] {
            visits.push(slot);
        }
        assert_eq!(visits.pop(), Some(0));
        visits.push_front(0);
        assert_eq!((visits.pop(), visits.pop(), visits.pop()), (Some(0), Some(1), None));
    }

    #[test]
    fn the_pace_is_kept() {
        let mut pace = Pace::default();
        let at = Instant::from_millis;
        assert_eq!((0..2000).filter(|_| pace.allows(at(5))).count(), 1000);
        assert_eq!((0..2000).filter(|_| pace.allows(at(7))).count(), 20);
        assert_eq!((0..2000).filter(|_| pace.allows(at(9000))).count(), 1000);
    }
}

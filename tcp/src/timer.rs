//! `Wheel`: a hierarchical timing wheel over small numbers (Varghese and Lauck 1987).
//!
//! One timer a number, one millisecond a tick, four levels of 64 slots: deadlines further than 4.6 hours
//! away wait in the last slot and are placed again from there. Setting and cancelling are
//! constant time; firing does a bounded amount of work a call. Memory: 24 bytes a number.

use crate::time::Instant;

const LEVELS: usize = 4;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const NONE: u32 = u32::MAX;

/// The wheel. Numbers are below the capacity given to `new`.
pub(crate) struct Wheel {
    /// The tick up to which all slots were emptied.
    tick: u64,
    nodes: Vec<Node>,
    heads: [[u32; SLOTS]; LEVELS],
    /// A bit for each slot that is not empty.
    used: [u64; LEVELS],
    /// Numbers whose time has come and that were not yet taken.
    due: u32,
}

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    /// The list this number is in: level and slot, [`DUE`], or [`IDLE`].
    list: u16,
    /// The tick it fires at.
    deadline: u64,
}

const DUE: u16 = 0xfffe;
const IDLE: u16 = 0xffff;

impl Wheel {
    pub(crate) fn new(capacity: usize) -> Self {
        let node = Node { next: NONE, prev: NONE, list: IDLE, deadline: 0 };
        Self {
            tick: 0,
            nodes: vec![node; capacity],
            heads: [[NONE; SLOTS]; LEVELS],
            used: [0; LEVELS],
            due: NONE,
        }
    }

    /// Makes `id` fire at `deadline`, not at what was set before.
    pub(crate) fn set(&mut self, id: u32, deadline: Instant) {
        // Round up: a timer never fires early by less than its own resolution.
        let tick = deadline.0.div_ceil(1_000_000);
        if self.nodes[id as usize].list != IDLE {
            if self.nodes[id as usize].deadline == tick {
                return;
            }
            self.unlink(id);
        }
        self.nodes[id as usize].deadline = tick;
        self.place(id);
    }

    /// Makes sure that `id` does not fire later than `deadline`; an earlier setting stays, for owners who
    /// look at their own clock when they are fired. Spares moving the timer when a deadline is put off.
    pub(crate) fn at_latest(&mut self, id: u32, deadline: Instant) {
        let node = &self.nodes[id as usize];
        if node.list == IDLE || node.deadline > deadline.0.div_ceil(1_000_000) {
            self.set(id, deadline);
        }
    }

    /// Makes `id` not fire.
    pub(crate) fn cancel(&mut self, id: u32) {
        if self.nodes[id as usize].list != IDLE {
            self.unlink(id);
        }
    }

    /// A number whose time has come, each once. At most `work` slots are looked at; `work` counts down.
    pub(crate) fn expired(&mut self, now: Instant, work: &mut usize) -> Option<u32> {
        let target = now.millis();
        while *work > 0 {
            *work -= 1;
            if self.due != NONE {
                let id = self.due;
                self.unlink(id);
                return Some(id);
            }
            if self.tick >= target {
                return None;
            }
            self.advance(target);
        }
        None
    }

    /// A time not after the next one that fires, and after the last call of `expired` returned `None` for
    /// an earlier one: at worst a slot of a coarse level has to be looked into before it is reached.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.due != NONE {
            return Some(Instant::from_millis(self.tick));
        }
        self.next_tick().map(Instant::from_millis)
    }

    /// Timers set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.iter().filter(|node| node.list != IDLE).count()
    }

    /// The next tick at which some slot of some level is to be emptied.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .filter(|&level| self.used[level] != 0)
            .map(|level| {
                let shift = BITS * Self::level(level);
                let current = self.tick >> shift;
                let place = Self::slot_of(current);
                // Slots strictly behind the current one come first; the current one means a whole turn.
                let rotated = self.used[level].rotate_right(place + 1);
                (current + u64::from(rotated.trailing_zeros()) + 1) << shift
            })
            .min()
    }

    /// Moves on to the next tick with something to do, at most to `target`.
    fn advance(&mut self, target: u64) {
        let tick = self.next_tick().unwrap_or(target).min(target);
        self.tick = tick;
        for level in (0..LEVELS).rev() {
            let shift = BITS * Self::level(level);
            if tick.trailing_zeros() < shift {
                continue;
            }
            let slot = Self::slot_of(tick >> shift) as usize;
            while self.heads[level][slot] != NONE {
                let id = self.heads[level][slot];
                self.unlink(id);
                self.place(id);
            }
        }
    }

    /// Links `id` where its deadline belongs.
    fn place(&mut self, id: u32) {
        let deadline = self.nodes[id as usize].deadline;
        if deadline <= self.tick {
            return self.link(id, DUE);
        }
        let distance = |level: usize| {
            let shift = BITS * Self::level(level);
            (deadline >> shift) - (self.tick >> shift)
        };
        // The finest level that reaches so far; behind the end of all, the last slot of the coarsest.
        let level = (0..LEVELS).find(|&level| distance(level) < SLOTS as u64);
        let (level, ahead) = level.map_or((LEVELS - 1, SLOTS as u64 - 1), |level| (level, distance(level)));
        let slot = Self::slot_of((self.tick >> (BITS * Self::level(level))) + ahead);
        #[allow(clippy::cast_possible_truncation, reason = "below LEVELS * SLOTS")]
        self.link(id, (level * SLOTS) as u16 + slot as u16);
    }

    fn head(&mut self, list: u16) -> &mut u32 {
        if list == DUE {
            return &mut self.due;
        }
        &mut self.heads[usize::from(list) / SLOTS][usize::from(list) % SLOTS]
    }

    fn link(&mut self, id: u32, list: u16) {
        let head = std::mem::replace(self.head(list), id);
        let node = &mut self.nodes[id as usize];
        (node.next, node.prev, node.list) = (head, NONE, list);
        if head != NONE {
            self.nodes[head as usize].prev = id;
        }
        if list != DUE {
            self.used[usize::from(list) / SLOTS] |= 1 << (usize::from(list) % SLOTS);
        }
    }

    fn unlink(&mut self, id: u32) {
        let Node { next, prev, list, .. } = self.nodes[id as usize];
        if prev == NONE {
            *self.head(list) = next;
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        if list != DUE && *self.head(list) == NONE {
            self.used[usize::from(list) / SLOTS] &= !(1 << (usize::from(list) % SLOTS));
        }
        self.nodes[id as usize].list = IDLE;
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked to six bits")]
    const fn slot_of(tick: u64) -> u32 {
        (tick & (SLOTS as u64 - 1)) as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "below LEVELS")]
    const fn level(level: usize) -> u32 {
        level as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fired(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        let mut work = usize::MAX;
        let mut ids: Vec<u32> =
            std::iter::from_fn(|| wheel.expired(Instant::from_millis(now), &mut work)).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn fires_in_time_and_once() {
        let mut wheel = Wheel::new(8);
        assert_eq!(wheel.next(), None);
        assert_eq!(fired(&mut wheel, 1_000), []);
        for (id, at) in
            [(0, 1_001), (1, 1_064), (2, 1_065), (3, 6_000), (4, 300_000), (5, 20_000_000), (6, 5)]
        {
            wheel.set(id, Instant::from_millis(at));
        }
        wheel.cancel(2);
        assert_eq!(fired(&mut wheel, 1_000), [6]);
        assert_eq!(wheel.next(), Some(Instant::from_millis(1_001)));
        assert_eq!(fired(&mut wheel, 1_001), [0]);
        assert_eq!(fired(&mut wheel, 1_063), []);
        assert_eq!(fired(&mut wheel, 5_999), [1]);
        assert_eq!(fired(&mut wheel, 6_000), [3]);
        assert_eq!(fired(&mut wheel, 300_000), [4]);
        wheel.at_latest(5, Instant::from_millis(30_000_000));
        assert_eq!(fired(&mut wheel, 40_000_000), [5]);
        assert_eq!(wheel.next(), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0_u32..16, 0_u64..400_000, 0_u64..9_000), 1..200)) {
            let mut wheel = Wheel::new(16);
            let mut model = [None; 16];
            let mut now = 0;
            for (id, ahead, pass) in steps {
                if ahead % 5 == 0 {
                    wheel.cancel(id);
                    model[id as usize] = None;
                } else {
                    wheel.set(id, Instant::from_millis(now + ahead));
                    model[id as usize] = Some(now + ahead);
                }
                if let Some(next) = model.iter().flatten().min() {
                    prop_assert!(wheel.next().is_some_and(|tick| tick.millis() <= *next.max(&now)));
                }
                now += pass;
                let due: Vec<u32> =
                    (0..16).filter(|&id| model[id as usize].is_some_and(|at| at <= now)).collect();
                for &id in &due {
                    model[id as usize] = None;
                }
                prop_assert_eq!(fired(&mut wheel, now), due);
            }
        }
    }
}

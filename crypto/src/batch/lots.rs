//! Jobs that wait, those of a kind together: `Lot`.
//!
//! Tickets and inputs lie in arrays of their own, so that lanes read inputs where they wait. Bound: [`LONGEST`]
//! jobs of a kind. A lot that runs empty begins anew at its start: in the memory that it used last.

use std::collections::VecDeque;
use std::mem::{MaybeUninit, take};

use zeroize::optimization_barrier;

use super::lanes::LANES;
use crate::Token;

/// Jobs of a kind that wait, at most.
const LONGEST: usize = 4096;

/// What takes longer goes behind one lot of each kind of the curves, which together take less than a turn.
const LONG_NS: u64 = 500_000;

/// See [`Lot::place`].
pub(super) type Place = (usize, bool, u64);

/// Who asked, and as how manieth.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) token: Token,
    pub(super) number: u64,
}

/// What a kind's jobs cost, and how many of them go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Most that are done together.
    pub(super) most: usize,
    /// Lanes that are used in any case, by one job or by so many.
    pub(super) unit: usize,
    /// Fewest for which that takes less time than one job after the other.
    pub(super) fewest: usize,
    /// What eight in lanes take, to the order of magnitude.
    pub(super) lanes_ns: u64,
    /// What one takes without them.
    pub(super) scalar_ns: u64,
}

/// Jobs of a kind, the oldest first.
pub(super) struct Lot<I> {
    tickets: VecDeque<Ticket>,
    inputs: VecDeque<I>,
    terms: Terms,
    /// How often some were done in this turn. After that, a rest that leaves lanes empty waits for the next.
    served: usize,
}

impl<I> Lot<I> {
    pub(super) fn new(terms: Terms, capacity: usize) -> Self {
        let capacity = capacity.min(LONGEST);
        Self {
            tickets: VecDeque::with_capacity(capacity),
            inputs: VecDeque::with_capacity(capacity),
            terms,
            served: 0,
        }
    }

    pub(super) const fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn is_full(&self) -> bool {
        self.tickets.len() >= LONGEST
    }

    pub(super) fn push(&mut self, ticket: Ticket, input: I) {
        self.tickets.push_back(ticket);
        self.inputs.push_back(input);
    }

    /// A turn begins.
    pub(super) const fn begin(&mut self) {
        self.served = 0;
    }

    /// Its place among kinds, the lowest first: who had least of this turn, then who takes little, then who has
    /// waited longest. `None` when there is nothing to do before the next turn.
    pub(super) fn place(&self) -> Option<Place> {
        let ticket = self.tickets.front().filter(|_| self.next() > 0)?;
        let is_long = self.terms.lanes_ns.max(self.terms.scalar_ns) >= LONG_NS;
        Some((self.served, is_long, ticket.number))
    }

    /// How many jobs are done next.
    pub(super) fn next(&self) -> usize {
        let Terms { most, unit, fewest, .. } = self.terms;
        match self.tickets.len() {
            // Not for lanes: there is nothing to fill.
            all if most < LANES => all.min(most),
            all if all >= LANES => all.min(most) / LANES * LANES,
            _ if self.served > 0 => 0,
            // Whole units first: what is left may be too few for another.
            some if some > unit && some - unit < fewest => unit,
            some => some,
        }
    }

    /// Whether jobs of `other` go with these: both wait, these leave lanes empty, and together they pay for them.
    pub(super) fn joins<J>(&self, other: &Lot<J>) -> bool {
        let [count, more] = [self.tickets.len(), other.tickets.len()];
        let has_both = count > 0 && more > 0;
        has_both && count < self.terms.most && count + more >= self.terms.fewest
    }

    /// How many of these, and with them of `other`, are done next together.
    pub(super) fn together<J>(&self, other: &Lot<J>) -> [usize; 2] {
        let all = (self.tickets.len() + other.tickets.len()).min(self.terms.most);
        let all = if all >= LANES { all / LANES * LANES } else { all };
        let count = self.tickets.len().min(all);
        [count, all - count]
    }

    /// Takes out `count` jobs by `work`.
    pub(super) fn work(&mut self, count: usize, work: impl FnOnce(&[Ticket], &mut [I])) {
        if !self.inputs.as_slices().1.is_empty() {
            self.straighten();
        }
        let tickets = self.tickets.make_contiguous().get(..count).unwrap_or_default();
        let inputs = self.inputs.make_contiguous().get_mut(..count).unwrap_or_default();
        work(tickets, inputs);
        self.served += 1;
        if count >= self.tickets.len() {
            self.tickets.clear();
            self.inputs.clear();
        } else {
            self.tickets.drain(..count);
            self.inputs.drain(..count);
        }
    }

    /// Moves inputs that go round the end of their memory to its start, and wipes where they lay.
    #[cold]
    fn straighten(&mut self) {
        let mut inputs = Vec::from(take(&mut self.inputs));
        inputs.spare_capacity_mut().fill_with(MaybeUninit::zeroed);
        optimization_barrier(&inputs);
        self.inputs = inputs.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(fewest: usize, unit: usize, most: usize) -> Lot<u64> {
        Lot::new(Terms { most, unit, fewest, lanes_ns: 1, scalar_ns: 1 }, 100)
    }

    /// How many go together, turn by turn, of `count` jobs that wait.
    fn served(mut lot: Lot<u64>, count: u64) -> Vec<Vec<usize>> {
        for number in 0..count {
            lot.push(Ticket { token: Token(number), number }, 10 * number);
        }
        let (mut turns, mut expected) = (Vec::new(), 0);
        while !lot.tickets.is_empty() {
            lot.begin();
            let mut turn = Vec::new();
            while let Some(place) = lot.place() {
                assert_eq!(place, (turn.len(), false, expected));
                let next = lot.next();
                lot.work(next, |tickets, inputs| {
                    assert_eq!((tickets.len(), inputs.len()), (next, next));
                    for (ticket, input) in tickets.iter().zip(inputs) {
                        assert_eq!((ticket.number, *input), (expected, 10 * expected));
                        expected += 1;
                    }
                });
                turn.push(next);
            }
            turns.push(turn);
        }
        turns
    }

    #[test]
    fn lanes_are_filled_and_a_rest_waits_one_turn() {
        let curve = |count| served(lot(2, 8, 32), count);
        assert_eq!(curve(1), [[1]]);
        assert_eq!(curve(7), [[7]]);
        assert_eq!(curve(9), [[8], [1]]);
        assert_eq!(curve(32), [[32]]);
        assert_eq!(curve(75), [vec![32, 32, 8], vec![3]]);
    }

    #[test]
    fn lots_that_go_together_fill_lanes() {
        let of = |fewest, count| {
            let mut lot = lot(fewest, 8, 32);
            (0..count).for_each(|number| lot.push(Ticket { token: Token(number), number }, number));
            lot
        };
        let together = |count, more| of(2, count).together(&of(2, more));
        assert_eq!(together(1, 1), [1, 1]);
        assert_eq!(together(3, 4), [3, 4]);
        assert_eq!(together(4, 5), [4, 4]);
        assert_eq!(together(12, 1), [8, 0]);
        assert_eq!(together(4, 40), [4, 28]);
        let joins = |fewest, count, more| of(fewest, count).joins(&of(fewest, more));
        assert!(joins(2, 1, 1) && joins(4, 1, 3) && joins(2, 31, 1));
        assert!(!joins(2, 0, 5) && !joins(2, 5, 0) && !joins(4, 1, 2) && !joins(2, 32, 1));
    }

    #[test]
    fn half_of_the_lanes_is_a_unit_of_rsa() {
        let rsa = |fewest, count| served(lot(fewest, 4, 8), count);
        assert_eq!(rsa(3, 4), [[4]]);
        assert_eq!(rsa(3, 5), [[4], [1]]);
        assert_eq!(rsa(3, 6), [[4], [2]]);
        assert_eq!(rsa(3, 7), [[7]]);
        assert_eq!(rsa(2, 6), [[6]]);
        assert_eq!(rsa(2, 19), [vec![8, 8], vec![3]]);
    }

    #[test]
    fn without_lanes_all_are_done_in_a_turn() {
        assert_eq!(served(lot(usize::MAX, 1, 1), 20), [[1; 20]]);
    }

    #[test]
    fn an_empty_lot_begins_anew_in_the_same_memory() {
        let mut lot = lot(2, 8, 32);
        let mut places = std::collections::HashSet::new();
        for number in 0..1000 {
            lot.push(Ticket { token: Token(number), number }, number);
            lot.work(1, |_, inputs| assert!(!places.insert(inputs.as_ptr()) || number == 0));
        }
        assert_eq!(places.len(), 1);
    }

    #[test]
    fn a_lot_is_bounded() {
        let mut lot = Lot::new(*lot(2, 8, 32).terms(), LONGEST + 1);
        for number in 0..LONGEST as u64 {
            assert!(!lot.is_full());
            lot.push(Ticket { token: Token(number), number }, ());
        }
        assert!(lot.is_full());
        assert_eq!(lot.tickets.capacity(), LONGEST);
    }
}

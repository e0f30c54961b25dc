//! The store as its callers see it, and its books.

mod allocation;
mod coalescing;
mod collision;
mod eviction;
mod growing;
mod hostile;
mod invalidation;
mod model;
mod reuse;
mod storing;
mod validation;

use levee_buf::Memory;

use super::Store;

impl<M: Memory> Store<M> {
    /// Compares what the books say with what is there.
    fn audit(&self) {
        let entries = || {
            self.entries.slots().filter(|&slot| self.entries.is_taken(slot)).map(|slot| &self.entries[slot])
        };
        let fills =
            || self.fills.slots().filter(|&slot| self.fills.is_taken(slot)).map(|slot| self.fills.at(slot));
        let keys: usize = fills().map(|fill| fill.key_cost).sum();
        let held: usize = entries().map(|entry| entry.cost).sum();
        assert_eq!(self.held, held + keys);
        let pinned: usize = entries().filter(|entry| entry.pins > 0).map(|entry| entry.cost).sum();
        assert_eq!(self.locked, pinned + keys);
        let linked: usize = entries().filter(|entry| entry.linked).map(|entry| entry.cost).sum();
        assert_eq!(self.eviction.cost(), linked);
        assert!(entries().all(|entry| entry.linked || entry.pins > 0), "an entry that nobody can reach");
        let by_fills =
            fills().map(|fill| u32::from(fill.storing.is_some()) + u32::from(fill.validates.is_some()));
        assert!(entries().map(|entry| entry.pins).sum::<u32>() >= by_fills.sum());
    }
}

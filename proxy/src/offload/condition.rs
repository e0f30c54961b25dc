//! How a device of AEAD is: well, left out, or hanging.
//!
//! One that fails several operations in a row, or hangs, gets no keys for a while: those of new connections go to other
//! devices or to our own code. The connections whose keys it has share its fate: what it fails ends them, as does the
//! end of our patience with what it has.

use levee_dpdk::crypto::Outcome;

use crate::health::Health;

/// A device's health, and whether it does anything at all.
#[derive(Default)]
pub(super) struct Condition {
    pub(super) health: Health,
    /// Since when it has had operations and finished none.
    waits_since_ns: Option<u64>,
    /// It has had operations for too long, and is given none.
    pub(super) hangs: bool,
    /// Operations that it had when it was looked at last.
    had: usize,
    /// Operations that it was not given while it hung.
    pub(super) refused: u64,
}

impl Condition {
    /// Whether it gets no keys.
    pub(super) fn is_left_out(&self, clock: &dyn Fn() -> u64) -> bool {
        self.hangs || self.health.is_left_out(clock)
    }

    /// An operation that it was given is finished.
    pub(super) fn answers(&mut self, outcome: Outcome, clock: &dyn Fn() -> u64) {
        self.waits_since_ns = None;
        match outcome {
            Outcome::Fault => self.health.fails(clock()),
            // What is forged, or cannot be done, is no fault of the device's.
            Outcome::Done | Outcome::Forged | Outcome::Impossible => self.health.does(),
        }
    }

    /// It was looked at, and has so many operations. True: they are to be given up.
    pub(super) fn waits(&mut self, operations: usize, clock: &dyn Fn() -> u64) -> bool {
        let had = std::mem::replace(&mut self.had, operations);
        if self.hangs && operations < had {
            self.hangs = false;
            self.health.stays_out(clock());
        }
        if operations == 0 || self.hangs {
            self.waits_since_ns = None;
            return false;
        }
        let now_ns = clock();
        let since_ns = *self.waits_since_ns.get_or_insert(now_ns);
        self.hangs = now_ns >= since_ns + PATIENCE_NS;
        if self.hangs {
            self.health.left_out += 1;
            self.health.stays_out(now_ns);
        }
        self.hangs
    }
}

/// A device that has not finished anything for so long hangs.
pub(super) const PATIENCE_NS: u64 = 500_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{LEFT_OUT_NS, MOST_FAULTS};

    #[test]
    fn what_is_forged_is_no_fault() {
        let mut condition = Condition::default();
        for _ in 0..MOST_FAULTS {
            condition.answers(Outcome::Forged, &|| 1);
        }
        assert!(!condition.is_left_out(&|| 1));
        for _ in 0..MOST_FAULTS {
            condition.answers(Outcome::Fault, &|| 1);
        }
        assert!(condition.is_left_out(&|| 1) && !condition.hangs);
    }

    #[test]
    fn a_device_hangs_that_finishes_nothing_for_long() {
        let mut condition = Condition::default();
        let mut waits = |operations, now_ns: u64| {
            let given_up = condition.waits(operations, &move || now_ns);
            (given_up, condition.hangs, condition.is_left_out(&move || now_ns))
        };
        assert_eq!(waits(3, 1), (false, false, false));
        assert_eq!(waits(3, PATIENCE_NS), (false, false, false));
        assert_eq!(waits(0, 2 * PATIENCE_NS), (false, false, false));
        assert_eq!(waits(2, 3 * PATIENCE_NS), (false, false, false));
        assert_eq!(waits(2, 4 * PATIENCE_NS), (true, true, true));
        // Once only, however long it hangs.
        let late_ns = 10 * PATIENCE_NS + LEFT_OUT_NS;
        assert_eq!(waits(2, late_ns), (false, true, true));
        // A sign of life is enough, but not for keys.
        assert_eq!(waits(1, late_ns), (false, false, true));
        assert_eq!(waits(0, late_ns + LEFT_OUT_NS), (false, false, false));
        assert_eq!(condition.health.left_out, 1);
    }
}

//! How a device of AEAD is: well, left out, or hanging.
//!
//! One that fails several operations in a row, or hangs, gets no keys for a while: those of new connections go to other
//! devices or to our own code. The connections whose keys it has share its fate: what it fails ends them, and while it
//! hangs they are told so at once.

use levee_dpdk::crypto::Finished;

use crate::health::Health;

/// A device's health, and whether it does anything at all.
#[derive(Default)]
pub(super) struct Condition {
    pub(super) health: Health,
    /// Since when it has had operations and finished none.
    waits_since_ns: Option<u64>,
    /// It has had operations for too long.
    pub(super) hangs: bool,
    /// Operations that it was not given while it hung.
    pub(super) refused: u64,
}

impl Condition {
    /// Whether it gets no keys.
    pub(super) fn is_left_out(&self, clock: &dyn Fn() -> u64) -> bool {
        self.hangs || self.health.is_left_out(clock)
    }

    /// It has finished an operation.
    pub(super) fn answers(&mut self, finished: &Finished, clock: &dyn Fn() -> u64) {
        self.waits_since_ns = None;
        if std::mem::take(&mut self.hangs) {
            self.health.stays_out(clock());
        }
        // What is forged is no fault of the device's.
        if finished.fault {
            self.health.fails(clock());
        } else {
            self.health.does();
        }
    }

    /// It was looked at, and has so many operations.
    pub(super) fn waits(&mut self, operations: usize, clock: &dyn Fn() -> u64) {
        if operations == 0 {
            self.waits_since_ns = None;
            return;
        }
        let now_ns = clock();
        let since_ns = *self.waits_since_ns.get_or_insert(now_ns);
        if !self.hangs && now_ns >= since_ns + PATIENCE_NS {
            self.hangs = true;
            self.health.left_out += 1;
        }
    }
}

/// A device that has not finished anything for so long hangs.
pub(super) const PATIENCE_NS: u64 = 500_000_000;

#[cfg(test)]
mod tests {
    use levee_dpdk::Chain;
    use levee_dpdk::crypto::Direction;

    use super::*;
    use crate::health::{LEFT_OUT_NS, MOST_FAULTS};

    fn finished(ok: bool, fault: bool) -> Finished {
        Finished { token: 0, direction: Direction::Open, text: Chain::default(), ok, fault }
    }

    #[test]
    fn what_is_forged_is_no_fault() {
        let mut condition = Condition::default();
        for _ in 0..MOST_FAULTS {
            condition.answers(&finished(false, false), &|| 1);
        }
        assert!(!condition.is_left_out(&|| 1));
        for _ in 0..MOST_FAULTS {
            condition.answers(&finished(false, true), &|| 1);
        }
        assert!(condition.is_left_out(&|| 1) && !condition.hangs);
    }

    #[test]
    fn a_device_hangs_that_finishes_nothing_for_long() {
        let mut condition = Condition::default();
        let mut waits = |operations, now_ns: u64| {
            condition.waits(operations, &move || now_ns);
            condition.hangs
        };
        assert!(!waits(3, 1) && !waits(2, PATIENCE_NS));
        assert!(!waits(0, 2 * PATIENCE_NS) && !waits(1, 3 * PATIENCE_NS));
        assert!(waits(1, 4 * PATIENCE_NS));
        let back_ns = 5 * PATIENCE_NS;
        condition.answers(&finished(true, false), &|| back_ns);
        assert!(!condition.hangs && condition.is_left_out(&|| back_ns));
        assert!(!condition.is_left_out(&|| back_ns + LEFT_OUT_NS));
        assert_eq!(condition.health.left_out, 1);
    }
}

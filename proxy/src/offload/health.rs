//! Whether a device is well: what it does with what it has.
//!
//! One that fails several operations in a row, or hangs, gets no keys for a while: those of new connections go to other
//! devices or to our own code. The connections whose keys it has share its fate: what it fails ends them, and while it
//! hangs they are told so at once.

use levee_dpdk::crypto::Finished;

/// How a device fares, and what it did.
#[derive(Default)]
pub(super) struct Health {
    faults_in_a_row: u32,
    /// Since when it has had operations and finished none.
    waits_since_ns: Option<u64>,
    /// It has had operations for too long.
    pub(super) hangs: bool,
    left_out_until_ns: u64,
    /// Operations that it did, that it failed, that it was not given while it hung, and how often it was left out.
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) refused: u64,
    pub(super) left_out: u64,
}

impl Health {
    /// Whether it gets no keys.
    pub(super) fn is_left_out(&self, clock: &dyn Fn() -> u64) -> bool {
        self.hangs || self.left_out_until_ns > 0 && clock() < self.left_out_until_ns
    }

    /// It has finished an operation.
    pub(super) fn answers(&mut self, finished: &Finished, clock: &dyn Fn() -> u64) {
        self.waits_since_ns = None;
        if std::mem::take(&mut self.hangs) {
            self.left_out_until_ns = clock() + LEFT_OUT_NS;
        }
        if !finished.fault {
            self.faults_in_a_row = 0;
            self.done += 1;
            return;
        }
        self.failed += 1;
        self.faults_in_a_row += 1;
        // After the first time, one fault more is enough.
        if self.faults_in_a_row >= MOST_FAULTS && !self.is_left_out(clock) {
            self.left_out_until_ns = clock() + LEFT_OUT_NS;
            self.left_out += 1;
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
            self.left_out += 1;
        }
    }
}

/// A device that has not finished anything for so long hangs.
pub(super) const PATIENCE_NS: u64 = 500_000_000;
/// Faults in a row after which a device is left out.
pub(super) const MOST_FAULTS: u32 = 4;
/// For how long it is left out after that, or after it hung.
pub(super) const LEFT_OUT_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use levee_dpdk::Chain;
    use levee_dpdk::crypto::Direction;

    use super::*;

    fn finished(fault: bool) -> Finished {
        Finished { token: 0, direction: Direction::Seal, text: Chain::default(), ok: !fault, fault }
    }

    #[test]
    fn faults_in_a_row_leave_a_device_out_for_a_while() {
        let mut health = Health::default();
        let answers = |health: &mut Health, faults: &[bool], now_ns: u64| {
            for fault in faults {
                health.answers(&finished(*fault), &move || now_ns);
            }
            health.is_left_out(&move || now_ns)
        };
        // What is forged is no fault of the device's, and one that does well now and then is not left out.
        assert!(!answers(&mut health, &[true, true, true, false, true, true, true], 1));
        assert!(answers(&mut health, &[true], 1));
        assert!(answers(&mut health, &[true, true, false], LEFT_OUT_NS));
        assert!(!answers(&mut health, &[], LEFT_OUT_NS + 1));
        assert_eq!((health.failed, health.done, health.left_out), (9, 2, 1));
        assert!(answers(&mut health, &[true; 4], LEFT_OUT_NS + 1));
        // Then each fault more is one too many.
        assert!(answers(&mut health, &[true], 2 * LEFT_OUT_NS + 1));
        assert_eq!(health.left_out, 3);
    }

    #[test]
    fn a_device_hangs_that_finishes_nothing_for_long() {
        let mut health = Health::default();
        let mut waits = |operations, now_ns: u64| {
            health.waits(operations, &move || now_ns);
            health.hangs
        };
        assert!(!waits(3, 1) && !waits(2, PATIENCE_NS));
        assert!(!waits(0, 2 * PATIENCE_NS) && !waits(1, 3 * PATIENCE_NS));
        assert!(waits(1, 4 * PATIENCE_NS));
        let back_ns = 5 * PATIENCE_NS;
        health.answers(&finished(false), &|| back_ns);
        assert!(!health.hangs && health.is_left_out(&|| back_ns));
        assert!(!health.is_left_out(&|| back_ns + LEFT_OUT_NS));
    }
}

//! Whether a crypto device is well: one that fails several operations in a row is left out for a while, and after that
//! one fault more is enough.

/// How a device fares, and what it did.
#[derive(Default)]
pub(crate) struct Health {
    faults_in_a_row: u32,
    left_out_until_ns: u64,
    /// Operations that it did, that it failed, and how often it was left out.
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) left_out: u64,
}

impl Health {
    /// Whether it is given nothing. One that has always been well costs no look at the clock.
    pub(crate) fn is_left_out(&self, clock: impl FnOnce() -> u64) -> bool {
        self.left_out_until_ns > 0 && clock() < self.left_out_until_ns
    }

    /// It did an operation.
    pub(crate) const fn does(&mut self) {
        self.faults_in_a_row = 0;
        self.done += 1;
    }

    /// It failed one.
    pub(crate) fn fails(&mut self, now_ns: u64) {
        self.failed += 1;
        self.faults_in_a_row += 1;
        if self.faults_in_a_row >= MOST_FAULTS && !self.is_left_out(|| now_ns) {
            self.left_out += 1;
            self.stays_out(now_ns);
        }
    }

    /// It is left out for a while from now on.
    pub(crate) const fn stays_out(&mut self, now_ns: u64) {
        self.left_out_until_ns = now_ns + LEFT_OUT_NS;
    }
}

/// Faults in a row after which a device is left out.
pub(crate) const MOST_FAULTS: u32 = 4;
/// For how long it is left out.
pub(crate) const LEFT_OUT_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_in_a_row_leave_a_device_out_for_a_while() {
        let mut health = Health::default();
        let mut after = |does_well: &[bool], now_ns: u64| {
            for &well in does_well {
                if well { health.does() } else { health.fails(now_ns) }
            }
            (health.is_left_out(|| now_ns), health.left_out)
        };
        // One that does well now and then is not left out.
        assert_eq!(after(&[false, false, false, true, false, false, false], 1), (false, 0));
        assert_eq!(after(&[false], 1), (true, 1));
        assert_eq!(after(&[false, false, true], LEFT_OUT_NS), (true, 1));
        assert_eq!(after(&[], LEFT_OUT_NS + 1), (false, 1));
        assert_eq!(after(&[false; 4], LEFT_OUT_NS + 1), (true, 2));
        // Then each fault more is one too many.
        assert_eq!(after(&[false], 2 * LEFT_OUT_NS + 1), (true, 3));
        assert_eq!((health.failed, health.done), (14, 2));
    }
}

//! `Pace`: when the next unit of work is to begin.

/// Units at a fixed rate, whatever becomes of them: the open loop.
///
/// Work that begins late keeps the time at which it should have begun, so that a server that stalls
/// cannot hide the units that its stall kept from being sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    interval_ns: f64,
    next_ns: f64,
}

impl Pace {
    /// `per_second` units, the first at `start_ns`.
    #[must_use]
    pub fn new(per_second: f64, start_ns: u64) -> Self {
        Self { interval_ns: 1e9 / per_second, next_ns: start_ns as f64 }
    }

    /// The time at which a unit is due, if one is at `now_ns`; each is returned once.
    pub fn due(&mut self, now_ns: u64) -> Option<u64> {
        if self.next_ns > now_ns as f64 {
            return None;
        }
        let due = self.next_ns;
        self.next_ns += self.interval_ns;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of the run")]
        Some(due as u64)
    }

    /// As [`Pace::due`], but the unit stays due.
    #[must_use]
    pub fn next(&self, now_ns: u64) -> Option<u64> {
        Self { ..*self }.due(now_ns)
    }

    /// Begins anew at `start_ns`.
    pub fn restart(&mut self, start_ns: u64) {
        self.next_ns = start_ns as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_keep_the_time_at_which_they_were_due() {
        let mut pace = Pace::new(1000.0, 0);
        let due: Vec<_> = std::iter::from_fn(|| pace.due(3_500_000)).collect();
        assert_eq!(due, [0, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(pace.due(3_999_999), None);
        assert_eq!(pace.due(9_000_000), Some(4_000_000));
    }
}

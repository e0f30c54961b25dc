//! The clocks of a worker: `Time`, one that never goes back, and the system's beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use levee_dpdk::Clock;
use levee_tcp::Instant;

use crate::session::Now;

/// Nanoseconds since the start, and the wall clock that the control plane follows.
#[derive(Clone)]
pub(crate) struct Time {
    pub(crate) clock: Clock,
    wall: Arc<Wall>,
}

/// The system's clock against the worker's, in milliseconds.
struct Wall {
    /// Since 1970 when the worker's clock was zero.
    zero: AtomicU64,
    /// On the worker's clock, when the system's was last looked at.
    looked: AtomicU64,
}

impl Time {
    /// By `clock`, and by the system's as it is now.
    pub(crate) fn new(clock: Clock) -> Self {
        let elapsed = clock.now() / 1_000_000;
        let zero = AtomicU64::new(unix_ms().saturating_sub(elapsed));
        Self { clock, wall: Arc::new(Wall { zero, looked: AtomicU64::new(elapsed) }) }
    }

    pub(crate) fn now(&self) -> Now {
        let nanoseconds = self.clock.now();
        let zero = self.wall.zero.load(Ordering::Relaxed);
        Now { instant: Instant(nanoseconds), unix_ms: zero + nanoseconds / 1_000_000 }
    }

    /// Looks at the system's clock. Called by the control plane alone, every few milliseconds.
    pub(crate) fn follow(&self) {
        self.wall.follow(unix_ms(), self.clock.now() / 1_000_000);
    }
}

impl Wall {
    /// The system's clock says `unix_ms` where the worker's says `elapsed`. What is ahead is made up for at once, what
    /// is behind by going half as fast: dates go on, and no cached response is from the future.
    fn follow(&self, unix_ms: u64, elapsed: u64) {
        let zero = self.zero.load(Ordering::Relaxed);
        let wanted = unix_ms.saturating_sub(elapsed);
        let slack = elapsed.saturating_sub(self.looked.swap(elapsed, Ordering::Relaxed)) / 2;
        self.zero.store(wanted.max(zero.saturating_sub(slack)), Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the worker takes for the time, looked at every 20 ms while the system's clock is `ahead` of what it was.
    fn seen(ahead: i64, looks: u64) -> Vec<u64> {
        const START: u64 = 1_000_000_000;
        let wall = Wall { zero: AtomicU64::new(START), looked: AtomicU64::new(0) };
        let look = |turn: u64| {
            let elapsed = 20 * turn;
            wall.follow((START + elapsed).saturating_add_signed(ahead), elapsed);
            wall.zero.load(Ordering::Relaxed) + elapsed - START
        };
        (1..=looks).map(look).collect()
    }

    #[test]
    fn a_clock_that_jumps_is_followed_and_never_goes_back() {
        assert_eq!(seen(0, 3), [20, 40, 60]);
        assert_eq!(seen(3_600_000, 2), [3_600_020, 3_600_040]);
        let back = seen(-1000, 200);
        assert!(
            back.is_sorted()
                && back[..50].iter().enumerate().all(|(turn, &now)| now == 10 * (turn as u64 + 1))
        );
        assert_eq!(back[199], 20 * 200 - 1000, "in step again");
    }
}

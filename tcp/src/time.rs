//! `Instant`: the clock as a number, handed down by the caller.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds of a monotonic clock with an origin of the caller's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// Whole milliseconds since the origin.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole microseconds since the origin.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }

    /// An instant so many milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Time since `earlier`, zero when that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The low 32 bits of the millisecond count: what RFC 7323 timestamps and small fields hold.
    pub(crate) const fn millis32(self) -> u32 {
        let [a, b, c, d, ..] = self.millis().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The low 32 bits of the microsecond count.
    pub(crate) const fn micros32(self) -> u32 {
        let [a, b, c, d, ..] = self.micros().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant(5) - Duration::from_secs(1), Instant(0));
        assert_eq!(Instant(u64::MAX) + Duration::from_secs(1), Instant(u64::MAX));
        assert_eq!(Instant(1).since(Instant(2)), Duration::ZERO);
        assert_eq!(Instant::from_millis(1 << 32).millis32(), 0);
        assert_eq!((Instant::from_millis(7) + Duration::from_micros(3)).micros32(), 7003);
    }
}

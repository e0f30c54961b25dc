//! `Seq`: sequence numbers modulo 2^32 (RFC 9293 section 3.4).

use std::ops::{Add, AddAssign, Sub};

/// A sequence number; comparisons hold for numbers less than 2^31 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    pub(crate) const fn before(self, other: Self) -> bool {
        self.distance(other) < 0
    }

    pub(crate) const fn after(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    pub(crate) const fn at_or_before(self, other: Self) -> bool {
        self.distance(other) <= 0
    }

    pub(crate) const fn at_or_after(self, other: Self) -> bool {
        self.distance(other) >= 0
    }

    pub(crate) const fn max(self, other: Self) -> Self {
        if self.after(other) { self } else { other }
    }

    /// Bytes from `other` on to `self`; zero when `self` lies before it.
    pub(crate) const fn beyond(self, other: Self) -> usize {
        if self.after(other) { self.0.wrapping_sub(other.0) as usize } else { 0 }
    }

    const fn distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

impl Add<usize> for Seq {
    type Output = Self;

    #[allow(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
    fn add(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes as u32))
    }
}

impl Sub<usize> for Seq {
    type Output = Self;

    #[allow(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
    fn sub(self, bytes: usize) -> Self {
        Self(self.0.wrapping_sub(bytes as u32))
    }
}

impl AddAssign<usize> for Seq {
    fn add_assign(&mut self, bytes: usize) {
        *self = *self + bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_over_the_wrap() {
        let low = Seq(u32::MAX - 1);
        let high = low + 3;
        assert_eq!(high, Seq(1));
        assert!(low.before(high) && high.after(low) && low.at_or_before(low) && low.at_or_after(low));
        assert_eq!(high.beyond(low), 3);
        assert_eq!(low.beyond(high), 0);
        assert_eq!(high - 3, low);
        assert_eq!(low.max(high), high);
    }
}

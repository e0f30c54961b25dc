//! `Rto`: the retransmission timeout (RFC 6298).

use std::time::Duration;

use crate::config::Timeouts;

/// Clock granularity G: the timing wheel's tick.
const GRANULARITY_US: u32 = 1_000;

/// Smoothed round-trip time and backoff of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rto {
    srtt_us: u32,
    rttvar_us: u32,
    backoff: u8,
}

impl Rto {
    /// Takes in a measurement (RFC 6298 section 2) and ends the backoff (section 5.7).
    pub(crate) fn measure(&mut self, rtt_us: u32) {
        let rtt_us = rtt_us.clamp(1, 120_000_000);
        if self.srtt_us == 0 {
            (self.srtt_us, self.rttvar_us) = (rtt_us, rtt_us / 2);
        } else {
            self.rttvar_us = self.rttvar_us - self.rttvar_us / 4 + self.srtt_us.abs_diff(rtt_us) / 4;
            self.srtt_us = self.srtt_us - self.srtt_us / 8 + rtt_us / 8;
        }
        self.backoff = 0;
    }

    /// The timeout with its backoff.
    pub(crate) fn timeout(&self, timeouts: &Timeouts) -> Duration {
        let base = if self.srtt_us == 0 {
            timeouts.initial_rto
        } else {
            let variance = (self.rttvar_us.saturating_mul(4)).max(GRANULARITY_US);
            Duration::from_micros(u64::from(self.srtt_us) + u64::from(variance))
        };
        let base = base.clamp(timeouts.min_rto, timeouts.max_rto.max(timeouts.min_rto));
        base.saturating_mul(1 << self.backoff.min(16)).min(timeouts.max_rto.max(timeouts.min_rto))
    }

    /// RFC 6298 section 5.5: back off the timer.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// Timeouts in a row.
    pub(crate) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Ends the backoff without a measurement: the peer made progress or opened its window.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_6298() {
        let timeouts = Timeouts { min_rto: Duration::from_millis(1), ..Timeouts::default() };
        let mut rto = Rto::default();
        assert_eq!(rto.timeout(&timeouts), Duration::from_secs(1));
        rto.measure(100_000);
        assert_eq!(rto.timeout(&timeouts), Duration::from_millis(300));
        rto.measure(100_000);
        assert_eq!(rto.timeout(&timeouts), Duration::from_millis(250));
        for doubled in [500, 1000, 2000] {
            rto.back_off();
            assert_eq!(rto.timeout(&timeouts), Duration::from_millis(doubled));
        }
        for _ in 0..200 {
            rto.back_off();
        }
        assert_eq!(rto.timeout(&timeouts), timeouts.max_rto);
        rto.measure(100_000);
        assert!(rto.timeout(&timeouts) < Duration::from_millis(250));
        let slow = Timeouts::default();
        assert_eq!(rto.timeout(&slow), Duration::from_millis(212) + Duration::from_micros(500));
    }
}

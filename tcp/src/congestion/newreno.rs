//! NewReno: RFC 5681 with byte counting (RFC 3465), recovery by RFC 6582, limited transmit by RFC 3042.

use crate::seq::Seq;

/// Duplicate ACKs that mean loss (RFC 5681 section 3.2).
const DUP_THRESHOLD: u8 = 3;
/// RFC 6928: the initial window is at most ten segments, and at most 14600 bytes or two segments.
const INITIAL_SEGMENTS: u32 = 10;
const INITIAL_BYTES: u32 = 14_600;

/// The state of one connection; all sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    /// RFC 6582: the highest sequence number sent when recovery or a timeout began.
    recover: Seq,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u32,
    mss: u16,
    dup_acks: u8,
    is_recovering: bool,
    /// In recovery, whether a partial ACK came.
    had_partial: bool,
}

/// What a duplicate ACK asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DupAck {
    /// Nothing but to try to send: limited transmit, or a window inflated by recovery.
    Send,
    /// Send the first unacknowledged segment again: recovery begins.
    Retransmit,
}

impl NewReno {
    pub(crate) fn new(mss: u16, iss: Seq) -> Self {
        Self {
            cwnd: initial(mss),
            // RFC 5681 section 3.1: arbitrarily high.
            ssthresh: u32::MAX / 2,
            recover: iss,
            acked: 0,
            mss,
            dup_acks: 0,
            is_recovering: false,
            had_partial: false,
        }
    }

    /// Bytes that may be in flight.
    pub(crate) fn window(&self) -> usize {
        // RFC 3042: the first two duplicate ACKs each let one new segment out.
        let limited = if self.is_recovering { 0 } else { u32::from(self.dup_acks.min(2)) * self.smss() };
        (self.cwnd + limited) as usize
    }

    /// Whether fast recovery is going on.
    pub(crate) const fn is_recovering(&self) -> bool {
        self.is_recovering
    }

    /// `acked` bytes were acknowledged up to `una`, with `flight` bytes still out; `was_limited` says
    /// that the congestion window held bytes back when they were sent. True when the ACK was partial and the next segment is to be sent again.
    pub(crate) fn on_ack(&mut self, una: Seq, acked: usize, flight: usize, was_limited: bool) -> bool {
        let acked = u32::try_from(acked).unwrap_or(u32::MAX);
        self.dup_acks = 0;
        if self.is_recovering {
            return self.on_recovery_ack(una, acked, flight);
        }
        // RFC 5681 section 4.1 and RFC 7661: a window that is not used does not grow.
        if !was_limited {
            return false;
        }
        if self.cwnd < self.ssthresh {
            // RFC 3465 section 2.2: at most two segments for each ACK; one after a timeout.
            let limit = if self.recover.after(una - acked as usize) { 1 } else { 2 };
            self.grow(acked.min(limit * self.smss()));
        } else {
            self.acked = self.acked.saturating_add(acked);
            if self.acked >= self.cwnd {
                self.acked -= self.cwnd;
                self.grow(self.smss());
            }
        }
        false
    }

    /// RFC 6582 section 3.2 steps 3 to 5.
    fn on_recovery_ack(&mut self, una: Seq, acked: u32, flight: usize) -> bool {
        if una.at_or_after(self.recover) {
            let flight = u32::try_from(flight).unwrap_or(u32::MAX);
            // The variant that does not send a burst.
            self.cwnd = self.ssthresh.min(flight.max(self.smss()).saturating_add(self.smss()));
            self.is_recovering = false;
            return false;
        }
        self.cwnd = self.cwnd.saturating_sub(acked).max(self.smss());
        if acked >= self.smss() {
            self.grow(self.smss());
        }
        self.had_partial = true;
        true
    }

    /// Whether this partial ACK restarts the retransmission timer: the first one does (RFC 6582 step 5).
    pub(crate) const fn had_partial(&self) -> bool {
        self.had_partial
    }

    /// A duplicate ACK for `una` came, with data out up to `max` and `flight` bytes.
    pub(crate) fn on_dup_ack(&mut self, una: Seq, max: Seq, flight: usize) -> DupAck {
        if self.is_recovering {
            self.grow(self.smss());
            return DupAck::Send;
        }
        self.dup_acks = self.dup_acks.saturating_add(1);
        // RFC 6582 section 3.2 step 2: not for duplicates of what a timeout or recovery sent again.
        if self.dup_acks != DUP_THRESHOLD || !una.after(self.recover) {
            return DupAck::Send;
        }
        // RFC 5681 section 3.2 step 2: what limited transmit sent does not count.
        self.halve(flight.min(self.cwnd as usize));
        self.cwnd = self.ssthresh + u32::from(DUP_THRESHOLD) * self.smss();
        self.recover = max;
        self.is_recovering = true;
        self.had_partial = false;
        DupAck::Retransmit
    }

    /// The retransmission timer expired with data out up to `max`; `is_first` for the segment's first.
    pub(crate) fn on_timeout(&mut self, max: Seq, flight: usize, is_first: bool) {
        // RFC 5681 section 3.1: when a segment is lost again, the threshold stays.
        if is_first {
            self.halve(flight);
        }
        self.cwnd = self.smss();
        self.recover = max;
        self.is_recovering = false;
        self.dup_acks = 0;
        self.acked = 0;
    }

    /// Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1).
    pub(crate) fn on_idle(&mut self) {
        self.cwnd = self.cwnd.min(initial(self.mss));
    }

    /// A SYN was lost (RFC 6928 section 2).
    pub(crate) fn on_lost_syn(&mut self) {
        self.cwnd = self.smss();
    }

    /// Segments became smaller: the path MTU.
    pub(crate) fn set_mss(&mut self, mss: u16) {
        self.mss = mss;
    }

    fn halve(&mut self, flight: usize) {
        let flight = u32::try_from(flight).unwrap_or(u32::MAX);
        self.ssthresh = (flight / 2).max(2 * self.smss());
    }

    fn grow(&mut self, bytes: u32) {
        // The largest window that scaling can express.
        self.cwnd = self.cwnd.saturating_add(bytes).min(1 << 30);
    }

    fn smss(&self) -> u32 {
        u32::from(self.mss)
    }
}

fn initial(mss: u16) -> u32 {
    let mss = u32::from(mss);
    (INITIAL_SEGMENTS * mss).min(INITIAL_BYTES.max(2 * mss))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1000;

    fn fresh() -> NewReno {
        NewReno::new(1000, Seq(0))
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one() {
        let mut reno = fresh();
        assert_eq!(reno.window(), 10 * MSS);
        for n in 0..10_u32 {
            reno.on_ack(Seq(1 + (n + 1) * 1000), MSS, 9 * MSS, true);
        }
        assert_eq!(reno.window(), 20 * MSS);
        reno.on_ack(Seq(20_001), 10 * MSS, 0, false);
        assert_eq!(reno.window(), 20 * MSS, "an unused window does not grow");
        reno.ssthresh = 20_000;
        for n in 0..20_u32 {
            reno.on_ack(Seq(21_001 + n * 1000), MSS, 19 * MSS, true);
        }
        assert_eq!(reno.window(), 21 * MSS);
    }

    #[test]
    fn three_duplicates_begin_recovery_and_partial_acks_go_on() {
        let mut reno = fresh();
        let (una, max) = (Seq(1), Seq(10_001));
        assert_eq!(reno.on_dup_ack(una, max, 10 * MSS), DupAck::Send);
        assert_eq!(reno.window(), 11 * MSS, "limited transmit");
        assert_eq!(reno.on_dup_ack(una, max, 10 * MSS), DupAck::Send);
        assert_eq!(reno.on_dup_ack(una, max, 10 * MSS), DupAck::Retransmit);
        assert_eq!(reno.window(), 8 * MSS, "half and three");
        assert_eq!(reno.on_dup_ack(una, max, 10 * MSS), DupAck::Send);
        assert_eq!(reno.window(), 9 * MSS);
        assert!(reno.on_ack(Seq(3001), 3 * MSS, 7 * MSS, true), "partial");
        assert_eq!(reno.window(), 7 * MSS);
        assert!(!reno.on_ack(max, 7 * MSS, 0, true), "full");
        assert!(!reno.is_recovering());
        assert_eq!(reno.window(), 2 * MSS);
    }

    #[test]
    fn a_timeout_starts_from_one_segment_and_old_duplicates_do_not_count() {
        let mut reno = fresh();
        reno.on_timeout(Seq(10_001), 10 * MSS, true);
        assert_eq!((reno.window(), reno.ssthresh), (MSS, 5000));
        reno.on_timeout(Seq(10_001), MSS, false);
        assert_eq!(reno.ssthresh, 5000);
        for _ in 0..5 {
            assert_eq!(reno.on_dup_ack(Seq(1), Seq(10_001), 10 * MSS), DupAck::Send);
        }
        assert!(!reno.is_recovering());
    }

    #[test]
    fn idleness_gives_the_window_back() {
        let mut reno = fresh();
        reno.cwnd = 90_000;
        reno.on_idle();
        assert_eq!(reno.window(), 10 * MSS);
        assert_eq!(initial(9000), 18_000);
    }
}

//! What connections of a worker count: `Counters`.

use crate::error::Error;
use crate::suite::Suite;

/// Events of all connections of a worker.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Completed handshakes, by `suite as usize`.
    pub handshakes: [u64; Suite::ALL.len()],
    /// Connections that failed, by `error as usize`. Those with an alert sent it.
    pub errors: [u64; Error::ALL.len()],
    /// Alerts received, by their code.
    pub alerts_received: [u64; 256],
    /// HelloRetryRequests sent.
    pub hello_retries: u64,
    /// Key shares that were passed over for another group because all rooms for long ones were taken.
    pub shares_passed_over: u64,
    /// Handshake messages that crossed segments and were copied into one.
    pub gathered: u64,
    /// Copies of received bytes: of a record in shared memory, and of one in very many small segments.
    pub copied: u64,
    /// Records received.
    pub records_in: u64,
    /// Protected records sent.
    pub records_out: u64,
    /// Records of rejected early data that were skipped.
    pub early_data_skipped: u64,
    /// KeyUpdates received.
    pub key_updates_in: u64,
    /// KeyUpdates sent.
    pub key_updates_out: u64,
    /// Renegotiations refused.
    pub renegotiations_refused: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            handshakes: [0; Suite::ALL.len()],
            errors: [0; Error::ALL.len()],
            alerts_received: [0; 256],
            hello_retries: 0,
            shares_passed_over: 0,
            gathered: 0,
            copied: 0,
            records_in: 0,
            records_out: 0,
            early_data_skipped: 0,
            key_updates_in: 0,
            key_updates_out: 0,
            renegotiations_refused: 0,
        }
    }
}

impl Counters {
    pub(crate) fn error(&mut self, error: Error) {
        if let Some(count) = self.errors.get_mut(error as usize) {
            *count = count.wrapping_add(1);
        }
    }

    pub(crate) fn handshake(&mut self, suite: Suite) {
        if let Some(count) = self.handshakes.get_mut(suite as usize) {
            *count = count.wrapping_add(1);
        }
    }

    pub(crate) fn alert_received(&mut self, code: u8) {
        if let Some(count) = self.alerts_received.get_mut(usize::from(code)) {
            *count = count.wrapping_add(1);
        }
    }
}

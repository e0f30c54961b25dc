//! The timers of a connection: retransmission and zero-window probes, delayed ACK, and its life.

use std::time::Duration;

use levee_buf::Memory;

use super::{Conn, Env, State, Verdict};
#[cfg(doc)]
use crate::config::Timeouts;
use crate::reason::Reason;
use crate::time::Instant;

/// Keep-alive probes without an answer before the peer counts as gone.
const KEEPALIVE_PROBES: u8 = 5;
/// A released connection that makes progress, however slow, lives for so many times [`Timeouts::fin`]: peers who
/// take a byte now and then cannot keep what nobody waits for.
const ORPHAN_LIVES: u32 = 10;
/// Time between keep-alive probes once the first was sent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

impl<M: Memory> Conn<M> {
    /// The earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.retransmit_at, self.delayed_ack_at, self.life_at].into_iter().filter(|at| at.0 != 0).min()
    }

    /// Sees to what is due.
    pub(crate) fn on_timeout(&mut self, env: &mut Env<'_, M>) -> Verdict {
        let is_due = |at: Instant| at.0 != 0 && at <= env.now;
        let (retransmit, ack, life) =
            (is_due(self.retransmit_at), is_due(self.delayed_ack_at), is_due(self.life_at));
        if ack {
            self.delayed_ack_at = Instant(0);
            self.ack_due = true;
        }
        let mut verdict = Verdict::Ok;
        if retransmit {
            verdict = self.on_retransmit_timeout(env);
        }
        if life && verdict == Verdict::Ok {
            verdict = self.on_life_timeout(env);
        }
        if verdict == Verdict::Ok {
            self.arm(env);
        }
        verdict
    }

    /// Sets or clears the retransmission timer, which serves the zero-window probe as well: one is for
    /// bytes that are out, the other for bytes that cannot go out.
    pub(super) fn arm(&mut self, env: &Env<'_, M>) {
        if !self.state.is_synchronized() {
            return;
        }
        let is_out = self.flight() > 0;
        let is_shut = self.snd_wnd == 0 && self.has_pending();
        if !is_out && !is_shut {
            self.retransmit_at = Instant(0);
        } else if self.retransmit_at == Instant(0) {
            self.retransmit_at = env.now + self.rto.timeout(&env.limits.timeouts);
        }
    }

    fn on_retransmit_timeout(&mut self, env: &mut Env<'_, M>) -> Verdict {
        let timeouts = &env.limits.timeouts;
        let age = |since_ms: u32| Duration::from_millis(u64::from(env.now.millis32().wrapping_sub(since_ms)));
        match self.state {
            State::SynSent | State::SynReceived => {
                if self.rto.backoff() >= timeouts.syn_retries {
                    return Verdict::Close(Reason::TimedOut);
                }
                (self.syn_due, self.timing) = (true, false);
                env.counters.retransmits += 1;
            }
            _ if self.flight() > 0 => {
                if age(self.progress_ms) >= timeouts.user {
                    return Verdict::Close(Reason::TimedOut);
                }
                let (flight, is_first) = (self.flight(), self.rto.backoff() == 0);
                self.go_back();
                self.congestion.on_timeout(self.snd_max, flight, is_first);
                env.counters.timeouts += 1;
            }
            _ => {
                // RFC 9293 section 3.8.6.1: a shut window may stay shut as long as the peer answers.
                if age(self.heard_ms) >= timeouts.user {
                    return Verdict::Close(Reason::TimedOut);
                }
                self.probe_due = true;
            }
        }
        self.rto.back_off();
        self.retransmit_at = env.now + self.rto.timeout(timeouts);
        Verdict::Ok
    }

    fn on_life_timeout(&mut self, env: &mut Env<'_, M>) -> Verdict {
        let timeouts = &env.limits.timeouts;
        let since = |at_ms: u32| Duration::from_millis(u64::from(env.now.millis32().wrapping_sub(at_ms)));
        if self.released {
            let quiet = since(self.progress_ms);
            if quiet >= timeouts.fin || since(self.released_ms) >= timeouts.fin.saturating_mul(ORPHAN_LIVES) {
                // In FIN-WAIT-2 everything was said and heard but the peer's FIN.
                return match self.state {
                    State::FinWait2 => Verdict::Close(Reason::OrphanTimedOut),
                    _ => Verdict::Reset(Reason::OrphanTimedOut),
                };
            }
            self.life_at = env.now + (timeouts.fin - quiet).max(Duration::from_millis(1));
            return Verdict::Ok;
        }
        let Some(keepalive) = timeouts.keepalive else {
            self.life_at = Instant(0);
            return Verdict::Ok;
        };
        if !self.state.is_synchronized() {
            // A SYN has retries of its own.
            self.life_at = env.now + keepalive;
            return Verdict::Ok;
        }
        let silent = since(self.heard_ms);
        if silent < keepalive {
            self.life_at = env.now + (keepalive - silent);
            return Verdict::Ok;
        }
        if self.probes >= KEEPALIVE_PROBES {
            return Verdict::Reset(Reason::KeepaliveTimedOut);
        }
        self.probes += 1;
        // Bytes that are out or wait provoke an answer themselves.
        self.keepalive_due = self.state.is_synchronized() && self.queued() == 0;
        self.life_at = env.now + KEEPALIVE_INTERVAL.min(keepalive);
        Verdict::Ok
    }

    /// The upper layer forgets the connection: what is queued is sent, then FIN.
    pub(crate) fn release(&mut self, env: &mut Env<'_, M>) {
        self.released = true;
        self.finished = true;
        self.may_have = false;
        drop(std::mem::take(&mut self.received));
        let held = self.held_bytes as usize;
        self.consume(held, env.limits);
        (self.progress_ms, self.released_ms) = (env.now.millis32(), env.now.millis32());
        self.life_at = env.now + env.limits.timeouts.fin;
        self.arm(env);
    }
}

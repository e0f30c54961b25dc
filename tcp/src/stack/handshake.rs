//! Passive opens: SYNs, SYN-ACKs, cookies, and the ACK that ends the handshake.

use std::time::Duration;

use levee_buf::Memory;

use super::turn::bare;
use super::{Owner, Stack};
use crate::conn::Start;
use crate::listen::spent::Spending;
use crate::listen::{HalfOpen, Offer, cookie};
use crate::reason::Reason;
use crate::seq::Seq;
use crate::table::Tuple;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Options, Tcp, Timestamps};

/// After a cookie was sent, cookies are believed for two of their time units.
const COOKIE_LIFE: Duration = Duration::from_secs(128);

impl<M: Memory> Stack<M> {
    /// A SYN for a listener (RFC 9293 section 3.10.7.2); `after` is where sequence numbers of the same
    /// connection ended before.
    pub(super) fn on_syn(
        &mut self,
        interface: u16,
        listener: u16,
        tuple: Tuple,
        tcp: &Tcp,
        after: Option<Seq>,
        now: Instant,
    ) {
        let clock = self.initial_seq(&tuple, now);
        // RFC 9293 section 3.6.1: the new sequence number is larger than the largest of the old ones.
        let iss = after.map_or(clock, |after| clock.max(after + 1));
        let offer = Offer::of(&tcp.options);
        let half_open = HalfOpen { iss, irs: tcp.seq, offer, listener, interface, tries: 1 };
        if let Some(id) = self.listeners.remember(half_open) {
            let number = self.numbers.half_open(id);
            self.table.insert(tuple, number);
            self.wheel.set(number, now + self.core.limits.timeouts.initial_rto);
            self.core.counters.syn_acks += 1;
            self.send_syn_ack(&tuple, &half_open, None, now);
        } else {
            self.cookies_until = now + COOKIE_LIFE;
            self.core.counters.cookies_sent += 1;
            let iss = cookie::make(self.keys.cookie, &tuple, tcp.seq, offer.mss, now);
            let value = cookie::put_scale(self.timestamp(&tuple, now), offer.scale);
            self.send_syn_ack(&tuple, &HalfOpen { iss, ..half_open }, Some(value), now);
        }
    }

    fn send_syn_ack(&mut self, tuple: &Tuple, half_open: &HalfOpen, cookie_value: Option<u32>, now: Instant) {
        let HalfOpen { iss, irs, offer, interface, .. } = *half_open;
        let value = cookie_value.unwrap_or_else(|| self.timestamp(tuple, now));
        // A cookie remembers the scale in its timestamp, or not at all.
        let remembers_scale = cookie_value.is_none() || offer.ts_recent.is_some();
        let options = Options {
            mss: Some(self.links[usize::from(interface)].mss()),
            scale: offer.scale.filter(|_| remembers_scale).map(|_| self.core.limits.scale),
            timestamps: offer.ts_recent.map(|echo| Timestamps { value, echo }),
        };
        let flags = Flags::SYN | Flags::ACK;
        let window = self.core.limits.syn_window();
        let tcp = Tcp { options, ..bare(tuple, iss, irs + 1, flags, window, None) };
        self.answer_tcp(interface, *tuple, tcp, now);
    }

    fn timestamp(&self, tuple: &Tuple, now: Instant) -> u32 {
        now.millis32().wrapping_add(self.ts_offset(tuple))
    }

    /// A segment for a half-open connection: RFC 9293 section 3.10.7.4, SYN-RECEIVED.
    pub(super) fn on_half_open(
        &mut self,
        id: u32,
        tuple: Tuple,
        tcp: &Tcp,
        payload: M::Chain,
        now: Instant,
    ) -> Result<(), Reason> {
        let half_open = *self.listeners.half_open(id);
        let HalfOpen { iss, irs, offer, interface, .. } = half_open;
        let rcv_nxt = irs + 1;
        if tcp.flags.has(Flags::RST) {
            // RFC 5961 section 3.2: only an exact one counts.
            if tcp.seq != rcv_nxt {
                return Err(Reason::StrayReset);
            }
            self.forget_half_open(id);
            return Err(Reason::HalfOpenReset);
        }
        if tcp.flags.has(Flags::SYN) {
            // Repeated, or a challenge: whoever did not send our SYN's cause answers with RST.
            self.send_syn_ack(&tuple, &half_open, None, now);
            return if half_open.is_repeated_by(tcp) { Ok(()) } else { Err(Reason::SynInWindow) };
        }
        if !tcp.flags.has(Flags::ACK) {
            return Err(Reason::NoAck);
        }
        if tcp.ack != iss + 1 {
            self.refuse(interface, &tuple, tcp, 0, now);
            return Err(Reason::BadHandshakeAck);
        }
        let window = usize::from(self.core.limits.syn_window());
        if tcp.seq.before(rcv_nxt) || tcp.seq.at_or_after(rcv_nxt + window) {
            return Err(Reason::HalfOpenStray);
        }
        if offer.ts_recent.is_some() && tcp.options.timestamps.is_none() {
            return Err(Reason::NoTimestamp);
        }
        let is_lossy = half_open.tries > 1;
        self.forget_half_open(id);
        self.accept(&half_open, tuple, tcp, payload, is_lossy, now)
    }

    /// An ACK for a listener without a half-open connection: one that ends a handshake by cookie, or none.
    pub(super) fn on_stray_ack(
        &mut self,
        interface: u16,
        listener: u16,
        tuple: Tuple,
        tcp: &Tcp,
        payload: M::Chain,
        now: Instant,
    ) -> Result<(), Reason> {
        let (irs, iss) = (tcp.seq - 1, tcp.ack - 1);
        let mss = if now < self.cookies_until {
            cookie::check(self.keys.cookie, &tuple, irs, iss, now)
        } else {
            None
        };
        let Some(mss) = mss else {
            self.refuse(interface, &tuple, tcp, 0, now);
            return Err(Reason::BadHandshakeAck);
        };
        match self.spent.spend(&tuple, irs, iss, now) {
            Spending::First => {}
            Spending::FirstEvicting => self.core.counters.count(Reason::CookieEvicted),
            Spending::Again => {
                self.refuse(interface, &tuple, tcp, 0, now);
                return Err(Reason::CookieSpent);
            }
        }
        self.core.counters.cookies_accepted += 1;
        let timestamps = tcp.options.timestamps;
        let scale = timestamps.and_then(|timestamps| cookie::scale(timestamps.echo));
        let offer = Offer { ts_recent: timestamps.map(|timestamps| timestamps.value), mss, scale };
        let half_open = HalfOpen { iss, irs, offer, listener, interface, tries: 1 };
        self.accept(&half_open, tuple, tcp, payload, false, now)
    }

    /// Makes a connection of a finished handshake and gives it the segment that finished it.
    fn accept(
        &mut self,
        half_open: &HalfOpen,
        tuple: Tuple,
        tcp: &Tcp,
        payload: M::Chain,
        is_lossy: bool,
        now: Instant,
    ) -> Result<(), Reason> {
        let HalfOpen { iss, irs, offer, listener, interface, .. } = *half_open;
        let Some(slot) = self.free.pop() else {
            self.refuse(interface, &tuple, tcp, 0, now);
            return Err(Reason::NoConnection);
        };
        self.table.insert(tuple, slot);
        self.core.counters.accepted += 1;
        let start = Start {
            interface,
            tag: self.listeners.listener(listener).tag,
            iss,
            ts_offset: self.ts_offset(&tuple),
            link_mss: self.links[usize::from(interface)].mss(),
        };
        let conn = &mut self.conns[slot as usize];
        conn.accept(&start, irs, &offer, is_lossy, &mut self.core.env(now));
        let verdict = conn.on_segment(tcp, payload, &mut self.core.env(now));
        self.apply(slot, verdict);
        Ok(())
    }

    pub(super) fn forget_half_open(&mut self, id: u32) {
        let number = self.numbers.half_open(id);
        self.table.remove(number);
        self.wheel.cancel(number);
        self.listeners.forget(id);
    }

    pub(super) fn on_half_open_timeout(&mut self, id: u32, now: Instant) {
        let timeouts = self.core.limits.timeouts;
        let half_open = self.listeners.half_open(id);
        if half_open.tries > timeouts.syn_ack_retries {
            self.core.counters.count(Reason::HandshakeTimedOut);
            return self.forget_half_open(id);
        }
        let wait = timeouts.initial_rto.saturating_mul(1 << half_open.tries.min(16));
        half_open.tries += 1;
        let half_open = *half_open;
        let number = self.numbers.half_open(id);
        let tuple = *self.table.tuple(number);
        self.wheel.set(number, now + wait.min(timeouts.max_rto));
        self.core.counters.retransmits += 1;
        self.send_syn_ack(&tuple, &half_open, None, now);
    }

    /// A segment for a connection in TIME-WAIT. True when it is a SYN that may begin the connection anew;
    /// it is forgotten then.
    pub(super) fn on_waiting(
        &mut self,
        id: u32,
        tuple: &Tuple,
        tcp: &Tcp,
        length: usize,
        now: Instant,
    ) -> bool {
        let waiting = *self.wait.waiting(id);
        self.core.counters.count(Reason::TimeWait);
        // RFC 1337 section 3 fix (F1): a RST does not end TIME-WAIT.
        if tcp.flags.has(Flags::RST) {
            return false;
        }
        if tcp.flags.has(Flags::SYN) && !tcp.flags.has(Flags::ACK) {
            // RFC 6191 section 2: a later timestamp, or a sequence number behind all that was received.
            let is_later = match (tcp.options.timestamps, waiting.ts_recent) {
                (Some(new), Some(old)) if new.value != old => new.value.wrapping_sub(old).cast_signed() > 0,
                _ => tcp.seq.after(waiting.rcv_nxt),
            };
            if is_later {
                self.forget_waiting(id);
                return true;
            }
        }
        if tcp.flags.has(Flags::FIN) && tcp.seq + length + 1 == waiting.rcv_nxt {
            self.wait.restart(id, now + self.core.limits.timeouts.time_wait);
        }
        // RFC 9293 section 3.10.7.4: what is not acceptable is acknowledged; a bare ACK is not answered, as
        // two sides would go on for ever.
        if length > 0 || tcp.flags.has(Flags::FIN) || tcp.flags.has(Flags::SYN) {
            self.acknowledge_waiting(tuple, waiting, now);
        }
        false
    }

    /// Answers a segment that belongs nowhere with RST (RFC 9293 section 3.10.7.1).
    pub(super) fn refuse(&mut self, interface: u16, tuple: &Tuple, tcp: &Tcp, length: usize, now: Instant) {
        if tcp.flags.has(Flags::RST) {
            return;
        }
        if !self.resets.allows(now) {
            return self.core.counters.count(Reason::ResetLimited);
        }
        self.core.counters.resets_out += 1;
        let controls = usize::from(tcp.flags.has(Flags::SYN)) + usize::from(tcp.flags.has(Flags::FIN));
        let answer = if tcp.flags.has(Flags::ACK) {
            bare(tuple, tcp.ack, Seq(0), Flags::RST, 0, None)
        } else {
            bare(tuple, Seq(0), tcp.seq + length + controls, Flags::RST | Flags::ACK, 0, None)
        };
        self.answer_tcp(interface, *tuple, answer, now);
    }

    /// Whose a tuple is.
    pub(super) fn owner(&self, tuple: &Tuple) -> Option<Owner> {
        self.table.find(tuple).map(|number| self.numbers.owner(number))
    }
}

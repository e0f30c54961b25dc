//! The send half: acknowledgements coming in, and what a visit of emit sends.
//!
//! Bytes wait in two chains. `unsent` is cut from its front; what was cut goes behind the end of
//! `unacked`, whose front an ACK trims. After a timeout `unacked` goes back in front of `unsent`, so that
//! nothing ever walks into a chain: everything is O(1) in the bytes queued.

use levee_buf::{Chain, Memory, Pieces};

use super::{Conn, Env, Events, State, Verdict};
use crate::congestion::DupAck;
use crate::seal::{Fill, Room, Seal};
use crate::seq::Seq;
use crate::stack::egress::{Blocked, Egress, Segment};
use crate::stack::{ConnId, Peer};
use crate::time::Instant;
use crate::wire::tcp::{Flags, Options, Tcp, Timestamps};

/// Segments of one connection in one visit: what others wait for.
const VISIT_SEGMENTS: usize = 32;

/// How a visit of emit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Nothing more to send at this time.
    Done,
    /// The visit was over before the connection was.
    More,
    /// Memory was exhausted; to be visited again in a later turn.
    Later,
    /// The output is full.
    Full,
}

impl From<Blocked> for Visit {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Full => Self::Full,
            Blocked::NoMemory => Self::Later,
        }
    }
}

impl<M: Memory> Conn<M> {
    /// Takes in the ACK field and window of an acceptable segment (RFC 9293 section 3.10.7.4, fifth).
    pub(super) fn on_ack(&mut self, tcp: &Tcp, seq: Seq, length: usize, env: &mut Env<'_, M>) {
        let flight = self.flight();
        if tcp.ack.after(self.snd_una) {
            self.on_new_ack(tcp, env);
        } else if tcp.ack == self.snd_una {
            let window = u32::from(tcp.window) << self.snd_scale;
            // RFC 5681 section 2: a duplicate has no data, repeats number and window, with data out.
            if flight > 0 && length == 0 && window == self.snd_wnd {
                self.on_dup_ack(flight, env);
            }
        } else {
            return;
        }
        let is_newer = self.snd_wl1.before(seq)
            || (self.snd_wl1 == seq && self.snd_wl2.at_or_before(tcp.ack))
            || tcp.ack.after(self.snd_wl2);
        if is_newer {
            let was_shut = self.snd_wnd == 0;
            self.set_window_at(tcp.ack, seq, u32::from(tcp.window) << self.snd_scale);
            if was_shut && self.snd_wnd > 0 {
                self.rto.reset_backoff();
                self.probe_due = false;
                self.retransmit_at = Instant(0);
                // What leaves now has waited for the peer, not for an acknowledgement.
                if !self.released {
                    self.progress_ms = env.now.millis32();
                }
            }
        }
    }

    fn on_new_ack(&mut self, tcp: &Tcp, env: &mut Env<'_, M>) {
        let acked = tcp.ack.beyond(self.snd_una);
        let was_limited = tcp.ack.at_or_before(self.limited_until);
        self.measure_rtt(tcp, env);
        // First what is out; then, after a timeout, what is not out again but had arrived; then FIN.
        let out = acked.min(self.unacked.len());
        self.unacked.trim_front(out);
        let early = (acked - out).min(self.unsent.len());
        self.unsent.trim_front(early);
        self.fin_acked |= acked > out + early;
        self.snd_una = tcp.ack;
        self.snd_nxt = self.snd_nxt.max(tcp.ack);
        self.fin_sent |= self.fin_acked;
        self.progress_ms = env.now.millis32();
        let had_partial = self.congestion.had_partial();
        let is_partial = self.congestion.on_ack(tcp.ack, acked, self.flight(), was_limited);
        self.retransmit_due = is_partial;
        self.rto.reset_backoff();
        // RFC 6298 section 5.2 and 5.3; RFC 6582 section 3.2 step 5.
        if !is_partial || !had_partial {
            self.retransmit_at = Instant(0);
        }
        if self.queued() == 0 && out + early > 0 {
            self.events.add(Events::ACKED);
        }
    }

    fn on_dup_ack(&mut self, flight: usize, env: &mut Env<'_, M>) {
        if self.congestion.on_dup_ack(self.snd_una, self.snd_max, flight) == DupAck::Retransmit {
            self.retransmit_due = true;
            env.counters.fast_retransmits += 1;
        }
    }

    /// One sample for each flight; by our own clock when nothing of it was sent again (Karn), else by the
    /// echoed timestamp (RFC 7323 section 4).
    pub(super) fn measure_rtt(&mut self, tcp: &Tcp, env: &Env<'_, M>) {
        if self.timing && tcp.ack.at_or_after(self.rtt_seq) {
            self.timing = false;
            self.rto.measure(env.now.micros32().wrapping_sub(self.rtt_sent_us));
        } else if let (false, true, Some(timestamps)) = (self.timing, self.timestamps, tcp.options.timestamps)
        {
            let elapsed_ms = self.timestamp(env.now).wrapping_sub(timestamps.echo);
            if elapsed_ms < 120_000 {
                self.rto.measure((elapsed_ms * 1000).max(1000));
            }
        }
    }

    /// Takes the window of `tcp`, already scaled.
    pub(super) fn set_window(&mut self, tcp: &Tcp, window: u32) {
        self.set_window_at(tcp.ack, tcp.seq, window);
    }

    fn set_window_at(&mut self, ack: Seq, seq: Seq, window: u32) {
        self.snd_wnd = window;
        self.max_wnd = self.max_wnd.max(window);
        (self.snd_wl1, self.snd_wl2) = (seq, ack);
    }

    /// Sequence numbers out and not acknowledged.
    pub(super) fn flight(&self) -> usize {
        self.snd_nxt.beyond(self.snd_una)
    }

    /// Bytes that may leave at this time.
    fn usable(&self) -> usize {
        self.congestion.window().min(self.snd_wnd as usize).saturating_sub(self.flight())
    }

    /// Whether bytes or a FIN wait to be sent for the first time, or again after a timeout.
    pub(super) fn has_pending(&self) -> bool {
        !self.unsent.is_empty()
            || (self.may_have && !self.finished && self.state.may_send())
            || (self.finished && !self.fin_sent && self.state.is_synchronized())
    }

    /// Whether emit would do something.
    pub(crate) fn wants_visit(&self) -> bool {
        self.ack_due
            || self.dup_acks_due > 0
            || self.syn_due
            || self.retransmit_due
            || self.probe_due
            || self.keepalive_due
            || (self.state.is_synchronized() && self.has_pending() && self.usable() > 0)
    }

    /// The upper layer may have bytes.
    pub(crate) fn wake(&mut self) {
        self.may_have = !self.finished;
    }

    /// Sends what is due, at most [`VISIT_SEGMENTS`] segments.
    pub(crate) fn emit(
        &mut self,
        peer: &Peer,
        seal: &mut dyn Seal<M>,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Visit {
        let result = self.visit(peer, seal, env, egress);
        self.arm(env);
        result.unwrap_or_else(Visit::from)
    }

    fn visit(
        &mut self,
        peer: &Peer,
        seal: &mut dyn Seal<M>,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<Visit, Blocked> {
        if self.syn_due {
            self.send_syn(peer, env, egress)?;
        }
        if !self.state.is_synchronized() {
            if self.state == State::SynReceived && self.ack_due {
                self.send(peer, self.snd_max, Flags::ACK, M::Chain::default(), env, egress)?;
            }
            return Ok(Visit::Done);
        }
        while self.dup_acks_due > 0 {
            self.send(peer, self.acceptable_seq(), Flags::ACK, M::Chain::default(), env, egress)?;
            self.dup_acks_due -= 1;
        }
        if self.retransmit_due {
            self.retransmit(peer, env, egress)?;
        }
        if self.flight() == 0 && self.has_pending() {
            self.restart_after_idle(env);
        }
        let more = self.send_pending(peer, seal, env, egress)?;
        if self.probe_due {
            self.send_probe(peer, seal, env, egress)?;
        }
        if self.keepalive_due {
            // RFC 1122 section 4.2.3.6: SEG.SEQ = SND.NXT - 1 provokes an answer.
            self.send(peer, self.snd_nxt - 1, Flags::ACK, M::Chain::default(), env, egress)?;
            self.keepalive_due = false;
        }
        if self.ack_due {
            self.send(peer, self.acceptable_seq(), Flags::ACK, M::Chain::default(), env, egress)?;
        }
        Ok(if more { Visit::More } else { Visit::Done })
    }

    fn send_syn(
        &mut self,
        peer: &Peer,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        let with_ack = self.state == State::SynReceived;
        let value = self.timestamp(env.now);
        let offers = !with_ack || self.timestamps;
        let scales = !with_ack || self.rcv_scale > 0 || self.snd_scale > 0;
        let tcp = Tcp {
            source: peer.tuple.local_port,
            destination: peer.tuple.remote_port,
            seq: self.snd_una,
            ack: if with_ack { self.rcv_nxt } else { Seq(0) },
            flags: if with_ack { Flags::SYN | Flags::ACK } else { Flags::SYN },
            window: env.limits.syn_window(),
            options: Options {
                mss: Some(egress.link_mss(self.interface)),
                scale: scales.then_some(env.limits.scale),
                timestamps: offers.then_some(Timestamps { value, echo: self.ts_recent }),
            },
        };
        let payload = M::Chain::default();
        egress.tcp(&mut self.neighbour, Segment { peer, tcp, payload, tso_mss: None }, env)?;
        self.syn_due = false;
        (self.ack_due, self.snd_nxt) = (false, self.snd_una + 1);
        self.snd_max = self.snd_max.max(self.snd_nxt);
        if self.rto.backoff() == 0 {
            (self.timing, self.rtt_seq, self.rtt_sent_us) = (true, self.snd_nxt, env.now.micros32());
        }
        Ok(())
    }

    /// Sends the first segment that is out again: fast retransmit and partial ACKs.
    fn retransmit(
        &mut self,
        peer: &Peer,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        let n = self.unacked.len().min(usize::from(self.mss));
        let payload = env.memory.reference(&mut self.unacked, 0..n).ok_or(Blocked::NoMemory)?;
        let is_last = n == self.unacked.len();
        let mut flags = Flags::ACK;
        if is_last && self.fin_sent {
            flags = flags | Flags::FIN;
        }
        if self.flight() > 0 {
            self.send(peer, self.snd_una, flags, payload, env, egress)?;
            env.counters.retransmits += 1;
        }
        self.retransmit_due = false;
        // Karn: what was sent again is not measured.
        self.timing = false;
        Ok(())
    }

    /// RFC 5681 section 4.1: after a pause the congestion window is that of a new connection.
    fn restart_after_idle(&mut self, env: &Env<'_, M>) {
        let idle_ms = u128::from(env.now.millis32().wrapping_sub(self.sent_ms));
        if self.snd_nxt == self.snd_max && idle_ms > self.rto.timeout(&env.limits.timeouts).as_millis() {
            self.congestion.on_idle();
        }
    }

    /// Sends data, and FIN behind it. True when there is more that may leave.
    fn send_pending(
        &mut self,
        peer: &Peer,
        seal: &mut dyn Seal<M>,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<bool, Blocked> {
        let mut budget = VISIT_SEGMENTS;
        let mss = usize::from(self.mss);
        self.pull(peer.id, seal, env, egress);
        while let Some(n) =
            self.next_cut(budget.saturating_mul(mss), egress.super_segment(self.interface, mss))
        {
            if budget == 0 {
                return Ok(true);
            }
            self.send_cut(peer, n, env, egress)?;
            budget = budget.saturating_sub(n.div_ceil(mss));
        }
        let may_close = self.finished && self.unsent.is_empty() && !self.fin_sent;
        if may_close && (self.snd_wnd as usize) > self.flight() {
            self.send_fin(peer, env, egress)?;
        }
        Ok(budget == 0 && self.has_pending() && self.usable() > 0)
    }

    /// Asks the upper layer for what may leave in this visit.
    fn pull(&mut self, id: ConnId, seal: &mut dyn Seal<M>, env: &Env<'_, M>, egress: &Egress<'_, M>) {
        let mss = usize::from(self.mss);
        while self.may_have && !self.finished && self.state.may_send() {
            let waiting = self.unsent.len();
            let buffer = env.limits.send_buffer.saturating_sub(self.unacked.len());
            let visit = egress.room().min(VISIT_SEGMENTS) * mss;
            let room = self.without_silly(self.usable().min(buffer).min(visit));
            let Some(window) = room.checked_sub(waiting).filter(|&window| window > 0) else { return };
            self.fill(id, Room { window, mss }, seal);
        }
    }

    /// Asks once.
    fn fill(&mut self, id: ConnId, room: Room, seal: &mut dyn Seal<M>) {
        match seal.fill(id, room) {
            Fill::Data(bytes) if !bytes.is_empty() => self.unsent.append(bytes),
            Fill::Data(_) | Fill::Nothing => self.may_have = false,
            Fill::Finished => (self.finished, self.may_have) = (true, false),
        }
    }

    /// RFC 9293 section 3.8.6.2.1: full segments, or half the largest window, or anything when nothing is
    /// out.
    fn without_silly(&self, room: usize) -> usize {
        let mss = usize::from(self.mss);
        if room >= mss {
            room - room % mss
        } else if self.flight() == 0 || room >= self.max_wnd as usize / 2 {
            room
        } else {
            0
        }
    }

    /// Bytes of the next segment, at most `limit` and `super_segment`.
    fn next_cut(&self, limit: usize, super_segment: usize) -> Option<usize> {
        let mss = usize::from(self.mss);
        let have = self.unsent.len();
        if have == 0 {
            return None;
        }
        let n = have.min(self.usable()).min(super_segment).min(limit.max(mss));
        // What is cut by the window or the device is cut at a whole segment; so is the last part when more
        // may come to fill it.
        let is_all = n == have && !self.may_have;
        let n = if is_all { n } else { self.without_silly(n) };
        (n > 0).then_some(n)
    }

    fn send_cut(
        &mut self,
        peer: &Peer,
        n: usize,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        if egress.room() == 0 {
            return Err(Blocked::Full);
        }
        let mut piece = env.memory.split_to(&mut self.unsent, n).ok_or(Blocked::NoMemory)?;
        let is_last = self.unsent.is_empty();
        let closes = is_last && self.finished && !self.fin_sent && self.usable() > n;
        let mut flags = Flags::ACK;
        if is_last && !self.may_have {
            flags = flags | Flags::PSH;
        }
        if closes {
            flags = flags | Flags::FIN;
        }
        let sent = match env.memory.reference(&mut piece, 0..n) {
            Some(payload) => self.send(peer, self.snd_nxt, flags, payload, env, egress),
            None => Err(Blocked::NoMemory),
        };
        if let Err(blocked) = sent {
            piece.append(self.unsent.take());
            self.unsent = piece;
            return Err(blocked);
        }
        let is_new = self.snd_nxt == self.snd_max;
        let sent_before = self.snd_max.beyond(self.snd_nxt).min(n);
        env.counters.bytes_out += (n - sent_before) as u64;
        env.counters.retransmits += u64::from(sent_before > 0);
        if self.snd_max == self.snd_una {
            self.progress_ms = env.now.millis32();
        }
        self.unacked.append(piece);
        self.snd_nxt += n;
        if closes {
            self.on_fin_sent();
        }
        self.snd_max = self.snd_max.max(self.snd_nxt);
        if self.flight() + usize::from(self.mss) > self.congestion.window() {
            self.limited_until = self.snd_max;
        }
        if is_new && !self.timing && !self.congestion.is_recovering() {
            (self.timing, self.rtt_seq, self.rtt_sent_us) = (true, self.snd_nxt, env.now.micros32());
        }
        Ok(())
    }

    fn send_fin(
        &mut self,
        peer: &Peer,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        self.send(peer, self.snd_nxt, Flags::FIN | Flags::ACK, M::Chain::default(), env, egress)?;
        if self.snd_max == self.snd_una {
            self.progress_ms = env.now.millis32();
        }
        self.on_fin_sent();
        self.snd_max = self.snd_max.max(self.snd_nxt);
        Ok(())
    }

    fn on_fin_sent(&mut self) {
        self.snd_nxt += 1;
        self.fin_sent = true;
        self.state = self.state.after_our_fin();
    }

    /// Sends one byte, or the FIN, beyond a window that is shut (RFC 9293 section 3.8.6.1). It counts as
    /// unsent: an ACK for it takes it from there.
    fn send_probe(
        &mut self,
        peer: &Peer,
        seal: &mut dyn Seal<M>,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        if self.unsent.is_empty() && self.may_have && !self.finished && self.state.may_send() {
            let mss = usize::from(self.mss);
            self.fill(peer.id, Room { window: mss, mss }, seal);
        }
        if self.unsent.is_empty() {
            if self.finished && !self.fin_sent {
                self.send(peer, self.snd_nxt, Flags::FIN | Flags::ACK, M::Chain::default(), env, egress)?;
                self.state = self.state.after_our_fin();
                self.snd_max = self.snd_max.max(self.snd_nxt + 1);
                env.counters.window_probes += 1;
            }
        } else {
            let byte = env.memory.reference(&mut self.unsent, 0..1).ok_or(Blocked::NoMemory)?;
            self.send(peer, self.snd_nxt, Flags::ACK | Flags::PSH, byte, env, egress)?;
            self.snd_max = self.snd_max.max(self.snd_nxt + 1);
            env.counters.window_probes += 1;
        }
        self.probe_due = false;
        Ok(())
    }

    /// Sends a segment with the current ACK, window and timestamp.
    fn send(
        &mut self,
        peer: &Peer,
        seq: Seq,
        flags: Flags,
        payload: M::Chain,
        env: &mut Env<'_, M>,
        egress: &mut Egress<'_, M>,
    ) -> Result<(), Blocked> {
        let echo = self.ts_recent;
        let value = self.timestamp(env.now);
        let tso_mss = (payload.len() > usize::from(self.mss)).then_some(self.mss);
        let tcp = Tcp {
            source: peer.tuple.local_port,
            destination: peer.tuple.remote_port,
            seq,
            ack: self.rcv_nxt,
            flags,
            window: self.advertise(env.limits),
            options: Options {
                timestamps: self.timestamps.then_some(Timestamps { value, echo }),
                ..Options::default()
            },
        };
        let has_data = !payload.is_empty();
        egress.tcp(&mut self.neighbour, Segment { peer, tcp, payload, tso_mss }, env)?;
        self.last_ack_sent = self.rcv_nxt;
        if has_data {
            self.sent_ms = env.now.millis32();
        }
        self.ack_due = false;
        self.delayed_ack_at = Instant(0);
        Ok(())
    }

    /// The sequence number of a segment without data: the highest that the peer's window takes.
    pub(super) fn acceptable_seq(&self) -> Seq {
        let edge = self.snd_una + self.snd_wnd as usize;
        if self.snd_max.after(edge) { self.snd_nxt.max(edge) } else { self.snd_max }
    }

    fn timestamp(&self, now: Instant) -> u32 {
        now.millis32().wrapping_add(self.ts_offset)
    }

    /// The path takes only packets of `mtu` bytes, says ICMP about the segment at `seq` (RFC 1191, with the
    /// checks of RFC 5927). False when that is not believed.
    pub(crate) fn on_too_big(&mut self, seq: Seq, mtu: u16, env: &mut Env<'_, M>) -> bool {
        // RFC 5927 section 7.2: about something in flight only, and never under RFC 791's 576 bytes.
        let overhead = 40 + if self.timestamps { crate::wire::tcp::TIMESTAMPS_LENGTH } else { 0 };
        let mss = usize::from(mtu.max(576)) - overhead;
        let is_about_us = self.state.is_synchronized()
            && seq.at_or_after(self.snd_una)
            && seq.before(self.snd_max)
            && mss < usize::from(self.mss);
        if is_about_us {
            self.mss = u16::try_from(mss).unwrap_or(self.mss);
            self.congestion.set_mss(self.mss);
            self.go_back();
            self.arm(env);
        }
        is_about_us
    }

    /// ICMP says that the segment at `seq` cannot reach the peer. RFC 5927 section 5.2: only a connection
    /// attempt is given up for that.
    pub(crate) fn on_unreachable(&self, seq: Seq) -> Option<Verdict> {
        (self.state == State::SynSent && seq == self.snd_una)
            .then_some(Verdict::Close(crate::Reason::Unreachable))
    }

    /// Everything out counts as unsent again.
    pub(super) fn go_back(&mut self) {
        let mut all = self.unacked.take();
        all.append(self.unsent.take());
        self.unsent = all;
        self.snd_nxt = self.snd_una;
        self.fin_sent = self.fin_acked;
        (self.timing, self.retransmit_due) = (false, false);
    }
}

//! What a segment does to a connection, in the order of RFC 9293 section 3.10.7.

use levee_buf::{Chain, Memory, Pieces};

use super::{CHALLENGE_INTERVAL_MS, Conn, Env, Events, State, Verdict};
use crate::listen::Offer;
use crate::reason::Reason;
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Tcp, Timestamps};

/// RFC 7323 section 5.5: a timestamp that was not updated for 24 days is not compared with.
const TS_RECENT_LIFE_MS: u32 = 24 * 24 * 3600 * 1000;

impl<M: Memory> Conn<M> {
    /// Takes in a segment of this connection: RFC 9293 section 3.10.7.
    pub(crate) fn on_segment(&mut self, tcp: &Tcp, payload: M::Chain, env: &mut Env<'_, M>) -> Verdict {
        let was_silent_ms = env.now.millis32().wrapping_sub(self.heard_ms);
        let verdict = match self.state {
            State::Free | State::Closed => Verdict::Drop(Reason::NoSocket),
            State::SynSent => self.on_syn_sent(tcp, payload, env),
            _ => self.on_synchronized(tcp, payload, env),
        };
        if was_silent_ms != 0 && !matches!(verdict, Verdict::Drop(_)) {
            self.heard_ms = env.now.millis32();
            self.probes = 0;
        }
        self.arm(env);
        verdict
    }

    /// RFC 9293 section 3.10.7.3.
    fn on_syn_sent(&mut self, tcp: &Tcp, payload: M::Chain, env: &mut Env<'_, M>) -> Verdict {
        // First, check the ACK bit.
        let has_ack = tcp.flags.has(Flags::ACK);
        if has_ack && (tcp.ack.at_or_before(self.snd_una) || tcp.ack.after(self.snd_max)) {
            if tcp.flags.has(Flags::RST) {
                return Verdict::Drop(Reason::StrayReset);
            }
            return Verdict::Refuse(Reason::AckUnacceptable);
        }
        // Second, check the RST bit.
        if tcp.flags.has(Flags::RST) {
            return if has_ack { Verdict::Close(Reason::Refused) } else { Verdict::Drop(Reason::StrayReset) };
        }
        // Fourth, check the SYN bit.
        if !tcp.flags.has(Flags::SYN) {
            return Verdict::Drop(Reason::NoAck);
        }
        let retried = self.rto.backoff() > 0;
        let offer = Offer::of(&tcp.options);
        self.negotiate(tcp.seq, &offer, env);
        self.set_window(tcp, u32::from(tcp.window));
        if retried {
            // RFC 5681 section 3.1: after a lost SYN the window starts at one segment.
            self.congestion.on_lost_syn();
        }
        if !has_ack {
            self.state = State::SynReceived;
            (self.snd_nxt, self.syn_due) = (self.snd_una, true);
            return Verdict::Ok;
        }
        self.on_handshake_done(tcp, env);
        self.ack_due = true;
        self.on_text(tcp, tcp.seq + 1, payload, env)
    }

    /// Our SYN was acknowledged by `tcp`.
    fn on_handshake_done(&mut self, tcp: &Tcp, env: &mut Env<'_, M>) {
        self.state = State::Established;
        self.events.add(Events::CONNECTED);
        self.measure_rtt(tcp, env);
        self.snd_una = tcp.ack;
        self.snd_nxt = tcp.ack;
        self.snd_max = tcp.ack;
        (self.syn_due, self.timing) = (false, false);
        self.rto.reset_backoff();
        self.progress_ms = env.now.millis32();
        self.retransmit_at = Instant(0);
    }

    /// RFC 9293 section 3.10.7.4, in its order.
    fn on_synchronized(&mut self, tcp: &Tcp, mut payload: M::Chain, env: &mut Env<'_, M>) -> Verdict {
        let is_rst = tcp.flags.has(Flags::RST);
        // RFC 7323 section 5.3 R1: PAWS goes before the check of the sequence number.
        if self.timestamps && !is_rst {
            let Some(timestamps) = tcp.options.timestamps else {
                // RFC 7323 section 3.2: a segment without the option should be dropped silently.
                return Verdict::Drop(Reason::NoTimestamp);
            };
            if self.is_old(timestamps, env.now) {
                self.answer_unacceptable(tcp, payload.len(), env);
                return Verdict::Drop(Reason::Paws);
            }
        }
        // RFC 9293 figure 8: in a simultaneous open the peer's SYN-ACK repeats its SYN, which is known.
        let mut seq = tcp.seq;
        let mut has_syn = tcp.flags.has(Flags::SYN);
        if self.state == State::SynReceived && has_syn && seq + 1 == self.rcv_nxt && tcp.flags.has(Flags::ACK)
        {
            (seq, has_syn) = (self.rcv_nxt, false);
        }
        // First, check the sequence number.
        let length = payload.len() + usize::from(tcp.flags.has(Flags::FIN)) + usize::from(has_syn);
        if !self.is_acceptable(seq, length) {
            if is_rst {
                return Verdict::Drop(Reason::StrayReset);
            }
            self.answer_unacceptable(tcp, payload.len(), env);
            return Verdict::Drop(Reason::OutOfWindow);
        }
        // Second, check the RST bit: RFC 5961 section 3.2.
        if is_rst {
            if seq == self.rcv_nxt {
                let reason = if self.state == State::SynReceived { Reason::Refused } else { Reason::Reset };
                return Verdict::Close(reason);
            }
            self.challenge(env);
            return Verdict::Drop(Reason::ResetInexact);
        }
        // Fourth, check the SYN bit: RFC 5961 section 4.2.
        if has_syn {
            self.challenge(env);
            return Verdict::Drop(Reason::SynInWindow);
        }
        // Fifth, check the ACK field.
        if !tcp.flags.has(Flags::ACK) {
            return Verdict::Drop(Reason::NoAck);
        }
        if self.state == State::SynReceived {
            if tcp.ack.at_or_before(self.snd_una) || tcp.ack.after(self.snd_max) {
                return Verdict::Refuse(Reason::AckUnacceptable);
            }
            self.on_handshake_done(tcp, env);
            self.set_window(tcp, u32::from(tcp.window) << self.snd_scale);
        }
        // RFC 5961 section 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT, or a challenge ACK.
        let oldest = self.snd_una - (self.max_wnd as usize).max(1);
        if tcp.ack.after(self.snd_max) || tcp.ack.before(oldest) {
            self.challenge(env);
            return Verdict::Drop(Reason::AckUnacceptable);
        }
        self.update_ts_recent(tcp, seq, env.now);
        self.on_ack(tcp, seq, length, env);
        match self.state {
            State::FinWait1 if self.fin_acked => self.state = State::FinWait2,
            State::Closing if self.fin_acked => return Verdict::TimeWait,
            State::LastAck if self.fin_acked => return Verdict::Close(Reason::Finished),
            _ => {}
        }
        self.on_text(tcp, seq, payload.take(), env)
    }

    /// Seventh and eighth, the text and the FIN bit.
    fn on_text(&mut self, tcp: &Tcp, seq: Seq, payload: M::Chain, env: &mut Env<'_, M>) -> Verdict {
        let has_fin = tcp.flags.has(Flags::FIN);
        if payload.is_empty() && !has_fin {
            return Verdict::Ok;
        }
        if !self.state.may_receive() {
            // The peer has already said FIN: whatever follows is to be ignored.
            return Verdict::Drop(Reason::AfterFin);
        }
        let is_new = (seq + payload.len()).after(self.rcv_nxt);
        if self.released && !payload.is_empty() && is_new {
            // RFC 1122 section 4.2.2.13: data that nobody will read is answered with RST.
            return Verdict::Reset(Reason::DataAfterRelease);
        }
        if let Err(reason) = self.receive(seq, payload, has_fin, env) {
            return Verdict::Drop(reason);
        }
        if self.fin_at != Some(self.rcv_nxt) {
            return Verdict::Ok;
        }
        self.on_fin()
    }

    fn on_fin(&mut self) -> Verdict {
        self.rcv_nxt += 1;
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt);
        self.ack_due = true;
        self.events.add(Events::FIN);
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => return Verdict::TimeWait,
            _ => {}
        }
        Verdict::Ok
    }

    /// The four cases of RFC 9293 section 3.4, table 5.
    fn is_acceptable(&self, seq: Seq, length: usize) -> bool {
        let window = self.rcv_adv.beyond(self.rcv_nxt);
        let is_inside = |seq: Seq| seq.at_or_after(self.rcv_nxt) && seq.before(self.rcv_nxt + window);
        match (length, window) {
            // What a shut window does not take is cut off behind it: "special allowance should be made to
            // accept valid ACKs, URGs, and RSTs" (section 3.10.7.4).
            (_, 0) => seq == self.rcv_nxt,
            (0, _) => is_inside(seq),
            _ => is_inside(seq) || is_inside(seq + (length - 1)),
        }
    }

    /// RFC 7323 section 5.3.
    fn is_old(&self, timestamps: Timestamps, now: Instant) -> bool {
        let is_before = timestamps.value.wrapping_sub(self.ts_recent).cast_signed() < 0;
        is_before && now.millis32().wrapping_sub(self.ts_recent_at_ms) < TS_RECENT_LIFE_MS
    }

    /// RFC 7323 section 4.3 (2).
    fn update_ts_recent(&mut self, tcp: &Tcp, seq: Seq, now: Instant) {
        if let (true, Some(timestamps)) = (self.timestamps, tcp.options.timestamps)
            && seq.at_or_before(self.last_ack_sent)
        {
            (self.ts_recent, self.ts_recent_at_ms) = (timestamps.value, now.millis32());
        }
    }

    /// An unacceptable segment is acknowledged (RFC 9293 section 3.10.7.4), but not so often when it
    /// carries nothing: two sides that disagree would do nothing else.
    fn answer_unacceptable(&mut self, tcp: &Tcp, length: usize, env: &mut Env<'_, M>) {
        if length > 0 || tcp.flags.has(Flags::FIN) {
            self.ack_due = true;
        } else {
            self.challenge(env);
        }
    }

    /// A challenge ACK, limited per connection: a shared limit would tell others about it.
    fn challenge(&mut self, env: &mut Env<'_, M>) {
        let now_ms = env.now.millis32();
        if now_ms.wrapping_sub(self.challenged_ms) >= CHALLENGE_INTERVAL_MS {
            self.challenged_ms = now_ms;
            self.ack_due = true;
            env.counters.challenge_acks += 1;
        }
    }
}

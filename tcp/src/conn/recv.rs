//! The receive half: reassembly, the window, when to acknowledge.

use levee_buf::{Chain, Memory, Pieces};

use super::{Conn, Env, Events, Limits, runs};
use crate::reason::Reason;
use crate::seq::Seq;
use crate::time::Instant;

impl<M: Memory> Conn<M> {
    /// Takes in the text of an acceptable segment.
    pub(super) fn receive(
        &mut self,
        mut seq: Seq,
        mut payload: M::Chain,
        mut has_fin: bool,
        env: &mut Env<'_, M>,
    ) -> Result<(), Reason> {
        // Devices may join segments: what they make of them is not the peer's segment size.
        let seen = u16::try_from(payload.len()).unwrap_or(u16::MAX).min(self.mss);
        self.rcv_mss = self.rcv_mss.max(seen);
        // RFC 9293 section 3.10.7.4: trim off what lies outside the window.
        let known = self.rcv_nxt.beyond(seq).min(payload.len());
        payload.trim_front(known);
        seq += known;
        if known > 0 {
            self.ack_due = true;
        }
        let allowed = self.rcv_adv.beyond(seq);
        if payload.len() + usize::from(has_fin) > allowed {
            payload.truncate(allowed);
            has_fin = false;
            self.ack_due = true;
            env.counters.count(Reason::BeyondWindow);
        }
        if has_fin && self.fin_at.is_none() {
            self.fin_at = Some(seq + payload.len());
            env.runs.cut(&mut self.runs, seq + payload.len());
            self.run_segments = env.runs.segments(self.runs);
        }
        // Nothing comes behind a FIN, wherever the peer says afterwards that it was.
        if let Some(fin) = self.fin_at {
            payload.truncate(fin.beyond(seq));
        }
        if payload.is_empty() {
            if has_fin && self.fin_at != Some(self.rcv_nxt) {
                self.dup_acks_due = self.dup_acks_due.saturating_add(1);
            }
            return Ok(());
        }
        let segments = u32::try_from(payload.segments()).unwrap_or(u32::MAX);
        let had_runs = self.runs != runs::NONE;
        let has_room = |used: u32| used.saturating_add(segments) <= env.limits.segments;
        let run_segments = self.run_segments;
        if seq == self.rcv_nxt
            && has_room(self.held_segments)
            && !has_room(self.held_segments.saturating_add(run_segments))
        {
            // What fills the hole goes before what is behind it, which was not acknowledged and comes again:
            // refused for want of room, it would be refused for ever.
            env.runs.clear(&mut self.runs);
            self.run_segments = 0;
        }
        if !has_room(self.held_segments.saturating_add(self.run_segments)) {
            // Not acknowledged: the peer sends it again, and by then more of it in one segment.
            self.ack_due = true;
            return Err(Reason::TooManySegments);
        }
        if seq != self.rcv_nxt {
            // RFC 5681 section 4.2: acknowledge out-of-order segments at once.
            self.dup_acks_due = self.dup_acks_due.saturating_add(1);
            env.runs.insert(&mut self.runs, seq, payload)?;
            self.run_segments = env.runs.segments(self.runs);
            return Ok(());
        }
        self.append(payload, env);
        while let Some(bytes) = env.runs.take(&mut self.runs, self.rcv_nxt) {
            if !bytes.is_empty() {
                self.append(bytes, env);
            }
        }
        if had_runs {
            self.run_segments = env.runs.segments(self.runs);
        }
        self.events.add(Events::READABLE);
        self.schedule_ack(had_runs, env);
        Ok(())
    }

    fn append(&mut self, bytes: M::Chain, env: &mut Env<'_, M>) {
        self.rcv_nxt += bytes.len();
        self.held_bytes = self.held_bytes.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.held_segments =
            self.held_segments.saturating_add(u32::try_from(bytes.segments()).unwrap_or(u32::MAX));
        env.counters.bytes_in += bytes.len() as u64;
        self.received.append(bytes);
    }

    /// RFC 1122 section 4.2.3.2: an ACK for at least every second full-sized segment, and none later than
    /// the delay; RFC 5681 section 4.2: at once when a hole is filled.
    fn schedule_ack(&mut self, fills_hole: bool, env: &Env<'_, M>) {
        let pending = self.rcv_nxt.beyond(self.last_ack_sent);
        if fills_hole || pending >= 2 * usize::from(self.rcv_mss) {
            self.ack_due = true;
        } else if self.delayed_ack_at == Instant(0) {
            self.delayed_ack_at = env.now + env.limits.timeouts.delayed_ack;
        }
    }

    /// The upper layer is done with `bytes` of what it took.
    pub(crate) fn consume(&mut self, bytes: usize, limits: &Limits) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.held_bytes);
        if bytes == 0 {
            return;
        }
        // Segments go with the bytes they hold, on the average.
        let share = u64::from(self.held_segments) * u64::from(bytes) / u64::from(self.held_bytes);
        self.held_segments -= u32::try_from(share).unwrap_or(self.held_segments);
        self.held_bytes -= bytes;
        if self.held_bytes == 0 {
            self.held_segments = 0;
        }
        self.offer_window(limits);
    }

    /// What the upper layer took and is not done with lies in so few segments now. They are counted where the bound on
    /// them is near, and not for each segment of a long transfer.
    pub(crate) fn repack(&mut self, segments: impl FnOnce() -> usize, limits: &Limits) {
        if self.held_segments <= limits.segments / 2 {
            return;
        }
        let all = segments().saturating_add(self.received.segments());
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        if all < self.held_segments {
            self.held_segments = all;
            self.offer_window(limits);
        }
    }

    /// RFC 9293 section 3.8.6.2.2: the window moves by the smaller of two segments and half the buffer.
    fn offer_window(&mut self, limits: &Limits) {
        let gain = self.open_edge(limits).beyond(self.rcv_adv);
        if self.state.may_receive() && gain >= self.window_step(limits) {
            self.ack_due = true;
        }
    }

    /// The window field for a segment that leaves, and the edge it promises.
    pub(super) fn advertise(&mut self, limits: &Limits) -> u16 {
        let open = self.open_edge(limits);
        let gain = open.beyond(self.rcv_adv);
        let mut edge = self.rcv_adv.max(self.rcv_nxt);
        if gain >= self.window_step(limits).min(usize::from(self.rcv_mss)) {
            edge = open;
        }
        let window = edge.beyond(self.rcv_nxt);
        let unit = 1 << self.rcv_scale;
        // Rounded up, or the edge would move left; but not on and on, when bytes trickle in.
        let up = window.div_ceil(unit);
        let field = if (self.rcv_nxt + up * unit).after(open + unit) { window / unit } else { up };
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt + usize::from(field) * unit);
        field
    }

    /// The right edge that the buffer has room for; left of `rcv_nxt` when it is overfull.
    fn open_edge(&self, limits: &Limits) -> Seq {
        if self.held_segments.saturating_add(self.run_segments) > limits.segments / 4 * 3 {
            return self.rcv_nxt;
        }
        self.rcv_nxt + limits.recv_buffer - self.held_bytes as usize
    }

    fn window_step(&self, limits: &Limits) -> usize {
        (2 * usize::from(self.rcv_mss)).min(limits.recv_buffer / 2)
    }
}

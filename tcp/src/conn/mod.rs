//! `Conn`: one connection: its state, its beginning and its end.
//!
//! What a segment does is in `segment`, the receive half in `recv`, the send half in `send`, timers in
//! `timers`. A connection neither knows
//! its slot nor the tables around it: it marks what became due, and the stack looks at the marks.

pub(crate) mod recv;
pub(crate) mod rto;
pub(crate) mod runs;
mod segment;
pub(crate) mod send;
pub(crate) mod state;
pub(crate) mod timers;

use levee_buf::{Chain, Memory, Pieces};

use crate::config::{Config, Timeouts};
use crate::congestion::NewReno;
use crate::listen::Offer;
use crate::reason::{Counters, Reason};
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::tcp::TIMESTAMPS_LENGTH;
use rto::Rto;
use runs::Runs;
use state::State;

/// One connection: at most 288 bytes with chains of 16 bytes, as packet buffers have.
pub(crate) struct Conn<M: Memory> {
    pub(crate) generation: u32,
    pub(crate) state: State,
    /// Why it ended, until the upper layer was told.
    pub(crate) closed: Option<Reason>,
    /// What the upper layer is to be told.
    pub(crate) events: Events,
    /// Listener's tag.
    pub(crate) tag: u16,
    pub(crate) interface: u16,
    /// Where the next hop was found the last time.
    pub(crate) neighbour: u16,

    // Marks for emit.
    syn_due: bool,
    /// An acknowledgement is due at once; it may ride on data.
    ack_due: bool,
    /// Acknowledgements due one by one, without data: the peer counts them (RFC 5681 section 4.2).
    dup_acks_due: u8,
    retransmit_due: bool,
    probe_due: bool,
    keepalive_due: bool,
    /// The upper layer may have bytes: ask it when they may leave.
    may_have: bool,

    // What the upper layer said.
    /// No more bytes from the upper layer.
    pub(crate) finished: bool,
    /// The upper layer has forgotten the connection.
    pub(crate) released: bool,

    // Send sequence (RFC 9293 section 3.3.1).
    snd_una: Seq,
    snd_nxt: Seq,
    /// The highest `snd_nxt` so far: it falls back after a timeout.
    snd_max: Seq,
    snd_wnd: u32,
    snd_wl1: Seq,
    snd_wl2: Seq,
    /// The largest window the peer ever offered.
    max_wnd: u32,
    snd_scale: u8,
    fin_sent: bool,
    fin_acked: bool,
    /// Payload bytes of a full segment.
    mss: u16,
    unacked: M::Chain,
    unsent: M::Chain,
    congestion: NewReno,
    /// ACKs up to here are of flights that the congestion window cut short, and let it grow.
    limited_until: Seq,

    // Round-trip time: of the bytes before `rtt_seq`, sent at `rtt_sent_us`.
    rto: Rto,
    timing: bool,
    rtt_seq: Seq,
    rtt_sent_us: u32,

    // Receive sequence.
    rcv_nxt: Seq,
    /// The right edge that was advertised: never moves left.
    rcv_adv: Seq,
    /// RFC 7323: Last.ACK.sent.
    last_ack_sent: Seq,
    rcv_scale: u8,
    /// Payload bytes of the largest segment seen.
    rcv_mss: u16,
    /// The peer's FIN, when it is known: the sequence number behind the last byte.
    fin_at: Option<Seq>,
    pub(crate) received: M::Chain,
    runs: u32,
    run_segments: u32,
    /// Bytes received in order and not consumed, and the segments they pin.
    held_bytes: u32,
    held_segments: u32,

    // Timestamps (RFC 7323).
    timestamps: bool,
    ts_recent: u32,
    ts_recent_at_ms: u32,
    pub(crate) ts_offset: u32,

    // Times in low bits of milliseconds, for ages only.
    heard_ms: u32,
    progress_ms: u32,
    released_ms: u32,
    challenged_ms: u32,
    /// When data was last sent.
    sent_ms: u32,
    probes: u8,

    // Deadlines; zero is none.
    retransmit_at: Instant,
    delayed_ack_at: Instant,
    life_at: Instant,
}

/// What the upper layer is to be told, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events(u8);

impl Events {
    pub(crate) const ACCEPTED: u8 = 1;
    pub(crate) const CONNECTED: u8 = 2;
    pub(crate) const READABLE: u8 = 4;
    pub(crate) const FIN: u8 = 8;
    pub(crate) const ACKED: u8 = 16;

    pub(crate) fn add(&mut self, event: u8) {
        self.0 |= event;
    }

    pub(crate) const fn has(self, event: u8) -> bool {
        self.0 & event != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What all connections of a stack have in common.
pub(crate) struct Limits {
    pub(crate) timeouts: Timeouts,
    pub(crate) recv_buffer: usize,
    pub(crate) send_buffer: usize,
    /// Segments a connection may pin.
    pub(crate) segments: u32,
    /// Our window scale shift.
    pub(crate) scale: u8,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        // RFC 7323 section 2.3: the shift is at most 14.
        let scale = (0..14).find(|&scale| config.recv_buffer >> scale <= 0xffff).unwrap_or(14);
        Self {
            timeouts: config.timeouts,
            recv_buffer: config.recv_buffer,
            send_buffer: config.send_buffer,
            segments: u32::try_from((config.recv_buffer / 512).max(64)).unwrap_or(u32::MAX),
            scale,
        }
    }

    /// The window field of a SYN, which is never scaled (RFC 7323 section 2.2).
    pub(crate) fn syn_window(&self) -> u16 {
        u16::try_from(self.recv_buffer).unwrap_or(u16::MAX)
    }
}

/// What a connection's calls need of the stack around it.
pub(crate) struct Env<'a, M: Memory> {
    pub(crate) memory: &'a M,
    pub(crate) runs: &'a mut Runs<M::Chain>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) limits: &'a Limits,
    pub(crate) now: Instant,
}

/// What is to happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    /// The segment is counted and dropped; the connection goes on.
    Drop(Reason),
    /// The segment is answered with RST; the connection goes on.
    Refuse(Reason),
    /// The connection is over; nothing is sent.
    Close(Reason),
    /// The connection is over; the peer is sent RST.
    Reset(Reason),
    /// Both sides have closed, ours first.
    TimeWait,
}

/// What a new connection starts from.
pub(crate) struct Start {
    pub(crate) interface: u16,
    pub(crate) tag: u16,
    pub(crate) iss: Seq,
    pub(crate) ts_offset: u32,
    /// Payload bytes of a full segment that the interface allows.
    pub(crate) link_mss: u16,
}

/// Segments without data that are out of window are answered this often (RFC 5961 section 7).
const CHALLENGE_INTERVAL_MS: u32 = 500;

impl<M: Memory> Conn<M> {
    /// An empty slot.
    pub(crate) fn free() -> Self {
        Self {
            generation: 0,
            state: State::Free,
            closed: None,
            events: Events::default(),
            tag: 0,
            interface: 0,
            neighbour: u16::MAX,
            syn_due: false,
            ack_due: false,
            dup_acks_due: 0,
            retransmit_due: false,
            probe_due: false,
            keepalive_due: false,
            may_have: false,
            finished: false,
            released: false,
            snd_una: Seq(0),
            snd_nxt: Seq(0),
            snd_max: Seq(0),
            snd_wnd: 0,
            snd_wl1: Seq(0),
            snd_wl2: Seq(0),
            max_wnd: 0,
            snd_scale: 0,
            fin_sent: false,
            fin_acked: false,
            mss: 536,
            unacked: M::Chain::default(),
            unsent: M::Chain::default(),
            congestion: NewReno::new(536, Seq(0)),
            limited_until: Seq(0),
            rto: Rto::default(),
            timing: false,
            rtt_seq: Seq(0),
            rtt_sent_us: 0,
            rcv_nxt: Seq(0),
            rcv_adv: Seq(0),
            last_ack_sent: Seq(0),
            rcv_scale: 0,
            rcv_mss: 536,
            fin_at: None,
            received: M::Chain::default(),
            runs: runs::NONE,
            run_segments: 0,
            held_bytes: 0,
            held_segments: 0,
            timestamps: false,
            ts_recent: 0,
            ts_recent_at_ms: 0,
            ts_offset: 0,
            heard_ms: 0,
            progress_ms: 0,
            released_ms: 0,
            challenged_ms: 0,
            sent_ms: 0,
            probes: 0,
            retransmit_at: Instant(0),
            delayed_ack_at: Instant(0),
            life_at: Instant(0),
        }
    }

    /// Begins an active open in a free slot: a SYN is due.
    pub(crate) fn open(&mut self, start: &Start, env: &mut Env<'_, M>) {
        self.start(start, env);
        self.state = State::SynSent;
        self.syn_due = true;
        self.snd_nxt = start.iss;
        self.snd_max = start.iss;
        self.snd_una = start.iss;
        self.mss = start.link_mss;
        self.retransmit_at = env.now + self.rto.timeout(&env.limits.timeouts);
    }

    /// Begins in a free slot where a passive handshake ended: `irs` is the SYN's sequence number, and the
    /// ACK that ends it follows as a segment.
    pub(crate) fn accept(
        &mut self,
        start: &Start,
        irs: Seq,
        offer: &Offer,
        is_lossy: bool,
        env: &mut Env<'_, M>,
    ) {
        self.start(start, env);
        self.state = State::Established;
        self.events.add(Events::ACCEPTED);
        self.tag = start.tag;
        self.snd_una = start.iss + 1;
        self.snd_nxt = self.snd_una;
        self.snd_max = self.snd_una;
        self.mss = start.link_mss;
        self.negotiate(irs, offer, env);
        if is_lossy {
            self.congestion.on_lost_syn();
        }
        // RFC 9293 section 3.10.7.4: the ACK that follows sets the window whatever it says.
        self.snd_wl1 = irs;
        self.snd_wl2 = self.snd_una;
    }

    fn start(&mut self, start: &Start, env: &Env<'_, M>) {
        let generation = self.generation;
        *self = Self::free();
        self.generation = generation;
        self.interface = start.interface;
        self.ts_offset = start.ts_offset;
        self.congestion = NewReno::new(start.link_mss, start.iss);
        let now_ms = env.now.millis32();
        (self.heard_ms, self.progress_ms, self.sent_ms) = (now_ms, now_ms, now_ms);
        self.challenged_ms = now_ms.wrapping_sub(CHALLENGE_INTERVAL_MS);
        if let Some(keepalive) = env.limits.timeouts.keepalive {
            self.life_at = env.now + keepalive;
        }
    }

    /// Takes in the peer's SYN: its sequence number and options.
    fn negotiate(&mut self, irs: Seq, offer: &Offer, env: &Env<'_, M>) {
        self.rcv_nxt = irs + 1;
        self.rcv_adv = self.rcv_nxt + usize::from(env.limits.syn_window());
        self.last_ack_sent = self.rcv_nxt;
        (self.timestamps, self.ts_recent) = (offer.ts_recent.is_some(), offer.ts_recent.unwrap_or(0));
        self.ts_recent_at_ms = env.now.millis32();
        // RFC 7323 section 2.2: scaling only when both SYNs carried the option.
        (self.snd_scale, self.rcv_scale) = offer.scale.map_or((0, 0), |scale| (scale, env.limits.scale));
        // RFC 6691: the option does not count other options, so they are taken off when sending.
        let timestamps = if self.timestamps { TIMESTAMPS_LENGTH } else { 0 };
        let mss = usize::from(offer.mss.min(self.mss)) - timestamps;
        self.mss = u16::try_from(mss).unwrap_or(u16::MAX);
        self.congestion = NewReno::new(self.mss, self.snd_una - 1);
        self.limited_until = self.snd_una - 1;
    }

    /// Ends the connection but for what the upper layer is to be told; frees what it holds.
    pub(crate) fn end(&mut self, reason: Reason, runs: &mut Runs<M::Chain>) {
        self.state = State::Closed;
        self.closed = Some(reason);
        runs.clear(&mut self.runs);
        drop((self.unacked.take(), self.unsent.take()));
        (self.syn_due, self.ack_due, self.retransmit_due, self.probe_due) = (false, false, false, false);
        (self.dup_acks_due, self.may_have, self.keepalive_due) = (0, false, false);
        self.retransmit_at = Instant(0);
        self.delayed_ack_at = Instant(0);
        self.life_at = Instant(0);
    }

    /// Makes the slot free for another connection; ids of this one are dead from then on.
    pub(crate) fn vacate(&mut self, runs: &mut Runs<M::Chain>) {
        runs.clear(&mut self.runs);
        let generation = self.generation.wrapping_add(1);
        *self = Self::free();
        self.generation = generation;
    }

    /// What TIME-WAIT has to remember.
    pub(crate) fn waiting(&self) -> crate::wait::Waiting {
        crate::wait::Waiting {
            snd_nxt: self.snd_max,
            rcv_nxt: self.rcv_nxt,
            window: u16::try_from(self.rcv_adv.beyond(self.rcv_nxt) >> self.rcv_scale).unwrap_or(u16::MAX),
            interface: self.interface,
            ts_recent: self.timestamps.then_some(self.ts_recent),
            ts_offset: self.ts_offset,
        }
    }

    /// The sequence numbers of a RST that ends this connection.
    pub(crate) fn reset_numbers(&self) -> (Seq, Seq) {
        (self.acceptable_seq(), self.rcv_nxt)
    }

    /// Bytes queued: not yet sent or not yet acknowledged.
    pub(crate) fn queued(&self) -> usize {
        self.unacked.len() + self.unsent.len()
    }
}

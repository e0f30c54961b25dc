//! One direction of a wire: `Impairment`, which decides what becomes of a frame and when it leaves.
//!
//! It does no IO and reads no clock. What it holds is bounded by [`Settings::capacity`].
//!
//! # The way of a frame
//!
//! 1. Longer than the MTU: dropped; the sender is told where IPv4 wants that.
//! 2. Lost, by itself or in a burst. A burst does not outlast a silence of 100 ms: it is one of the network,
//!    and would otherwise wait for what TCP sends again, seconds later.
//! 3. Duplicated: the copy goes before the frame, and has its own luck from here on.
//! 4. Corrupted: one bit anywhere behind the Ethernet header is turned. ARP has no checksum and believes it.
//! 5. The line: frames leave one after the other at the rate, by their length from the Ethernet header
//!    on. One that finds the queue full is dropped at its end.
//! 6. The delay, more or less the jitter. A frame does not overtake another because its jitter is smaller:
//!    it leaves no sooner than those before it. One that is *reordered* has no delay and leaves straight
//!    from the line, before all that are under way.
//!
//! Chances are drawn in the order the frames are offered in, so that a seed and a sequence of frames have
//! one outcome.

use std::collections::VecDeque;
use std::mem;

use levee_buf::{Chain as _, Memory, Pieces as _};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::icmp::{ETHERNET, fragmentation_needed};
use super::quantity::{BurstLoss, Rate, Share};

/// The silence that ends a burst: less than any retransmission timeout.
const BURST_SILENCE_NS: u64 = 100_000_000;

/// What is done to frames; by default, nothing.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Share of frames lost, each by itself.
    pub loss: Share,
    /// Frames lost in bursts.
    pub burst_loss: Option<BurstLoss>,
    /// Time under way in nanoseconds.
    pub delay_ns: u64,
    /// So much more or less of it, evenly spread, but not less than none.
    pub jitter_ns: u64,
    /// Share of frames without delay.
    pub reorder: Share,
    /// Share of frames that arrive twice.
    pub duplicate: Share,
    /// Share of frames with one bit turned.
    pub corrupt: Share,
    /// How fast the line is.
    pub rate: Option<Rate>,
    /// Frames that wait for the line at most, with the one that is on it.
    pub queue: usize,
    /// The longest packet that passes, in bytes from the IP header on.
    pub mtu: Option<u16>,
    /// Frames held at most, in the queue and under way.
    pub capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            loss: Share::default(),
            burst_loss: None,
            delay_ns: 0,
            jitter_ns: 0,
            reorder: Share::default(),
            duplicate: Share::default(),
            corrupt: Share::default(),
            rate: None,
            queue: 256,
            mtu: None,
            capacity: 4096,
        }
    }
}

/// What became of the frames of one direction.
///
/// `offered + duplicated` are `passed + lost + burst_lost + queue_full + too_long + no_memory` and those
/// that are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Frames that came.
    pub offered: u64,
    /// Frames that left.
    pub passed: u64,
    /// Frames lost, each by itself.
    pub lost: u64,
    /// Frames lost in bursts.
    pub burst_lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Frames with one bit turned.
    pub corrupted: u64,
    /// Frames that left before one that was ahead of them.
    pub reordered: u64,
    /// Frames that found the queue full.
    pub queue_full: u64,
    /// Frames over the MTU.
    pub too_long: u64,
    /// Of these, frames whose sender was told.
    pub answered: u64,
    /// Frames for which there was no place or no memory.
    pub no_memory: u64,
}

/// One direction of a wire.
pub struct Impairment<M: Memory> {
    memory: M,
    settings: Settings,
    random: ChaCha8Rng,
    in_burst: bool,
    /// When the last frame came.
    offered_ns: u64,
    /// When each frame that waits for the line has left it, in order.
    line: VecDeque<u64>,
    /// When the line is free.
    line_free_ns: u64,
    /// Frames with the delay, and when they leave, in order.
    delayed: VecDeque<(u64, M::Chain)>,
    /// Frames without, likewise.
    ahead: VecDeque<(u64, M::Chain)>,
    counters: Counters,
}

impl<M: Memory> Impairment<M> {
    /// A direction whose chances follow from `seed` and `stream`: directions of one seed differ by it.
    #[must_use]
    pub fn new(settings: Settings, seed: u64, stream: u64, memory: M) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self {
            memory,
            random,
            in_burst: false,
            offered_ns: 0,
            line: VecDeque::with_capacity(settings.queue.min(settings.capacity)),
            line_free_ns: 0,
            delayed: VecDeque::with_capacity(settings.capacity),
            ahead: VecDeque::new(),
            counters: Counters::default(),
            settings,
        }
    }

    /// Takes a frame that came at `now_ns`, which is never before an earlier call's. Returns what its
    /// sender is to be told; ask [`Impairment::due`] after it.
    #[must_use = "the sender waits for the answer"]
    pub fn offer(&mut self, frame: M::Chain, now_ns: u64) -> Option<M::Chain> {
        self.counters.offered += 1;
        if let Some(mtu) = self.settings.mtu
            && frame.len() > ETHERNET + usize::from(mtu)
        {
            self.counters.too_long += 1;
            let answer = fragmentation_needed(&self.memory, &frame, mtu);
            self.counters.answered += u64::from(answer.is_some());
            return answer;
        }
        if self.happens(self.settings.loss) {
            self.counters.lost += 1;
            return None;
        }
        if self.is_lost_in_burst(now_ns) {
            self.counters.burst_lost += 1;
            return None;
        }
        if self.happens(self.settings.duplicate) {
            self.counters.duplicated += 1;
            match copy(&self.memory, &frame) {
                Some(copy) => self.send(copy, now_ns),
                None => self.counters.no_memory += 1,
            }
        }
        self.send(frame, now_ns);
        None
    }

    /// The next frame that leaves until `now_ns`. To be asked until there is none, and again at
    /// [`Impairment::deadline`].
    pub fn due(&mut self, now_ns: u64) -> Option<M::Chain> {
        let deadline = self.deadline().filter(|&at| at <= now_ns)?;
        let is_ahead = self.ahead.front().is_some_and(|&(at, _)| at == deadline);
        let (_, frame) = if is_ahead { self.ahead.pop_front() } else { self.delayed.pop_front() }?;
        self.counters.passed += 1;
        Some(frame)
    }

    /// When the next frame leaves; `None` when none is held.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let fronts = [self.ahead.front(), self.delayed.front()];
        fronts.into_iter().flatten().map(|&(at, _)| at).min()
    }

    /// Frames in the queue and under way.
    #[must_use]
    pub fn held(&self) -> usize {
        self.delayed.len() + self.ahead.len()
    }

    /// What became of the frames so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The way of a frame from when it is not lost any more.
    fn send(&mut self, frame: M::Chain, now_ns: u64) {
        // All chances are drawn before time has its say: they are the same however fast frames come.
        let is_corrupt = self.happens(self.settings.corrupt);
        let bit = if is_corrupt { self.random.next_u64() } else { 0 };
        let is_ahead = self.happens(self.settings.reorder);
        let delay_ns = if is_ahead { 0 } else { self.delay_ns() };

        while self.line.front().is_some_and(|&at| at <= now_ns) {
            self.line.pop_front();
        }
        if self.settings.rate.is_some() && self.line.len() >= self.settings.queue {
            self.counters.queue_full += 1;
            return;
        }
        let frame = if is_corrupt { self.corrupt(frame, bit) } else { Some(frame) };
        let Some(frame) = frame.filter(|_| self.held() < self.settings.capacity) else {
            self.counters.no_memory += 1;
            return;
        };
        let sent_ns = self.serialise(frame.len(), now_ns);
        let last_ns = self.delayed.back().map_or(0, |&(at, _)| at);
        if is_ahead {
            self.counters.reordered += u64::from(last_ns > sent_ns);
            self.ahead.push_back((sent_ns, frame));
        } else {
            self.delayed.push_back(((sent_ns + delay_ns).max(last_ns), frame));
        }
    }

    /// When a frame that comes now has left the line.
    fn serialise(&mut self, length: usize, now_ns: u64) -> u64 {
        let Some(rate) = self.settings.rate else { return now_ns };
        self.line_free_ns = self.line_free_ns.max(now_ns) + rate.frame_ns(length);
        self.line.push_back(self.line_free_ns);
        self.line_free_ns
    }

    fn delay_ns(&mut self) -> u64 {
        let Settings { delay_ns, jitter_ns, .. } = self.settings;
        if jitter_ns == 0 {
            return delay_ns;
        }
        (delay_ns + self.random.next_u64() % (2 * jitter_ns + 1)).saturating_sub(jitter_ns)
    }

    fn happens(&mut self, chance: Share) -> bool {
        f64::from(self.random.next_u32()) < chance.get() * 2_f64.powi(32)
    }

    fn is_lost_in_burst(&mut self, now_ns: u64) -> bool {
        let silence_ns = now_ns.saturating_sub(mem::replace(&mut self.offered_ns, now_ns));
        let Some(BurstLoss { enter, leave }) = self.settings.burst_loss else { return false };
        self.in_burst &= silence_ns < BURST_SILENCE_NS;
        let turns = self.happens(if self.in_burst { leave } else { enter });
        self.in_burst ^= turns;
        self.in_burst
    }

    /// Turns a bit of `frame`, or of a copy where others read the same bytes.
    fn corrupt(&mut self, frame: M::Chain, bit: u64) -> Option<M::Chain> {
        let bits = 8 * frame.len().saturating_sub(ETHERNET) as u64;
        let Some(bit) = bit.checked_rem(bits) else { return Some(frame) };
        let at = ETHERNET + usize::try_from(bit / 8).ok()?;
        let is_ours = frame.is_exclusive(at..at + 1);
        let mut frame = if is_ours { frame } else { copy(&self.memory, &frame)? };
        *frame.chunk_mut(at)?.first_mut()? ^= 1 << (bit % 8);
        self.counters.corrupted += 1;
        Some(frame)
    }
}

fn copy<M: Memory>(memory: &M, frame: &M::Chain) -> Option<M::Chain> {
    let mut copy = memory.alloc(frame.len())?;
    frame.copy_to(0, copy.extend(frame.len())?);
    Some(copy)
}

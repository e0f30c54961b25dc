//! Bursts: `RxQueue` and `TxQueue` of a started port.

use std::collections::VecDeque;
use std::sync::Arc;

use levee_buf::{Chain as _, Memory, Pieces};

use crate::chain::Chain;
use crate::mbuf::Segment;
use crate::mempool::Pool;
use crate::offloads::Offloads;
use crate::port::Open;

/// The most frames of one burst.
pub const MAX_BURST: usize = 64;

/// What the device found out about the checksums of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// IP and TCP or UDP checksums are right.
    Good,
    /// The device did not look at both.
    Unknown,
    /// One of them is wrong.
    Bad,
}

/// A received frame, from its Ethernet header on.
pub struct Received {
    /// The frame; never empty.
    pub chain: Chain,
    /// Its checksums.
    pub checksums: Checksums,
    /// The hash that chose the queue, where the device tells.
    pub rss_hash: Option<u32>,
}

/// What the device has to do to a frame. Lengths in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxOffload {
    /// Ethernet header.
    pub l2_len: u16,
    /// IP header.
    pub l3_len: u16,
    /// TCP header.
    pub l4_len: u16,
    /// Fill in the IPv4 and TCP checksums; the TCP checksum field holds the sum of the pseudo-header.
    pub checksum: bool,
    /// Cut the payload into segments of so many bytes.
    pub tso_mss: Option<u16>,
}

/// A frame to be sent.
pub struct Frame {
    /// The frame, from its Ethernet header on.
    pub chain: Chain,
    /// What the device has to do to it: only what was granted.
    pub offload: TxOffload,
}

/// A receive queue, used by one thread at a time.
pub struct RxQueue {
    port: Arc<Open>,
    queue: u16,
    checksums: bool,
}

impl RxQueue {
    pub(crate) fn new(port: Arc<Open>, queue: u16, granted: Offloads) -> Self {
        Self { port, queue, checksums: granted.rx_checksum }
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.id()
    }

    /// The queue's number.
    #[must_use]
    pub const fn queue(&self) -> u16 {
        self.queue
    }

    /// Receives up to [`MAX_BURST`] frames, but no more than `into` has spare capacity for, so that it
    /// never allocates; returns their number. Some drivers receive nothing for less than 32.
    pub fn burst(&mut self, into: &mut Vec<Received>) -> usize {
        let mut mbufs = [std::ptr::null_mut(); MAX_BURST];
        let spare = (into.capacity() - into.len()).min(MAX_BURST);
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_BURST")]
        let wanted = spare as u16;
        // SAFETY: the port is started, the queue set up; `&mut self` is its only user; there is room for
        // `wanted` pointers.
        let got =
            unsafe { dpdk_sys::rte_eth_rx_burst(self.port.id(), self.queue, mbufs.as_mut_ptr(), wanted) };
        let before = into.len();
        let mbufs = mbufs.get(..usize::from(got)).unwrap_or_default();
        mbufs.iter().for_each(|&mbuf| fetch_ahead(mbuf.cast::<[u8; 128]>()));
        for &mbuf in mbufs {
            // SAFETY: the driver gave the mbuf to us.
            let Some(head) = (unsafe { Segment::from_raw(mbuf) }) else { continue };
            fetch_ahead(head.data().cast::<[u8; 128]>());
            let flags = head.ol_flags();
            let hashed = flags & dpdk_sys::LEVEE_RX_RSS_HASH != 0;
            let received = Received {
                rss_hash: hashed.then(|| head.rss_hash()),
                checksums: if self.checksums { checksums(flags) } else { Checksums::Unknown },
                chain: Chain::received(head),
            };
            if !received.chain.is_empty() {
                into.push(received);
            }
        }
        into.len() - before
    }
}

/// Has the CPU fetch the two cache lines at `place`, which need not be readable: the device, or another CPU, wrote them
/// last. Frames of a burst wait for memory once, and not one after the other.
#[inline]
fn fetch_ahead(place: *const [u8; 128]) {
    #[cfg(target_arch = "x86_64")]
    for line in [0, 64] {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect that can be seen, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>().wrapping_add(line)) };
    }
}

/// A transmit queue, used by one thread at a time.
pub struct TxQueue {
    port: Arc<Open>,
    queue: u16,
    granted: Offloads,
    pool: Pool,
    counters: TxCounters,
}

/// What a [`TxQueue`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxCounters {
    /// Frames the driver took.
    pub frames: u64,
    /// Frames that were copied into one segment, for a driver that takes no others.
    pub linearised: u64,
    /// Frames that the driver refused for what they asked of it, or that do not fit in one segment where
    /// they must: dropped.
    pub refused: u64,
}

impl TxQueue {
    pub(crate) fn new(port: Arc<Open>, queue: u16, granted: Offloads, pool: Pool) -> Self {
        Self { port, queue, granted, pool, counters: TxCounters::default() }
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.id()
    }

    /// The queue's number.
    #[must_use]
    pub const fn queue(&self) -> u16 {
        self.queue
    }

    /// What the queue did.
    #[must_use]
    pub const fn counters(&self) -> TxCounters {
        self.counters
    }

    /// Sends up to [`MAX_BURST`] frames from the front of `frames` and takes them out; returns their
    /// number. Those that the driver has no room for stay.
    pub fn burst(&mut self, frames: &mut VecDeque<Frame>) -> usize {
        let mut mbufs = [std::ptr::null_mut(); MAX_BURST];
        let mut ready: u16 = 0;
        while usize::from(ready) < MAX_BURST {
            let Some(frame) = frames.get_mut(usize::from(ready)) else { break };
            match self.prepare(frame) {
                Prepared::Ready(head) => {
                    mbufs[usize::from(ready)] = head.raw();
                    ready += 1;
                }
                Prepared::Impossible => {
                    frames.remove(usize::from(ready));
                    self.counters.refused += 1;
                }
                Prepared::NoMemory => break,
            }
        }
        let mut sent = 0;
        while sent < ready {
            let rest = &mut mbufs[usize::from(sent)..];
            let left = ready - sent;
            let checked = self.checked(rest, left);
            // SAFETY: the port is started, the queue set up; `&mut self` is its only user; `rest` begins
            // with `checked` mbufs that we own and give away when they are accepted.
            let taken =
                unsafe { dpdk_sys::rte_eth_tx_burst(self.port.id(), self.queue, rest.as_mut_ptr(), checked) };
            for frame in frames.drain(..usize::from(taken)) {
                // The driver frees it.
                frame.chain.into_head();
            }
            sent += taken;
            self.counters.frames += u64::from(taken);
            if taken < checked || checked == left {
                break;
            }
            // The driver cannot send the next one as it is.
            frames.pop_front();
            self.counters.refused += 1;
            mbufs.copy_within(usize::from(sent) + 1.., usize::from(sent));
            ready -= 1;
        }
        usize::from(sent)
    }

    /// How many of the first `count` of `mbufs` the driver can send; it may fill in checksums.
    fn checked(&self, mbufs: &mut [*mut dpdk_sys::rte_mbuf], count: u16) -> u16 {
        if !self.granted.tx_checksum && !self.granted.tso {
            return count;
        }
        // SAFETY: as for sending; the mbufs stay ours.
        unsafe { dpdk_sys::rte_eth_tx_prepare(self.port.id(), self.queue, mbufs.as_mut_ptr(), count) }
    }

    fn prepare(&mut self, frame: &mut Frame) -> Prepared {
        if !self.granted.tx_segments && frame.chain.segments() > 1 {
            let len = frame.chain.len();
            if len > levee_buf::MAX_ROOM {
                return Prepared::Impossible;
            }
            let Some(mut whole) = self.pool.alloc(len) else { return Prepared::NoMemory };
            if let Some(place) = whole.extend(len) {
                frame.chain.copy_to(0, place);
            }
            frame.chain = whole;
            self.counters.linearised += 1;
        }
        let Some(head) = frame.chain.head().filter(|head| head.pkt_len() > 0) else {
            return Prepared::Impossible;
        };
        let offload = frame.offload;
        let mut flags = 0;
        let mut lengths = 0;
        if offload.checksum || offload.tso_mss.is_some() {
            let version = frame.chain.chunk(usize::from(offload.l2_len)).first().map(|byte| byte >> 4);
            flags = dpdk_sys::LEVEE_TX_TCP_CHECKSUM;
            flags |= match version {
                Some(6) => dpdk_sys::LEVEE_TX_IPV6,
                _ => dpdk_sys::LEVEE_TX_IPV4,
            };
            lengths = u64::from(offload.l2_len) << dpdk_sys::RTE_MBUF_L2_LEN_OFS
                | u64::from(offload.l3_len) << dpdk_sys::RTE_MBUF_L3_LEN_OFS
                | u64::from(offload.l4_len) << dpdk_sys::RTE_MBUF_L4_LEN_OFS;
        }
        if let Some(mss) = offload.tso_mss {
            flags |= dpdk_sys::LEVEE_TX_TCP_SEGMENTATION;
            lengths |= u64::from(mss) << dpdk_sys::RTE_MBUF_TSO_SEGSZ_OFS;
        }
        head.set_packet_flags(flags);
        head.set_tx_offload(lengths);
        Prepared::Ready(head)
    }
}

enum Prepared {
    Ready(Segment),
    Impossible,
    NoMemory,
}

fn checksums(flags: u64) -> Checksums {
    match (flags & dpdk_sys::LEVEE_RX_IP_MASK, flags & dpdk_sys::LEVEE_RX_L4_MASK) {
        (dpdk_sys::LEVEE_RX_IP_BAD, _) | (_, dpdk_sys::LEVEE_RX_L4_BAD) => Checksums::Bad,
        (dpdk_sys::LEVEE_RX_IP_GOOD, dpdk_sys::LEVEE_RX_L4_GOOD) => Checksums::Good,
        _ => Checksums::Unknown,
    }
}

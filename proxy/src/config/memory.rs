//! How much packet memory the workers need: defaults for `[workers]` and `eal.memory_mib`.
//!
//! An idle connection holds no packet memory, so pools are sized for what is in motion: full device
//! queues, the cache, and a few segments for each connection that a worker may have. When all
//! connections move at once the pools run dry, and requests are shed and counted.

use levee_buf::{HEADROOM, MAX_ROOM, ROOM};

/// What one worker's pools are made for.
pub(super) struct Demand {
    /// Connections.
    pub(super) connections: usize,
    /// Receive and transmit descriptors of one queue pair of every port.
    pub(super) descriptors: usize,
    /// Bytes of the cache.
    pub(super) cache_bytes: u64,
}

/// Buffers of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pools {
    /// Of [`ROOM`] bytes.
    pub(super) segments: usize,
    /// Of [`MAX_ROOM`] bytes.
    pub(super) records: usize,
    /// Without room.
    pub(super) references: usize,
}

impl Demand {
    /// Segments without which a worker cannot fill its queues and its cache.
    pub(super) fn least_segments(&self) -> usize {
        self.descriptors + self.cache_segments() + 1024
    }

    /// Segments the cache fills. A cached byte stays in the frame it came in, which an Ethernet MTU
    /// fills with [`CACHED_PER_SEGMENT`] bytes.
    pub(super) fn cache_segments(&self) -> usize {
        usize::try_from(self.cache_bytes.div_ceil(CACHED_PER_SEGMENT)).unwrap_or(usize::MAX)
    }

    /// The pools: as asked for, else what suits most.
    pub(super) fn pools(
        &self,
        segments: Option<usize>,
        records: Option<usize>,
        references: Option<usize>,
    ) -> Pools {
        let segments = segments.unwrap_or_else(|| self.least_segments() + (4 * self.connections).max(8192));
        Pools {
            segments,
            // A handshake flight or a sealed record, unacknowledged, for one connection in four.
            records: records.unwrap_or_else(|| (self.connections / 4).clamp(1024, 1 << 16)),
            // Each segment cut once or sent once, and a full transmit queue of cuts.
            references: references.unwrap_or(segments + self.descriptors),
        }
    }
}

/// What packet memory is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// 2 MiB or more: a buffer lies anywhere.
    Huge,
    /// 4 KiB: a buffer starts a page of its own unless several fit one, since DPDK lets none cross from one
    /// page to another that may lie elsewhere.
    Ordinary,
}

impl Pools {
    /// MiB for `workers` workers with pools like these each, and for what DPDK itself needs.
    pub(super) fn mib(self, workers: usize, pages: Pages) -> u64 {
        let of =
            |count: usize, room: usize| count as u64 * pages.buffer((room + HEADERS).next_multiple_of(64));
        let pools = of(self.segments, HEADROOM + ROOM) + of(self.records, HEADROOM + MAX_ROOM);
        let bytes = (pools + of(self.references, 0)) * workers as u64;
        // A tenth for the pools' rings, caches and the ends of pages.
        (bytes + bytes / 10).div_ceil(1 << 20) + DPDK_MIB
    }
}

impl Pages {
    /// Bytes that a buffer of `bytes` takes.
    fn buffer(self, bytes: usize) -> u64 {
        let taken = match self {
            Self::Huge => bytes,
            Self::Ordinary if bytes > PAGE => bytes.next_multiple_of(PAGE),
            Self::Ordinary => PAGE / (PAGE / bytes),
        };
        taken as u64
    }
}

/// Bytes of an ordinary page.
const PAGE: usize = 4096;

/// Payload of a full frame of 1500 bytes with IPv4, TCP and timestamps.
const CACHED_PER_SEGMENT: u64 = 1448;

/// An mbuf (128 bytes) and the header of its mempool object (64 bytes), with the padding that spreads
/// objects over memory channels (64 bytes).
const HEADERS: usize = 256;

/// Devices, queues, crypto sessions and rings.
const DPDK_MIB: u64 = 96;

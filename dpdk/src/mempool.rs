//! Packet memory of one lcore: `Pool`, three mempools behind one handle.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk_sys::rte_mempool;
use levee_buf::{HEADROOM, MAX_ROOM, Memory, ROOM};

use crate::chain::Chain;
use crate::eal::Eal;
use crate::error::Error;
use crate::log;
use crate::mbuf::Segment;

/// How much memory a [`Pool`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Segments of [`ROOM`] bytes: received frames, headers, small answers. 2.4 KiB each.
    pub segments: u32,
    /// Segments of [`MAX_ROOM`] bytes: records sealed out of place, handshake flights. 16.5 KiB each.
    pub records: u32,
    /// Indirect mbufs without bytes of their own: one for every cut through a segment and every
    /// reference to one. 192 bytes each.
    pub references: u32,
    /// Mbufs of each kind that a thread keeps for itself between visits to the mempool; at most 512, and
    /// less than two thirds of a kind.
    pub cache: u32,
}

/// Packet memory: [`levee_buf::Memory`] over mbufs.
///
/// A handle: clones name the same memory. Any thread may use it; threads known to DPDK are fast. The
/// memory lives as long as the process.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

/// Mbufs of a [`Pool`] that are not in it, of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of [`Sizes::segments`].
    pub segments: usize,
    /// Of [`Sizes::records`].
    pub records: usize,
    /// Of [`Sizes::references`].
    pub references: usize,
}

impl Pool {
    /// Makes a pool called `name` (at most 20 bytes, unlike all others) on NUMA node `socket`, or on any.
    ///
    /// # Errors
    /// Not enough memory, or the name is taken.
    pub fn create(_eal: &Eal, name: &str, sizes: Sizes, socket: Option<u32>) -> Result<Self, Error> {
        let make = |kind: &str, count: u32, room: usize| {
            Mempool::create(&format!("{name}_{kind}"), count, sizes.cache, room, socket)
        };
        Ok(Self(Arc::new(Inner {
            segments: make("seg", sizes.segments, FRONT + ROOM)?,
            records: make("rec", sizes.records, FRONT + MAX_ROOM)?,
            references: make("ref", sizes.references, 0)?,
            sizes,
            exhausted: AtomicU64::new(0),
        })))
    }

    /// Mbufs that are not in the pool: in chains, in receive rings of devices, waiting in transmit rings.
    /// Walks the caches of all lcores: for tests and metrics.
    #[must_use]
    pub fn in_use(&self) -> usize {
        let usage = self.usage();
        usage.segments + usage.records + usage.references
    }

    /// [`Pool::in_use`], by kind.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            segments: self.0.segments.in_use(),
            records: self.0.records.in_use(),
            references: self.0.references.in_use(),
        }
    }

    /// How often memory was asked for and there was none.
    #[must_use]
    pub fn exhausted(&self) -> u64 {
        self.0.exhausted.load(Ordering::Relaxed)
    }

    /// The mempool that devices receive into.
    pub(crate) fn segments(&self) -> Mempool {
        self.0.segments
    }

    /// A mempool as large as the one that devices receive into, for one that needs its own.
    pub(crate) fn more_segments(&self, name: &str, socket: Option<u32>) -> Result<Mempool, Error> {
        Mempool::create(name, self.0.sizes.segments, self.0.sizes.cache, FRONT + ROOM, socket)
    }

    fn with_room(&self, room: usize) -> Option<Segment> {
        self.take(if room > ROOM { self.0.records } else { self.0.segments })
    }

    fn take(&self, pool: Mempool) -> Option<Segment> {
        let segment = pool.alloc();
        if segment.is_none() {
            self.0.exhausted.fetch_add(1, Ordering::Relaxed);
        }
        segment
    }
}

impl Memory for Pool {
    type Chain = Chain;

    fn alloc(&self, room: usize) -> Option<Chain> {
        if room > MAX_ROOM {
            return None;
        }
        self.with_room(room).map(Chain::of)
    }

    fn split_to(&self, chain: &mut Chain, at: usize) -> Option<Chain> {
        chain.split_to(at, || self.take(self.0.references))
    }

    fn reference(&self, chain: &mut Chain, range: Range<usize>) -> Option<Chain> {
        chain.reference(range, || self.take(self.0.references), |room| self.with_room(room))
    }
}

/// The headroom that DPDK was built with.
const FRONT: usize = dpdk_sys::RTE_PKTMBUF_HEADROOM as usize;

const _: () = assert!(FRONT >= HEADROOM, "DPDK must be built with a headroom of 128 bytes or more");

struct Inner {
    segments: Mempool,
    records: Mempool,
    references: Mempool,
    sizes: Sizes,
    exhausted: AtomicU64,
}

/// One mempool of mbufs. It is never freed.
#[derive(Clone, Copy)]
pub(crate) struct Mempool(NonNull<rte_mempool>);

// SAFETY: mempools are made for several producers and consumers.
unsafe impl Send for Mempool {}

// SAFETY: as above.
unsafe impl Sync for Mempool {}

impl Mempool {
    fn create(name: &str, count: u32, cache: u32, room: usize, socket: Option<u32>) -> Result<Self, Error> {
        let asked = || format!("make the mempool {name} of {count} mbufs with {room} bytes each");
        let c_name = std::ffi::CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
        let room =
            u16::try_from(room).map_err(|_| Error::new(asked(), "more bytes than an mbuf can have"))?;
        // DPDK refuses a cache that could hold two thirds of the mempool.
        let cache = cache.min(dpdk_sys::RTE_MEMPOOL_CACHE_MAX_SIZE).min(count.saturating_mul(2) / 3);
        log::checked_pointer(asked, || {
            // SAFETY: `c_name` is NUL-terminated and copied; the numbers are checked by the callee.
            unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(c_name.as_ptr(), count, cache, 0, room, socket_id(socket))
            }
        })
        .map(Self)
    }

    fn alloc(self) -> Option<Segment> {
        // SAFETY: the mempool is alive and holds mbufs.
        let mbuf = unsafe { dpdk_sys::rte_pktmbuf_alloc(self.raw()) };
        // SAFETY: a fresh mbuf is the caller's.
        unsafe { Segment::from_raw(mbuf) }
    }

    pub(crate) fn in_use(self) -> usize {
        // SAFETY: the mempool is alive.
        let count = unsafe { dpdk_sys::rte_mempool_in_use_count(self.raw()) };
        count as usize
    }

    pub(crate) fn raw(self) -> *mut rte_mempool {
        self.0.as_ptr()
    }
}

/// DPDK's number for a NUMA node, or for any.
pub(crate) fn socket_id(socket: Option<u32>) -> i32 {
    socket.and_then(|socket| i32::try_from(socket).ok()).unwrap_or(dpdk_sys::LEVEE_SOCKET_ID_ANY)
}

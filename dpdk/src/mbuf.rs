//! One segment: an mbuf, its fields, and its two flags.
//!
//! Fields are read and written in place, at offsets that the C compiler computed from the installed
//! headers. Every buffer may lie under several mbufs; each mbuf has an owner, and two flags say what
//! this owner may do with the buffer:
//!
//! - `SHARED`: the bytes are also read elsewhere; never written, and no room is used before or behind.
//! - `FRONT_TAKEN`: the bytes before the data belong to another segment that was split off: there is no
//!   headroom, ever. (The segment split off needs no flag: its `buf_len` ends where its bytes end.)
//!
//! Allocation and reception clear both; a frame that went through a ring keeps them, rightly.

use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

use crate::error::Error;
use crate::log;

/// An mbuf that the holder may use. `Copy`, and owns nothing: a [`Chain`](crate::Chain) does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment(NonNull<rte_mbuf>);

/// The bytes are also read elsewhere.
const SHARED: u64 = dpdk_sys::LEVEE_LAST_FREE;

/// The bytes before the data belong to another segment.
const FRONT_TAKEN: u64 = dpdk_sys::LEVEE_LAST_FREE >> 1;

/// The buffer is not of the mempool: what lies around the data is not known to be ours.
const EXTERNAL: u64 = dpdk_sys::LEVEE_EXTERNAL;

/// Segments over one buffer. Workers may share one, so some room is left for those who look at once.
const MAX_OWNERS: u16 = 60_000;

/// Flags that belong to the buffer and not to one transmission or reception.
const OF_BUFFER: u64 = SHARED | FRONT_TAKEN | EXTERNAL | dpdk_sys::LEVEE_INDIRECT;

macro_rules! field {
    ($get:ident, $set:ident, $type:ty, $offset:ident) => {
        pub(crate) fn $get(self) -> $type {
            // SAFETY: the field is inside a live mbuf, of this type (`shim.h` checks its width), aligned.
            unsafe { self.0.as_ptr().byte_add(dpdk_sys::$offset as usize).cast::<$type>().read() }
        }

        pub(crate) fn $set(self, value: $type) {
            // SAFETY: as for reading; the holder is the only one who writes to this mbuf.
            unsafe { self.0.as_ptr().byte_add(dpdk_sys::$offset as usize).cast::<$type>().write(value) }
        }
    };
}

impl Segment {
    field!(data_off, set_data_off, u16, LEVEE_MBUF_DATA_OFF);
    field!(data_len, set_data_len, u16, LEVEE_MBUF_DATA_LEN);
    field!(buf_len, set_buf_len, u16, LEVEE_MBUF_BUF_LEN);
    field!(nb_segs, set_nb_segs, u16, LEVEE_MBUF_NB_SEGS);
    field!(pkt_len, set_pkt_len, u32, LEVEE_MBUF_PKT_LEN);
    field!(ol_flags, set_ol_flags, u64, LEVEE_MBUF_OL_FLAGS);
    field!(raw_next, set_raw_next, *mut rte_mbuf, LEVEE_MBUF_NEXT);

    /// # Safety
    /// `mbuf` is null or a live mbuf that the caller owns.
    pub(crate) unsafe fn from_raw(mbuf: *mut rte_mbuf) -> Option<Self> {
        NonNull::new(mbuf).map(Self)
    }

    pub(crate) fn raw(self) -> *mut rte_mbuf {
        self.0.as_ptr()
    }

    pub(crate) fn next(self) -> Option<Self> {
        NonNull::new(self.raw_next()).map(Self)
    }

    pub(crate) fn set_next(self, next: Option<Self>) {
        self.set_raw_next(next.map_or(std::ptr::null_mut(), Self::raw));
    }

    /// Bytes of data, as a `usize`.
    pub(crate) fn len(self) -> usize {
        usize::from(self.data_len())
    }

    /// The received hash of the flow.
    pub(crate) fn rss_hash(self) -> u32 {
        let at = dpdk_sys::LEVEE_MBUF_HASH_RSS as usize;
        // SAFETY: as for the other fields.
        unsafe { self.0.as_ptr().byte_add(at).cast::<u32>().read() }
    }

    pub(crate) fn set_tx_offload(self, value: u64) {
        let at = dpdk_sys::LEVEE_MBUF_TX_OFFLOAD as usize;
        // SAFETY: as for the other fields.
        unsafe { self.0.as_ptr().byte_add(at).cast::<u64>().write(value) }
    }

    /// Replaces the flags of the last transmission or reception.
    pub(crate) fn set_packet_flags(self, flags: u64) {
        self.set_ol_flags(self.ol_flags() & OF_BUFFER | flags);
    }

    pub(crate) fn is_shared(self) -> bool {
        self.ol_flags() & SHARED != 0
    }

    pub(crate) fn headroom(self) -> usize {
        let taken = self.ol_flags() & (SHARED | FRONT_TAKEN | EXTERNAL) != 0;
        if taken { 0 } else { usize::from(self.data_off()) }
    }

    pub(crate) fn tailroom(self) -> usize {
        let taken = self.ol_flags() & (SHARED | EXTERNAL) != 0;
        let end = usize::from(self.data_off()) + self.len();
        if taken { 0 } else { usize::from(self.buf_len()).saturating_sub(end) }
    }

    /// The first byte of the data.
    pub(crate) fn data(self) -> *mut u8 {
        let at = dpdk_sys::LEVEE_MBUF_BUF_ADDR as usize;
        // SAFETY: as for the other fields.
        let buffer = unsafe { self.0.as_ptr().byte_add(at).cast::<*mut u8>().read() };
        buffer.wrapping_add(usize::from(self.data_off()))
    }

    /// Moves the start of the data by `n` bytes towards the end.
    pub(crate) fn advance(self, n: u16) {
        self.set_data_off(self.data_off() + n);
        self.set_data_len(self.data_len() - n);
    }

    /// Lays `over`, fresh from a mempool of references, over the first `at` bytes of this segment, which
    /// keeps the rest. Both are as writable as this one was, in disjoint ranges.
    pub(crate) fn split(self, over: Self, at: u16) {
        self.attach(over);
        over.set_data_len(at);
        over.set_buf_len(over.data_off() + at);
        self.advance(at);
        self.set_ol_flags(self.ol_flags() | FRONT_TAKEN);
    }

    /// Lays `over`, fresh from a mempool of references, over `n` bytes from offset `at` of this segment,
    /// and makes both shared.
    pub(crate) fn share(self, over: Self, at: u16, n: u16) {
        self.set_ol_flags(self.ol_flags() | SHARED);
        self.attach(over);
        over.set_data_off(self.data_off() + at);
        over.set_data_len(n);
    }

    /// Whether no more segments may lie over this buffer: DPDK counts them in 16 bits, and would free what is
    /// in use when the count begins again.
    pub(crate) fn is_crowded(self) -> bool {
        // SAFETY: `self` is live, and so is whoever its buffer belongs to.
        unsafe { dpdk_sys::levee_mbuf_owners(self.raw()) >= MAX_OWNERS }
    }

    /// Fills `fresh`, which has the room, with `n` bytes from offset `at` of this segment.
    pub(crate) fn copy(self, fresh: Self, at: u16, n: u16) {
        debug_assert!(fresh.tailroom() >= usize::from(n) && at + n <= self.data_len());
        fresh.set_data_len(n);
        let from = self.data().wrapping_add(usize::from(at));
        // SAFETY: both ranges lie in buffers of live segments, and `fresh` is nobody else's.
        unsafe { std::ptr::copy_nonoverlapping(from, fresh.data(), usize::from(n)) }
    }

    fn attach(self, over: Self) {
        // SAFETY: `over` is direct with one reference, as it came from its mempool; `self` is live, and
        // its buffer is counted once more until `over` is freed.
        unsafe { dpdk_sys::rte_pktmbuf_attach(over.raw(), self.raw()) }
    }
}

/// Makes sure that nobody else uses our two flags.
///
/// The highest free bits: DPDK gives out the lowest first.
pub(crate) fn reserve_flags() -> Result<(), Error> {
    for (name, flag) in [("levee_shared", SHARED), ("levee_front_taken", FRONT_TAKEN)] {
        // SAFETY: all zeros is a valid value of this structure of text and numbers.
        let mut wanted: dpdk_sys::rte_mbuf_dynflag = unsafe { std::mem::zeroed() };
        for (place, byte) in wanted.name.iter_mut().zip(name.bytes()) {
            *place = byte.cast_signed();
        }
        log::checked(
            || format!("reserve the mbuf flag {name}"),
            // SAFETY: `wanted` holds a NUL-terminated name.
            || unsafe { dpdk_sys::rte_mbuf_dynflag_register_bitnum(&wanted, flag.trailing_zeros()) },
        )?;
    }
    Ok(())
}

//! What a queue pair does whatever its operations are: operations made once, bursts in and out.

use std::collections::VecDeque;
use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as sys;

use crate::crypto::device::Opened;
use crate::error::Error;
use crate::log;
use crate::mempool::socket_id;
use crate::queue::MAX_BURST;

/// Makes `count` operations of DPDK's type `kind` with `private` bytes behind each. They are never given
/// back: their mempool is their owner's alone, and is never freed, since the device may know it.
pub(super) fn operations(
    device: &Opened,
    kind: u32,
    count: u16,
    private: u32,
) -> Result<Vec<NonNull<sys::rte_crypto_op>>, Error> {
    let name = format!("levee_op_{}", device.unique());
    let asked = || format!("make {count} crypto operations called {name}");
    let c_name = CString::new(name.as_str()).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
    let private = u16::try_from(private).map_err(|_| Error::new(asked(), "too many bytes behind each"))?;
    let socket = socket_id(device.socket());
    let pool = log::checked_pointer(asked, || {
        // SAFETY: a NUL-terminated name, copied; the numbers are checked by the callee.
        unsafe { sys::rte_crypto_op_pool_create(c_name.as_ptr(), kind, count.into(), 0, private, socket) }
    })?;
    let mut taken = vec![std::ptr::null_mut(); usize::from(count)];
    // SAFETY: the mempool holds `count` operations, and `taken` has room for them.
    unsafe { sys::rte_crypto_op_bulk_alloc(pool.as_ptr(), kind, taken.as_mut_ptr(), count) };
    let operations: Option<Vec<_>> = taken.into_iter().map(NonNull::new).collect();
    operations.ok_or_else(|| Error::new(asked(), "the mempool is too small"))
}

/// Operations on their way into a queue pair, and how many are in it.
pub(super) struct Bursts {
    device: Arc<Opened>,
    index: u16,
    /// Not yet taken by the device.
    gathered: VecDeque<*mut sys::rte_crypto_op>,
    in_device: usize,
}

impl Bursts {
    /// For queue pair `index` of `device` and at most `count` operations.
    pub(super) fn new(device: Arc<Opened>, index: u16, count: usize) -> Self {
        Self { device, index, gathered: VecDeque::with_capacity(count), in_device: 0 }
    }

    pub(super) fn device(&self) -> &Opened {
        &self.device
    }

    /// Operations that the device has.
    pub(super) fn in_device(&self) -> usize {
        self.in_device
    }

    /// Operations gathered, and those that the device has.
    pub(super) fn waiting(&self) -> usize {
        self.gathered.len() + self.in_device
    }

    /// Takes an operation that is filled in, and whose memory lives until it is back.
    pub(super) fn gather(&mut self, operation: NonNull<sys::rte_crypto_op>) {
        self.gathered.push_back(operation.as_ptr());
    }

    /// Hands gathered operations to the device. What comes back is one that the device refuses for ever;
    /// others may wait behind it.
    pub(super) fn flush(&mut self) -> Option<NonNull<sys::rte_crypto_op>> {
        while !self.gathered.is_empty() {
            let (first, _) = self.gathered.as_mut_slices();
            #[expect(clippy::cast_possible_truncation, reason = "no more than descriptors, a u16")]
            let count = first.len() as u16;
            // SAFETY: the queue pair is set up and used by us alone; each operation is filled in, and what
            // it points to is kept until it comes back.
            let taken = unsafe {
                sys::rte_cryptodev_enqueue_burst(self.device.id(), self.index, first.as_mut_ptr(), count)
            };
            self.gathered.drain(..usize::from(taken));
            self.in_device += usize::from(taken);
            if taken == count {
                continue;
            }
            // Full, or the device (crypto_openssl) refuses the next one: it would refuse it for ever.
            let next = self.gathered.front().and_then(|raw| NonNull::new(*raw));
            // SAFETY: a live operation, which the device has not taken.
            let refused = next.filter(|raw| unsafe { sys::levee_op_refused(raw.as_ptr()) != 0 });
            if refused.is_some() {
                self.gathered.pop_front();
            }
            return refused;
        }
        None
    }

    /// Takes back operations that the device has finished.
    pub(super) fn collect(&mut self) -> impl Iterator<Item = NonNull<sys::rte_crypto_op>> + use<> {
        let mut back = [std::ptr::null_mut(); MAX_BURST];
        let room = u16::try_from(back.len()).unwrap_or(0);
        // SAFETY: the queue pair is set up and used by us alone; there is room for so many pointers.
        let count = unsafe {
            sys::rte_cryptodev_dequeue_burst(self.device.id(), self.index, back.as_mut_ptr(), room)
        };
        self.in_device = self.in_device.saturating_sub(usize::from(count));
        back.into_iter().take(usize::from(count)).filter_map(NonNull::new)
    }
}

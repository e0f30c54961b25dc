//! From one lcore to another: a bounded ring with one producer and one consumer.

use std::collections::VecDeque;
use std::ffi::CString;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::eal::Eal;
use crate::error::Error;
use crate::log;
use crate::queue::MAX_BURST;

/// A ring called `name` for `capacity` values, rounded up to a power of two less one.
///
/// # Errors
/// Not enough memory, the name is taken, or values whose size is no multiple of four bytes.
pub fn ring<T: Send>(eal: &Eal, name: &str, capacity: u32) -> Result<(Producer<T>, Consumer<T>), Error> {
    let asked = || format!("make the ring {name} for {capacity} values");
    let c_name = CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
    let size = u32::try_from(size_of::<T>()).ok().filter(|size| *size > 0 && size % 4 == 0);
    let size = size.ok_or_else(|| Error::new(asked(), "the size of its values is no multiple of four"))?;
    let count = capacity.saturating_add(1).checked_next_power_of_two();
    let count = count.ok_or_else(|| Error::new(asked(), "too many"))?;
    let flags = dpdk_sys::LEVEE_RING_SINGLE;
    let raw = log::checked_pointer(asked, || {
        // SAFETY: a NUL-terminated name, copied; the numbers are checked by the callee.
        unsafe {
            dpdk_sys::rte_ring_create_elem(c_name.as_ptr(), size, count, dpdk_sys::LEVEE_SOCKET_ID_ANY, flags)
        }
    })?;
    let ring = Arc::new(Ring { raw, size, values: PhantomData, _eal: eal.clone() });
    Ok((Producer(Arc::clone(&ring)), Consumer(ring)))
}

/// Where values enter.
pub struct Producer<T: Send>(Arc<Ring<T>>);

impl<T: Send> Producer<T> {
    /// Moves values from the front of `values` into the ring, up to [`MAX_BURST`], as long as there is
    /// room; returns their number.
    pub fn push_burst(&mut self, values: &mut VecDeque<T>) -> usize {
        let mut sent = 0;
        while sent < MAX_BURST {
            let Some(value) = values.pop_front() else { break };
            if let Err(value) = self.push(value) {
                values.push_front(value);
                break;
            }
            sent += 1;
        }
        sent
    }

    /// Puts `value` in.
    ///
    /// # Errors
    /// Gives it back when the ring is full.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let value = MaybeUninit::new(value);
        // SAFETY: `&mut self` is the only producer; the ring copies `size` bytes of one value.
        let pushed = unsafe {
            dpdk_sys::rte_ring_sp_enqueue_elem(
                self.0.raw.as_ptr(),
                value.as_ptr().cast_mut().cast(),
                self.0.size,
            )
        };
        if pushed == 0 {
            return Ok(());
        }
        // SAFETY: the value was not taken.
        Err(unsafe { value.assume_init() })
    }
}

/// Where values leave.
pub struct Consumer<T: Send>(Arc<Ring<T>>);

impl<T: Send> Consumer<T> {
    /// Appends up to [`MAX_BURST`] values to `into`, but no more than it has spare capacity for; returns
    /// their number.
    pub fn pop_burst(&mut self, into: &mut Vec<T>) -> usize {
        let wanted = (into.capacity() - into.len()).min(MAX_BURST);
        let before = into.len();
        while into.len() - before < wanted {
            let Some(value) = self.pop() else { break };
            into.push(value);
        }
        into.len() - before
    }

    /// Takes the oldest value.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

struct Ring<T: Send> {
    raw: NonNull<dpdk_sys::rte_ring>,
    size: u32,
    values: PhantomData<T>,
    _eal: Eal,
}

// SAFETY: one producer and one consumer, each behind `&mut`, is what the ring is made for; values of `T`
// may change threads.
unsafe impl<T: Send> Send for Ring<T> {}

// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T: Send> Ring<T> {
    /// Called by the only consumer, or when there is none any more.
    fn pop(&self) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the caller is the only consumer; the ring copies `size` bytes into `value`.
        let popped = unsafe {
            dpdk_sys::rte_ring_sc_dequeue_elem(self.raw.as_ptr(), value.as_mut_ptr().cast(), self.size)
        };
        // SAFETY: a value was copied, which nobody else has.
        (popped == 0).then(|| unsafe { value.assume_init() })
    }
}

impl<T: Send> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        // SAFETY: made by `ring`, and neither end exists any more.
        unsafe { dpdk_sys::rte_ring_free(self.raw.as_ptr()) };
    }
}

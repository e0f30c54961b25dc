//! The sessions of one queue pair: keys in slots, given to the device when first used.
//!
//! A device wants to know the direction and the length of the additional data when it gets a key; the
//! caller of [`Sessions::open`] does not know them yet, so the key waits in its slot.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;

use dpdk_sys as sys;

use crate::crypto::{Algorithm, Direction, SessionId};
use crate::error::Error;
use crate::log;
use crate::mempool::socket_id;

/// A bounded table of keys. Its mempool is never freed: the device may know it.
pub(super) struct Sessions {
    device: u8,
    pool: NonNull<sys::rte_mempool>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    algorithm: Algorithm,
    state: State,
    in_flight: u32,
    closing: bool,
}

enum State {
    Free,
    Key([u8; 32]),
    Live { raw: NonNull<c_void>, direction: Direction, aad_len: u8 },
}

impl Sessions {
    pub(super) fn new(device: u8, name: &str, count: u32, socket: Option<u32>) -> Result<Self, Error> {
        let asked = || format!("make {count} crypto sessions called {name}");
        let c_name = CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
        // SAFETY: the device exists.
        let size = unsafe { sys::rte_cryptodev_sym_get_private_session_size(device) };
        // No cache: a session given back must not be handed to another thread before it is wiped.
        let pool = log::checked_pointer(asked, || {
            // SAFETY: a NUL-terminated name, copied; the numbers are checked by the callee.
            unsafe {
                sys::rte_cryptodev_sym_session_pool_create(
                    c_name.as_ptr(),
                    count,
                    size,
                    0,
                    0,
                    socket_id(socket),
                )
            }
        })?;
        let slot =
            |_| Slot { algorithm: Algorithm::Aes128Gcm, state: State::Free, in_flight: 0, closing: false };
        Ok(Self { device, pool, slots: (0..count).map(slot).collect(), free: (0..count).rev().collect() })
    }

    pub(super) fn pool(&self) -> *mut sys::rte_mempool {
        self.pool.as_ptr()
    }

    /// Bytes that a device keeps for one session.
    pub(super) fn bytes_each(&self) -> usize {
        // SAFETY: the mempool is alive.
        unsafe { (*self.pool.as_ptr()).elt_size as usize }
    }

    pub(super) fn open(&mut self, algorithm: Algorithm, key: &[u8]) -> Option<SessionId> {
        let mut bytes = [0; 32];
        bytes.get_mut(..key.len()).filter(|_| key.len() == algorithm.key_len())?.copy_from_slice(key);
        let id = self.free.pop()?;
        *self.slot(SessionId(id))? =
            Slot { algorithm, state: State::Key(bytes), in_flight: 0, closing: false };
        wipe(&mut bytes);
        Some(SessionId(id))
    }

    pub(super) fn close(&mut self, id: SessionId) {
        let Some(slot) = self.slot(id).filter(|slot| !matches!(slot.state, State::Free)) else { return };
        slot.closing = true;
        self.end_if_closing(id);
    }

    /// Closes every session. No operation is in flight.
    pub(super) fn close_all(&mut self) {
        for id in 0..self.slots.len() {
            let id = SessionId(u32::try_from(id).unwrap_or(u32::MAX));
            if let Some(slot) = self.slot(id) {
                slot.in_flight = 0;
            }
            self.close(id);
        }
    }

    pub(super) fn algorithm(&mut self, id: SessionId) -> Option<Algorithm> {
        self.slot(id)
            .filter(|slot| !slot.closing && !matches!(slot.state, State::Free))
            .map(|slot| slot.algorithm)
    }

    /// The device's session, made if this is its first use. `None` when it is of another direction, or
    /// the device refuses.
    pub(super) fn device_session(
        &mut self,
        id: SessionId,
        direction: Direction,
        aad_len: u8,
    ) -> Option<NonNull<c_void>> {
        let (device, pool) = (self.device, self.pool);
        let slot = self.slot(id)?;
        match &mut slot.state {
            State::Live { raw, direction: its, aad_len: len } => {
                (*its == direction && *len == aad_len).then_some(*raw)
            }
            State::Key(key) => {
                let raw = create(device, pool, slot.algorithm, direction, key, aad_len)?;
                wipe(key);
                slot.state = State::Live { raw, direction, aad_len };
                Some(raw)
            }
            State::Free => None,
        }
    }

    pub(super) fn started(&mut self, id: SessionId) {
        if let Some(slot) = self.slot(id) {
            slot.in_flight += 1;
        }
    }

    pub(super) fn finished(&mut self, id: SessionId) {
        if let Some(slot) = self.slot(id) {
            slot.in_flight = slot.in_flight.saturating_sub(1);
        }
        self.end_if_closing(id);
    }

    /// Whether an operation of the session is in flight.
    pub(super) fn is_waiting(&mut self, id: SessionId) -> bool {
        self.slot(id).is_some_and(|slot| slot.in_flight > 0)
    }

    fn slot(&mut self, id: SessionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)
    }

    fn end_if_closing(&mut self, id: SessionId) {
        let device = self.device;
        let bytes = self.bytes_each();
        let Some(slot) = self.slot(id).filter(|slot| slot.closing && slot.in_flight == 0) else { return };
        match &mut slot.state {
            State::Live { raw, .. } => end(device, *raw, bytes),
            State::Key(key) => wipe(key),
            State::Free => return,
        }
        slot.state = State::Free;
        self.free.push(id.0);
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.close_all();
    }
}

fn create(
    device: u8,
    pool: NonNull<sys::rte_mempool>,
    algorithm: Algorithm,
    direction: Direction,
    key: &[u8; 32],
    aad_len: u8,
) -> Option<NonNull<c_void>> {
    let seal = i32::from(direction == Direction::Seal);
    let key_len = u16::try_from(algorithm.key_len()).ok()?;
    let mut transform = std::mem::MaybeUninit::<sys::rte_crypto_sym_xform>::uninit();
    // SAFETY: it fills in the whole structure, which points to `key` until the next call has returned.
    unsafe {
        sys::levee_aead_transform(
            transform.as_mut_ptr(),
            algorithm.code(),
            seal,
            key.as_ptr(),
            key_len,
            aad_len.into(),
        );
    }
    // SAFETY: the device exists, the transform is filled in, the mempool is one of sessions.
    NonNull::new(unsafe {
        sys::rte_cryptodev_sym_session_create(device, transform.as_mut_ptr(), pool.as_ptr())
    })
}

/// Gives a session back and wipes it: devices do not.
fn end(device: u8, raw: NonNull<c_void>, bytes: usize) {
    // SAFETY: made by `create` on this device; no operation of it is in flight.
    if unsafe { sys::rte_cryptodev_sym_session_free(device, raw.as_ptr()) } != 0 {
        return;
    }
    // SAFETY: an element of the mempool is `bytes` long; while it lies there nobody reads it, and only
    // the owner of the table takes from this mempool.
    unsafe { libc::explicit_bzero(raw.as_ptr(), bytes) };
}

fn wipe(key: &mut [u8; 32]) {
    // SAFETY: an array of ours.
    unsafe { libc::explicit_bzero(key.as_mut_ptr().cast(), key.len()) };
}

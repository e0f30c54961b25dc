//! The keys of one queue pair, each in a session of the device.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;

use dpdk_sys as sys;

use crate::crypto::device::Opened;
use crate::crypto::public_key::{Kind, MAX_LEN, wipe};
use crate::error::Error;
use crate::log;
use crate::mempool::socket_id;

/// A key of a [`QueuePair`](super::QueuePair).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) u16);

/// An RSA private key, as RFC 8017 section 3.2 has it; big-endian.
#[derive(Clone, Copy)]
pub struct RsaKey<'a> {
    /// n, without leading zeros, of whole bytes.
    pub modulus: &'a [u8],
    /// e.
    pub public_exponent: &'a [u8],
    /// d.
    pub private_exponent: &'a [u8],
    /// p, half as long as n; so are those that follow.
    pub p: &'a [u8],
    /// q.
    pub q: &'a [u8],
    /// d mod (p - 1).
    pub dp: &'a [u8],
    /// d mod (q - 1).
    pub dq: &'a [u8],
    /// 1/q mod p.
    pub coefficient: &'a [u8],
}

/// A bounded table of keys. Its mempool is never freed: the device may know it.
pub(super) struct Keys {
    device: u8,
    pool: NonNull<sys::rte_mempool>,
    keys: Vec<Key>,
    room: usize,
}

pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) session: NonNull<c_void>,
    /// Bytes of each number of an operation.
    pub(super) bytes: usize,
    /// Some releases of DPDK want it with each operation.
    scalar: Box<[u8; 32]>,
}

impl Keys {
    /// For `room` keys.
    pub(super) fn new(device: &Opened, room: u16) -> Result<Self, Error> {
        let name = format!("levee_asym_{}", device.unique());
        let count = u32::from(room) + OWN;
        let asked = || format!("make {count} public-key sessions called {name}");
        let c_name = CString::new(name.as_str()).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
        let socket = socket_id(device.socket());
        let pool = log::checked_pointer(asked, || {
            // SAFETY: a NUL-terminated name, copied; the numbers are checked by the callee.
            unsafe { sys::rte_cryptodev_asym_session_pool_create(c_name.as_ptr(), count, 0, 0, socket) }
        })?;
        let room = usize::from(room);
        Ok(Self { device: device.id(), pool, keys: Vec::with_capacity(count as usize), room })
    }

    /// Installs an RSA key. `None` when the table is full, its length is none of RSA 2048 to 4096, or the
    /// device refuses.
    pub(super) fn add_rsa(&mut self, key: &RsaKey<'_>) -> Option<KeyId> {
        let bytes = key.modulus.len();
        let bits = u16::try_from(bytes).ok().filter(|_| (256..=MAX_LEN).contains(&bytes))?;
        // SAFETY: the device exists.
        if unsafe { sys::levee_asym_offered(self.device, Kind::Rsa.code(), bits) } == 0 {
            return None;
        }
        let parts = sys::levee_asym_key {
            n: number(key.modulus),
            e: number(key.public_exponent),
            d: number(key.private_exponent),
            p: number(key.p),
            q: number(key.q),
            dp: number(key.dp),
            dq: number(key.dq),
            qinv: number(key.coefficient),
        };
        self.add(Kind::Rsa, bytes, &parts, [0; 32])
    }

    /// Installs the scalar of an ECDSA key on P-256, likewise.
    pub(super) fn add_ecdsa(&mut self, scalar: &[u8; 32]) -> Option<KeyId> {
        self.add(Kind::EcdsaP256, scalar.len(), &only(scalar), *scalar)
    }

    /// Makes a session for multiplications, which need no key.
    pub(super) fn add_multiplication(&mut self) -> Option<KeyId> {
        self.room += 1;
        self.add(Kind::MultiplyP256, 32, &only(&[]), [0; 32])
    }

    /// Forgets the key that was added last.
    pub(super) fn remove_last(&mut self) {
        if let Some(key) = self.keys.pop() {
            self.end(&key);
        }
    }

    pub(super) fn key(&self, KeyId(id): KeyId, kind: Kind) -> Option<&Key> {
        self.keys.get(usize::from(id)).filter(|key| key.kind == kind)
    }

    fn add(
        &mut self,
        kind: Kind,
        bytes: usize,
        parts: &sys::levee_asym_key,
        mut scalar: [u8; 32],
    ) -> Option<KeyId> {
        let id = u16::try_from(self.keys.len()).ok().filter(|_| self.keys.len() < self.room)?;
        // SAFETY: the device exists, the mempool is one of sessions, and the key's numbers live for the call.
        let session = unsafe { sys::levee_asym_session(self.device, self.pool.as_ptr(), kind.code(), parts) };
        let session = NonNull::new(session)?;
        self.keys.push(Key { kind, session, bytes, scalar: Box::new(scalar) });
        wipe(&mut scalar);
        Some(KeyId(id))
    }

    /// Gives a session back and wipes it: devices do not.
    fn end(&self, key: &Key) {
        // SAFETY: made by `add` on this device; no operation of it is in flight.
        if unsafe { sys::rte_cryptodev_asym_session_free(self.device, key.session.as_ptr()) } != 0 {
            return;
        }
        // SAFETY: the mempool is alive.
        let bytes = unsafe { (*self.pool.as_ptr()).elt_size as usize };
        // SAFETY: an element of the mempool is `bytes` long; while it lies there nobody reads it, and only
        // the owner of the table takes from this mempool.
        unsafe { libc::explicit_bzero(key.session.as_ptr(), bytes) };
    }
}

impl Key {
    /// What an operation needs of the key, valid as long as the key is.
    pub(super) fn parts(&self) -> sys::levee_asym_key {
        only(&*self.scalar)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        wipe(&mut *self.scalar);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for key in &self.keys {
            self.end(key);
        }
    }
}

/// Sessions for multiplications, and for what a device refuses: DPDK 22.11 does not take those back.
const OWN: u32 = 3;

fn only(d: &[u8]) -> sys::levee_asym_key {
    let none = number(&[]);
    sys::levee_asym_key { n: none, e: none, d: number(d), p: none, q: none, dp: none, dq: none, qinv: none }
}

fn number(bytes: &[u8]) -> sys::levee_number {
    sys::levee_number { data: bytes.as_ptr(), length: bytes.len() }
}

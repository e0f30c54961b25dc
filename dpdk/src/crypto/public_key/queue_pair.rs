//! A queue pair for public-key operations, for one lcore.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dpdk_sys as sys;

use crate::crypto::bursts::{self, Bursts};
use crate::crypto::device::Opened;
use crate::crypto::public_key::key::Keys;
use crate::crypto::public_key::{
    Answer, DeviceConfig, Finished, KeyId, Kind, MAX_LEN, Operation, RsaKey, wipe,
};
use crate::error::Error;

/// A queue pair of a device, used by one thread at a time.
///
/// Call order: any number of [`QueuePair::submit`], [`QueuePair::flush`] once a turn, then
/// [`QueuePair::completed`] until it is `None`.
pub struct QueuePair {
    /// `None` only when dropped with operations that the device kept.
    keys: Option<Keys>,
    bursts: Bursts,
    pub(super) multiplication: Option<KeyId>,
    pub(super) does_ecdsa: bool,
    /// Operation `n` belongs to flight `n` for ever.
    operations: Vec<NonNull<sys::rte_crypto_op>>,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    done: VecDeque<Finished>,
}

// SAFETY: the operations, keys and their mempools are used by the owner of the queue pair alone; a queue
// pair of a device may be used from any thread, one at a time.
unsafe impl Send for QueuePair {}

/// An operation that the device may be working on.
struct Flight {
    token: u64,
    kind: Kind,
    /// Bytes of each number.
    bytes: usize,
}

impl QueuePair {
    pub(super) fn new(device: Arc<Opened>, index: u16, config: &DeviceConfig) -> Result<Self, Error> {
        // A ring of `descriptors` places holds one less.
        let count = config.descriptors.saturating_sub(1);
        let kind = sys::RTE_CRYPTO_OP_TYPE_ASYMMETRIC;
        let operations = bursts::operations(&device, kind, count, sys::LEVEE_ASYM_PRIVATE)?;
        for (slot, operation) in (0..).zip(&operations) {
            scratch(*operation).slot = slot;
        }
        Ok(Self {
            keys: Some(Keys::new(&device, config.keys)?),
            bursts: Bursts::new(device, index, usize::from(count)),
            multiplication: None,
            does_ecdsa: false,
            flights: operations.iter().map(|_| None).collect(),
            operations,
            free: (0..u32::from(count)).rev().collect(),
            done: VecDeque::with_capacity(usize::from(count)),
        })
    }

    /// The name that its device was opened by.
    #[must_use]
    pub fn device(&self) -> &str {
        self.bursts.device().name()
    }

    /// Installs an RSA key if the device makes `signature` of `message` under it, both as long as the modulus.
    ///
    /// Waits for the device: for the start. `None` when it answers otherwise or not at all, does no RSA of
    /// this length, or the table is full.
    pub fn open_rsa(&mut self, key: &RsaKey<'_>, message: &[u8], signature: &[u8]) -> Option<KeyId> {
        let id = self.keys.as_mut()?.add_rsa(key)?;
        let answer = self.once(&Operation::Rsa { key: id, message });
        let is_right = answer.is_some_and(|answer| answer.bytes() == signature);
        if !is_right && self.in_flight() == 0 {
            self.keys.as_mut()?.remove_last();
        }
        is_right.then_some(id)
    }

    /// Installs the scalar of an ECDSA key on P-256. `None` when the device does not do that right, or the
    /// table is full.
    pub fn open_ecdsa(&mut self, scalar: &[u8; 32]) -> Option<KeyId> {
        self.keys.as_mut().filter(|_| self.does_ecdsa)?.add_ecdsa(scalar)
    }

    /// Whether points can be multiplied.
    #[must_use]
    pub fn multiplies(&self) -> bool {
        self.multiplication.is_some()
    }

    /// Operations that can be submitted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Operations submitted and not yet returned by [`QueuePair::completed`].
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.bursts.waiting() + self.done.len()
    }

    /// Starts an operation. False when there is no room, or it is none that the device does: nothing happened.
    pub fn submit(&mut self, token: u64, operation: &Operation<'_>) -> bool {
        self.start(token, operation).is_some()
    }

    /// Hands gathered operations to the device.
    pub fn flush(&mut self) {
        while let Some(refused) = self.bursts.flush() {
            self.end(refused);
        }
    }

    /// The next operation that is finished.
    pub fn completed(&mut self) -> Option<Finished> {
        if self.done.is_empty() && self.bursts.in_device() > 0 {
            for raw in self.bursts.collect() {
                self.end(raw);
            }
        }
        self.done.pop_front()
    }

    /// Forgets all operations that were not returned. False: the device does not finish what it has, and the
    /// queue pair is of no use any more.
    pub fn reset(&mut self) -> bool {
        let deadline = Instant::now() + DRAIN;
        while self.bursts.waiting() > 0 && Instant::now() <= deadline {
            self.flush();
            while self.completed().is_some() {}
        }
        self.done.clear();
        self.bursts.waiting() == 0
    }

    /// Keys, for known answers.
    pub(super) fn keys(&mut self) -> Option<&mut Keys> {
        self.keys.as_mut()
    }

    /// Does one operation while nothing else is in flight, and waits for it.
    pub(super) fn once(&mut self, operation: &Operation<'_>) -> Option<Answer> {
        /// A token of ours: what comes late from an earlier one is not taken for the answer.
        const ONCE: u64 = u64::MAX;
        self.start(ONCE, operation)?;
        self.flush();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.completed() {
                Some(Finished { token: ONCE, answer }) => return answer,
                Some(_) => {}
                None if Instant::now() > deadline => return None,
                None => std::hint::spin_loop(),
            }
        }
    }

    fn start(&mut self, token: u64, operation: &Operation<'_>) -> Option<()> {
        let keys = self.keys.as_ref()?;
        let (key, inputs): (_, [&[u8]; 3]) = match *operation {
            Operation::Rsa { key, message } => (keys.key(key, Kind::Rsa)?, [message, &[], &[]]),
            Operation::EcdsaP256 { key, digest, nonce } => {
                (keys.key(key, Kind::EcdsaP256)?, [digest, nonce, &[]])
            }
            Operation::MultiplyP256 { scalar, point } => {
                let (x, y) = point.split_at(32);
                (keys.key(self.multiplication?, Kind::MultiplyP256)?, [scalar, x, y])
            }
        };
        if inputs[0].len() != key.bytes {
            return None;
        }
        let slot = self.free.pop()?;
        let raw = self.operations[slot as usize];
        let scratch = scratch(raw);
        for (place, input) in scratch.input.chunks_mut(key.bytes).zip(inputs) {
            place[..input.len()].copy_from_slice(input);
        }
        let parts = key.parts();
        // SAFETY: the operation is ours and not in the device; its input is written, and the key lives
        // as long as the queue pair.
        unsafe {
            sys::levee_asym_fill(
                raw.as_ptr(),
                key.session.as_ptr(),
                key.kind.code(),
                key.bytes,
                &parts,
                i32::from(self.bursts.device().is_hardware()),
            );
        }
        self.flights[slot as usize] = Some(Flight { token, kind: key.kind, bytes: key.bytes });
        self.bursts.gather(raw);
        Some(())
    }

    /// Ends an operation that the device has not, or has no more.
    fn end(&mut self, raw: NonNull<sys::rte_crypto_op>) {
        let Ok(slot) = u32::try_from(scratch(raw).slot) else { return };
        let Some(Flight { token, kind, bytes }) = self.flights[slot as usize].take() else { return };
        // SAFETY: a live operation, filled in for this kind and length, and back from the device.
        let ok = unsafe { sys::levee_asym_take(raw.as_ptr(), kind.code(), bytes) } != 0;
        let scratch = scratch(raw);
        let len = if kind == Kind::Rsa { bytes } else { 2 * bytes };
        let answer = ok.then(|| {
            let mut answer = Answer { bytes: [0; MAX_LEN], len };
            answer.bytes[..len].copy_from_slice(&scratch.output[..len]);
            answer
        });
        wipe(&mut scratch.input);
        wipe(&mut scratch.output);
        self.free.push(slot);
        self.done.push_back(Finished { token, answer });
    }
}

impl Drop for QueuePair {
    fn drop(&mut self) {
        if !self.reset() {
            // The device may still read them.
            std::mem::forget(self.keys.take());
        }
    }
}

/// How long a device may take for a known answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a device may take for what is in flight when its queue pair is dropped or reset.
const DRAIN: Duration = Duration::from_secs(1);

/// What lies behind an operation of ours.
fn scratch<'a>(operation: NonNull<sys::rte_crypto_op>) -> &'a mut sys::levee_asym_scratch {
    // SAFETY: only arithmetic on a pointer to a live operation.
    let scratch = unsafe { sys::levee_asym_scratch(operation.as_ptr()) };
    // SAFETY: operations are made with this private area; the one who holds the operation holds it, and
    // no other reference to it exists, since callers drop it before they call again.
    unsafe { &mut *scratch }
}

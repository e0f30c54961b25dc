//! Crypto devices: opening, and finding out what they really do.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::crypto::session::Sessions;
use crate::crypto::{Algorithm, Path, QueuePair, known_answers};
use crate::eal::Eal;
use crate::error::Error;
use crate::log;
use crate::mempool::{Pool, socket_id};

/// What a device does of an algorithm, tried against known answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// In place over segments, both ways. `None`: the algorithm is not offered.
    pub in_place: Option<Path>,
    /// Sealing from segments into one segment. `None`: the plaintext is copied, then sealed in place.
    pub out_of_place: Option<Path>,
}

impl Support {
    pub(super) const NONE: Self = Self { in_place: None, out_of_place: None };
}

/// How a device is to be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Queue pairs: one for each lcore.
    pub queue_pairs: u16,
    /// Operations that can be in flight in each queue pair; a power of two.
    pub descriptors: u16,
    /// Keys that each queue pair can hold: two for each connection.
    pub sessions: u32,
    /// Whether the device may answer at once where it can.
    pub now: bool,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self { queue_pairs: 1, descriptors: 512, sessions: 4096, now: true }
    }
}

/// A crypto device, started.
///
/// When it and its queue pairs are dropped, it is stopped and closed.
pub struct Device {
    opened: Arc<Opened>,
    driver: String,
    support: [Support; 3],
    claimed: [bool; 3],
}

impl Device {
    /// Opens the vdev called `name` (`crypto_aesni_gcm`, ...) or the device at the PCI address `name`,
    /// tries what it offers, and gives out its queue pairs. Queue pair `n` takes what it has to copy
    /// from `pools[n]`; with fewer pools they are used again from the first.
    ///
    /// # Errors
    /// There is none, it is open already, or what the driver logged.
    pub fn open(
        _eal: &Eal,
        name: &str,
        config: &DeviceConfig,
        pools: &[Pool],
    ) -> Result<(Self, Vec<QueuePair>), Error> {
        let asked = || format!("open the crypto device {name}");
        let first = pools.first().ok_or_else(|| Error::new(asked(), "no pool was given"))?;
        let (opened, info) = Opened::open(name, sys::LEVEE_CRYPTO_SYMMETRIC)?;
        if info.max_nb_queue_pairs > 0 && u32::from(config.queue_pairs) > info.max_nb_queue_pairs {
            let why =
                format!("it has at most {} queue pairs, not {}", info.max_nb_queue_pairs, config.queue_pairs);
            return Err(Error::new(asked(), why));
        }
        let mut pairs = opened.set_up(config, pools)?;
        let can_now = config.now && info.feature_flags & sys::LEVEE_CRYPTO_NOW != 0;
        let mut support = [Support::NONE; 3];
        let mut claimed = [false; 3];
        if let Some(pair) = pairs.first_mut() {
            for algorithm in Algorithm::ALL {
                claimed[algorithm as usize] = opened.claims(algorithm);
                if claimed[algorithm as usize] {
                    support[algorithm as usize] = known_answers::try_out(pair, first, algorithm, can_now);
                }
            }
        }
        for pair in &mut pairs {
            pair.support = support;
        }
        Ok((Self { driver: driver_of(&info), opened, support, claimed }, pairs))
    }

    /// The names of all crypto devices there are.
    #[must_use]
    pub fn names(_eal: &Eal) -> Vec<String> {
        devices().map(|(_, name)| name).collect()
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// The driver, as DPDK calls it.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// What it does of `algorithm`.
    #[must_use]
    pub fn support(&self, algorithm: Algorithm) -> Support {
        self.support[algorithm as usize]
    }

    /// Whether it claims to do `algorithm` but gave a wrong answer: worth a warning.
    #[must_use]
    pub fn lies_about(&self, algorithm: Algorithm) -> bool {
        self.claimed[algorithm as usize] && self.support(algorithm).in_place.is_none()
    }
}

/// Takes the device called `name` away from those who use it, or gives it back: meanwhile it takes no operation and
/// returns none. What happens around a device that hangs can be seen by it; no other thread may be using it.
///
/// # Errors
/// There is none, or what the driver logged.
pub fn interrupt(_eal: &Eal, name: &str, away: bool) -> Result<(), Error> {
    let asked = || format!("interrupt the crypto device {name}");
    let found = devices().find(|(_, its)| is_called(its, name));
    let (id, _) = found.ok_or_else(|| Error::new(asked(), "there is no such device"))?;
    log::checked(asked, || {
        if away {
            // SAFETY: the device exists.
            unsafe { sys::rte_cryptodev_stop(id) };
            return 0;
        }
        // SAFETY: the device is configured: it was started before.
        unsafe { sys::rte_cryptodev_start(id) }
    })?;
    Ok(())
}

/// A device that somebody holds.
pub(super) struct Opened {
    id: u8,
    name: String,
    hardware: bool,
}

impl Opened {
    /// Claims the device called `name`, or the one at that PCI address, if it has `feature`.
    pub(super) fn open(name: &str, feature: u64) -> Result<(Arc<Self>, sys::rte_cryptodev_info), Error> {
        let asked = || format!("open the crypto device {name}");
        let found =
            devices().find(|(id, its)| is_called(its, name) && info_of(*id).feature_flags & feature != 0);
        let (id, _) = found.ok_or_else(|| {
            let other = devices().any(|(_, its)| is_called(&its, name));
            let why = if other { "it does no work of this kind" } else { "there is no such device" };
            Error::new(asked(), why)
        })?;
        if !open_devices(|open| open.insert(id)) {
            return Err(Error::new(asked(), "it is open already"));
        }
        let info = info_of(id);
        let hardware = info.feature_flags & sys::LEVEE_CRYPTO_HARDWARE != 0;
        Ok((Arc::new(Self { id, name: name.to_owned(), hardware }), info))
    }

    pub(super) fn id(&self) -> u8 {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it reaches memory by physical addresses.
    pub(super) fn is_hardware(&self) -> bool {
        self.hardware
    }

    pub(super) fn socket(&self) -> Option<u32> {
        // SAFETY: the device exists.
        u32::try_from(unsafe { sys::rte_cryptodev_socket_id(self.id) }).ok()
    }

    /// A number for the name of a mempool.
    pub(super) fn unique(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("{}_{}", self.id, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn call(&self, what: &str, call: impl FnOnce(u8) -> i32) -> Result<(), Error> {
        log::checked(|| format!("{what} the crypto device {}", self.name), || call(self.id)).map(|_| ())
    }

    fn set_up(self: &Arc<Self>, config: &DeviceConfig, pools: &[Pool]) -> Result<Vec<QueuePair>, Error> {
        self.configure(config.queue_pairs)?;
        let mut pairs = Vec::new();
        for index in 0..config.queue_pairs {
            let name = format!("levee_key_{}", self.unique());
            let sessions = Sessions::new(self.id, &name, config.sessions, self.socket())?;
            self.set_up_queue_pair(index, config.descriptors, sessions.pool())?;
            let pool = &pools[usize::from(index) % pools.len()];
            pairs.push(QueuePair::new(Arc::clone(self), index, sessions, config.descriptors, pool)?);
        }
        self.start()?;
        Ok(pairs)
    }

    pub(super) fn configure(&self, queue_pairs: u16) -> Result<(), Error> {
        // SAFETY: numbers: all zeros is a value.
        let mut device: sys::rte_cryptodev_config = unsafe { MaybeUninit::zeroed().assume_init() };
        device.socket_id = socket_id(self.socket());
        device.nb_queue_pairs = queue_pairs;
        self.call("configure", |id| {
            // SAFETY: the device is stopped, `device` is read during the call.
            unsafe { sys::rte_cryptodev_configure(id, &mut device) }
        })
    }

    /// `sessions` is the mempool of symmetric sessions, never freed, or null.
    pub(super) fn set_up_queue_pair(
        &self,
        index: u16,
        descriptors: u16,
        sessions: *mut sys::rte_mempool,
    ) -> Result<(), Error> {
        // SAFETY: numbers and a pointer: all zeros is a value.
        let mut pair: sys::rte_cryptodev_qp_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        pair.nb_descriptors = descriptors.into();
        pair.mp_session = sessions;
        let socket = socket_id(self.socket());
        self.call("set up a queue pair of", |id| {
            // SAFETY: the device is configured with more queue pairs than `index`; the mempool of sessions
            // is never freed.
            unsafe { sys::rte_cryptodev_queue_pair_setup(id, index, &pair, socket) }
        })
    }

    pub(super) fn start(&self) -> Result<(), Error> {
        self.call("start", |id| {
            // SAFETY: the device is configured.
            unsafe { sys::rte_cryptodev_start(id) }
        })
    }

    fn claims(&self, algorithm: Algorithm) -> bool {
        let key_len = u16::try_from(algorithm.key_len()).unwrap_or(0);
        // The lengths of additional data in TLS 1.3 and 1.2.
        [5, 13].into_iter().all(|aad_len| {
            // SAFETY: the device exists.
            unsafe { sys::levee_aead_offered(self.id, algorithm.code(), key_len, aad_len) != 0 }
        })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the device exists, and none of its queue pairs does any more.
        unsafe { sys::rte_cryptodev_stop(self.id) };
        // SAFETY: the device is stopped.
        unsafe { sys::rte_cryptodev_close(self.id) };
        open_devices(|open| open.remove(&self.id));
    }
}

/// The driver, as DPDK calls it.
pub(super) fn driver_of(info: &sys::rte_cryptodev_info) -> String {
    // SAFETY: drivers have a static name.
    unsafe { crate::port::text(info.driver_name) }
}

/// All crypto devices there are: number and name.
fn devices() -> impl Iterator<Item = (u8, String)> {
    (0..u8::MAX)
        // SAFETY: it looks at any number.
        .filter(|id| unsafe { sys::rte_cryptodev_is_valid_dev(*id) } != 0)
        // SAFETY: a valid device has a name, NUL-terminated.
        .map(|id| (id, unsafe { crate::port::text(sys::rte_cryptodev_name_get(id)) }))
}

/// Whether the device `its` is what `name` means. QAT makes one device for each kind of work at a PCI address, and
/// calls them after it.
fn is_called(its: &str, name: &str) -> bool {
    its.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || (name.contains(':') && rest.starts_with('_')))
}

fn info_of(id: u8) -> sys::rte_cryptodev_info {
    // SAFETY: numbers and pointers: all zeros is a value.
    let mut info: sys::rte_cryptodev_info = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the device exists; a place for the answer.
    unsafe { sys::rte_cryptodev_info_get(id, &mut info) };
    info
}

/// Devices that somebody holds.
fn open_devices<T>(f: impl FnOnce(&mut BTreeSet<u8>) -> T) -> T {
    static OPEN: Mutex<BTreeSet<u8>> = Mutex::new(BTreeSet::new());
    f(&mut OPEN.lock().unwrap_or_else(PoisonError::into_inner))
}

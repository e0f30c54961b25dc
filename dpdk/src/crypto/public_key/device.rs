//! Devices for public-key work: opening, and finding out what they really do.

use std::sync::Arc;

use dpdk_sys as sys;

use crate::crypto::device::{Opened, driver_of};
use crate::crypto::public_key::{Kind, QueuePair, known_answers};
use crate::eal::Eal;
use crate::error::Error;

/// How a device is to be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Queue pairs, one for each lcore; as many as the device has, if these are fewer.
    pub queue_pairs: u16,
    /// Descriptors of each queue pair, a power of two; one fewer operations can be in flight.
    pub descriptors: u16,
    /// Keys that each queue pair can hold.
    pub keys: u16,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self { queue_pairs: 1, descriptors: 128, keys: 16 }
    }
}

/// A crypto device for public-key work, started.
///
/// When it and its queue pairs are dropped, it is stopped and closed.
pub struct Device {
    opened: Arc<Opened>,
    driver: String,
    claimed: [bool; 3],
    support: [bool; 3],
}

impl Device {
    /// Opens the vdev called `name` (`crypto_openssl0`, ...) or the device for public-key work at the PCI
    /// address `name`, tries what it offers, and gives out its queue pairs.
    ///
    /// # Errors
    /// There is none, it is open already, or what the driver logged.
    pub fn open(_eal: &Eal, name: &str, config: &DeviceConfig) -> Result<(Self, Vec<QueuePair>), Error> {
        let (opened, info) = Opened::open(name, sys::LEVEE_CRYPTO_ASYMMETRIC)?;
        let most = match u16::try_from(info.max_nb_queue_pairs) {
            Ok(most) if most > 0 => most,
            _ => u16::MAX,
        };
        let count = config.queue_pairs.min(most);
        opened.configure(count)?;
        for index in 0..count {
            opened.set_up_queue_pair(index, config.descriptors, std::ptr::null_mut())?;
        }
        opened.start()?;
        let mut pairs = (0..count)
            .map(|index| QueuePair::new(Arc::clone(&opened), index, config))
            .collect::<Result<Vec<_>, _>>()?;
        let claimed = Kind::ALL.map(|kind| opened.claims_public_key(kind));
        // QAT's driver does more than it lists before 25.11: the known answers tell.
        let mut support =
            Kind::ALL.map(|kind| claimed[kind as usize] || (kind != Kind::Rsa && opened.is_hardware()));
        for pair in &mut pairs {
            known_answers::try_out(pair, &mut support);
        }
        Ok((Self { driver: driver_of(&info), opened, claimed, support }, pairs))
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.opened.name()
    }

    /// The driver, as DPDK calls it.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Whether it does `kind`; of RSA, whether it says so: each key tells.
    #[must_use]
    pub fn does(&self, kind: Kind) -> bool {
        self.support[kind as usize]
    }

    /// Whether it claims to do `kind` but gave a wrong answer: worth a warning.
    #[must_use]
    pub fn lies_about(&self, kind: Kind) -> bool {
        self.claimed[kind as usize] && !self.does(kind)
    }
}

impl Opened {
    fn claims_public_key(&self, kind: Kind) -> bool {
        /// Bytes of the modulus of RSA-2048, the least of ours.
        const SHORTEST: u16 = 256;
        // SAFETY: the device exists.
        unsafe { sys::levee_asym_offered(self.id(), kind.code(), SHORTEST) != 0 }
    }
}

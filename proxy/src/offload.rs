//! AEAD by DPDK cryptodev, and by our own code for what no device does: `Devices`, `Offload`.
//!
//! The control plane opens the devices; each worker has a queue pair of each. A key goes to the device with
//! the fewest keys among those that do its algorithm and are well (`condition`). The few records of a handshake do not
//! come here: a session costs more than it saves there.

mod condition;

use levee_crypto::{
    Aead, AeadKey, Algorithm, Answer, Direction, Finished, Operation, Outcome, SessionId, SoftwareAead, Token,
};
use levee_dpdk::crypto::{self, Device, DeviceConfig, QueuePair};
use levee_dpdk::{Chain, Eal, Pool};
use miette::IntoDiagnostic;

use crate::config::{AeadChoice, Config};
use crate::lent::Lent;
use condition::Condition;

/// The device that is used when the configuration leaves the choice to us.
const AUTO_DEVICE: &str = "crypto_aesni_gcm0";

/// Operations in flight in one queue pair, unless the configuration says another number.
const DESCRIPTORS: u16 = 512;

/// The crypto devices of the process; they live as long as their queue pairs.
pub(crate) struct Devices {
    /// By worker.
    pairs: Vec<Vec<QueuePair>>,
    _devices: Vec<Device>,
}

impl Devices {
    /// Opens what the configuration names. A device that gets a known answer wrong is not used for that
    /// algorithm.
    ///
    /// # Errors
    /// There is no such device, or what the driver said.
    pub(crate) fn open(eal: &Eal, config: &Config, pools: &[Pool]) -> miette::Result<Self> {
        let names: Vec<&str> = match &config.tls.aead {
            AeadChoice::Auto => match eal.attach(AUTO_DEVICE) {
                Ok(()) => vec![AUTO_DEVICE],
                Err(error) => {
                    tracing::warn!(%error, "AEAD by our own code");
                    Vec::new()
                }
            },
            AeadChoice::Software => Vec::new(),
            AeadChoice::Devices(devices) => devices.iter().map(crate::config::Device::name).collect(),
        };
        let device_config = DeviceConfig {
            queue_pairs: u16::try_from(pools.len()).into_diagnostic()?,
            descriptors: config.tls.device_queue.unwrap_or(DESCRIPTORS),
            sessions: u32::try_from(2 * config.workers.connections).into_diagnostic()?,
            ..DeviceConfig::default()
        };
        let mut pairs: Vec<Vec<_>> = pools.iter().map(|_| Vec::new()).collect();
        let mut devices = Vec::new();
        for name in names {
            let (device, own) = Device::open(eal, name, &device_config, pools).into_diagnostic()?;
            for algorithm in crypto::Algorithm::ALL {
                if device.lies_about(algorithm) {
                    tracing::warn!(device = name, ?algorithm, "offered, but its answers are wrong: not used");
                } else {
                    tracing::info!(device = name, ?algorithm, support = ?device.support(algorithm), "AEAD device");
                }
            }
            for (pairs, pair) in pairs.iter_mut().zip(own) {
                pairs.push(pair);
            }
            devices.push(device);
        }
        Ok(Self { pairs, _devices: devices })
    }

    /// The queue pairs of `worker`; once.
    pub(crate) fn pairs_of(&mut self, worker: usize) -> Vec<QueuePair> {
        self.pairs.get_mut(worker).map(std::mem::take).unwrap_or_default()
    }
}

/// The AEAD engine of one worker.
pub(crate) struct Offload {
    devices: Vec<Loaded>,
    software: SoftwareAead,
    /// By our session number.
    sessions: Vec<Place>,
    free: Vec<u32>,
    clock: Box<dyn Fn() -> u64>,
    /// Operations done by our own code, and those that found a device's queue full.
    by_software: u64,
    busy: u64,
}

/// A queue pair and the keys it holds.
struct Loaded {
    pair: Lent<QueuePair>,
    keys: usize,
    condition: Condition,
}

/// Where a key is.
#[derive(Clone, Copy)]
enum Place {
    Device { device: usize, session: crypto::SessionId },
    Software(SessionId),
    Nowhere,
}

impl Offload {
    /// An engine over `pairs` for at most `sessions` keys. `clock` says nanoseconds and does not go back.
    pub(crate) fn new(pairs: Vec<Lent<QueuePair>>, sessions: usize, clock: Box<dyn Fn() -> u64>) -> Self {
        let count = u32::try_from(sessions).unwrap_or(u32::MAX);
        let loaded = |pair| Loaded { pair, keys: 0, condition: Condition::default() };
        Self {
            devices: pairs.into_iter().map(loaded).collect(),
            software: SoftwareAead::new(sessions),
            sessions: vec![Place::Nowhere; sessions],
            free: (0..count).rev().collect(),
            clock,
            by_software: 0,
            busy: 0,
        }
    }

    fn place(&mut self, key: &AeadKey) -> Option<Place> {
        let algorithm = device_algorithm(key.algorithm());
        let Self { devices, clock, .. } = self;
        let able = devices.iter_mut().enumerate().filter(|(_, device)| {
            device.pair.support(algorithm).in_place.is_some() && !device.condition.is_left_out(clock)
        });
        let chosen = able.min_by_key(|(_, device)| device.keys);
        if let Some((number, device)) = chosen
            && let Some(session) = device.pair.open_session(algorithm, key.bytes())
        {
            device.keys += 1;
            return Some(Place::Device { device: number, session });
        }
        let software = <SoftwareAead as Aead<Pool>>::open_session(&mut self.software, key);
        software.map(Place::Software)
    }
}

impl Aead<Pool> for Offload {
    fn open_session(&mut self, key: &AeadKey) -> Option<SessionId> {
        let number = self.free.pop()?;
        let Some(place) = self.place(key) else {
            self.free.push(number);
            return None;
        };
        self.sessions[number as usize] = place;
        Some(SessionId(number))
    }

    fn close_session(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(session.0 as usize) else { return };
        match std::mem::replace(entry, Place::Nowhere) {
            Place::Device { device, session } => {
                let device = &mut self.devices[device];
                device.pair.close_session(session);
                device.keys -= 1;
            }
            Place::Software(session) => {
                <SoftwareAead as Aead<Pool>>::close_session(&mut self.software, session);
            }
            Place::Nowhere => return,
        }
        self.free.push(session.0);
    }

    fn submit(&mut self, token: Token, operation: Operation<Chain>) -> Answer<Chain> {
        let place = self.sessions.get(operation.session.0 as usize).copied().unwrap_or(Place::Nowhere);
        let session = operation.session;
        match place {
            Place::Device { device, session: inner } => {
                let device = &mut self.devices[device];
                if device.condition.hangs {
                    device.condition.refused += 1;
                    return Answer::Now(undone(operation));
                }
                match device.pair.submit(to_device(token, operation, inner)) {
                    crypto::Answer::Now(finished) => {
                        device.condition.answers(finished.outcome, &self.clock);
                        Answer::Now(from_device(finished).1)
                    }
                    crypto::Answer::Later => Answer::Later,
                    crypto::Answer::Busy(operation) => {
                        self.busy += 1;
                        Answer::Busy(back(operation, session))
                    }
                }
            }
            Place::Software(inner) => {
                self.by_software += 1;
                let operation = Operation { session: inner, ..operation };
                match <SoftwareAead as Aead<Pool>>::submit(&mut self.software, token, operation) {
                    Answer::Busy(operation) => Answer::Busy(Operation { session, ..operation }),
                    answer => answer,
                }
            }
            Place::Nowhere => Answer::Now(undone(operation)),
        }
    }

    fn flush(&mut self) {
        for Loaded { pair, condition, .. } in &mut self.devices {
            pair.flush();
            if condition.waits(pair.in_device(), &self.clock) {
                pair.give_up();
            }
        }
    }

    fn completed(&mut self) -> Option<(Token, Finished<Chain>)> {
        self.devices.iter_mut().find_map(|device| {
            let finished = device.pair.completed()?;
            device.condition.answers(finished.outcome, &self.clock);
            Some(from_device(finished))
        })
    }

    fn keys(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    fn copied(&self) -> u64 {
        self.devices.iter().map(|device| device.pair.counters().linearised).sum()
    }

    fn account(&self, say: &mut dyn FnMut(&str, u64)) {
        let sum = |of: fn(&Condition) -> u64| self.devices.iter().map(|device| of(&device.condition)).sum();
        for device in &self.devices {
            say(device.pair.device(), device.condition.health.done);
        }
        say("software", self.by_software);
        say("busy", self.busy);
        say("failed", sum(|condition| condition.health.failed));
        say("refused", sum(|condition| condition.refused));
        say("left_out", sum(|condition| condition.health.left_out));
    }
}

/// An operation that nobody does.
fn undone(operation: Operation<Chain>) -> Finished<Chain> {
    let Operation { direction, text, into, .. } = operation;
    Finished { direction, text: into.unwrap_or(text), outcome: Outcome::Failed }
}

const fn device_algorithm(algorithm: Algorithm) -> crypto::Algorithm {
    match algorithm {
        Algorithm::Aes128Gcm => crypto::Algorithm::Aes128Gcm,
        Algorithm::Aes256Gcm => crypto::Algorithm::Aes256Gcm,
        Algorithm::ChaCha20Poly1305 => crypto::Algorithm::ChaCha20Poly1305,
    }
}

fn to_device(token: Token, operation: Operation<Chain>, session: crypto::SessionId) -> crypto::Operation {
    crypto::Operation {
        token: token.0,
        session,
        direction: match operation.direction {
            Direction::Seal => crypto::Direction::Seal,
            Direction::Open => crypto::Direction::Open,
        },
        nonce: operation.nonce,
        aad: crypto::Operation::aad(operation.aad.bytes()),
        text: operation.text,
        at: operation.at,
        into: operation.into,
    }
}

/// A device's operation as it was given to us under `session`.
fn back(operation: crypto::Operation, session: SessionId) -> Operation<Chain> {
    let (bytes, len) = operation.aad;
    let aad = match len {
        5 => levee_crypto::Aad::tls13(std::array::from_fn(|at| bytes[at])),
        _ => levee_crypto::Aad::tls12(std::array::from_fn(|at| bytes[at])),
    };
    Operation {
        session,
        direction: direction(operation.direction),
        nonce: operation.nonce,
        aad,
        text: operation.text,
        at: operation.at,
        into: operation.into,
    }
}

fn from_device(finished: crypto::Finished) -> (Token, Finished<Chain>) {
    let crypto::Finished { token, direction: way, text, outcome } = finished;
    let outcome = match outcome {
        crypto::Outcome::Done => Outcome::Done,
        crypto::Outcome::Forged => Outcome::Forged,
        crypto::Outcome::Impossible | crypto::Outcome::Fault => Outcome::Failed,
    };
    (Token(token), Finished { direction: direction(way), text, outcome })
}

const fn direction(way: crypto::Direction) -> Direction {
    match way {
        crypto::Direction::Seal => Direction::Seal,
        crypto::Direction::Open => Direction::Open,
    }
}

#[cfg(test)]
mod tests;

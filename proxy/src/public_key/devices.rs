//! The devices that the configuration names, opened by the control plane and tried with every key.

use levee_crypto::{
    AwsLc, Done, Engine, Job, KeyId, KeyKind, Message, Parts, PrivateKey, Raw, RawKeys, SignatureScheme,
    SystemRandom, Task, Token,
};
use levee_dpdk::Eal;
use levee_dpdk::crypto::public_key::{self, DeviceConfig, Kind, Operation, QueuePair, RsaKey};
use miette::{IntoDiagnostic, miette};

use super::side::Device;
use crate::config::Config;
use crate::lent::Lent;

/// Descriptors of each queue pair, unless the configuration says another number: the fewest that QAT takes.
const DESCRIPTORS: u16 = 128;

/// The public-key devices of the process; they live as long as their queue pairs.
pub(crate) struct PublicKeyDevices {
    /// By worker.
    pairs: Vec<Vec<Pair>>,
    _devices: Vec<public_key::Device>,
}

impl PublicKeyDevices {
    /// Opens what the configuration names, and gives each queue pair the keys with which its device signs as the CPU
    /// does.
    ///
    /// # Errors
    /// There is no such device, or what the driver said.
    pub(crate) fn open(eal: &Eal, config: &Config, keys: &[PrivateKey]) -> miette::Result<Self> {
        let workers = config.workers.lcores.len();
        let device_config = DeviceConfig {
            queue_pairs: u16::try_from(workers).into_diagnostic()?,
            descriptors: config.tls.device_queue.unwrap_or(DESCRIPTORS),
            keys: u16::try_from(keys.len()).into_diagnostic()?,
        };
        let mut pairs: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        let mut devices = Vec::new();
        for name in config.tls.public_key.iter().map(crate::config::Device::name) {
            let known = Known::of(keys)?;
            let (device, own) = public_key::Device::open(eal, name, &device_config).into_diagnostic()?;
            for kind in Kind::ALL {
                if device.lies_about(kind) {
                    tracing::warn!(device = name, ?kind, "offered, but its answers are wrong: not used");
                }
            }
            if own.len() < workers {
                let queue_pairs = own.len();
                tracing::warn!(
                    device = name,
                    queue_pairs,
                    "fewer than workers: the others have the CPU alone"
                );
            }
            for (worker, (pairs, pair)) in pairs.iter_mut().zip(own).enumerate() {
                let pair = Pair::new(pair, keys, &known);
                if worker == 0 {
                    pair.announce(&device, keys);
                }
                pairs.push(pair);
            }
            devices.push(device);
        }
        Ok(Self { pairs, _devices: devices })
    }

    /// The queue pairs of `worker`; once.
    pub(crate) fn pairs_of(&mut self, worker: usize) -> Vec<Pair> {
        self.pairs.get_mut(worker).map(std::mem::take).unwrap_or_default()
    }
}

/// A queue pair, and where in it the keys are.
pub(crate) struct Pair {
    pair: QueuePair,
    /// By the engine's `KeyId`.
    keys: Vec<Option<public_key::KeyId>>,
}

impl Pair {
    fn new(mut pair: QueuePair, keys: &[PrivateKey], known: &[Option<Known>]) -> Self {
        let open = |(key, known): (&PrivateKey, &Option<Known>)| match (key.parts()?, known) {
            (Parts::EcdsaP256(scalar), _) => pair.open_ecdsa(&scalar),
            (Parts::Rsa(parts), Some(known)) => {
                let key = RsaKey {
                    modulus: &parts.modulus,
                    public_exponent: &parts.public_exponent,
                    private_exponent: &parts.private_exponent,
                    p: &parts.p,
                    q: &parts.q,
                    dp: &parts.dp,
                    dq: &parts.dq,
                    coefficient: &parts.coefficient,
                };
                pair.open_rsa(&key, &known.message, &known.signature)
            }
            (Parts::Rsa(_), None) => None,
        };
        let keys = keys.iter().zip(known).map(open).collect();
        Self { pair, keys }
    }

    /// Says what the device does.
    fn announce(&self, device: &public_key::Device, keys: &[PrivateKey]) {
        let (name, driver) = (device.name(), device.driver());
        for (key, opened) in keys.iter().map(PrivateKey::kind).zip(&self.keys) {
            let kind = match key {
                KeyKind::EcdsaP256 => Some(Kind::EcdsaP256),
                KeyKind::Rsa { .. } => Some(Kind::Rsa),
                KeyKind::EcdsaP384 | KeyKind::Ed25519 => None,
            };
            if opened.is_some() {
                tracing::info!(device = name, driver, ?key, "public-key device");
            } else if kind.is_some_and(|kind| device.does(kind)) {
                tracing::warn!(
                    device = name,
                    driver,
                    ?key,
                    "it does not sign right with this key: not used for it"
                );
            } else {
                tracing::info!(device = name, driver, ?key, "not offered");
            }
        }
        tracing::info!(device = name, driver, p256 = self.pair.multiplies(), "public-key device");
    }
}

impl Pair {
    /// Forgets what was submitted. False: the device does not finish it, and is of no use any more.
    pub(crate) fn reset(&mut self) -> bool {
        self.pair.reset()
    }
}

impl Device for Lent<Pair> {
    fn name(&self) -> &str {
        self.pair.device()
    }

    fn room(&self) -> usize {
        self.pair.room()
    }

    fn signs(&self, KeyId(key): KeyId) -> bool {
        self.keys.get(usize::from(key)).is_some_and(Option::is_some)
    }

    fn multiplies(&self) -> bool {
        self.pair.multiplies()
    }

    fn submit(&mut self, token: u64, raw: &Raw) -> bool {
        let key = |KeyId(key): &KeyId| self.keys.get(usize::from(*key)).copied().flatten();
        let operation = match raw {
            Raw::Rsa { key: id, message, len } => {
                key(id).zip(message.get(..*len)).map(|(key, message)| Operation::Rsa { key, message })
            }
            Raw::EcdsaP256 { key: id, digest, nonce } => {
                key(id).map(|key| Operation::EcdsaP256 { key, digest, nonce })
            }
            Raw::MultiplyP256 { scalar, point } => Some(Operation::MultiplyP256 { scalar, point }),
        };
        operation.is_some_and(|operation| self.pair.submit(token, &operation))
    }

    fn flush(&mut self) {
        self.pair.flush();
    }

    fn completed(&mut self, take: &mut dyn FnMut(u64, Option<&[u8]>)) -> bool {
        let Some(finished) = self.pair.completed() else { return false };
        take(finished.token, finished.answer.as_ref().map(public_key::Answer::bytes));
        true
    }
}

/// What a device must answer under an RSA key.
struct Known {
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Known {
    /// By the CPU, for each RSA key.
    fn of(keys: &[PrivateKey]) -> miette::Result<Vec<Option<Self>>> {
        let raw = RawKeys::new(keys);
        let mut cpu = AwsLc::new(keys, 1).into_diagnostic()?;
        let number = |index: usize| u16::try_from(index).map(KeyId).into_diagnostic();
        (0..keys.len()).map(|index| Self::under(number(index)?, &raw, &mut cpu)).collect()
    }

    fn under(key: KeyId, keys: &RawKeys, cpu: &mut AwsLc) -> miette::Result<Option<Self>> {
        let message = Message::new(&[b"known answer"]).ok_or_else(|| miette!("the message is too long"))?;
        let job = Job::Sign { key, scheme: SignatureScheme::RsaPkcs1Sha256, message };
        let Some((_, raw)) = Task::begin(&job, keys, &mut SystemRandom) else { return Ok(None) };
        let Raw::Rsa { message, len, .. } = &raw else { return Ok(None) };
        if cpu.submit(Token(0), job).is_ok() {
            cpu.run();
        }
        let Some((_, Done::Signed(signature))) = cpu.completed() else {
            return Err(miette!("the CPU does not sign with one of the keys"));
        };
        let message = message.get(..*len).unwrap_or_default().to_vec();
        Ok(Some(Self { message, signature: signature.bytes().to_vec() }))
    }
}

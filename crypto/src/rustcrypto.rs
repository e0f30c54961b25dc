//! The engine over the RustCrypto crates: `RustCrypto`, portable, and the oracle in tests.
//!
//! What they promise: `x25519-dalek`, `ed25519-dalek`, `p256`, `p384` and `ml-kem` are constant time by
//! construction (the last three are not audited), and nothing on these paths allocates. `rsa` is not constant time (RUSTSEC-2023-0071): its
//! private operations are blinded here, it checks each signature with the public exponent before it
//! leaves, and it allocates for each big number. Where RSA keys sign for strangers, take `awslc`.

use ml_kem::{Encapsulate, MlKem768};
use p256::ecdsa::signature::{RandomizedSigner, Signer as _};
use p256::ecdsa::{self, SigningKey};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use rand_core::CryptoRng;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x25519_dalek::StaticSecret;

use crate::job::ENCAPSULATION_KEY;
use crate::key::Material;
use crate::queue::Queue;
use crate::{
    Done, Engine, Failure, Group, Job, KeyId, Message, PrivateKey, PrivateShare, Secret, Share, Signature,
    SignatureScheme, Token,
};

/// The RustCrypto engine.
pub struct RustCrypto<R> {
    keys: Vec<Signer>,
    queue: Queue,
    rng: R,
}

enum Signer {
    /// On P-256.
    Ecdsa(SigningKey),
    EcdsaP384(p384::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<RsaPrivateKey>),
}

impl<R: CryptoRng> RustCrypto<R> {
    /// An engine that signs with `keys`, holds `capacity` jobs, and takes key pairs, nonces and blinding
    /// from `rng`.
    #[must_use]
    pub fn new(keys: &[PrivateKey], capacity: usize, rng: R) -> Self {
        Signature::reserve();
        let keys = keys.iter().map(|key| match &key.material {
            Material::Ecdsa(key) => Signer::Ecdsa(SigningKey::from(key)),
            Material::EcdsaP384(key) => Signer::EcdsaP384(p384::ecdsa::SigningKey::from(key)),
            Material::Ed25519(key) => Signer::Ed25519(key.clone()),
            Material::Rsa { key, .. } => Signer::Rsa(key.clone()),
        });
        Self { keys: keys.collect(), queue: Queue::new(capacity), rng }
    }
}

impl<R: CryptoRng> Engine for RustCrypto<R> {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        self.queue.submit(token, job)
    }

    fn run(&mut self) {
        let Self { keys, queue, rng } = self;
        queue.run(|job| work(keys, rng, job).unwrap_or_else(Done::Failed));
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        self.queue.completed()
    }

    fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }
}

fn work(keys: &[Signer], rng: &mut impl CryptoRng, job: &mut Job) -> Result<Done, Failure> {
    match job {
        Job::Exchange { group: Group::X25519MlKem768, peer } => exchange_hybrid(peer, rng),
        Job::Exchange { group, peer } => {
            let (private, share) = generate(*group, rng)?;
            Ok(Done::Exchanged { share, secret: agree(&private, peer)? })
        }
        Job::Generate { group } => {
            let (private, share) = generate(*group, rng)?;
            Ok(Done::Generated { private, share })
        }
        Job::Agree { private, peer } => Ok(Done::Agreed { secret: agree(private, peer)? }),
        Job::Sign { key: KeyId(index), scheme, message } => {
            let key = keys.get(usize::from(*index)).ok_or(Failure::UnsuitableKey)?;
            key.sign(*scheme, message, rng).map(Done::Signed)
        }
    }
}

fn generate(group: Group, rng: &mut impl CryptoRng) -> Result<(PrivateShare, Share), Failure> {
    let (private, share) = match group {
        Group::X25519 => {
            let key = StaticSecret::random_from_rng(rng);
            let share = Share::new(group, x25519_dalek::PublicKey::from(&key).as_bytes());
            (PrivateShare::new(group, key.to_bytes()), share)
        }
        Group::Secp256r1 => {
            let key = SecretKey::generate_from_rng(rng);
            let point = key.public_key().to_sec1_point(false);
            let scalar: [u8; 32] = key.to_bytes().into();
            (PrivateShare::new(group, scalar), Share::new(group, point.as_bytes()))
        }
        Group::Secp384r1 => {
            let key = p384::SecretKey::generate_from_rng(rng);
            let point = key.public_key().to_sec1_point(false);
            let scalar: [u8; 48] = key.to_bytes().into();
            (PrivateShare::new(group, scalar), Share::new(group, point.as_bytes()))
        }
        Group::X25519MlKem768 => return Err(Failure::UnsuitableGroup),
    };
    Ok((private, share.ok_or(Failure::Internal)?))
}

fn agree(private: &PrivateShare, peer: &Share) -> Result<Secret, Failure> {
    let bytes = private.bytes();
    let peer = peer.of(private.group()).ok_or(Failure::InvalidShare)?;
    match private.group() {
        Group::X25519 => {
            let peer: [u8; 32] = peer.try_into().map_err(|_| Failure::InvalidShare)?;
            let key = StaticSecret::from(<[u8; 32]>::try_from(bytes).map_err(|_| Failure::Internal)?);
            let secret = key.diffie_hellman(&peer.into());
            // RFC 8446 section 7.4.2: "check whether the computed Diffie-Hellman shared secret is the
            // all-zero value and abort if so".
            secret.was_contributory().then(|| Secret::new(secret.to_bytes())).ok_or(Failure::InvalidShare)
        }
        Group::Secp256r1 => {
            let peer = PublicKey::from_sec1_bytes(peer).map_err(|_| Failure::InvalidShare)?;
            let key = SecretKey::from_slice(bytes).map_err(|_| Failure::Internal)?;
            Secret::of::<32>(key.diffie_hellman(&peer).raw_secret_bytes()).ok_or(Failure::Internal)
        }
        Group::Secp384r1 => {
            let peer = p384::PublicKey::from_sec1_bytes(peer).map_err(|_| Failure::InvalidShare)?;
            let key = p384::SecretKey::from_slice(bytes).map_err(|_| Failure::Internal)?;
            Secret::of::<48>(key.diffie_hellman(&peer).raw_secret_bytes()).ok_or(Failure::Internal)
        }
        Group::X25519MlKem768 => Err(Failure::UnsuitableGroup),
    }
}

/// `ml-kem` makes the modulus check of encapsulation keys (FIPS 203 section 7.2).
fn exchange_hybrid(peer: &mut Share, rng: &mut impl CryptoRng) -> Result<Done, Failure> {
    let bytes = peer.of(Group::X25519MlKem768).ok_or(Failure::InvalidShare)?;
    let (key, point) = bytes.split_at(ENCAPSULATION_KEY);
    let point = Share::new(Group::X25519, point).ok_or(Failure::InvalidShare)?;
    let (private, public) = generate(Group::X25519, rng)?;
    let agreed = agree(&private, &point)?;
    let key = key.try_into().map_err(|_| Failure::InvalidShare)?;
    let key = ml_kem::EncapsulationKey::<MlKem768>::new(key).map_err(|_| Failure::InvalidShare)?;
    let (ciphertext, shared) = key.encapsulate_with_rng(rng);
    let secret = Secret::hybrid(&shared, agreed.bytes()).ok_or(Failure::Internal)?;
    let share = peer.answer(&[&ciphertext, public.bytes()]).ok_or(Failure::Internal)?;
    Ok(Done::Exchanged { share, secret })
}

impl Signer {
    fn sign(
        &self,
        scheme: SignatureScheme,
        message: &Message,
        rng: &mut impl CryptoRng,
    ) -> Result<Signature, Failure> {
        use SignatureScheme as S;
        let text = message.bytes();
        match (self, scheme) {
            (Self::Ecdsa(key), S::EcdsaSecp256r1Sha256) => {
                // RFC 6979 section 3.6: the nonce from key and hash, with randomness added.
                let signature: ecdsa::DerSignature = key.sign_with_rng(rng, text);
                Signature::new(signature.as_bytes()).ok_or(Failure::Internal)
            }
            (Self::EcdsaP384(key), S::EcdsaSecp384r1Sha384) => {
                let signature: p384::ecdsa::DerSignature = key.sign_with_rng(rng, text);
                Signature::new(signature.as_bytes()).ok_or(Failure::Internal)
            }
            (Self::Ed25519(key), S::Ed25519) => {
                Signature::new(&key.sign(text).to_bytes()).ok_or(Failure::Internal)
            }
            (Self::Rsa(key), S::RsaPssRsaeSha256) => {
                sign_rsa(key, Pss::new_blinded::<rsa::sha2::Sha256>(), &Sha256::digest(text), rng)
            }
            (Self::Rsa(key), S::RsaPssRsaeSha384) => {
                sign_rsa(key, Pss::new_blinded::<rsa::sha2::Sha384>(), &Sha384::digest(text), rng)
            }
            (Self::Rsa(key), S::RsaPssRsaeSha512) => {
                sign_rsa(key, Pss::new_blinded::<rsa::sha2::Sha512>(), &Sha512::digest(text), rng)
            }
            (Self::Rsa(key), S::RsaPkcs1Sha256) => {
                sign_rsa(key, Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(text), rng)
            }
            (Self::Rsa(key), S::RsaPkcs1Sha384) => {
                sign_rsa(key, Pkcs1v15Sign::new::<rsa::sha2::Sha384>(), &Sha384::digest(text), rng)
            }
            (Self::Rsa(key), S::RsaPkcs1Sha512) => {
                sign_rsa(key, Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), &Sha512::digest(text), rng)
            }
            _ => Err(Failure::UnsuitableKey),
        }
    }
}

/// Blinded by `rng`; the `rsa` crate raises the result to the public exponent and compares.
fn sign_rsa(
    key: &RsaPrivateKey,
    padding: impl rsa::traits::SignatureScheme,
    digest: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Signature, Failure> {
    let signature = key.sign_with_rng(&mut Bridge(rng), padding, digest);
    Signature::new(&signature.map_err(|_| Failure::Internal)?).ok_or(Failure::Internal)
}

/// A generator as the older `rand_core` that the `rsa` crate knows.
struct Bridge<'a, R>(&'a mut R);

impl<R: CryptoRng> rsa::rand_core::RngCore for Bridge<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, place: &mut [u8]) {
        self.0.fill_bytes(place);
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.0.fill_bytes(place);
        Ok(())
    }
}

impl<R: CryptoRng> rsa::rand_core::CryptoRng for Bridge<'_, R> {}

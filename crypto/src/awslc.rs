//! The engine over aws-lc: `AwsLc`, the fast scalar default.
//!
//! What aws-lc promises: X25519, P-256, P-384, Ed25519, ML-KEM and RSA private operations in constant time
//! (the NIST curves with fixed-window tables read whole, RSA with blinding and Montgomery arithmetic on fixed
//! widths), and RSA signatures checked with the public exponent before they leave, against faults in the CRT
//! halves. Its copies of secrets are wiped when freed.
//!
//! Allocations: keys and contexts come from aws-lc's own allocator. From Rust's, the binding takes two
//! buffers for an agreement (the parsed peer share, the secret), two for an encapsulation (the ciphertext, the
//! secret), one for the private half in [`Job::Generate`], and one or two for a signature.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::kem::{Ciphertext, EncapsulationKey, ML_KEM_768, SharedSecret};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use zeroize::Zeroizing;

use crate::job::ENCAPSULATION_KEY;
use crate::key::Material;
use crate::queue::Queue;
use crate::{
    Done, Engine, Failure, Group, Job, KeyError, KeyId, Message, PrivateKey, PrivateShare, Secret, Share,
    Signature, SignatureScheme, Token,
};

/// The aws-lc engine.
pub struct AwsLc {
    keys: Vec<Signer>,
    queue: Queue,
}

enum Signer {
    /// On P-256.
    Ecdsa(EcdsaKeyPair),
    EcdsaP384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl AwsLc {
    /// An engine that signs with `keys` and holds `capacity` jobs.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] for a key that aws-lc refuses.
    pub fn new(keys: &[PrivateKey], capacity: usize) -> Result<Self, KeyError> {
        Signature::reserve();
        let keys = keys.iter().map(Signer::new).collect::<Option<_>>().ok_or(KeyError::Inconsistent)?;
        Ok(Self { keys, queue: Queue::new(capacity) })
    }

    /// Does `job` at once; not an exchange of the hybrid.
    pub(crate) fn work(&self, job: &Job) -> Done {
        work(&self.keys, job).unwrap_or_else(Done::Failed)
    }
}

#[cfg(target_arch = "x86_64")]
impl AwsLc {
    /// The oldest job that waits.
    pub(crate) fn take_back(&mut self) -> Option<(Token, Job)> {
        self.queue.take_back()
    }
}

impl Engine for AwsLc {
    fn name(&self) -> &'static str {
        "awslc"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        self.queue.submit(token, job)
    }

    fn run(&mut self) {
        let keys = &self.keys;
        self.queue.run(|job| work_any(keys, job));
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        self.queue.completed()
    }

    fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }
}

fn work_any(keys: &[Signer], job: &mut Job) -> Done {
    let done = match job {
        Job::Exchange { group: Group::X25519MlKem768, peer } => exchange_hybrid(peer),
        job => work(keys, job),
    };
    done.unwrap_or_else(Done::Failed)
}

fn work(keys: &[Signer], job: &Job) -> Result<Done, Failure> {
    match job {
        Job::Exchange { group, peer } => {
            let (key, share) = generate(*group)?;
            let peer = peer.of(*group).ok_or(Failure::InvalidShare)?;
            Ok(Done::Exchanged { share, secret: agree(*group, &key, peer)? })
        }
        Job::Generate { group } => {
            let (key, share) = generate(*group)?;
            Ok(Done::Generated { private: private(*group, &key).ok_or(Failure::Internal)?, share })
        }
        Job::Agree { private, peer } => {
            let group = private.group();
            let key = agreement::PrivateKey::from_private_key(algorithm(group)?, private.bytes());
            let key = key.map_err(|_| Failure::Internal)?;
            let peer = peer.of(group).ok_or(Failure::InvalidShare)?;
            Ok(Done::Agreed { secret: agree(group, &key, peer)? })
        }
        Job::Sign { key: KeyId(index), scheme, message } => {
            let key = keys.get(usize::from(*index)).ok_or(Failure::UnsuitableKey)?;
            key.sign(*scheme, message).map(Done::Signed)
        }
    }
}

const fn algorithm(group: Group) -> Result<&'static agreement::Algorithm, Failure> {
    match group {
        Group::X25519 => Ok(&X25519),
        Group::Secp256r1 => Ok(&ECDH_P256),
        Group::Secp384r1 => Ok(&ECDH_P384),
        Group::X25519MlKem768 => Err(Failure::UnsuitableGroup),
    }
}

fn generate(group: Group) -> Result<(agreement::PrivateKey, Share), Failure> {
    let key = agreement::PrivateKey::generate(algorithm(group)?).map_err(|_| Failure::Internal)?;
    let public = key.compute_public_key().map_err(|_| Failure::Internal)?;
    let share = Share::new(group, public.as_ref()).ok_or(Failure::Internal)?;
    Ok((key, share))
}

fn private(group: Group, key: &agreement::PrivateKey) -> Option<PrivateShare> {
    if group == Group::X25519 {
        let seed: Curve25519SeedBin<'_> = key.as_be_bytes().ok()?;
        return Some(PrivateShare::new::<32>(group, seed.as_ref().try_into().ok()?));
    }
    let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes().ok()?;
    match group {
        Group::Secp256r1 => Some(PrivateShare::new::<32>(group, scalar.as_ref().try_into().ok()?)),
        _ => Some(PrivateShare::new::<48>(group, scalar.as_ref().try_into().ok()?)),
    }
}

/// aws-lc checks that a point is on the curve, and refuses the all-zero secret of X25519.
fn agree(group: Group, key: &agreement::PrivateKey, peer: &[u8]) -> Result<Secret, Failure> {
    let peer = UnparsedPublicKey::new(algorithm(group)?, peer);
    agreement::agree(key, peer, Failure::InvalidShare, |secret| match group {
        Group::Secp384r1 => Secret::of::<48>(secret).ok_or(Failure::Internal),
        _ => Secret::of::<32>(secret).ok_or(Failure::Internal),
    })
}

/// aws-lc makes the modulus check of encapsulation keys (FIPS 203 section 7.2).
pub(crate) fn encapsulate(key: &[u8]) -> Option<(Ciphertext<'static>, SharedSecret)> {
    EncapsulationKey::new(&ML_KEM_768, key).ok()?.encapsulate().ok()
}

fn exchange_hybrid(peer: &mut Share) -> Result<Done, Failure> {
    let bytes = peer.of(Group::X25519MlKem768).ok_or(Failure::InvalidShare)?;
    let (encapsulation_key, point) = bytes.split_at(ENCAPSULATION_KEY);
    let (key, share) = generate(Group::X25519)?;
    let agreed = agree(Group::X25519, &key, point)?;
    let (ciphertext, shared) = encapsulate(encapsulation_key).ok_or(Failure::InvalidShare)?;
    let secret = Secret::hybrid(shared.as_ref(), agreed.bytes()).ok_or(Failure::Internal)?;
    let share = peer.answer(&[ciphertext.as_ref(), share.bytes()]).ok_or(Failure::Internal)?;
    Ok(Done::Exchanged { share, secret })
}

impl Signer {
    fn new(key: &PrivateKey) -> Option<Self> {
        match &key.material {
            Material::Ecdsa(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                let point = key.public_key().to_sec1_bytes();
                ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &scalar, &point).map(Self::Ecdsa)
            }
            Material::EcdsaP384(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                let point = key.public_key().to_sec1_bytes();
                ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, &scalar, &point).map(Self::EcdsaP384)
            }
            Material::Ed25519(key) => {
                let public = key.verifying_key();
                let pair = Ed25519KeyPair::from_seed_and_public_key(key.as_bytes(), public.as_bytes());
                pair.ok().map(Self::Ed25519)
            }
            Material::Rsa { pkcs1, .. } => RsaKeyPair::from_der(pkcs1).ok().map(Self::Rsa),
        }
    }

    fn sign(&self, scheme: SignatureScheme, message: &Message) -> Result<Signature, Failure> {
        use SignatureScheme as S;
        let random = SystemRandom::new();
        match (self, scheme, rsa_encoding(scheme)) {
            (Self::Ecdsa(key), S::EcdsaSecp256r1Sha256, _)
            | (Self::EcdsaP384(key), S::EcdsaSecp384r1Sha384, _) => {
                let signature = key.sign(&random, message.bytes()).map_err(|_| Failure::Internal)?;
                Signature::new(signature.as_ref()).ok_or(Failure::Internal)
            }
            (Self::Ed25519(key), S::Ed25519, _) => {
                let signature = key.try_sign(message.bytes()).map_err(|_| Failure::Internal)?;
                Signature::new(signature.as_ref()).ok_or(Failure::Internal)
            }
            (Self::Rsa(key), _, Some(encoding)) => {
                let mut room = [0; 512];
                let place = room.get_mut(..key.public_modulus_len()).ok_or(Failure::Internal)?;
                key.sign(encoding, &random, message.bytes(), place).map_err(|_| Failure::Internal)?;
                Signature::new(place).ok_or(Failure::Internal)
            }
            _ => Err(Failure::UnsuitableKey),
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, scalar: &[u8], point: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point).ok()
}

/// The padding of an RSA scheme.
fn rsa_encoding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    use SignatureScheme as S;
    Some(match scheme {
        S::EcdsaSecp256r1Sha256 | S::EcdsaSecp384r1Sha384 | S::Ed25519 => return None,
        S::RsaPssRsaeSha256 => &RSA_PSS_SHA256,
        S::RsaPssRsaeSha384 => &RSA_PSS_SHA384,
        S::RsaPssRsaeSha512 => &RSA_PSS_SHA512,
        S::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
        S::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
        S::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
    })
}

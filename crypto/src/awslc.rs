//! The engine over aws-lc: `AwsLc`, the fast scalar default.
//!
//! What aws-lc promises: X25519, P-256 and RSA private operations in constant time (P-256 with
//! fixed-window tables read whole, RSA with blinding and Montgomery arithmetic on fixed widths), and RSA
//! signatures checked with the public exponent before they leave, against faults in the CRT halves. Its
//! copies of secrets are wiped when freed.
//!
//! Allocations: keys and contexts come from aws-lc's own allocator. From Rust's, the binding takes two
//! buffers for an agreement (the parsed peer share, the secret), one for the private half in
//! [`Job::Generate`], and one or two for a signature.

use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};

use zeroize::Zeroizing;

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
    Ecdsa(EcdsaKeyPair),
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

    /// Does `job` at once.
    pub(crate) fn work(&self, job: &Job) -> Done {
        work(&self.keys, job).unwrap_or_else(Done::Failed)
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
        self.queue.run(|job| work(keys, job).unwrap_or_else(Done::Failed));
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        self.queue.completed()
    }

    fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }
}

fn work(keys: &[Signer], job: &Job) -> Result<Done, Failure> {
    match job {
        Job::Exchange { group, peer } => {
            let (key, share) = generate(*group)?;
            Ok(Done::Exchanged { share, secret: agree(*group, &key, peer)? })
        }
        Job::Generate { group } => {
            let (key, share) = generate(*group)?;
            let scalar = match group {
                Group::X25519 => {
                    let bytes: Curve25519SeedBin<'_> = key.as_be_bytes().map_err(|_| Failure::Internal)?;
                    bytes.as_ref().try_into()
                }
                Group::Secp256r1 => {
                    let bytes: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(|_| Failure::Internal)?;
                    bytes.as_ref().try_into()
                }
            };
            let private = PrivateShare::new(*group, scalar.map_err(|_| Failure::Internal)?);
            Ok(Done::Generated { private, share })
        }
        Job::Agree { private, peer } => {
            let algorithm = algorithm(private.group());
            let key = agreement::PrivateKey::from_private_key(algorithm, private.bytes());
            let key = key.map_err(|_| Failure::Internal)?;
            Ok(Done::Agreed { secret: agree(private.group(), &key, peer)? })
        }
        Job::Sign { key: KeyId(index), scheme, message } => {
            let key = keys.get(usize::from(*index)).ok_or(Failure::UnsuitableKey)?;
            key.sign(*scheme, message).map(Done::Signed)
        }
    }
}

const fn algorithm(group: Group) -> &'static agreement::Algorithm {
    match group {
        Group::X25519 => &X25519,
        Group::Secp256r1 => &ECDH_P256,
    }
}

fn generate(group: Group) -> Result<(agreement::PrivateKey, Share), Failure> {
    let key = agreement::PrivateKey::generate(algorithm(group)).map_err(|_| Failure::Internal)?;
    let public = key.compute_public_key().map_err(|_| Failure::Internal)?;
    let share = Share::new(group, public.as_ref()).ok_or(Failure::Internal)?;
    Ok((key, share))
}

/// aws-lc checks that a point is on the curve, and refuses the all-zero secret of X25519.
fn agree(group: Group, key: &agreement::PrivateKey, peer: &Share) -> Result<Secret, Failure> {
    let peer = peer.of(group).ok_or(Failure::InvalidShare)?;
    let peer = UnparsedPublicKey::new(algorithm(group), peer);
    agreement::agree(key, peer, Failure::InvalidShare, |secret| {
        secret.try_into().map(Secret::new).map_err(|_| Failure::Internal)
    })
}

impl Signer {
    fn new(key: &PrivateKey) -> Option<Self> {
        match &key.material {
            Material::Ecdsa(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                let point = key.public_key().to_sec1_bytes();
                let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, &point)
                    .ok()
                    .map(Self::Ecdsa)
            }
            Material::Rsa { pkcs1, .. } => RsaKeyPair::from_der(pkcs1).ok().map(Self::Rsa),
        }
    }

    fn sign(&self, scheme: SignatureScheme, message: &Message) -> Result<Signature, Failure> {
        let random = SystemRandom::new();
        match (self, rsa_encoding(scheme)) {
            (Self::Ecdsa(key), None) => {
                let signature = key.sign(&random, message.bytes()).map_err(|_| Failure::Internal)?;
                Signature::new(signature.as_ref()).ok_or(Failure::Internal)
            }
            (Self::Rsa(key), Some(encoding)) => {
                let mut room = [0; 512];
                let place = room.get_mut(..key.public_modulus_len()).ok_or(Failure::Internal)?;
                key.sign(encoding, &random, message.bytes(), place).map_err(|_| Failure::Internal)?;
                Signature::new(place).ok_or(Failure::Internal)
            }
            _ => Err(Failure::UnsuitableKey),
        }
    }
}

/// The padding of an RSA scheme; `None` for ECDSA.
fn rsa_encoding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    Some(match scheme {
        SignatureScheme::EcdsaSecp256r1Sha256 => return None,
        SignatureScheme::RsaPssRsaeSha256 => &RSA_PSS_SHA256,
        SignatureScheme::RsaPssRsaeSha384 => &RSA_PSS_SHA384,
        SignatureScheme::RsaPssRsaeSha512 => &RSA_PSS_SHA512,
        SignatureScheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
    })
}

//! Jobs by a device that computes and does no more: what it is given, and what becomes of its answers.
//!
//! A device raises to a power and multiplies points; padding, hashing, nonces and scalars are made here. A
//! [`Task`] is the part of a job that is on its way: [`Task::begin`] says what to compute, [`Task::take`] what
//! the answer makes of the job. Answers are not believed: an RSA signature is verified whole, so that no
//! fault betrays a prime (Boneh, DeMillo and Lipton, 1997); of an ECDSA signature s is, which alone depends
//! on the key; a point is looked for on the curve, before it is multiplied (Biehl, Meyer and Müller, 2000)
//! and after.
//!
//! Nothing here allocates in Rust after [`RawKeys::new`].

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::ops::Reduce;
use p256::{NonZeroScalar, PublicKey, Scalar};
use rand_core::CryptoRng;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::batch::emsa;
use crate::key::Material;
use crate::{
    Done, Group, Hash, Job, KeyId, Message, PrivateKey, PrivateShare, Secret, Share, Signature,
    SignatureScheme,
};

/// Bytes of the longest modulus.
const MAX_LEN: usize = 512;

/// What a device computes; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation a job")]
pub enum Raw {
    /// A message, encoded and as long as the modulus, to the private exponent of an RSA key.
    Rsa {
        /// The key.
        #[zeroize(skip)]
        key: KeyId,
        /// The message, in the first bytes.
        message: [u8; MAX_LEN],
        /// How many.
        len: usize,
    },
    /// r and s of an ECDSA signature on P-256.
    EcdsaP256 {
        /// The key.
        #[zeroize(skip)]
        key: KeyId,
        /// What is signed.
        digest: [u8; 32],
        /// The secret k.
        nonce: [u8; 32],
    },
    /// Both coordinates of a point of P-256 times a scalar.
    MultiplyP256 {
        /// The scalar.
        scalar: [u8; 32],
        /// Both coordinates of the point.
        point: [u8; 64],
    },
}

/// What [`Task::take`] makes of an answer.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation a job")]
pub enum Taken {
    /// The job is done.
    Done(Done),
    /// It takes this too.
    Next(Raw),
    /// The answer is wrong; somebody else must do the job.
    Wrong,
}

/// A job on its way through a device; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Task(Step);

#[derive(Zeroize, ZeroizeOnDrop)]
enum Step {
    Rsa,
    Ecdsa {
        digest: [u8; 32],
        nonce: [u8; 32],
    },
    Generate {
        scalar: [u8; 32],
    },
    Agree,
    /// The first of two: then the peer's point.
    Exchange {
        scalar: [u8; 32],
    },
    /// The second of two: our share is there.
    Exchanged {
        ours: [u8; 64],
    },
}

impl Task {
    /// What `job` has a device compute, with keys of [`RawKeys`] and fresh randomness. `None` when that is
    /// nothing: a group or a key that is not for devices, or a peer's share that is not on the curve.
    pub fn begin(job: &Job, keys: &RawKeys, random: &mut impl CryptoRng) -> Option<(Self, Raw)> {
        let (step, raw) = match job {
            Job::Sign { key, scheme, message } => match keys.key(*key)? {
                Key::Rsa(key_of_rsa) => (Step::Rsa, key_of_rsa.encode(*key, *scheme, message, random)?),
                Key::EcdsaP256(scalar) if *scheme == SignatureScheme::EcdsaSecp256r1Sha256 => {
                    let mut digest = [0; 32];
                    digest.copy_from_slice(Hash::Sha256.digest(&[message.bytes()]).as_ref());
                    let nonce = hedged(scalar, &digest, random);
                    (Step::Ecdsa { digest, nonce }, Raw::EcdsaP256 { key: *key, digest, nonce })
                }
                Key::EcdsaP256(_) => return None,
            },
            Job::Generate { group: Group::Secp256r1 } => {
                let scalar = scalar(random);
                (Step::Generate { scalar }, Raw::MultiplyP256 { scalar, point: GENERATOR })
            }
            Job::Exchange { group: Group::Secp256r1, peer } => {
                point(peer)?;
                let scalar = scalar(random);
                (Step::Exchange { scalar }, Raw::MultiplyP256 { scalar, point: GENERATOR })
            }
            Job::Agree { private, peer } if private.group() == Group::Secp256r1 => {
                let point = point(peer)?;
                let scalar = private.bytes().try_into().ok()?;
                (Step::Agree, Raw::MultiplyP256 { scalar, point })
            }
            _ => return None,
        };
        Some((Self(step), raw))
    }

    /// What a device's answer to [`Task::begin`] makes of `job`: the numbers asked for, each with its zeros in
    /// front.
    pub fn take(&mut self, job: &Job, keys: &RawKeys, answer: &[u8]) -> Taken {
        self.try_take(job, keys, answer).unwrap_or(Taken::Wrong)
    }

    fn try_take(&mut self, job: &Job, keys: &RawKeys, answer: &[u8]) -> Option<Taken> {
        let done = match (&self.0, job) {
            (Step::Rsa, Job::Sign { key, scheme, message }) => {
                let Key::Rsa(key) = keys.key(*key)? else { return None };
                key.verify(*scheme, message, answer)?;
                Done::Signed(Signature::new(answer)?)
            }
            (Step::Ecdsa { digest, nonce }, Job::Sign { key, .. }) => {
                let Key::EcdsaP256(private) = keys.key(*key)? else { return None };
                Done::Signed(ecdsa(private, digest, nonce, answer)?)
            }
            (Step::Generate { scalar }, _) => Done::Generated {
                private: PrivateShare::new(Group::Secp256r1, *scalar),
                share: share(&product(answer)?)?,
            },
            (Step::Agree, _) => Done::Agreed { secret: secret(&product(answer)?)? },
            (Step::Exchange { scalar }, Job::Exchange { peer, .. }) => {
                let raw = Raw::MultiplyP256 { scalar: *scalar, point: point(peer)? };
                self.0 = Step::Exchanged { ours: product(answer)? };
                return Some(Taken::Next(raw));
            }
            (Step::Exchanged { ours }, _) => {
                Done::Exchanged { share: share(ours)?, secret: secret(&product(answer)?)? }
            }
            _ => return None,
        };
        Some(Taken::Done(done))
    }
}

/// What the CPU keeps of private keys for which a device computes.
pub struct RawKeys(Vec<Option<Key>>);

enum Key {
    Rsa(Box<RsaVerifier>),
    EcdsaP256(Zeroizing<[u8; 32]>),
}

impl RawKeys {
    /// Of `keys`, by their [`KeyId`].
    #[must_use]
    pub fn new(keys: &[PrivateKey]) -> Self {
        let keep = |key: &PrivateKey| match &key.material {
            Material::Ecdsa(key) => Some(Key::EcdsaP256(Zeroizing::new(key.to_bytes().into()))),
            Material::Rsa { key, .. } => RsaVerifier::new(key).map(|key| Key::Rsa(Box::new(key))),
            Material::EcdsaP384(_) | Material::Ed25519(_) => None,
        };
        Self(keys.iter().map(keep).collect())
    }

    fn key(&self, KeyId(key): KeyId) -> Option<&Key> {
        self.0.get(usize::from(key))?.as_ref()
    }
}

/// The public half of an RSA key, for each scheme.
struct RsaVerifier {
    len: usize,
    schemes: [(SignatureScheme, ParsedPublicKey); 6],
}

impl RsaVerifier {
    fn new(key: &RsaPrivateKey) -> Option<Self> {
        use SignatureScheme as S;
        use rsa::pkcs1::EncodeRsaPublicKey as _;
        let public = key.to_public_key().to_pkcs1_der().ok()?;
        let of = |scheme, parameters: &'static RsaParameters| {
            Some((scheme, ParsedPublicKey::new(parameters, public.as_bytes()).ok()?))
        };
        let schemes = [
            of(S::RsaPssRsaeSha256, &RSA_PSS_2048_8192_SHA256)?,
            of(S::RsaPssRsaeSha384, &RSA_PSS_2048_8192_SHA384)?,
            of(S::RsaPssRsaeSha512, &RSA_PSS_2048_8192_SHA512)?,
            of(S::RsaPkcs1Sha256, &RSA_PKCS1_2048_8192_SHA256)?,
            of(S::RsaPkcs1Sha384, &RSA_PKCS1_2048_8192_SHA384)?,
            of(S::RsaPkcs1Sha512, &RSA_PKCS1_2048_8192_SHA512)?,
        ];
        Some(Self { len: key.size(), schemes })
    }

    fn encode(
        &self,
        key: KeyId,
        scheme: SignatureScheme,
        text: &Message,
        random: &mut impl CryptoRng,
    ) -> Option<Raw> {
        let mut salt = [0; emsa::MAX_SALT_LEN];
        let salt = &mut salt[..emsa::salt_len(scheme)];
        random.fill_bytes(salt);
        let mut message = [0; MAX_LEN];
        emsa::encode(scheme, text.bytes(), salt, message.get_mut(..self.len)?)?;
        Some(Raw::Rsa { key, message, len: self.len })
    }

    fn verify(&self, scheme: SignatureScheme, message: &Message, signature: &[u8]) -> Option<()> {
        let (_, key) = self.schemes.iter().find(|(its, _)| *its == scheme)?;
        key.verify_sig(message.bytes(), signature).ok()
    }
}

/// A private key in the numbers that a device takes, big-endian.
pub enum Parts {
    /// As RFC 8017 section 3.2 has them.
    Rsa(Box<RsaParts>),
    /// A scalar.
    EcdsaP256(Zeroizing<[u8; 32]>),
}

/// The numbers of an RSA key; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RsaParts {
    /// n.
    pub modulus: Vec<u8>,
    /// e.
    pub public_exponent: Vec<u8>,
    /// d.
    pub private_exponent: Vec<u8>,
    /// p, half as long as n; so are those that follow.
    pub p: Vec<u8>,
    /// q.
    pub q: Vec<u8>,
    /// d mod (p - 1).
    pub dp: Vec<u8>,
    /// d mod (q - 1).
    pub dq: Vec<u8>,
    /// 1/q mod p.
    pub coefficient: Vec<u8>,
}

impl PrivateKey {
    /// The numbers of the key. `None` where devices have no such kind, and for an RSA key of another shape: a modulus not of an even number of
    /// whole bytes, or primes other than two of half of them.
    #[must_use]
    pub fn parts(&self) -> Option<Parts> {
        match &self.material {
            Material::Ecdsa(key) => Some(Parts::EcdsaP256(Zeroizing::new(key.to_bytes().into()))),
            Material::Rsa { key, .. } => rsa_parts(key).map(|parts| Parts::Rsa(Box::new(parts))),
            Material::EcdsaP384(_) | Material::Ed25519(_) => None,
        }
    }
}

fn rsa_parts(key: &RsaPrivateKey) -> Option<RsaParts> {
    let [p, q] = key.primes() else { return None };
    let len = key.size();
    if !key.n().bits().is_multiple_of(16) || p.bits() != q.bits() || p == q {
        return None;
    }
    let wide = |number: &BigUint, len: usize| {
        let bytes = Zeroizing::new(number.to_bytes_be());
        let mut place = vec![0; len];
        place.get_mut(len.checked_sub(bytes.len())?..)?.copy_from_slice(&bytes);
        Some(place)
    };
    let residue = |prime: &BigUint| Zeroizing::new(key.d() % (prime - 1_u32));
    let coefficient = Zeroizing::new(q.modpow(&Zeroizing::new(p - 2_u32), p));
    Some(RsaParts {
        modulus: wide(key.n(), len)?,
        public_exponent: key.e().to_bytes_be(),
        private_exponent: wide(key.d(), len)?,
        p: wide(p, len / 2)?,
        q: wide(q, len / 2)?,
        dp: wide(&residue(p), len / 2)?,
        dq: wide(&residue(q), len / 2)?,
        coefficient: wide(&coefficient, len / 2)?,
    })
}

/// The generator of P-256 (SEC 2 section 2.4.2).
const GENERATOR: [u8; 64] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3,
    0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// A scalar that is not zero.
fn scalar(random: &mut impl CryptoRng) -> [u8; 32] {
    let mut scalar = [0; 32];
    loop {
        random.fill_bytes(&mut scalar);
        if is_scalar(&scalar) {
            return scalar;
        }
    }
}

/// A nonce from the key, the digest and fresh randomness at once, in the spirit of RFC 6979 section 3.6: it is
/// as secret as the best of them.
fn hedged(key: &[u8; 32], digest: &[u8; 32], random: &mut impl CryptoRng) -> [u8; 32] {
    let mut noise = Zeroizing::new([0; 32]);
    let mut nonce = [0; 32];
    loop {
        random.fill_bytes(&mut *noise);
        nonce.copy_from_slice(Hash::Sha256.digest(&[key, &*noise, digest]).as_ref());
        if is_scalar(&nonce) {
            return nonce;
        }
    }
}

fn is_scalar(bytes: &[u8; 32]) -> bool {
    NonZeroScalar::try_from(&bytes[..]).is_ok()
}

/// The coordinates of a share that is on the curve.
fn point(share: &Share) -> Option<[u8; 64]> {
    let bytes = share.of(Group::Secp256r1)?;
    PublicKey::from_sec1_bytes(bytes).ok()?;
    bytes.get(1..)?.try_into().ok()
}

/// The coordinates of a product, if it is on the curve.
fn product(answer: &[u8]) -> Option<[u8; 64]> {
    let point: [u8; 64] = answer.try_into().ok()?;
    PublicKey::from_sec1_bytes(&*uncompressed(&point)).ok().map(|_| point)
}

fn share(point: &[u8; 64]) -> Option<Share> {
    Share::new(Group::Secp256r1, &*uncompressed(point))
}

/// RFC 8446 section 7.4.2: the X coordinate.
fn secret(point: &[u8; 64]) -> Option<Secret> {
    Some(Secret::new(*point.first_chunk::<32>()?))
}

fn uncompressed(point: &[u8; 64]) -> Zeroizing<[u8; 65]> {
    let mut bytes = Zeroizing::new([4; 65]);
    bytes[1..].copy_from_slice(point);
    bytes
}

/// The signature of r and s if `s k = digest + r d`: then s betrays no more of d than it should.
fn ecdsa(private: &[u8; 32], digest: &[u8; 32], nonce: &[u8; 32], answer: &[u8]) -> Option<Signature> {
    let (r, s) = answer.split_at_checked(32)?;
    let number = |bytes: &[u8]| {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        Option::<Scalar>::from(Scalar::from_repr(bytes.into()))
    };
    let [mut key, mut nonce] = [number(private)?, number(nonce)?];
    let expected = <Scalar as Reduce<_>>::reduce(&p256::FieldBytes::from(*digest)) + number(r)? * key;
    let holds = (number(s)? * nonce).ct_eq(&expected);
    key.zeroize();
    nonce.zeroize();
    if !bool::from(holds) {
        return None;
    }
    let r_and_s: [u8; 64] = answer.try_into().ok()?;
    let signature = p256::ecdsa::Signature::from_bytes(&r_and_s.into()).ok()?;
    Signature::new(signature.to_der().as_bytes())
}

#[cfg(test)]
mod tests;

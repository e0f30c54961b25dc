//! Private keys of certificates: `PrivateKey`, read from PEM or DER, checked, wiped when dropped.
//!
//! PKCS#8 (RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017); ECDSA on P-256 and P-384, Ed25519 (RFC 8410), and
//! RSA of 2048 to 4096 bits. Read once at start: this file allocates, and is no part of any path a peer reaches.

use std::fmt;

use aws_lc_rs::rsa::KeyPair as AwsRsa;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use p256::SecretKey;
use p256::pkcs8::der::asn1::{ContextSpecific, OctetStringRef};
use p256::pkcs8::der::{Decode, Reader, SliceReader, TagNumber};
use p256::pkcs8::{EncodePublicKey, ObjectIdentifier, PrivateKeyInfoRef};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts;
use rustls_pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

use crate::SignatureScheme;

/// Bits of the shortest RSA key that is taken.
pub const MIN_RSA_BITS: u16 = 2048;

/// Bits of the longest RSA key that is taken; a [`Signature`](crate::Signature) has room for no more.
pub const MAX_RSA_BITS: u16 = 4096;

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// `secp256r1` (RFC 5480 section 2.1.1.1).
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// `secp384r1` (RFC 5480 section 2.1.1.1).
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// `id-Ed25519` (RFC 8410 section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// `rsaEncryption` (RFC 3279 section 2.3.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key of a certificate.
pub struct PrivateKey {
    pub(crate) material: Material,
    /// SubjectPublicKeyInfo, DER.
    public: Vec<u8>,
}

/// What the engines expand into their own form; all of it wipes itself.
pub(crate) enum Material {
    /// On P-256.
    Ecdsa(SecretKey),
    EcdsaP384(p384::SecretKey),
    Ed25519(Box<SigningKey>),
    Rsa {
        key: Box<RsaPrivateKey>,
        pkcs1: Zeroizing<Vec<u8>>,
    },
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: u16,
    },
}

impl KeyKind {
    /// Whether a key of this kind can sign with `scheme`.
    #[must_use]
    pub const fn signs(self, scheme: SignatureScheme) -> bool {
        match scheme {
            SignatureScheme::EcdsaSecp256r1Sha256 => matches!(self, Self::EcdsaP256),
            SignatureScheme::EcdsaSecp384r1Sha384 => matches!(self, Self::EcdsaP384),
            SignatureScheme::Ed25519 => matches!(self, Self::Ed25519),
            _ => matches!(self, Self::Rsa { .. }),
        }
    }
}

/// Why a private key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM section holds a private key.
    #[error(
        "no private key found: a PEM section `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY` is needed"
    )]
    Missing,
    /// More than one PEM section holds a private key.
    #[error("several private keys found: one is needed")]
    Several,
    /// The key is encrypted.
    #[error("the private key is encrypted: decrypt it first, for example with `openssl pkey`")]
    Encrypted,
    /// The text is not PEM, or what it holds is not the DER of a private key.
    #[error("the private key cannot be read: it is neither PKCS#8, SEC1 nor PKCS#1")]
    Malformed,
    /// Neither RSA, ECDSA nor Ed25519.
    #[error("a private key of this algorithm is not supported: RSA, ECDSA or Ed25519 is needed")]
    UnsupportedAlgorithm,
    /// An elliptic curve other than P-256 and P-384.
    #[error(
        "a private key on this curve is not supported: P-256 (prime256v1) or P-384 (secp384r1) is needed"
    )]
    UnsupportedCurve,
    /// RSA, too short.
    #[error("an RSA key of {0} bits is too short: 2048 to 4096 are needed")]
    TooShort(u16),
    /// RSA, too long.
    #[error("an RSA key of {0} bits is too long: 2048 to 4096 are needed")]
    TooLong(u16),
    /// The numbers of the key do not fit each other.
    #[error("the private key is damaged: its parts do not fit each other")]
    Inconsistent,
}

impl PrivateKey {
    /// The one private key in PEM `text`; certificates and EC parameters beside it are passed over.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let mut found = None;
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let Ok((kind, der)) = section else {
                return Err(if is_encrypted(text) { KeyError::Encrypted } else { KeyError::Malformed });
            };
            let der = Zeroizing::new(der);
            let read: fn(&[u8]) -> Result<Self, KeyError> = match kind {
                SectionKind::PrivateKey => Self::from_pkcs8,
                SectionKind::EcPrivateKey => |der: &[u8]| Self::from_sec1(der, None),
                SectionKind::RsaPrivateKey => Self::from_pkcs1,
                _ => continue,
            };
            if found.replace(read(&der)?).is_some() {
                return Err(KeyError::Several);
            }
        }
        found.ok_or(if is_encrypted(text) { KeyError::Encrypted } else { KeyError::Missing })
    }

    /// The private key in `der`: PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// Any [`KeyError`] that is not about PEM sections; an encrypted key is [`KeyError::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let readers = [Self::from_pkcs8, |der: &[u8]| Self::from_sec1(der, None), Self::from_pkcs1];
        let mut outcomes = readers.iter().map(|read| read(der));
        let recognised = outcomes.find(|outcome| !matches!(outcome, Err(KeyError::Malformed)));
        recognised.unwrap_or(Err(KeyError::Malformed))
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match &self.material {
            Material::Ecdsa(_) => KeyKind::EcdsaP256,
            Material::EcdsaP384(_) => KeyKind::EcdsaP384,
            Material::Ed25519(_) => KeyKind::Ed25519,
            Material::Rsa { key, .. } => {
                KeyKind::Rsa { bits: u16::try_from(key.n().bits()).unwrap_or(u16::MAX) }
            }
        }
    }

    /// The public half as DER of SubjectPublicKeyInfo (RFC 5280 section 4.1), as it stands in a
    /// certificate of this key.
    #[must_use]
    pub fn public_key_der(&self) -> &[u8] {
        &self.public
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        let inner = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA_ENCRYPTION => Self::from_pkcs1(inner),
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
                Self::from_sec1(inner, Some(curve))
            }
            ED25519 => {
                let key = SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Inconsistent)?;
                let public = key.verifying_key().to_public_key_der().map_err(|_| KeyError::Inconsistent)?;
                Ok(Self { material: Material::Ed25519(Box::new(key)), public: public.into_vec() })
            }
            _ => Err(KeyError::UnsupportedAlgorithm),
        }
    }

    /// `outer` is the curve that PKCS#8 names.
    fn from_sec1(der: &[u8], outer: Option<ObjectIdentifier>) -> Result<Self, KeyError> {
        let inner = sec1_curve(der).map_err(|_| KeyError::Malformed)?;
        if outer.is_some() && inner.is_some() && outer != inner {
            return Err(KeyError::Inconsistent);
        }
        let (material, public) = match outer.or(inner) {
            // Keys without a name have been P-256 at all times.
            None | Some(SECP256R1) => {
                let key = SecretKey::from_sec1_der(der).map_err(|_| KeyError::Inconsistent)?;
                let public = key.public_key().to_public_key_der();
                (Material::Ecdsa(key), public)
            }
            Some(SECP384R1) => {
                let key = p384::SecretKey::from_sec1_der(der).map_err(|_| KeyError::Inconsistent)?;
                let public = key.public_key().to_public_key_der();
                (Material::EcdsaP384(key), public)
            }
            Some(_) => return Err(KeyError::UnsupportedCurve),
        };
        Ok(Self { material, public: public.map_err(|_| KeyError::Inconsistent)?.into_vec() })
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let parts = rsa::pkcs1::RsaPrivateKey::try_from(der).map_err(|_| KeyError::Malformed)?;
        let modulus = parts.modulus.as_bytes();
        let zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        match u16::try_from(modulus.len() * 8 - zeros).unwrap_or(u16::MAX) {
            bits if bits < MIN_RSA_BITS => return Err(KeyError::TooShort(bits)),
            bits if bits > MAX_RSA_BITS => return Err(KeyError::TooLong(bits)),
            _ => {}
        }
        let key = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Inconsistent)?;
        // The CRT values are not checked above: that crate computes its own.
        AwsRsa::from_der(der).map_err(|_| KeyError::Inconsistent)?;
        let public = key.to_public_key().to_public_key_der().map_err(|_| KeyError::Inconsistent)?;
        let material = Material::Rsa { key: Box::new(key), pkcs1: Zeroizing::new(der.to_vec()) };
        Ok(Self { material, public: public.into_vec() })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// Whether there is a section of RFC 5958 section 3, or one with the headers of RFC 1421 section 4.6.1.1.
fn is_encrypted(text: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark))
}

/// The curve that an ECPrivateKey (RFC 5915 section 3) names itself, if it does.
fn sec1_curve(der: &[u8]) -> p256::pkcs8::der::Result<Option<ObjectIdentifier>> {
    SliceReader::new(der)?.sequence(|fields| {
        u8::decode(fields)?;
        <&OctetStringRef>::decode(fields)?;
        let curve = ContextSpecific::<ObjectIdentifier>::decode_explicit(fields, TagNumber(0))?;
        let rest = fields.remaining_len();
        fields.read_slice(rest)?;
        Ok(curve.map(|curve| curve.value))
    })
}

#[cfg(test)]
mod tests;

//! Private keys of certificates: `PrivateKey`, read from PEM or DER, checked, wiped when dropped.
//!
//! PKCS#8 (RFC 5208), SEC1 (RFC 5915) and PKCS#1 (RFC 8017); ECDSA on P-256 and RSA of 2048 to 4096
//! bits. Read once at start: this file allocates, and is no part of any path a peer reaches.

use std::fmt;

use aws_lc_rs::rsa::KeyPair as AwsRsa;
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

/// `rsaEncryption` (RFC 3279 section 2.3.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key of a certificate.
pub struct PrivateKey {
    pub(crate) material: Material,
    /// SubjectPublicKeyInfo, DER.
    public: Vec<u8>,
}

/// What the engines expand into their own form; both halves wipe themselves.
pub(crate) enum Material {
    Ecdsa(SecretKey),
    Rsa { key: Box<RsaPrivateKey>, pkcs1: Zeroizing<Vec<u8>> },
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
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
        matches!(self, Self::EcdsaP256) == matches!(scheme, SignatureScheme::EcdsaSecp256r1Sha256)
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
    /// Neither RSA nor ECDSA.
    #[error("a private key of this algorithm is not supported: RSA or ECDSA P-256 is needed")]
    UnsupportedAlgorithm,
    /// An elliptic curve other than P-256.
    #[error("a private key on this curve is not supported: P-256 (prime256v1) is needed")]
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
            let read = match kind {
                SectionKind::PrivateKey => Self::from_pkcs8,
                SectionKind::EcPrivateKey => Self::from_sec1,
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
        let readers = [Self::from_pkcs8, Self::from_sec1, Self::from_pkcs1];
        let mut outcomes = readers.iter().map(|read| read(der));
        let recognised = outcomes.find(|outcome| !matches!(outcome, Err(KeyError::Malformed)));
        recognised.unwrap_or(Err(KeyError::Malformed))
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match &self.material {
            Material::Ecdsa(_) => KeyKind::EcdsaP256,
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
            EC_PUBLIC_KEY => match info.algorithm.parameters_oid() {
                Ok(SECP256R1) => Self::from_sec1(inner),
                Ok(_) => Err(KeyError::UnsupportedCurve),
                Err(_) => Err(KeyError::Malformed),
            },
            _ => Err(KeyError::UnsupportedAlgorithm),
        }
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let curve = sec1_curve(der).map_err(|_| KeyError::Malformed)?;
        if curve.is_some_and(|curve| curve != SECP256R1) {
            return Err(KeyError::UnsupportedCurve);
        }
        let key = SecretKey::from_sec1_der(der).map_err(|_| KeyError::Inconsistent)?;
        let public = key.public_key().to_public_key_der().map_err(|_| KeyError::Inconsistent)?;
        Ok(Self { material: Material::Ecdsa(key), public: public.into_vec() })
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

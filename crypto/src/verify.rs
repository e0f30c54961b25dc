//! Signatures of others: `verify`, by AWS-LC. What signs is an engine.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::job::SignatureScheme;

/// Whether `signature` is one of `message` under `key`: the content of a certificate's subjectPublicKey, an
/// uncompressed point, the 32 bytes of Ed25519, or the DER of an RSAPublicKey (RFC 5480 section 2.2, RFC 8410
/// section 4, RFC 3279 section 2.3.1). A key of another kind verifies nothing. It may allocate.
#[must_use]
pub fn verify(scheme: SignatureScheme, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match scheme {
        SignatureScheme::EcdsaSecp256r1Sha256 => &ECDSA_P256_SHA256_ASN1,
        SignatureScheme::EcdsaSecp384r1Sha384 => &ECDSA_P384_SHA384_ASN1,
        SignatureScheme::Ed25519 => &ED25519,
        SignatureScheme::RsaPssRsaeSha256 => &RSA_PSS_2048_8192_SHA256,
        SignatureScheme::RsaPssRsaeSha384 => &RSA_PSS_2048_8192_SHA384,
        SignatureScheme::RsaPssRsaeSha512 => &RSA_PSS_2048_8192_SHA512,
        SignatureScheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
    };
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

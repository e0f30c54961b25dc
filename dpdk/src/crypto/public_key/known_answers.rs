//! Fixed answers for what needs no key of ours. RSA keys bring their own.

use hex_literal::hex;

use crate::crypto::public_key::{Kind, Operation, QueuePair};

/// Tries what `support` says the device of `pair` does, and takes out of it what it gets wrong.
pub(super) fn try_out(pair: &mut QueuePair, support: &mut [bool; 3]) {
    let ecdsa = &mut support[Kind::EcdsaP256 as usize];
    *ecdsa = *ecdsa && signs(pair).is_some();
    pair.does_ecdsa = *ecdsa;
    let multiplies = &mut support[Kind::MultiplyP256 as usize];
    *multiplies = *multiplies && multiplies_right(pair).is_some();
}

/// RFC 6979 section A.2.5, with SHA-256 of "sample".
const SCALAR: [u8; 32] = hex!("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
const DIGEST: [u8; 32] = hex!("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
const NONCE: [u8; 32] = hex!("a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60");
const SIGNATURE: [u8; 64] = hex!(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
);

/// RFC 5903 section 8.1: i, g^r and g^ir.
const FACTOR: [u8; 32] = hex!("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
const POINT: [u8; 64] = hex!(
    "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
    "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"
);
const PRODUCT: [u8; 64] = hex!(
    "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"
    "522bde0af0d8585b8def9c183b5ae38f50235206a8674ecb5d98edb20eb153a2"
);

fn signs(pair: &mut QueuePair) -> Option<()> {
    let key = pair.keys()?.add_ecdsa(&SCALAR)?;
    let answer = pair.once(&Operation::EcdsaP256 { key, digest: &DIGEST, nonce: &NONCE });
    if pair.in_flight() == 0 {
        pair.keys()?.remove_last();
    }
    (answer?.bytes() == SIGNATURE).then_some(())
}

fn multiplies_right(pair: &mut QueuePair) -> Option<()> {
    pair.multiplication = Some(pair.keys()?.add_multiplication()?);
    let answer = pair.once(&Operation::MultiplyP256 { scalar: &FACTOR, point: &POINT });
    if answer.is_some_and(|answer| answer.bytes() == PRODUCT) {
        return Some(());
    }
    pair.multiplication = None;
    None
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{Signature, SigningKey};
    use p256::elliptic_curve::sec1::ToSec1Point;
    use p256::{AffinePoint, NonZeroScalar, ProjectivePoint, PublicKey};

    use super::*;

    /// The answers are those of another implementation.
    #[test]
    fn they_are_right() {
        let scalar = |bytes: &[u8; 32]| NonZeroScalar::try_from(&bytes[..]).expect("a scalar");
        let coordinates = |point: AffinePoint| point.to_sec1_point(false).as_bytes()[1..].to_vec();
        let signature: Signature =
            SigningKey::from(scalar(&SCALAR)).sign_prehash(&DIGEST).expect("it signs as RFC 6979 says");
        assert_eq!(signature.to_bytes()[..], SIGNATURE);
        let commitment = (ProjectivePoint::GENERATOR * *scalar(&NONCE)).to_affine();
        assert_eq!(coordinates(commitment)[..32], SIGNATURE[..32], "r is of this nonce");

        let point = PublicKey::from_sec1_bytes(&[&[4], &POINT[..]].concat()).expect("on the curve");
        let product = (point.to_projective() * *scalar(&FACTOR)).to_affine();
        assert_eq!(coordinates(product), PRODUCT);
    }
}

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::test_keys::*;

/// The last section of a PEM text.
fn der(text: &[u8]) -> Vec<u8> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    sections.map(|section| section.unwrap().1).last().unwrap()
}

fn error(text: &[u8]) -> KeyError {
    let from_pem = PrivateKey::from_pem(text).unwrap_err();
    if let Some(Ok((_, der))) = <(SectionKind, Vec<u8>)>::pem_slice_iter(text).last() {
        assert_eq!(PrivateKey::from_der(&der).unwrap_err(), from_pem);
    }
    from_pem
}

#[test]
fn every_encoding_gives_the_same_key() {
    let check = |texts: [&[u8]; 2], public: &[u8], kind| {
        for text in texts {
            for key in [PrivateKey::from_pem(text).unwrap(), PrivateKey::from_der(&der(text)).unwrap()] {
                assert_eq!(key.kind(), kind);
                assert_eq!(key.public_key_der(), der(public));
            }
        }
    };
    check([&P256_SEC1, &P256_PKCS8], &P256_PUBLIC, KeyKind::EcdsaP256);
    check([&P384_SEC1, &P384_PKCS8], &P384_PUBLIC, KeyKind::EcdsaP384);
    check([&ED25519_PKCS8, &ED25519_PKCS8], &ED25519_PUBLIC, KeyKind::Ed25519);
    check([&RSA_2048_PKCS1, &RSA_2048_PKCS8], &RSA_2048_PUBLIC, KeyKind::Rsa { bits: 2048 });
    for (text, bits) in [(&RSA_3072_PKCS8, 3072), (&RSA_4096_PKCS8, 4096)] {
        assert_eq!(PrivateKey::from_pem(text).unwrap().kind(), KeyKind::Rsa { bits });
    }
}

/// As `rcgen` writes certificates: the subject public key is found in them byte for byte.
#[test]
fn the_public_key_stands_in_a_certificate() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate =
        rcgen::CertificateParams::new(["levee.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
    let key = PrivateKey::from_pem(pair.serialize_pem().as_bytes()).unwrap();
    let public = key.public_key_der();
    assert!(certificate.der().windows(public.len()).any(|window| window == public));
}

#[test]
fn what_is_refused_says_why() {
    use KeyError::{Encrypted, Malformed, Missing, Several, UnsupportedAlgorithm, UnsupportedCurve};
    assert_eq!(error(&P256_ENCRYPTED), Encrypted);
    assert_eq!(error(&P256_SEC1_ENCRYPTED), Encrypted);
    assert_eq!(error(&K256_SEC1), UnsupportedCurve);
    assert_eq!(error(&ED448_PKCS8), UnsupportedAlgorithm);
    assert_eq!(error(&RSA_1024_PKCS8), KeyError::TooShort(1024));
    assert_eq!(error(&RSA_4104_PKCS8), KeyError::TooLong(4104));
    assert_eq!(PrivateKey::from_pem(&P256_PUBLIC).unwrap_err(), Missing);
    assert_eq!(PrivateKey::from_pem(b"").unwrap_err(), Missing);
    let two = [P256_PKCS8.as_slice(), RSA_2048_PKCS8.as_slice()].concat();
    assert_eq!(PrivateKey::from_pem(&two).unwrap_err(), Several);
    assert_eq!(PrivateKey::from_der(&[]).unwrap_err(), Malformed);
    let cut = &P256_PKCS8[..P256_PKCS8.len() - 30];
    assert_eq!(PrivateKey::from_pem(cut).unwrap_err(), Malformed);
}

/// Every byte of a key flipped in turn: refused, or the key of another encoding of the same number.
#[test]
fn a_damaged_key_is_refused() {
    for text in [&P256_SEC1, &P256_PKCS8] {
        let whole = der(text);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            if let Ok(key) = PrivateKey::from_der(&damaged) {
                assert_eq!(key.public_key_der(), der(&P256_PUBLIC), "byte {at} of {whole:x?}");
            }
        }
    }
    let whole = der(&RSA_2048_PKCS1);
    for at in (0..whole.len()).step_by(37) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(PrivateKey::from_der(&damaged).is_err(), "byte {at} of {whole:x?}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let key = PrivateKey::from_pem(&P256_PKCS8).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey { kind: EcdsaP256, .. }");
}

/// Bytes of a PEM text changed, dropped and doubled at random: an error or the same key, never a panic.
#[test]
fn damaged_text_is_survived() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..2000 {
        let mut text = P256_SEC1.to_vec();
        for _ in 0..1 + rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % text.len();
            match rng.next_u32() % 3 {
                0 => text[at] = rng.next_u32().to_le_bytes()[0],
                1 => drop(text.drain(at..(at + 20).min(text.len()))),
                _ => text.insert(at, text[at]),
            }
        }
        if let Ok(key) = PrivateKey::from_pem(&text) {
            let text = String::from_utf8_lossy(&text);
            assert_eq!(key.public_key_der(), der(&P256_PUBLIC), "{text}");
        }
    }
}

/// One key table is read by all workers.
#[test]
fn keys_may_be_shared_by_threads() {
    const fn shared<T: Send + Sync>() {}
    const { shared::<PrivateKey>() };
}

//! The engines against each other, through the trait alone.

mod wycheproof;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use hex_literal::hex;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::DecodePublicKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::SignatureScheme as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::*;
use crate::test_keys::{ED25519_PKCS8, P256_SEC1, P384_SEC1, RSA_2048_PKCS1, RSA_3072_PKCS8, RSA_4096_PKCS8};

mod hybrid;

/// Those of which there are pairs.
const GROUPS: [Group; 3] = [Group::X25519, Group::Secp256r1, Group::Secp384r1];

const CURVE_SCHEMES: [SignatureScheme; 3] =
    [SignatureScheme::EcdsaSecp256r1Sha256, SignatureScheme::EcdsaSecp384r1Sha384, SignatureScheme::Ed25519];

const RSA_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::RsaPssRsaeSha256,
    SignatureScheme::RsaPssRsaeSha384,
    SignatureScheme::RsaPssRsaeSha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
    SignatureScheme::RsaPkcs1Sha512,
];

/// ECDSA P-256, RSA 2048, 3072 and 4096, ECDSA P-384 and Ed25519, as key 0 to 5.
fn keys() -> Vec<PrivateKey> {
    let texts = [&P256_SEC1, &RSA_2048_PKCS1, &RSA_3072_PKCS8, &RSA_4096_PKCS8, &P384_SEC1, &ED25519_PKCS8];
    texts.iter().map(|text| PrivateKey::from_pem(text).unwrap()).collect()
}

/// aws-lc, RustCrypto, and the lanes, which take single jobs here too.
fn engines(seed: u64) -> [Box<dyn Engine>; 3] {
    let keys = keys();
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let batch =
        Batch::with_random(&keys, 8, ChaCha20Rng::seed_from_u64(!seed), Some(1)).expect("AVX-512 IFMA");
    [Box::new(AwsLc::new(&keys, 8).unwrap()), Box::new(RustCrypto::new(&keys, 8, rng)), Box::new(batch)]
}

/// These, and the lanes of AVX2.
fn all_engines(seed: u64) -> impl Iterator<Item = Box<dyn Engine>> {
    let rng = ChaCha20Rng::seed_from_u64(seed ^ 4);
    let four = Four::with_random(&keys(), 8, rng, Some(1)).expect("AVX2");
    engines(seed).into_iter().chain([Box::new(four) as Box<dyn Engine>])
}

fn ask(engine: &mut dyn Engine, job: Job) -> Done {
    assert!(engine.submit(Token(7), job).is_ok());
    engine.run();
    let (token, done) = engine.completed().unwrap();
    assert_eq!(token, Token(7));
    assert_eq!(engine.in_flight(), 0);
    done
}

fn generate(engine: &mut dyn Engine, group: Group) -> (PrivateShare, Share) {
    let Done::Generated { private, share } = ask(engine, Job::Generate { group }) else { panic!("no pair") };
    assert_eq!(private.group(), group);
    assert_eq!(share.bytes().len(), group.share_len());
    (private, share)
}

fn agree(engine: &mut dyn Engine, private: PrivateShare, peer: &Share) -> Result<Secret, Failure> {
    match ask(engine, Job::Agree { private, peer: peer.try_clone().unwrap() }) {
        Done::Agreed { secret } => Ok(secret),
        Done::Failed(failure) => Err(failure),
        _ => panic!("another answer"),
    }
}

fn exchange(engine: &mut dyn Engine, group: Group, peer: &Share) -> Result<(Share, Secret), Failure> {
    match ask(engine, Job::Exchange { group, peer: peer.try_clone().unwrap() }) {
        Done::Exchanged { share, secret } => Ok((share, secret)),
        Done::Failed(failure) => Err(failure),
        _ => panic!("another answer"),
    }
}

fn sign(
    engine: &mut dyn Engine,
    key: u16,
    scheme: SignatureScheme,
    text: &[u8],
) -> Result<Signature, Failure> {
    let message = Message::new(&[text]).unwrap();
    match ask(engine, Job::Sign { key: KeyId(key), scheme, message }) {
        Done::Signed(signature) => Ok(signature),
        Done::Failed(failure) => Err(failure),
        _ => panic!("another answer"),
    }
}

#[test]
fn both_sides_of_every_pair_of_engines_agree() {
    for group in GROUPS {
        for case in 0..24 {
            let [mut awslc, mut rustcrypto, mut batch] = engines(case);
            let (one, other): (&mut dyn Engine, &mut dyn Engine) = match case % 6 {
                0 => (&mut *awslc, &mut *rustcrypto),
                1 => (&mut *rustcrypto, &mut *awslc),
                2 => (&mut *batch, &mut *awslc),
                3 => (&mut *awslc, &mut *batch),
                4 => (&mut *batch, &mut *rustcrypto),
                _ => (&mut *rustcrypto, &mut *batch),
            };
            let (ours, our_share) = generate(one, group);
            let (theirs, their_share) = generate(other, group);
            assert_ne!(our_share.bytes(), their_share.bytes());
            let secret = agree(one, ours.clone(), &their_share).unwrap();
            assert_eq!(secret.bytes(), agree(other, theirs, &our_share).unwrap().bytes());
            // A pair made by one engine is as good in the hands of the other.
            assert_eq!(secret.bytes(), agree(other, ours.clone(), &their_share).unwrap().bytes());

            let (share, secret) = exchange(other, group, &our_share).unwrap();
            assert_eq!(secret.bytes(), agree(one, ours, &share).unwrap().bytes());
        }
    }
}

/// RFC 7748 section 6.1.
#[test]
fn x25519_of_rfc_7748() {
    let alice = hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = hex!("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    let secret = hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    for mut engine in all_engines(1) {
        let private = PrivateShare::new(Group::X25519, alice);
        let peer = Share::new(Group::X25519, &bob).unwrap();
        assert_eq!(agree(&mut *engine, private, &peer).unwrap().bytes(), secret);
    }
}

/// RFC 5903 section 8.1: a Diffie-Hellman exchange on P-256.
#[test]
fn p256_of_rfc_5903() {
    let ours = hex!("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
    let theirs = hex!(
        "04"
        "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
        "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"
    );
    let secret = hex!("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
    for mut engine in all_engines(1) {
        let private = PrivateShare::new(Group::Secp256r1, ours);
        let peer = Share::new(Group::Secp256r1, &theirs).unwrap();
        assert_eq!(agree(&mut *engine, private, &peer).unwrap().bytes(), secret);
    }
}

/// RFC 5903 section 8.2: a Diffie-Hellman exchange on P-384.
#[test]
fn p384_of_rfc_5903() {
    let ours = hex!(
        "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655"
        "e35b538041e649ee3faef896783ab194"
    );
    let theirs = hex!(
        "04"
        "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d"
        "0d1ac43a0336def96fda41d0774a3571"
        "dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1ff"
        "f83fa40142209dff5eaad96db9e6386c"
    );
    let secret = hex!(
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4"
        "d603135569b9e9d09cf5d4a270f59746"
    );
    for mut engine in all_engines(1) {
        let private = PrivateShare::new(Group::Secp384r1, ours);
        let peer = Share::new(Group::Secp384r1, &theirs).unwrap();
        assert_eq!(agree(&mut *engine, private, &peer).unwrap().bytes(), secret);
    }
}

/// RFC 8446 section 7.4.2: "leading zeros found in this octet string MUST NOT be truncated."
#[test]
fn a_secret_keeps_its_leading_zeros() {
    for group in GROUPS {
        let [mut awslc, mut rustcrypto, mut batch] = engines(10);
        let (_, peer) = generate(&mut *rustcrypto, group);
        let (private, secret) = std::iter::repeat_with(|| {
            let (private, _) = generate(&mut *rustcrypto, group);
            let secret = agree(&mut *rustcrypto, private.clone(), &peer).unwrap();
            (private, secret)
        })
        .take(5000)
        .find(|(_, secret)| secret.bytes()[0] == 0)
        .unwrap();
        assert_eq!(agree(&mut *awslc, private.clone(), &peer).unwrap().bytes(), secret.bytes());
        assert_eq!(agree(&mut *batch, private, &peer).unwrap().bytes(), secret.bytes());
        assert_eq!(secret.bytes().len(), if group == Group::Secp384r1 { 48 } else { 32 });
    }
}

fn assert_share_refused(group: Group, share: &Share) {
    for mut engine in all_engines(2) {
        let (private, _) = generate(&mut *engine, group);
        let name = engine.name();
        let bytes = share.bytes();
        assert_eq!(
            agree(&mut *engine, private, share).err(),
            Some(Failure::InvalidShare),
            "{name} {bytes:x?}"
        );
        assert_eq!(exchange(&mut *engine, group, share).err(), Some(Failure::InvalidShare), "{name}");
    }
}

/// The u-coordinates of low order, whose shared secret is zero (RFC 7748 section 6.1), with and without
/// the bit that is ignored.
#[test]
fn x25519_shares_of_low_order_are_refused() {
    let shares = [
        hex!("0000000000000000000000000000000000000000000000000000000000000000"),
        hex!("0100000000000000000000000000000000000000000000000000000000000000"),
        hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];
    for mut share in shares {
        assert_share_refused(Group::X25519, &Share::new(Group::X25519, &share).unwrap());
        share[31] |= 0x80;
        assert_share_refused(Group::X25519, &Share::new(Group::X25519, &share).unwrap());
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    // The fields' primes; a coordinate is below its own.
    const P256: &[u8] = &hex!("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    const P384: &[u8] = &hex!(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe"
        "ffffffff0000000000000000ffffffff"
    );
    type Change<'a> = dyn Fn(&mut [u8]) + 'a;

    for (group, prime) in [(Group::Secp256r1, P256), (Group::Secp384r1, P384)] {
        let [mut awslc, ..] = engines(3);
        let (_, good) = generate(&mut *awslc, group);
        let (len, last) = (prime.len(), 2 * prime.len());
        let cases: [&Change<'_>; 9] = [
            &|bytes| bytes[last] ^= 1,
            &|bytes| bytes[1] ^= 0x80,
            &|bytes| bytes[1..].fill(0),
            &|bytes| bytes.fill(0),
            &|bytes| bytes[1..].fill(0xff),
            &|bytes| bytes[1..=len].copy_from_slice(prime),
            &|bytes| bytes[1 + len..].copy_from_slice(prime),
            &|bytes| bytes[0] = 6 | (bytes[last] & 1),
            &|bytes| bytes[0] = 2,
        ];
        for change in cases {
            let mut bytes = good.bytes().to_vec();
            change(&mut bytes);
            assert_share_refused(group, &Share::new(group, &bytes).unwrap());
        }
    }
}

#[test]
fn a_share_of_the_other_group_is_refused() {
    for (group, other) in GROUPS.into_iter().flat_map(|group| GROUPS.map(|other| (group, other))) {
        let [mut awslc, ..] = engines(4);
        let (_, share) = generate(&mut *awslc, other);
        if group != other {
            assert_share_refused(group, &share);
        }
    }
}

/// Whether `signature` of `text` holds under `key`, as aws-lc and as RustCrypto see it.
pub(crate) fn verify(key: &PrivateKey, scheme: SignatureScheme, text: &[u8], signature: &[u8]) -> [bool; 2] {
    verify_by(key.public_key_der(), scheme, text, signature)
}

/// Under the key of this subjectPublicKeyInfo.
fn verify_by(public: &[u8], scheme: SignatureScheme, text: &[u8], signature: &[u8]) -> [bool; 2] {
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
    let awslc = aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, public).verify(text, signature);

    let rustcrypto = match scheme {
        SignatureScheme::EcdsaSecp256r1Sha256 => {
            let public = p256::ecdsa::VerifyingKey::from_public_key_der(public).unwrap();
            p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| public.verify(text, &signature).is_ok())
        }
        SignatureScheme::EcdsaSecp384r1Sha384 => {
            let public = p384::ecdsa::VerifyingKey::from_public_key_der(public).unwrap();
            p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| public.verify(text, &signature).is_ok())
        }
        SignatureScheme::Ed25519 => {
            let public = ed25519_dalek::VerifyingKey::from_public_key_der(public).unwrap();
            ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| public.verify_strict(text, &signature).is_ok())
        }
        _ => verify_rsa(public, scheme, text, signature),
    };
    [awslc.is_ok(), rustcrypto]
}

fn verify_rsa(public: &[u8], scheme: SignatureScheme, text: &[u8], signature: &[u8]) -> bool {
    let public = RsaPublicKey::from_public_key_der(public).unwrap();
    let (h256, h384, h512) = (Sha256::digest(text), Sha384::digest(text), Sha512::digest(text));
    match scheme {
        // The salt is as long as the hash, which `Pss::new` demands.
        SignatureScheme::RsaPssRsaeSha256 => {
            Pss::new::<rsa::sha2::Sha256>().verify(&public, &h256, signature)
        }
        SignatureScheme::RsaPssRsaeSha384 => {
            Pss::new::<rsa::sha2::Sha384>().verify(&public, &h384, signature)
        }
        SignatureScheme::RsaPssRsaeSha512 => {
            Pss::new::<rsa::sha2::Sha512>().verify(&public, &h512, signature)
        }
        SignatureScheme::RsaPkcs1Sha256 => {
            Pkcs1v15Sign::new::<rsa::sha2::Sha256>().verify(&public, &h256, signature)
        }
        SignatureScheme::RsaPkcs1Sha384 => {
            Pkcs1v15Sign::new::<rsa::sha2::Sha384>().verify(&public, &h384, signature)
        }
        _ => Pkcs1v15Sign::new::<rsa::sha2::Sha512>().verify(&public, &h512, signature),
    }
    .is_ok()
}

#[test]
fn every_signature_holds_for_both_libraries() {
    let keys = keys();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for mut engine in all_engines(5) {
        for case in 0..20 {
            let mut text = vec![0; case * 8];
            rng.fill_bytes(&mut text);
            for (key, scheme) in [0, 4, 5].into_iter().zip(CURVE_SCHEMES) {
                let signature = sign(&mut *engine, key, scheme, &text).unwrap();
                let key = &keys[usize::from(key)];
                assert_eq!(verify(key, scheme, &text, signature.bytes()), [true; 2]);
                assert_eq!(verify(key, scheme, b"another", signature.bytes()), [false; 2]);
            }
        }
        for scheme in RSA_SCHEMES {
            for key in 1..4 {
                let mut text = [0; 146];
                rng.fill_bytes(&mut text);
                let signature = sign(&mut *engine, key, scheme, &text).unwrap();
                let key = &keys[usize::from(key)];
                assert_eq!(verify(key, scheme, &text, signature.bytes()), [true; 2]);
                text[3] ^= 1;
                assert_eq!(verify(key, scheme, &text, signature.bytes()), [false; 2]);
            }
        }
    }
}

/// PKCS #1 v1.5 and Ed25519 have no randomness: all engines give the same bytes. PSS and ECDSA never repeat.
#[test]
fn signatures_are_deterministic_where_the_scheme_is() {
    let [mut awslc, mut rustcrypto, mut batch] = engines(6);
    for scheme in RSA_SCHEMES {
        let deterministic = scheme.code() & 0xff == 1;
        let first = sign(&mut *awslc, 1, scheme, b"text").unwrap();
        for engine in [&mut awslc, &mut rustcrypto, &mut batch] {
            let second = sign(&mut **engine, 1, scheme, b"text").unwrap();
            assert_eq!(first.bytes() == second.bytes(), deterministic, "{scheme:?}");
        }
    }
    let first = sign(&mut *awslc, 5, SignatureScheme::Ed25519, b"text").unwrap();
    for engine in [&mut rustcrypto, &mut batch] {
        assert_eq!(first.bytes(), sign(&mut **engine, 5, SignatureScheme::Ed25519, b"text").unwrap().bytes());
    }
    for mut engine in all_engines(6) {
        for (key, scheme) in [0, 4].into_iter().zip(CURVE_SCHEMES) {
            let mut sign = || sign(&mut *engine, key, scheme, b"text").unwrap().bytes().to_vec();
            assert_ne!(sign(), sign());
        }
    }
}

#[test]
fn a_key_signs_only_with_its_own_schemes() {
    let keys = keys();
    for mut engine in all_engines(7) {
        for scheme in RSA_SCHEMES.into_iter().chain(CURVE_SCHEMES) {
            for key in 0..6 {
                let outcome = sign(&mut *engine, key, scheme, b"text");
                let expected =
                    (!keys[usize::from(key)].kind().signs(scheme)).then_some(Failure::UnsuitableKey);
                assert_eq!(outcome.err(), expected);
            }
            for key in [6, u16::MAX] {
                assert_eq!(sign(&mut *engine, key, scheme, b"").err(), Some(Failure::UnsuitableKey));
            }
        }
    }
}

#[test]
fn a_full_engine_gives_the_job_back() {
    for mut engine in all_engines(8) {
        for token in 0..8 {
            assert!(engine.submit(Token(token), Job::Generate { group: Group::X25519 }).is_ok());
        }
        let (_, peer) = generate(&mut *engines(9)[0], Group::X25519);
        let job = Job::Exchange { group: Group::X25519, peer: peer.try_clone().unwrap() };
        let back = engine.submit(Token(8), job).unwrap_err();
        assert!(matches!(&back, Job::Exchange { peer: same, .. } if same.bytes() == peer.bytes()));
        engine.run();
        assert_eq!(engine.in_flight(), 8);
        assert!(matches!(engine.completed(), Some((Token(0), Done::Generated { .. }))));
        assert!(engine.submit(Token(8), back).is_ok());
        engine.run();
        for token in 1..9 {
            assert_eq!(engine.completed().map(|(token, _)| token), Some(Token(token)));
        }
        assert!(engine.completed().is_none());
    }
}

#[test]
fn the_engine_of_the_configuration() {
    for (name, expected) in [
        ("auto", "batch"),
        ("batch", "batch"),
        ("batch4", "batch4"),
        ("awslc", "awslc"),
        ("rustcrypto", "rustcrypto"),
    ] {
        let kind = EngineKind::from_name(name).unwrap();
        assert_eq!(kind.name(), name);
        let mut engine = engine(kind, &keys(), 1).unwrap();
        assert_eq!(engine.name(), expected);
        assert!(sign(&mut *engine, 0, SignatureScheme::EcdsaSecp256r1Sha256, b"text").is_ok());
    }
    assert_eq!(EngineKind::from_name("openssl"), None);
    assert_eq!(EngineKind::default(), EngineKind::Auto);
}

//! The vectors of Wycheproof through every engine, as jobs that wait together: those of both curves, valid
//! and invalid, share a turn.
//!
//! Agreement has vectors for all of a job. Of signatures there are only some to be verified, none to be made:
//! the project has no vectors with an ECDSA nonce or a PSS salt. So they are put to the two verifiers, by
//! which the tests judge what the engines sign; and RSA engines sign with the private keys of the sets for
//! decryption, which are of other shapes than ours (exponents of 3, primes of odd forms). Points in compressed
//! form or with parameters of their own have no place in a TLS share, and are left out by their length.

use std::collections::HashMap;

use ::wycheproof::TestResult::{self, Acceptable, Invalid, Valid};
use ::wycheproof::{ecdh, ecdsa, rsa_oaep, rsa_pkcs1_decrypt, rsa_pkcs1_verify, rsa_pss_verify, xdh};

use super::*;

/// What an agreement must come to; `None`: the share is refused.
struct Vector {
    name: String,
    private: PrivateShare,
    peer: Share,
    shared: Option<Vec<u8>>,
}

#[test]
fn every_agreement() {
    let (x25519, p256) = (x25519_vectors(), p256_vectors());
    assert!(x25519.len() > 400 && p256.len() > 300, "{} of X25519, {} of P-256", x25519.len(), p256.len());
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut vectors: Vec<Vector> = x25519.into_iter().chain(p256).collect();
    let refused = vectors.iter().filter(|vector| vector.shared.is_none()).count();
    assert!(refused > 50, "{refused} are refused");
    let keys = keys();
    for lot in [1, 2, 7, 8, 60, 200] {
        for index in (1..vectors.len()).rev() {
            vectors.swap(index, rng.next_u32() as usize % (index + 1));
        }
        // The whole engine with jobs in lanes from the first, and as it stands in the configuration.
        let lanes = Batch::with_random(&keys, lot, SystemRandom, Some(1)).expect("AVX-512 IFMA");
        let mut engines: [Box<dyn Engine>; 4] = [
            Box::new(lanes),
            engine(EngineKind::Batch, &keys, lot).unwrap(),
            engine(EngineKind::AwsLc, &keys, lot).unwrap(),
            engine(EngineKind::RustCrypto, &keys, lot).unwrap(),
        ];
        for engine in &mut engines {
            for vectors in vectors.chunks(lot) {
                check(&mut **engine, vectors);
            }
        }
    }
}

fn check(engine: &mut dyn Engine, vectors: &[Vector]) {
    let mut asked = HashMap::new();
    for (token, vector) in (0..).zip(vectors) {
        let job = Job::Agree { private: vector.private.clone(), peer: vector.peer.try_clone().unwrap() };
        assert!(engine.submit(Token(token), job).is_ok());
        asked.insert(token, vector);
    }
    while engine.in_flight() > 0 {
        engine.run();
        while let Some((Token(token), done)) = engine.completed() {
            let vector = asked.remove(&token).expect("one answer a job");
            let shared = match &done {
                Done::Agreed { secret } => Some(secret.bytes()),
                Done::Failed(Failure::InvalidShare) => None,
                _ => panic!("another answer"),
            };
            assert_eq!(shared, vector.shared.as_deref(), "{}: {}", engine.name(), vector.name);
        }
    }
    assert!(asked.is_empty());
}

fn x25519_vectors() -> Vec<Vector> {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let tests = set.test_groups.iter().flat_map(|group| &group.tests);
    let vector = |test: &xdh::Test| {
        let scalar: [u8; 32] = test.private_key[..].try_into().unwrap();
        let private = PrivateShare::new(Group::X25519, scalar);
        let peer = Share::new(Group::X25519, &test.public_key)?;
        // RFC 7748 leaves zero to the protocol, and RFC 8446 section 7.4.2 refuses it.
        let is_zero = test.shared_secret.iter().all(|&byte| byte == 0);
        let shared = (!is_zero && test.result != Invalid).then(|| test.shared_secret.to_vec());
        Some(Vector { name: format!("X25519 {}", test.tc_id), private, peer, shared })
    };
    tests.filter_map(vector).collect()
}

fn p256_vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for name in [ecdh::TestName::EcdhSecp256r1Ecpoint, ecdh::TestName::EcdhSecp256r1] {
        let set = ecdh::TestSet::load(name).unwrap();
        assert!(set.number_of_tests > 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let point = match name {
                ecdh::TestName::EcdhSecp256r1 => point_of(&test.public_key),
                _ => Some(&test.public_key[..]),
            };
            // What is acceptable is an encoding that others take too.
            let point = point.filter(|_| test.result != Acceptable);
            let Some(peer) = point.and_then(|point| Share::new(Group::Secp256r1, point)) else { continue };
            let mut scalar = [0; 32];
            let digits = test.private_key.iter().position(|&byte| byte != 0).unwrap_or(0);
            let digits = &test.private_key[digits..];
            scalar[32 - digits.len()..].copy_from_slice(digits);
            vectors.push(Vector {
                name: format!("{name:?} {}: {}", test.tc_id, test.comment),
                private: PrivateShare::new(Group::Secp256r1, scalar),
                peer,
                shared: (test.result != Invalid).then(|| test.shared_secret.to_vec()),
            });
        }
    }
    vectors
}

/// The point of a subjectPublicKeyInfo that names P-256 and says no more.
fn point_of(info: &[u8]) -> Option<&[u8]> {
    info.strip_prefix(&hex!("3059301306072a8648ce3d020106082a8648ce3d030107034200"))
}

/// The verdict on a signature of both verifiers, for vectors that have one.
fn check_verdict(
    scheme: SignatureScheme,
    public: &[u8],
    text: &[u8],
    signature: &[u8],
    result: TestResult,
) -> bool {
    let verdicts = verify_by(public, scheme, text, signature);
    match result {
        Valid => assert_eq!(verdicts, [true; 2], "{scheme:?}"),
        Invalid => assert_eq!(verdicts, [false; 2], "{scheme:?}"),
        Acceptable => return false,
    }
    true
}

#[test]
fn every_ecdsa_verdict() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let scheme = SignatureScheme::EcdsaSecp256r1Sha256;
            count += usize::from(check_verdict(scheme, &group.der, &test.msg, &test.sig, test.result));
        }
    }
    assert!(count > 400, "{count}");
}

#[test]
fn every_rsa_verdict() {
    use SignatureScheme as S;
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    for (scheme, name) in [
        (S::RsaPkcs1Sha256, Pkcs1::Rsa2048Sha256),
        (S::RsaPkcs1Sha384, Pkcs1::Rsa2048Sha384),
        (S::RsaPkcs1Sha512, Pkcs1::Rsa2048Sha512),
        (S::RsaPkcs1Sha256, Pkcs1::Rsa3072Sha256),
        (S::RsaPkcs1Sha384, Pkcs1::Rsa3072Sha384),
        (S::RsaPkcs1Sha512, Pkcs1::Rsa3072Sha512),
        (S::RsaPkcs1Sha256, Pkcs1::Rsa4096Sha256),
        (S::RsaPkcs1Sha384, Pkcs1::Rsa4096Sha384),
        (S::RsaPkcs1Sha512, Pkcs1::Rsa4096Sha512),
    ] {
        let mut count = 0;
        for group in &rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                count += usize::from(check_verdict(scheme, &group.der, &test.msg, &test.sig, test.result));
            }
        }
        assert!(count > 100, "{count} of {name:?}");
    }
    for (scheme, name) in [
        (S::RsaPssRsaeSha256, Pss::RsaPss2048Sha256Mgf1SaltLen32),
        (S::RsaPssRsaeSha384, Pss::RsaPss2048Sha384Mgf1SaltLen48),
        (S::RsaPssRsaeSha256, Pss::RsaPss3072Sha256Mgf1SaltLen32),
        (S::RsaPssRsaeSha256, Pss::RsaPss4096Sha256Mgf1SaltLen32),
        (S::RsaPssRsaeSha384, Pss::RsaPss4096Sha384Mgf1SaltLen48),
        (S::RsaPssRsaeSha512, Pss::RsaPss4096Sha512Mgf1SaltLen64),
    ] {
        let mut count = 0;
        for group in &rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                count += usize::from(check_verdict(scheme, &group.der, &test.msg, &test.sig, test.result));
            }
        }
        assert!(count > 50, "{count} of {name:?}");
    }
}

/// PKCS #1 v1.5 signatures of all engines are one, and every signature holds for both verifiers.
#[test]
fn every_rsa_key_signs() {
    let mut keys = HashMap::new();
    for name in rsa_pkcs1_decrypt::TestName::all() {
        let set = rsa_pkcs1_decrypt::TestSet::load(name).unwrap();
        keys.extend(set.test_groups.iter().map(|group| (group.pkcs8.to_vec(), format!("{name:?}"))));
    }
    for name in rsa_oaep::TestName::all() {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        keys.extend(set.test_groups.iter().map(|group| (group.pkcs8.to_vec(), format!("{name:?}"))));
    }
    let mut signing = 0;
    for (der, name) in &keys {
        let key = match PrivateKey::from_der(der) {
            Ok(key) => key,
            Err(KeyError::TooShort(_) | KeyError::TooLong(_)) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        signing += 1;
        let keys = [key];
        let mut lanes = Batch::with_random(&keys, 24, SystemRandom, Some(1)).expect("AVX-512 IFMA");
        let mut others: [Box<dyn Engine>; 2] =
            [engine(EngineKind::AwsLc, &keys, 1).unwrap(), engine(EngineKind::RustCrypto, &keys, 1).unwrap()];
        // Each scheme once fills no lanes evenly.
        for (token, scheme) in (0..).zip(RSA_SCHEMES) {
            let message = Message::new(&[name.as_bytes()]).unwrap();
            assert!(lanes.submit(Token(token), Job::Sign { key: KeyId(0), scheme, message }).is_ok());
        }
        let mut count = 0;
        while lanes.in_flight() > 0 {
            lanes.run();
            while let Some((Token(token), done)) = lanes.completed() {
                let Done::Signed(signature) = done else { panic!("{name}: no signature") };
                let scheme = RSA_SCHEMES[usize::try_from(token).unwrap()];
                assert_eq!(verify(&keys[0], scheme, name.as_bytes(), signature.bytes()), [true; 2], "{name}");
                for other in &mut others {
                    let other = sign(&mut **other, 0, scheme, name.as_bytes()).unwrap();
                    let is_same = other.bytes() == signature.bytes();
                    assert_eq!(is_same, scheme.code() & 0xff == 1, "{name}, {scheme:?}");
                }
                count += 1;
            }
        }
        assert_eq!(count, RSA_SCHEMES.len());
    }
    assert!(signing >= 5, "{signing} of {} keys", keys.len());
}

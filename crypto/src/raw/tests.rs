//! A device made of the RustCrypto crates stands for a real one; AWS-LC judges what comes of it.

use p256::elliptic_curve::sec1::ToSec1Point;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::test_keys::{P256_SEC1, RSA_2048_PKCS8, RSA_2056_PKCS8, RSA_3072_PKCS8, RSA_4096_PKCS8};
use crate::{AwsLc, verify};

const RSA_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::RsaPssRsaeSha256,
    SignatureScheme::RsaPssRsaeSha384,
    SignatureScheme::RsaPssRsaeSha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
    SignatureScheme::RsaPkcs1Sha512,
];

struct Scene {
    keys: Vec<PrivateKey>,
    raw: RawKeys,
    cpu: AwsLc,
    random: ChaCha20Rng,
}

impl Scene {
    /// An ECDSA key and one of each length of RSA.
    fn new() -> Self {
        let texts = [&P256_SEC1, &RSA_2048_PKCS8, &RSA_3072_PKCS8, &RSA_4096_PKCS8];
        let keys: Vec<_> = texts.into_iter().map(|text| PrivateKey::from_pem(text).unwrap()).collect();
        let (raw, cpu) = (RawKeys::new(&keys), AwsLc::new(&keys, 8).unwrap());
        Self { keys, raw, cpu, random: ChaCha20Rng::seed_from_u64(7) }
    }

    fn begin(&mut self, job: &Job) -> Option<(Task, Raw)> {
        Task::begin(job, &self.raw, &mut self.random)
    }

    /// The job by a device that is right.
    fn work(&mut self, job: &Job) -> Done {
        let (mut task, mut raw) = self.begin(job).expect("for a device");
        loop {
            match task.take(job, &self.raw, &self.compute(&raw)) {
                Taken::Done(done) => return done,
                Taken::Next(next) => raw = next,
                Taken::Wrong => panic!("the answer is right"),
            }
        }
    }

    /// What a device computes, from the numbers that it is given of the keys.
    fn compute(&self, raw: &Raw) -> Vec<u8> {
        let parts = |KeyId(key): KeyId| self.keys[usize::from(key)].parts().expect("of the usual shape");
        match raw {
            Raw::Rsa { key, message, len } => {
                let Parts::Rsa(parts) = parts(*key) else { panic!("an RSA key") };
                let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
                let [p, q] = [number(&parts.p), number(&parts.q)];
                let message = number(&message[..*len]);
                let [one, two] =
                    [message.modpow(&number(&parts.dp), &p), message.modpow(&number(&parts.dq), &q)];
                let high = (&one + &p - &two % &p) * number(&parts.coefficient) % &p;
                let bytes = (two + high * q).to_bytes_be();
                [vec![0; len - bytes.len()], bytes].concat()
            }
            Raw::EcdsaP256 { key, digest, nonce } => {
                let Parts::EcdsaP256(private) = parts(*key) else { panic!("an ECDSA key") };
                let number = |bytes: &[u8; 32]| *NonZeroScalar::try_from(&bytes[..]).unwrap();
                let commitment = (p256::ProjectivePoint::GENERATOR * number(nonce)).to_affine();
                let x: [u8; 32] = commitment.to_sec1_point(false).as_bytes()[1..33].try_into().unwrap();
                let reduce = |bytes: [u8; 32]| <Scalar as Reduce<_>>::reduce(&p256::FieldBytes::from(bytes));
                let r = reduce(x);
                let s = number(nonce).invert().unwrap() * (reduce(*digest) + r * number(&private));
                [r.to_bytes(), s.to_bytes()].concat()
            }
            Raw::MultiplyP256 { scalar, point } => {
                let point = PublicKey::from_sec1_bytes(&*uncompressed(point)).unwrap();
                let scalar = NonZeroScalar::try_from(&scalar[..]).unwrap();
                let product = (point.to_projective() * *scalar).to_affine();
                product.to_sec1_point(false).as_bytes()[1..].to_vec()
            }
        }
    }
}

fn sign(key: u16, scheme: SignatureScheme) -> Job {
    Job::Sign { key: KeyId(key), scheme, message: Message::new(&[b"what is signed"]).unwrap() }
}

/// The bytes of a SubjectPublicKeyInfo's key.
fn public(key: &PrivateKey) -> Vec<u8> {
    match &key.material {
        Material::Ecdsa(key) => key.public_key().to_sec1_bytes().to_vec(),
        Material::Rsa { key, .. } => {
            use rsa::pkcs1::EncodeRsaPublicKey as _;
            key.to_public_key().to_pkcs1_der().unwrap().as_bytes().to_vec()
        }
        Material::EcdsaP384(_) | Material::Ed25519(_) => unreachable!("no device has such keys"),
    }
}

#[test]
fn signatures_verify() {
    let mut scene = Scene::new();
    let schemes = RSA_SCHEMES.into_iter().flat_map(|scheme| (1..4).map(move |key| (key, scheme)));
    for (key, scheme) in schemes.chain([(0, SignatureScheme::EcdsaSecp256r1Sha256); 20]) {
        let Done::Signed(signature) = scene.work(&sign(key, scheme)) else { panic!("a signature") };
        let public = public(&scene.keys[usize::from(key)]);
        assert!(verify(scheme, &public, b"what is signed", signature.bytes()), "{key}, {scheme:?}");
    }
}

#[test]
fn pkcs1_signatures_are_those_of_the_cpu() {
    let mut scene = Scene::new();
    for (key, scheme) in (1..4).flat_map(|key| RSA_SCHEMES[3..].iter().map(move |&scheme| (key, scheme))) {
        let job = sign(key, scheme);
        let (Done::Signed(ours), Done::Signed(theirs)) = (scene.work(&job), scene.cpu.work(&job)) else {
            panic!("signatures")
        };
        assert_eq!(ours.bytes(), theirs.bytes());
    }
}

#[test]
fn both_sides_of_p256_agree() {
    let mut scene = Scene::new();
    let group = Group::Secp256r1;
    let Done::Generated { private, share } = scene.work(&Job::Generate { group }) else { panic!("a pair") };
    let job = Job::Exchange { group, peer: share };
    let Done::Exchanged { share: peer, secret } = scene.work(&job) else { panic!("an exchange") };
    let job = Job::Agree { private, peer };
    let (Done::Agreed { secret: ours }, Done::Agreed { secret: theirs }) =
        (scene.work(&job), scene.cpu.work(&job))
    else {
        panic!("agreement")
    };
    assert_eq!(ours.bytes(), secret.bytes());
    assert_eq!(theirs.bytes(), secret.bytes());
}

#[test]
fn an_answer_with_any_byte_changed_is_wrong() {
    let mut scene = Scene::new();
    let group = Group::Secp256r1;
    let Done::Generated { private, share } = scene.work(&Job::Generate { group }) else { panic!("a pair") };
    let jobs = [
        sign(1, SignatureScheme::RsaPssRsaeSha256),
        sign(1, SignatureScheme::RsaPkcs1Sha512),
        sign(0, SignatureScheme::EcdsaSecp256r1Sha256),
        Job::Generate { group },
        Job::Exchange { group, peer: share.try_clone().unwrap() },
        Job::Agree { private, peer: share },
    ];
    for job in &jobs {
        let (mut task, raw) = scene.begin(job).unwrap();
        let answer = scene.compute(&raw);
        for at in 0..answer.len() {
            let mut spoilt = answer.clone();
            spoilt[at] ^= 1 << (at % 8);
            assert!(matches!(task.take(job, &scene.raw, &spoilt), Taken::Wrong), "byte {at}");
        }
        for short in [&answer[..0], &answer[1..], &[&answer[..], &[0]].concat()[..]] {
            assert!(matches!(task.take(job, &scene.raw, short), Taken::Wrong));
        }
        assert!(!matches!(task.take(job, &scene.raw, &answer), Taken::Wrong), "and unchanged it is right");
    }
}

/// The signature of another message under the same key is none of this one.
#[test]
fn an_answer_to_another_question_is_wrong() {
    let mut scene = Scene::new();
    for (key, scheme) in [(1, SignatureScheme::RsaPssRsaeSha256), (0, SignatureScheme::EcdsaSecp256r1Sha256)]
    {
        let job = sign(key, scheme);
        let other = Job::Sign { key: KeyId(key), scheme, message: Message::new(&[b"another"]).unwrap() };
        let (mut task, _) = scene.begin(&job).unwrap();
        let (_, raw) = scene.begin(&other).unwrap();
        assert!(matches!(task.take(&job, &scene.raw, &scene.compute(&raw)), Taken::Wrong));
    }
}

#[test]
fn what_is_not_for_devices_stays_with_the_cpu() {
    let mut scene = Scene::new();
    let off_the_curve = || Share::new(Group::Secp256r1, &[4; 65]).unwrap();
    let compressed = Share::new(Group::Secp256r1, &[2; 65]).unwrap();
    for job in [
        Job::Generate { group: Group::X25519 },
        Job::Exchange { group: Group::X25519, peer: Share::new(Group::X25519, &[9; 32]).unwrap() },
        Job::Exchange { group: Group::Secp256r1, peer: off_the_curve() },
        Job::Exchange { group: Group::Secp256r1, peer: compressed },
        Job::Agree { private: PrivateShare::new(Group::Secp256r1, [1; 32]), peer: off_the_curve() },
        sign(0, SignatureScheme::RsaPssRsaeSha256),
        sign(1, SignatureScheme::EcdsaSecp256r1Sha256),
        sign(4, SignatureScheme::RsaPssRsaeSha256),
    ] {
        assert!(scene.begin(&job).is_none());
    }
    let other = PrivateKey::from_pem(&RSA_2056_PKCS8).unwrap();
    assert!(other.parts().is_none());
}

#[test]
fn nonces_do_not_repeat() {
    let mut scene = Scene::new();
    let job = sign(0, SignatureScheme::EcdsaSecp256r1Sha256);
    let nonces: std::collections::BTreeSet<_> = (0..100)
        .map(|_| match scene.begin(&job).unwrap().1 {
            Raw::EcdsaP256 { nonce, .. } => nonce,
            _ => panic!("a signature"),
        })
        .collect();
    assert_eq!(nonces.len(), 100);
    let key = scene.keys[0].parts();
    let Some(Parts::EcdsaP256(scalar)) = key else { panic!("a scalar") };
    struct Stuck;
    impl rand_core::TryRng for Stuck {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(0)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(0)
        }
        fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Self::Error> {
            place.fill(0);
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Stuck {}
    let stuck = [[1; 32], [2; 32]].map(|digest| hedged(&scalar, &digest, &mut Stuck));
    assert_ne!(stuck[0], stuck[1], "without randomness, still another for each message");
}

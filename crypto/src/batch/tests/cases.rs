//! Random cases through the whole engine, each answer checked by aws-lc and by RustCrypto.
//!
//! A case is one job and its answer. Key pairs, agreed secrets and PKCS #1 v1.5 signatures are compared bit
//! for bit with both; ECDSA and PSS signatures, in which there is randomness, are verified by both. Each
//! kind's share in the cases is the larger the less a case costs. Ten million of them, for which a core takes
//! a quarter of an hour to an hour:
//!
//! `LEVEE_CASES=10000000 cargo test --release -p levee-crypto random_cases -- --nocapture`
//!
//! The seed is printed, and `LEVEE_SEED` sets it. All but the RSA keys comes from it, and these stand in the
//! message of the case that failed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::EncodePrivateKey;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::edges::{Edgy, one_in, scalar, share};
use crate::batch::Batch;
use crate::test_keys::{RSA_2048_PKCS8, RSA_3072_PKCS8, RSA_4096_PKCS8};
use crate::tests::verify;
use crate::{
    AwsLc, Done, Engine, Failure, Group, Job, KeyId, Message, PrivateKey, PrivateShare, RustCrypto, Share,
    SignatureScheme, SystemRandom, Token,
};

/// Cases of an ordinary run of the tests.
const CASES: u64 = 10_000;

/// Jobs of a lot, at most; they wait together for one [`Engine::run`].
const LOT: u32 = 200;

/// In a thousand.
const SHARES: [(Kind, u32); 10] = [
    (Kind::Generate(Group::X25519), 450),
    (Kind::Generate(Group::Secp256r1), 230),
    (Kind::Agree(Group::X25519), 170),
    (Kind::Agree(Group::Secp256r1), 60),
    (Kind::Exchange(Group::X25519), 20),
    (Kind::Exchange(Group::Secp256r1), 8),
    (Kind::Ecdsa, 54),
    (Kind::Pss, 6),
    (Kind::Pkcs1, 1),
    (Kind::Stranger, 1),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Generate(Group),
    Agree(Group),
    Exchange(Group),
    Ecdsa,
    Pss,
    Pkcs1,
    /// A signature by a key that cannot give it.
    Stranger,
}

/// What was asked, to be checked.
enum Asked {
    Generate(Group),
    Agree(PrivateShare, Share),
    /// With the share of this private half.
    Exchange(PrivateShare),
    /// With a share that need not be one.
    ExchangeWith(Group, Share),
    Sign(usize, SignatureScheme, Message),
}

struct Others {
    keys: Vec<PrivateKey>,
    awslc: AwsLc,
    rustcrypto: RustCrypto<SystemRandom>,
}

#[test]
fn random_cases() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let cases = number("LEVEE_CASES").unwrap_or(CASES);
    let seed = number("LEVEE_SEED").unwrap_or_else(|| SystemRandom.next_u64());
    println!("{cases} cases, LEVEE_SEED={seed}");

    let keys = keys(seed);
    let random = Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)));
    let mut batch = Batch::with_random(&keys, LOT as usize, Edgy(Rc::clone(&random)), Some(1)).unwrap();
    let mut others = Others {
        awslc: AwsLc::new(&keys, 1).unwrap(),
        rustcrypto: RustCrypto::new(&keys, 1, SystemRandom),
        keys,
    };
    let mut counts = HashMap::<Kind, u64>::new();
    let mut refused = 0;
    for lot in 0.. {
        if sum(&counts) >= cases {
            break;
        }
        // Every lot stands for itself, so that one that fails need not wait for those before it.
        let mut chosen = ChaCha8Rng::seed_from_u64(seed.wrapping_add(lot));
        random.replace(ChaCha8Rng::seed_from_u64(!seed.wrapping_add(lot)));
        let mut asked = HashMap::new();
        for token in 0..u64::from(1 + chosen.next_u32() % LOT) {
            let kind = kind(&mut chosen);
            let (job, what) = others.job(kind, &mut chosen);
            assert!(batch.submit(Token(token), job).is_ok());
            asked.insert(token, what);
            *counts.entry(kind).or_default() += 1;
        }
        while batch.in_flight() > 0 {
            batch.run();
            while let Some((Token(token), answer)) = batch.completed() {
                let what = asked.remove(&token).expect("one answer a job");
                refused += u64::from(matches!(answer, Done::Failed(_)));
                if let Err(complaint) = others.check(&what, &answer) {
                    panic!("LEVEE_SEED={seed}, lot {lot}, job {token}: {complaint}");
                }
            }
        }
        assert!(asked.is_empty(), "LEVEE_SEED={seed}, lot {lot}: jobs without an answer");
        if lot % 5000 == 4999 {
            println!("{} cases", sum(&counts));
        }
    }
    println!("{counts:#?}\n{refused} of them refused, as by both others");
    assert!(SHARES.iter().all(|(kind, _)| counts.contains_key(kind)), "every kind has its cases");
    assert!(refused > 0);
}

fn sum(counts: &HashMap<Kind, u64>) -> u64 {
    counts.values().sum()
}

/// Two ECDSA keys, then RSA of 2048, 3072 and 4096 bits.
fn keys(seed: u64) -> Vec<PrivateKey> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let ecdsa = (0..2).map(|_| {
        let key = std::iter::repeat_with(|| scalar(&mut random))
            .find_map(|secret| p256::SecretKey::from_slice(&secret).ok())
            .unwrap();
        PrivateKey::from_der(key.to_pkcs8_der().unwrap().as_bytes()).unwrap()
    });
    let rsa = [&RSA_2048_PKCS8, &RSA_3072_PKCS8, &RSA_4096_PKCS8];
    ecdsa.chain(rsa.iter().map(|text| PrivateKey::from_pem(text).unwrap())).collect()
}

fn kind(random: &mut impl Rng) -> Kind {
    let mut left = random.next_u32() % SHARES.iter().map(|(_, share)| share).sum::<u32>();
    for (kind, share) in SHARES {
        if left < share {
            return kind;
        }
        left -= share;
    }
    unreachable!("the shares are all there is")
}

impl Others {
    fn job(&mut self, kind: Kind, random: &mut ChaCha8Rng) -> (Job, Asked) {
        match kind {
            Kind::Generate(group) => (Job::Generate { group }, Asked::Generate(group)),
            Kind::Agree(group) => {
                let (private, peer) = (PrivateShare::new(group, scalar(random)), share(group, random));
                let job = Job::Agree { private: private.clone(), peer: peer.try_clone().unwrap() };
                (job, Asked::Agree(private, peer))
            }
            Kind::Exchange(group) if one_in(2, random) => {
                let peer = share(group, random);
                (Job::Exchange { group, peer: peer.try_clone().unwrap() }, Asked::ExchangeWith(group, peer))
            }
            Kind::Exchange(group) => loop {
                let private = PrivateShare::new(group, scalar(random));
                if let [Some(peer), Some(_)] = publics(&private) {
                    break (Job::Exchange { group, peer }, Asked::Exchange(private));
                }
            },
            Kind::Ecdsa => sign((random.next_u32() % 2) as usize, SCHEMES[0], random),
            Kind::Pss => sign(rsa_key(random), SCHEMES[1 + (random.next_u32() % 3) as usize], random),
            Kind::Pkcs1 => sign(rsa_key(random), SCHEMES[4 + (random.next_u32() % 3) as usize], random),
            Kind::Stranger => match random.next_u32() % 3 {
                0 => sign(0, SCHEMES[1 + (random.next_u32() % 6) as usize], random),
                1 => sign(2, SCHEMES[0], random),
                _ => sign(self.keys.len(), SCHEMES[0], random),
            },
        }
    }

    /// What is wrong with the answer, if anything is.
    fn check(&mut self, asked: &Asked, done: &Done) -> Result<(), String> {
        match (asked, done) {
            (Asked::Generate(group), Done::Generated { private, share }) => {
                let publics = publics(private).map(|public| public.map(|public| public.bytes().to_vec()));
                let holds = publics.iter().all(|public| public.as_deref() == Some(share.bytes()));
                ensure(holds, || format!("a pair of {group:?} of {:x?}", private.bytes()))
            }
            (Asked::Agree(private, peer), answer) => {
                let found = match answer {
                    Done::Agreed { secret } => Ok(secret.bytes().to_vec()),
                    Done::Failed(failure) => Err(*failure),
                    _ => return Err("another answer".into()),
                };
                let expected = self.agree(private, peer);
                // Where scalar and share are both wrong, the libraries do not blame the same.
                let holds = found == expected[0] && found.as_ref().ok() == expected[1].as_ref().ok();
                let (group, private, peer) = (private.group(), private.bytes(), peer.bytes());
                ensure(holds, || {
                    format!("{group:?} of {private:x?} and {peer:x?}: {found:x?}, {expected:x?}")
                })
            }
            (Asked::Exchange(theirs), Done::Exchanged { share, secret }) => {
                let expected = self.agree(theirs, share);
                let holds = expected.iter().all(|expected| expected.as_deref() == Ok(secret.bytes()));
                ensure(holds, || format!("{:?} with {:x?}", theirs.group(), theirs.bytes()))
            }
            (Asked::ExchangeWith(group, peer), answer) => {
                let mut one = [0; 32];
                one[31] = 1;
                let expected =
                    self.agree(&PrivateShare::new(*group, one), peer).map(|outcome| outcome.is_ok());
                let found = match answer {
                    Done::Exchanged { .. } => true,
                    Done::Failed(Failure::InvalidShare) => false,
                    _ => return Err("another answer".into()),
                };
                let peer = peer.bytes();
                ensure(expected == [found; 2], || format!("{group:?} with {peer:x?}: {found}, {expected:?}"))
            }
            (Asked::Sign(key, scheme, message), Done::Signed(signature)) => {
                let (key, text) = (*key, message.bytes());
                let verified = verify(&self.keys[key], *scheme, text, signature.bytes()) == [true; 2];
                ensure(verified, || format!("{scheme:?} of key {key} and {text:x?}, {}", pem(key)))?;
                if scheme.code() & 0xff != 1 {
                    return Ok(());
                }
                let id = KeyId(u16::try_from(key).unwrap());
                let job = || Job::Sign { key: id, scheme: *scheme, message: *message };
                let same = [self.awslc.work(&job()), ask(&mut self.rustcrypto, job())]
                    .iter()
                    .all(|other| matches!(other, Done::Signed(other) if other.bytes() == signature.bytes()));
                ensure(same, || format!("{scheme:?} of key {key} and {text:x?}, {}", pem(key)))
            }
            (Asked::Sign(key, scheme, _), Done::Failed(Failure::UnsuitableKey)) => {
                let suits = self.keys.get(*key).is_some_and(|key| key.kind().signs(*scheme));
                ensure(!suits, || format!("{scheme:?} refused by key {key}"))
            }
            _ => Err("another answer".into()),
        }
    }

    /// By aws-lc and by RustCrypto.
    fn agree(&mut self, private: &PrivateShare, peer: &Share) -> [Result<Vec<u8>, Failure>; 2] {
        let job = || Job::Agree { private: private.clone(), peer: peer.try_clone().unwrap() };
        [self.awslc.work(&job()), ask(&mut self.rustcrypto, job())].map(|done| match done {
            Done::Agreed { secret } => Ok(secret.bytes().to_vec()),
            Done::Failed(failure) => Err(failure),
            _ => panic!("another answer"),
        })
    }
}

const SCHEMES: [SignatureScheme; 7] = [
    SignatureScheme::EcdsaSecp256r1Sha256,
    SignatureScheme::RsaPssRsaeSha256,
    SignatureScheme::RsaPssRsaeSha384,
    SignatureScheme::RsaPssRsaeSha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
    SignatureScheme::RsaPkcs1Sha512,
];

/// Of 16, 13 are of 2048 bits and one is of 4096.
fn rsa_key(random: &mut impl Rng) -> usize {
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4][(random.next_u32() % 16) as usize]
}

fn sign(key: usize, scheme: SignatureScheme, random: &mut impl Rng) -> (Job, Asked) {
    let mut text = vec![0; (random.next_u32() % 161) as usize];
    random.fill_bytes(&mut text);
    let message = Message::new(&[&text]).unwrap();
    let id = KeyId(u16::try_from(key).unwrap());
    (Job::Sign { key: id, scheme, message }, Asked::Sign(key, scheme, message))
}

/// The public half, by aws-lc and by RustCrypto.
fn publics(private: &PrivateShare) -> [Option<Share>; 2] {
    let (group, bytes) = (private.group(), private.bytes());
    let algorithm = match group {
        Group::X25519 => &aws_lc_rs::agreement::X25519,
        _ => &aws_lc_rs::agreement::ECDH_P256,
    };
    let awslc = aws_lc_rs::agreement::PrivateKey::from_private_key(algorithm, bytes).ok();
    let awslc = awslc.and_then(|key| Share::new(group, key.compute_public_key().ok()?.as_ref()));
    let rustcrypto = match group {
        Group::X25519 => {
            let scalar: [u8; 32] = bytes.try_into().unwrap();
            let key = x25519_dalek::StaticSecret::from(scalar);
            Share::new(group, x25519_dalek::PublicKey::from(&key).as_bytes())
        }
        _ => p256::SecretKey::from_slice(bytes)
            .ok()
            .and_then(|key| Share::new(group, key.public_key().to_sec1_point(false).as_bytes())),
    };
    [awslc, rustcrypto]
}

fn ask(engine: &mut dyn Engine, job: Job) -> Done {
    assert!(engine.submit(Token(0), job).is_ok());
    engine.run();
    engine.completed().unwrap().1
}

fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    holds.then_some(()).ok_or_else(complaint)
}

/// The RSA key of this number, for a message about it.
fn pem(key: usize) -> String {
    let text = match key {
        2 => &RSA_2048_PKCS8,
        3 => &RSA_3072_PKCS8,
        4 => &RSA_4096_PKCS8,
        _ => return String::new(),
    };
    String::from_utf8_lossy(text).into_owned()
}

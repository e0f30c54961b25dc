//! The lane rule, and jobs of all kinds together: every answer is checked by another engine.

mod cases;
mod edges;
pub(super) mod timing;
pub(super) mod trace;
mod wiping;

use std::collections::HashMap;

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use rcgen::KeyPair;

use super::*;
use crate::test_keys::{ED25519_PKCS8, P256_SEC1, P384_SEC1, RSA_2048_PKCS1, RSA_3072_PKCS8, Text};
use crate::{
    AwsLc, Done, Engine, Failure, Group, Job, KeyId, Message, Moment, PrivateKey, PrivateShare, Share,
    SharePool, SignatureScheme, SystemRandom, Token, verify,
};

const GROUPS: [Group; 2] = [Group::X25519, Group::Secp256r1];

/// Two ECDSA keys, RSA of 2048 and 3072 bits, then ECDSA on P-384 and Ed25519.
fn keys() -> Vec<PrivateKey> {
    static OTHER: Text = Text::new(|| KeyPair::generate().unwrap().serialize_pem().into_bytes());
    let texts = [&P256_SEC1, &OTHER, &RSA_2048_PKCS1, &RSA_3072_PKCS8, &P384_SEC1, &ED25519_PKCS8];
    texts.iter().map(|text| PrivateKey::from_pem(text).unwrap()).collect()
}

fn batch(capacity: usize) -> Batch {
    Batch::new(&keys(), capacity).expect("AVX-512 IFMA")
}

/// What is asked, and what is needed to check the answer.
enum Asked {
    Exchange(PrivateShare),
    Hybrid(DecapsulationKey, PrivateShare),
    Invalid,
    Generate(Group),
    Agree(PrivateShare, Share),
    Sign(usize, SignatureScheme, Vec<u8>),
}

/// An engine to check by, and room for the shares of its jobs.
struct Oracle(AwsLc, SharePool);

impl Oracle {
    fn ask(&mut self, job: Job) -> Done {
        assert!(self.0.submit(Token(0), job).is_ok());
        self.0.run();
        self.0.completed().unwrap().1
    }

    fn pair(&mut self, group: Group) -> (PrivateShare, Share) {
        let Done::Generated { private, share } = self.ask(Job::Generate { group }) else { panic!("no pair") };
        (private, share)
    }

    fn agree(&mut self, private: &PrivateShare, peer: &Share) -> Vec<u8> {
        let peer = peer.try_clone().unwrap();
        let Done::Agreed { secret } = self.ask(Job::Agree { private: private.clone(), peer }) else {
            panic!("no secret")
        };
        secret.bytes().to_vec()
    }

    /// A job of the `number`th kind.
    fn job(&mut self, number: usize, random: &mut ChaCha20Rng) -> (Job, Asked) {
        let kind = number / 2 % 7;
        let group = if kind == 5 { Group::Secp384r1 } else { GROUPS[number % 2] };
        let (private, share) = self.pair(group);
        match kind {
            0 | 5 => (Job::Exchange { group, peer: share }, Asked::Exchange(private)),
            6 => self.hybrid(number.is_multiple_of(2)),
            1 => (Job::Generate { group }, Asked::Generate(group)),
            2 => {
                let (_, peer) = self.pair(group);
                let job = Job::Agree { private: private.clone(), peer: peer.try_clone().unwrap() };
                (job, Asked::Agree(private, peer))
            }
            3 => {
                let zeros = Share::new(group, &vec![0; group.share_len()]).unwrap();
                (Job::Exchange { group, peer: zeros }, Asked::Invalid)
            }
            _ => {
                let key = random.next_u32() as usize % 6;
                let scheme = match key {
                    0 | 1 => SignatureScheme::EcdsaSecp256r1Sha256,
                    2 => SignatureScheme::RsaPssRsaeSha256,
                    3 => SignatureScheme::RsaPkcs1Sha384,
                    4 => SignatureScheme::EcdsaSecp384r1Sha384,
                    _ => SignatureScheme::Ed25519,
                };
                let mut text = vec![0; random.next_u32() as usize % 161];
                random.fill_bytes(&mut text);
                let message = Message::new(&[&text]).unwrap();
                let id = KeyId(u16::try_from(key).unwrap());
                (Job::Sign { key: id, scheme, message }, Asked::Sign(key, scheme, text))
            }
        }
    }

    fn hybrid(&mut self, valid: bool) -> (Job, Asked) {
        let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
        let mut bytes = key.encapsulation_key().unwrap().key_bytes().unwrap().as_ref().to_vec();
        let (private, point) = self.pair(Group::X25519);
        bytes.extend(point.bytes());
        if !valid {
            bytes[..2].fill(0xff);
        }
        let group = Group::X25519MlKem768;
        let peer = self.1.share(group, &bytes).unwrap();
        let asked = if valid { Asked::Hybrid(key, private) } else { Asked::Invalid };
        (Job::Exchange { group, peer }, asked)
    }

    fn check(&mut self, keys: &[PrivateKey], asked: &Asked, done: Done) {
        match (asked, done) {
            (Asked::Exchange(private), Done::Exchanged { share, secret }) => {
                assert_eq!(self.agree(private, &share), secret.bytes());
            }
            (Asked::Hybrid(key, private), Done::Exchanged { share, secret }) => {
                let (ciphertext, point) = share.bytes().split_at(1088);
                let point = Share::new(Group::X25519, point).unwrap();
                let first = key.decapsulate(Ciphertext::from(ciphertext)).unwrap();
                assert_eq!([first.as_ref(), &self.agree(private, &point)].concat(), secret.bytes());
            }
            (Asked::Invalid, Done::Failed(Failure::InvalidShare)) => {}
            (Asked::Generate(group), Done::Generated { private, share }) => {
                let (other, peer) = self.pair(*group);
                assert_eq!(self.agree(&private, &peer), self.agree(&other, &share));
            }
            (Asked::Agree(private, peer), Done::Agreed { secret }) => {
                assert_eq!(self.agree(private, peer), secret.bytes());
            }
            (Asked::Sign(key, scheme, text), Done::Signed(signature)) => {
                let public = keys[*key].public_key_der();
                assert!(verify(*scheme, public, text, signature.bytes()), "{scheme:?} of key {key}");
            }
            _ => panic!("another answer"),
        }
    }
}

/// Every number of jobs up to more than two lots, of each kind alone and of all kinds mixed.
fn answers_jobs_of_all_kinds_and_numbers(batch: &mut dyn Engine) {
    let keys = keys();
    let mut oracle = Oracle(AwsLc::new(&keys, 8).unwrap(), SharePool::new(65));
    let mut random = ChaCha20Rng::seed_from_u64(3);
    let kinds = (0..14).map(Some).chain([None]);
    for kind in kinds {
        for count in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65] {
            let mut asked = HashMap::new();
            for number in 0..count {
                let (job, what) = oracle.job(kind.unwrap_or(number), &mut random);
                assert!(batch.submit(Token(number as u64), job).is_ok());
                asked.insert(number as u64, what);
            }
            while batch.in_flight() > 0 {
                batch.run();
                while let Some((token, done)) = batch.completed() {
                    let what = asked.remove(&token.0).expect("one answer a job");
                    oracle.check(&keys, &what, done);
                }
            }
            assert!(asked.is_empty());
            assert_eq!(oracle.1.free(), 65);
        }
    }
}

#[test]
fn eight_lanes_answer_jobs_of_all_kinds_and_numbers() {
    answers_jobs_of_all_kinds_and_numbers(&mut batch(100));
}

#[test]
fn four_lanes_answer_jobs_of_all_kinds_and_numbers() {
    let mut four = Four::new(&keys(), 100).expect("AVX2");
    answers_jobs_of_all_kinds_and_numbers(&mut four);
    (0..100).for_each(|now| four.work_ahead(now));
    answers_jobs_of_all_kinds_and_numbers(&mut four);
}

/// RSA jobs that would leave lanes empty wait for a turn, and no longer, while others wait too.
#[test]
fn a_rest_waits_while_there_is_more_to_do() {
    let mut batch = batch(1000);
    let message = Message::new(&[b"text"]).unwrap();
    let sign = || Job::Sign { key: KeyId(2), scheme: SignatureScheme::RsaPkcs1Sha256, message };
    for token in 0..100 {
        assert!(batch.submit(Token(token), sign()).is_ok());
    }
    let mut next = 0;
    while batch.in_flight() > 0 {
        batch.run();
        let mut done = 0;
        while let Some((token, answer)) = batch.completed() {
            assert!(matches!(answer, Done::Signed(_)));
            assert_eq!(token, Token(next), "the oldest are done first");
            next += 1;
            done += 1;
        }
        assert!(done > 0 && done < 50, "{done} in a turn");
        assert!(done % 8 == 0 || next == 100, "{done} leave lanes empty");
    }
    assert_eq!(next, 100);
}

/// A flood of one kind, older though it is, leaves room in every turn for the others, and none waits for ever.
#[test]
fn kinds_share_a_turn() {
    let mut batch = batch(1000);
    let message = Message::new(&[b"text"]).unwrap();
    let rsa = |key| Job::Sign { key: KeyId(key), scheme: SignatureScheme::RsaPkcs1Sha256, message };
    for token in 0..100 {
        assert!(batch.submit(Token(token), rsa(2)).is_ok());
        assert!(batch.submit(Token(1000 + token), rsa(3)).is_ok());
    }
    let mut next = [0, 1000];
    for turn in 0.. {
        let pair = Job::Generate { group: GROUPS[usize::from(turn % 2 == 0)] };
        assert!(batch.submit(Token(2000 + turn), pair).is_ok());
        batch.run();
        let mut has_pair = false;
        while let Some((Token(token), _)) = batch.completed() {
            match token {
                2000.. => has_pair = true,
                _ => {
                    let next = &mut next[usize::from(token >= 1000)];
                    assert_eq!(token, *next, "the oldest of a kind first");
                    *next += 1;
                }
            }
        }
        assert!(has_pair, "turn {turn} has no room");
        if next == [100, 1100] {
            break;
        }
        assert!(turn < 100, "both keys are served: {next:?}");
    }
    assert_eq!(batch.in_flight(), 0);
}

/// Randomness that never changes: whatever differs comes from key and message.
#[derive(Clone)]
struct Broken;

impl TryRng for Broken {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(1)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(1)
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Self::Error> {
        place.fill(1);
        Ok(())
    }
}

impl TryCryptoRng for Broken {}

fn sign_all<R: rand_core::CryptoRng>(batch: &mut Batch<R>, jobs: &[(u16, &[u8])]) -> Vec<Vec<u8>> {
    for (token, (key, text)) in jobs.iter().enumerate() {
        let message = Message::new(&[text]).unwrap();
        let scheme = SignatureScheme::EcdsaSecp256r1Sha256;
        assert!(batch.submit(Token(token as u64), Job::Sign { key: KeyId(*key), scheme, message }).is_ok());
    }
    let mut signatures = vec![Vec::new(); jobs.len()];
    while batch.in_flight() > 0 {
        batch.run();
        while let Some((Token(token), Done::Signed(signature))) = batch.completed() {
            signatures[usize::try_from(token).unwrap()] = signature.bytes().to_vec();
        }
    }
    signatures
}

/// The DER of r, which is a function of the nonce alone.
fn nonce_of(signature: &[u8]) -> &[u8] {
    &signature[4..4 + usize::from(signature[3])]
}

/// Two messages under one nonce give the key away.
#[test]
fn nonces_differ_even_without_randomness() {
    let mut broken = Batch::with_random(&keys(), 100, Broken, Some(1)).unwrap();
    let signatures = sign_all(&mut broken, &[(0, b"one"), (0, b"two"), (1, b"one"), (0, b"one")]);
    let nonces: Vec<_> = signatures.iter().map(|signature| nonce_of(signature)).collect();
    assert!(nonces[0] != nonces[1] && nonces[0] != nonces[2] && nonces[1] != nonces[2]);
    // The same key, message and randomness: the same signature, as RFC 6979 has it.
    assert_eq!(signatures[0], signatures[3]);

    let mut random = Batch::with_random(&keys(), 100, SystemRandom, Some(1)).unwrap();
    let signatures = sign_all(&mut random, &[(0, &b"one"[..]); 32]);
    let nonces: std::collections::HashSet<_> =
        signatures.iter().map(|signature| nonce_of(signature)).collect();
    assert_eq!(nonces.len(), 32);
}

/// Signatures with nonces made ahead hold, and take each nonce once; without a witness, and when all are used,
/// others are made.
#[test]
fn signatures_with_nonces_made_ahead_hold() {
    let keys = keys();
    let mut batch = batch(100);
    batch.keep_nonces();
    let moment = |ns| Moment { monotonic_ns: ns, wall_ns: 1_000_000 + ns, generation: 1 };
    let mut now = 0;
    let mut nonces = std::collections::HashSet::new();
    for round in 0..8 {
        for _ in 0..100 * usize::from(round % 4 != 3) {
            now += 1;
            batch.witness(moment(now));
            batch.work_ahead(now);
        }
        for count in [1, 2, 9, 32, 40] {
            let texts: Vec<_> = (0..count).map(|number| format!("{number} of {count}")).collect();
            let jobs: Vec<_> = (0..).zip(&texts).map(|(key, text)| (key % 2, text.as_bytes())).collect();
            now += 1;
            if round % 2 == 0 {
                batch.witness(moment(now));
            }
            let signatures = sign_all(&mut batch, &jobs);
            for ((key, text), signature) in jobs.iter().zip(&signatures) {
                let public = keys[usize::from(*key)].public_key_der();
                assert!(verify(SignatureScheme::EcdsaSecp256r1Sha256, public, text, signature));
                assert!(nonces.insert(nonce_of(signature).to_vec()));
            }
        }
    }
}

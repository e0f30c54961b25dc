//! The lane rule, and jobs of all kinds together: every answer is checked by another engine.

mod cases;
mod edges;
pub(super) mod timing;
pub(super) mod trace;
mod wiping;

use std::collections::HashMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use rcgen::KeyPair;

use super::*;
use crate::test_keys::{P256_SEC1, RSA_2048_PKCS1, RSA_3072_PKCS8, Text};
use crate::{
    AwsLc, Done, Engine, Failure, Group, Job, KeyId, Message, PrivateKey, PrivateShare, Share,
    SignatureScheme, SystemRandom, Token, verify,
};

const GROUPS: [Group; 2] = [Group::X25519, Group::Secp256r1];

/// Two ECDSA keys, then RSA of 2048 and 3072 bits.
fn keys() -> Vec<PrivateKey> {
    static OTHER: Text = Text::new(|| KeyPair::generate().unwrap().serialize_pem().into_bytes());
    let texts = [&P256_SEC1, &OTHER, &RSA_2048_PKCS1, &RSA_3072_PKCS8];
    texts.iter().map(|text| PrivateKey::from_pem(text).unwrap()).collect()
}

fn batch(capacity: usize) -> Batch {
    Batch::new(&keys(), capacity).expect("AVX-512 IFMA")
}

/// What is asked, and what is needed to check the answer.
enum Asked {
    Exchange(PrivateShare),
    Invalid,
    Generate(Group),
    Agree(PrivateShare, Share),
    Sign(usize, SignatureScheme, Vec<u8>),
}

/// An engine to check by.
struct Oracle(AwsLc);

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

    fn agree(&mut self, private: &PrivateShare, peer: Share) -> Vec<u8> {
        let Done::Agreed { secret } = self.ask(Job::Agree { private: private.clone(), peer }) else {
            panic!("no secret")
        };
        secret.bytes().to_vec()
    }

    /// A job of the `number`th kind.
    fn job(&mut self, number: usize, random: &mut ChaCha20Rng) -> (Job, Asked) {
        let group = GROUPS[number % 2];
        let (private, share) = self.pair(group);
        match number / 2 % 5 {
            0 => (Job::Exchange { group, peer: share }, Asked::Exchange(private)),
            1 => (Job::Generate { group }, Asked::Generate(group)),
            2 => {
                let (_, peer) = self.pair(group);
                (Job::Agree { private: private.clone(), peer }, Asked::Agree(private, peer))
            }
            3 => {
                let zeros = Share::new(group, &vec![0; group.share_len()]).unwrap();
                (Job::Exchange { group, peer: zeros }, Asked::Invalid)
            }
            _ => {
                let key = random.next_u32() as usize % 4;
                let scheme = match key {
                    0 | 1 => SignatureScheme::EcdsaSecp256r1Sha256,
                    2 => SignatureScheme::RsaPssRsaeSha256,
                    _ => SignatureScheme::RsaPkcs1Sha384,
                };
                let mut text = vec![0; random.next_u32() as usize % 161];
                random.fill_bytes(&mut text);
                let message = Message::new(&[&text]).unwrap();
                let id = KeyId(u16::try_from(key).unwrap());
                (Job::Sign { key: id, scheme, message }, Asked::Sign(key, scheme, text))
            }
        }
    }

    fn check(&mut self, keys: &[PrivateKey], asked: &Asked, done: Done) {
        match (asked, done) {
            (Asked::Exchange(private), Done::Exchanged { share, secret }) => {
                assert_eq!(self.agree(private, share), secret.bytes());
            }
            (Asked::Invalid, Done::Failed(Failure::InvalidShare)) => {}
            (Asked::Generate(group), Done::Generated { private, share }) => {
                let (other, peer) = self.pair(*group);
                assert_eq!(self.agree(&private, peer), self.agree(&other, share));
            }
            (Asked::Agree(private, peer), Done::Agreed { secret }) => {
                assert_eq!(self.agree(private, *peer), secret.bytes());
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
#[test]
fn jobs_of_all_kinds_and_numbers_are_answered() {
    let keys = keys();
    let mut oracle = Oracle(AwsLc::new(&keys, 8).unwrap());
    let mut batch = batch(100);
    let mut random = ChaCha20Rng::seed_from_u64(3);
    let kinds = (0..10).map(Some).chain([None]);
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
        }
    }
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
    batch.run();
    let mut signatures = vec![Vec::new(); jobs.len()];
    while let Some((Token(token), Done::Signed(signature))) = batch.completed() {
        signatures[usize::try_from(token).unwrap()] = signature.bytes().to_vec();
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
    let mut broken = Batch::with_random(&keys(), 100, Broken, 1).unwrap();
    let signatures = sign_all(&mut broken, &[(0, b"one"), (0, b"two"), (1, b"one"), (0, b"one")]);
    let nonces: Vec<_> = signatures.iter().map(|signature| nonce_of(signature)).collect();
    assert!(nonces[0] != nonces[1] && nonces[0] != nonces[2] && nonces[1] != nonces[2]);
    // The same key, message and randomness: the same signature, as RFC 6979 has it.
    assert_eq!(signatures[0], signatures[3]);

    let mut random = Batch::with_random(&keys(), 100, SystemRandom, 1).unwrap();
    let signatures = sign_all(&mut random, &[(0, &b"one"[..]); 32]);
    let nonces: std::collections::HashSet<_> =
        signatures.iter().map(|signature| nonce_of(signature)).collect();
    assert_eq!(nonces.len(), 32);
}

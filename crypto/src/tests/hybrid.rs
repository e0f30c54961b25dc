//! X25519MLKEM768 on every engine: what clients of other libraries get, and what is refused.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use ml_kem::{Decapsulate, KeyExport, MlKem768};

use super::*;

const HYBRID: Group = Group::X25519MlKem768;

/// Bytes of an encapsulation key.
const KEY: usize = 1184;

/// A client with its keys, each from a library of its own.
struct Client {
    decapsulation: Decapsulation,
    private: PrivateShare,
    share: Vec<u8>,
}

enum Decapsulation {
    AwsLc(DecapsulationKey),
    RustCrypto(Box<ml_kem::DecapsulationKey<MlKem768>>),
}

impl Client {
    fn new(rustcrypto: bool, rng: &mut ChaCha20Rng) -> Self {
        let (decapsulation, mut share) = if rustcrypto {
            let mut seed = [0; 64];
            rng.fill_bytes(&mut seed);
            let key = ml_kem::DecapsulationKey::<MlKem768>::from_seed(seed.into());
            let public = key.encapsulation_key().to_bytes().to_vec();
            (Decapsulation::RustCrypto(Box::new(key)), public)
        } else {
            let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
            let public = key.encapsulation_key().unwrap().key_bytes().unwrap().as_ref().to_vec();
            (Decapsulation::AwsLc(key), public)
        };
        let mut engine = RustCrypto::new(&[], 1, rng);
        let (private, point) = generate(&mut engine, Group::X25519);
        share.extend(point.bytes());
        Self { decapsulation, private, share }
    }

    /// What it agrees on with whoever answered `share` (draft-ietf-tls-ecdhe-mlkem section 4.3).
    fn secret(&self, share: &Share) -> Vec<u8> {
        assert_eq!(share.bytes().len(), HYBRID.answer_len());
        let (ciphertext, point) = share.bytes().split_at(1088);
        let mut secret = match &self.decapsulation {
            Decapsulation::AwsLc(key) => {
                key.decapsulate(Ciphertext::from(ciphertext)).unwrap().as_ref().to_vec()
            }
            Decapsulation::RustCrypto(key) => key.decapsulate(&ciphertext.try_into().unwrap()).to_vec(),
        };
        let point = Share::new(Group::X25519, point).unwrap();
        let mut engine = AwsLc::new(&[], 1).unwrap();
        secret.extend(agree(&mut engine, self.private.clone(), &point).unwrap().bytes());
        secret
    }
}

#[test]
fn every_client_gets_the_secret_of_every_engine() {
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let pool = SharePool::new(2);
    for mut engine in engines(20) {
        for case in 0..40 {
            let client = Client::new(case % 2 == 0, &mut rng);
            let peer = pool.share(HYBRID, &client.share).unwrap();
            let (share, secret) = exchange(&mut *engine, HYBRID, &peer).unwrap();
            assert_eq!(secret.bytes(), client.secret(&share), "{}", engine.name());
            assert_eq!(secret.bytes().len(), 64);
            drop((share, peer));
            assert_eq!(pool.free(), 2, "a room is lost");
        }
    }
}

/// The coefficient of `number` in an encapsulation key, of 12 bits each (FIPS 203 section 4.2.1).
fn set_coefficient(key: &mut [u8], number: usize, value: u16) {
    let [low, high] = value.to_le_bytes();
    let at = number / 2 * 3;
    if number.is_multiple_of(2) {
        key[at] = low;
        key[at + 1] = key[at + 1] & 0xf0 | high;
    } else {
        key[at + 1] = key[at + 1] & 0x0f | low << 4;
        key[at + 2] = low >> 4 | high << 4;
    }
}

/// FIPS 203 section 7.2: the modulus check.
#[test]
fn encapsulation_keys_with_a_coefficient_of_the_modulus_or_over_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let client = Client::new(true, &mut rng);
    let pool = SharePool::new(2);
    for mut engine in engines(21) {
        for number in (0..768).step_by(13).chain([1, 255, 256, 511, 512, 766, 767]) {
            for (value, holds) in [(0, true), (3328, true), (3329, false), (3330, false), (4095, false)] {
                let mut bytes = client.share.clone();
                set_coefficient(&mut bytes, number, value);
                let outcome = exchange(&mut *engine, HYBRID, &pool.share(HYBRID, &bytes).unwrap());
                let name = engine.name();
                assert_eq!(
                    outcome.err(),
                    (!holds).then_some(Failure::InvalidShare),
                    "{name} {number} {value}"
                );
            }
        }
    }
    assert_eq!(pool.free(), 2);
}

/// The X25519 half is held to what X25519 alone is; the ML-KEM half may be all zero, which is a key.
#[test]
fn the_second_half_is_checked_too() {
    let mut rng = ChaCha20Rng::seed_from_u64(22);
    let client = Client::new(false, &mut rng);
    let pool = SharePool::new(2);
    let with = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = client.share.clone();
        change(&mut bytes);
        pool.share(HYBRID, &bytes).unwrap()
    };
    for mut engine in engines(22) {
        let mut outcome = |change: &dyn Fn(&mut [u8])| exchange(&mut *engine, HYBRID, &with(change)).err();
        assert_eq!(outcome(&|_| ()), None);
        assert_eq!(outcome(&|bytes| bytes[..KEY].fill(0)), None);
        assert_eq!(outcome(&|bytes| bytes[KEY..].fill(0)), Some(Failure::InvalidShare));
        let one = |bytes: &mut [u8]| {
            bytes[KEY..].iter_mut().enumerate().for_each(|(at, byte)| *byte = u8::from(at == 0))
        };
        assert_eq!(outcome(&one), Some(Failure::InvalidShare));
        assert_eq!(outcome(&|bytes| bytes.fill(0)), Some(Failure::InvalidShare));
        assert_eq!(outcome(&|bytes| bytes.fill(0xff)), Some(Failure::InvalidShare));
        let short = Share::new(Group::X25519, &[9; 32]).unwrap();
        assert_eq!(exchange(&mut *engine, HYBRID, &short).err(), Some(Failure::InvalidShare));
    }
}

/// Lots of every size, with shares that are none among them: each gets its own answer.
#[test]
fn a_bad_share_spoils_no_other() {
    let mut rng = ChaCha20Rng::seed_from_u64(23);
    let pool = SharePool::new(40);
    let mut batch = Batch::with_random(&[], 40, ChaCha20Rng::seed_from_u64(24), Some(2)).unwrap();
    for count in (1..20).chain([31, 32, 33, 40]) {
        let clients: Vec<_> = (0..count).map(|number| Client::new(number % 2 == 0, &mut rng)).collect();
        let is_bad = |number: usize| number % 3 == 1;
        for (number, client) in clients.iter().enumerate() {
            let mut bytes = client.share.clone();
            match number % 6 {
                1 => set_coefficient(&mut bytes, number, 3329),
                4 => bytes[KEY..].fill(0),
                _ => {}
            }
            let peer = pool.share(HYBRID, &bytes).unwrap();
            assert!(batch.submit(Token(number as u64), Job::Exchange { group: HYBRID, peer }).is_ok());
        }
        let mut answers = 0;
        while batch.in_flight() > 0 {
            batch.run();
            while let Some((Token(number), done)) = batch.completed() {
                let number = usize::try_from(number).unwrap();
                match done {
                    Done::Exchanged { share, secret } if !is_bad(number) => {
                        assert_eq!(secret.bytes(), clients[number].secret(&share), "{number} of {count}");
                    }
                    Done::Failed(Failure::InvalidShare) if is_bad(number) => {}
                    _ => panic!("another answer: {number} of {count}"),
                }
                answers += 1;
            }
        }
        assert_eq!((answers, pool.free()), (count, 40));
    }
}

/// Jobs that nobody waits for any more.
#[test]
fn an_engine_that_is_dropped_gives_rooms_back() {
    let client = Client::new(true, &mut ChaCha20Rng::seed_from_u64(25));
    let pool = SharePool::new(4);
    for mut engine in engines(25) {
        for token in 0..4 {
            let peer = pool.share(HYBRID, &client.share).unwrap();
            assert!(engine.submit(Token(token), Job::Exchange { group: HYBRID, peer }).is_ok());
            if token == 1 {
                engine.run();
            }
        }
        assert_eq!(pool.free(), 0);
        drop(engine);
        assert_eq!(pool.free(), 4);
    }
}

#[test]
fn no_pair_of_it_is_made() {
    for mut engine in engines(26) {
        let done = ask(&mut *engine, Job::Generate { group: HYBRID });
        assert!(matches!(done, Done::Failed(Failure::UnsuitableGroup)));
        let peer = Share::new(Group::X25519, &[9; 32]).unwrap();
        let private = PrivateShare::new(HYBRID, [1; 32]);
        assert!(agree(&mut *engine, private, &peer).is_err());
    }
}

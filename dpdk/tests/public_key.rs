//! Public-key work on crypto devices: what they answer is what the CPU answers, and nothing is lost.

mod support;

use std::time::{Duration, Instant};

use levee_dpdk::Eal;
use levee_dpdk::crypto::public_key::{
    Device, DeviceConfig, Finished, KeyId, Kind, Operation, QueuePair, RsaKey,
};
use rcgen::{PKCS_RSA_SHA256, RsaKeySize};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::sha2::{Digest as _, Sha256};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};

const SIZES: [RsaKeySize; 3] = [RsaKeySize::_2048, RsaKeySize::_3072, RsaKeySize::_4096];

#[test]
fn devices_sign_as_the_cpu_does() {
    let (eal, _) = support::eal_on_hugepages(&["--vdev=crypto_openssl0", "--vdev=crypto_aesni_gcm0"]);
    devices_are_found_by_what_they_do(&eal);

    let keys = SIZES.map(Sample::new);
    let config = DeviceConfig { queue_pairs: 2, descriptors: 64, keys: 4 };
    let (device, mut pairs) = Device::open(&eal, "crypto_openssl0", &config).expect("it opens");
    assert!(device.does(Kind::Rsa));
    assert!(!device.does(Kind::EcdsaP256) && !device.does(Kind::MultiplyP256), "it does not even claim it");
    assert!(!Kind::ALL.into_iter().any(|kind| device.lies_about(kind)));
    what_is_not_offered_is_refused(&mut pairs[0]);
    for sample in &keys {
        wrong_keys_are_refused(&mut pairs[0], sample);
    }
    for (name, sample) in ["2048", "3072", "4096"].into_iter().zip(&keys) {
        let key = sample.open(&mut pairs[0]).expect("the device does it");
        many_at_once(&mut pairs[0], key, sample);
        a_full_queue_takes_no_more(&mut pairs[0], key, sample);
        a_failure_is_of_one_operation(&mut pairs[0], key, sample);
        let began = Instant::now();
        for _ in 0..20 {
            once(&mut pairs[0], key, &sample.cases[0].0).expect("an answer");
        }
        println!("crypto_openssl: RSA-{name} in {:?}", began.elapsed() / 20);
    }
    let more = keys[0].open(&mut pairs[0]);
    assert!(more.is_some() && keys[0].open(&mut pairs[0]).is_none(), "the table of keys is bounded");

    let other = pairs.pop().expect("two pairs");
    two_lcores(&eal, pairs, other, keys);
    drop(device);
    Device::open(&eal, "crypto_openssl0", &config).expect("it opens again");
}

fn devices_are_found_by_what_they_do(eal: &Eal) {
    let open = |name| Device::open(eal, name, &DeviceConfig { queue_pairs: 1000, ..DeviceConfig::default() });
    let (device, pairs) = open("crypto_openssl0").expect("it opens");
    assert_eq!(pairs.len(), 8, "as many queue pairs as the device has");
    assert!(open("crypto_openssl0").is_err_and(|error| error.why() == "it is open already"));
    drop((device, pairs));
    assert!(open("crypto_aesni_gcm0").is_err_and(|error| error.why() == "it does no work of this kind"));
    for name in ["crypto_openssl", "crypto_openssl00", "0000:00:00.0"] {
        assert!(open(name).is_err_and(|error| error.why() == "there is no such device"), "{name}");
    }
}

/// A key, and messages with their signatures by another implementation (PKCS #1 v1.5).
struct Sample {
    modulus: Vec<u8>,
    public_exponent: Vec<u8>,
    private_exponent: Vec<u8>,
    p: Vec<u8>,
    q: Vec<u8>,
    dp: Vec<u8>,
    dq: Vec<u8>,
    coefficient: Vec<u8>,
    cases: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sample {
    fn new(size: RsaKeySize) -> Self {
        let pair = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("a key");
        let key = RsaPrivateKey::from_pkcs8_der(&pair.serialize_der()).expect("PKCS #8");
        let [p, q] = key.primes() else { panic!("two primes") };
        let one = BigUint::from(1_u32);
        let sign = |number: u32| {
            let digest = Sha256::digest(number.to_be_bytes());
            let signature = key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest).expect("it signs");
            let message = BigUint::from_bytes_be(&signature).modpow(key.e(), key.n());
            (wide(&message, key.size()), signature)
        };
        let half = key.size() / 2;
        Self {
            modulus: wide(key.n(), key.size()),
            public_exponent: key.e().to_bytes_be(),
            private_exponent: wide(key.d(), key.size()),
            p: wide(p, half),
            q: wide(q, half),
            dp: wide(&(key.d() % (p - &one)), half),
            dq: wide(&(key.d() % (q - &one)), half),
            coefficient: wide(&q.modpow(&(p - 2_u32), p), half),
            cases: (0..8).map(sign).collect(),
        }
    }

    fn key(&self) -> RsaKey<'_> {
        RsaKey {
            modulus: &self.modulus,
            public_exponent: &self.public_exponent,
            private_exponent: &self.private_exponent,
            p: &self.p,
            q: &self.q,
            dp: &self.dp,
            dq: &self.dq,
            coefficient: &self.coefficient,
        }
    }

    fn open(&self, pair: &mut QueuePair) -> Option<KeyId> {
        let (message, signature) = &self.cases[0];
        pair.open_rsa(&self.key(), message, signature)
    }
}

/// `number` in `len` bytes.
fn wide(number: &BigUint, len: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; len - bytes.len()], bytes].concat()
}

fn what_is_not_offered_is_refused(pair: &mut QueuePair) {
    assert!(!pair.multiplies() && pair.open_ecdsa(&[1; 32]).is_none());
    assert!(!pair.submit(1, &Operation::MultiplyP256 { scalar: &[1; 32], point: &[1; 64] }));
    assert_eq!((pair.in_flight(), pair.room()), (0, 63));
}

/// As often as one likes: a key that was refused takes no room.
fn wrong_keys_are_refused(pair: &mut QueuePair, sample: &Sample) {
    let key = sample.key();
    let (message, signature) = &sample.cases[0];
    let other = &sample.cases[1];
    for _ in 0..10 {
        assert!(pair.open_rsa(&RsaKey { dp: key.dq, ..key }, message, signature).is_none());
        assert!(pair.open_rsa(&key, message, &other.1).is_none(), "another answer is known");
    }
    assert!(pair.open_rsa(&key, &message[1..], signature).is_none());
    assert!(pair.open_rsa(&RsaKey { modulus: &key.modulus[..128], ..key }, message, signature).is_none());
    assert_eq!((pair.in_flight(), pair.room()), (0, 63));
}

fn many_at_once(pair: &mut QueuePair, key: KeyId, sample: &Sample) {
    let cases = &sample.cases;
    for round in 0..3 {
        for (token, (message, _)) in (0..40).zip(cases.iter().cycle()) {
            assert!(pair.submit(token, &Operation::Rsa { key, message }));
            if round == 1 && token % 7 == 0 {
                pair.flush();
            }
        }
        assert_eq!(pair.in_flight(), 40);
        let mut answered = [false; 40];
        for Finished { token, answer } in drain(pair) {
            let at = usize::try_from(token).expect("small");
            assert_eq!(answer.expect("an answer").bytes(), cases[at % 8].1, "bit for bit");
            assert!(!std::mem::replace(&mut answered[at], true), "once");
        }
        assert_eq!(answered, [true; 40]);
    }
}

fn a_full_queue_takes_no_more(pair: &mut QueuePair, key: KeyId, sample: &Sample) {
    let operation = Operation::Rsa { key, message: &sample.cases[0].0 };
    let taken = (0..1000).take_while(|&token| pair.submit(token, &operation)).count();
    assert_eq!((taken, pair.room(), pair.in_flight()), (63, 0, 63), "one fewer than descriptors");
    assert!(drain(pair).into_iter().all(|finished| finished.answer.is_some()));
    assert_eq!((pair.room(), pair.in_flight()), (63, 0));
    assert!(!pair.submit(1, &Operation::Rsa { key, message: &sample.cases[0].0[1..] }), "of another length");
}

/// A message above the modulus is one that the device refuses.
fn a_failure_is_of_one_operation(pair: &mut QueuePair, key: KeyId, sample: &Sample) {
    let above = vec![0xff; sample.modulus.len()];
    for token in 0..9 {
        let message = if token % 3 == 1 { &above } else { &sample.cases[0].0 };
        assert!(pair.submit(token, &Operation::Rsa { key, message }));
    }
    let finished = drain(pair);
    assert_eq!(finished.len(), 9);
    for Finished { token, answer } in finished {
        assert_eq!(answer.is_none(), token % 3 == 1, "{token}");
    }
}

/// Each with a queue pair and keys of its own; one is dropped with operations in flight.
fn two_lcores(eal: &Eal, pairs: Vec<QueuePair>, other: QueuePair, keys: [Sample; 3]) {
    let [first, second, _] = keys;
    let works = pairs.into_iter().chain([other]).zip([first, second]).map(|(mut pair, sample)| {
        let work = move || {
            let key = sample.open(&mut pair);
            if let Some(key) = key {
                many_at_once(&mut pair, key, &sample);
                pair.submit(1, &Operation::Rsa { key, message: &sample.cases[0].0 });
            }
            key.is_some()
        };
        eal.launch(eal.cpus()[0], "crypto", work).expect("a worker")
    });
    let opened: Vec<_> =
        works.collect::<Vec<_>>().into_iter().map(|worker| worker.join().expect("no panic")).collect();
    assert_eq!(opened, [false, true], "the first one's table is full");
}

fn once(pair: &mut QueuePair, key: KeyId, message: &[u8]) -> Option<Vec<u8>> {
    assert!(pair.submit(7, &Operation::Rsa { key, message }));
    let answer = drain(pair).pop()?.answer?;
    Some(answer.bytes().to_vec())
}

fn drain(pair: &mut QueuePair) -> Vec<Finished> {
    let mut finished = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while pair.in_flight() > 0 {
        assert!(Instant::now() < deadline, "answers are missing");
        pair.flush();
        while let Some(next) = pair.completed() {
            finished.push(next);
        }
    }
    finished
}

//! Against aws-lc and the `rsa` crate, with keys that the tests make.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::{Pkcs1v15Sign, Pss};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::*;
use crate::batch::emsa::{MAX_SALT_LEN, encode, salt_len};
use crate::batch::tests::timing::assert_no_leak;
use crate::key::Material;
use crate::test_keys::{RSA_1024_PKCS8, RSA_2048_PKCS1, RSA_3072_PKCS8, RSA_4096_PKCS8, Text};
use crate::{PrivateKey, SignatureScheme, verify};

const PKCS1: [SignatureScheme; 3] =
    [SignatureScheme::RsaPkcs1Sha256, SignatureScheme::RsaPkcs1Sha384, SignatureScheme::RsaPkcs1Sha512];
const PSS: [SignatureScheme; 3] =
    [SignatureScheme::RsaPssRsaeSha256, SignatureScheme::RsaPssRsaeSha384, SignatureScheme::RsaPssRsaeSha512];

type Encoded = [u8; MAX_LEN];

fn cpu() -> Cpu {
    Cpu::detect().expect("AVX-512 IFMA")
}

fn texts() -> [&'static Text; 3] {
    [&RSA_2048_PKCS1, &RSA_3072_PKCS8, &RSA_4096_PKCS8]
}

/// The key as the `rsa` crate and as aws-lc hold it.
fn parse(text: &[u8]) -> (RsaPrivateKey, KeyPair) {
    let Material::Rsa { key, pkcs1 } = PrivateKey::from_pem(text).unwrap().material else {
        panic!("not an RSA key")
    };
    (*key, KeyPair::from_der(&pkcs1).unwrap())
}

fn encoded(scheme: SignatureScheme, text: &[u8], len: usize, rng: &mut ChaCha20Rng) -> Encoded {
    let mut place = [0; MAX_LEN];
    let mut salt = [0; MAX_SALT_LEN];
    rng.fill_bytes(&mut salt);
    encode(scheme, text, &salt[..salt_len(scheme)], &mut place[..len]).unwrap();
    place
}

/// All signatures, which must be valid.
fn sign(key: &mut Key, messages: &[Encoded], rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let mut signatures = vec![[0xaa; MAX_LEN]; messages.len()];
    let mut valid = vec![false; messages.len()];
    key.sign(messages, &mut signatures, &mut valid, &mut |place| rng.fill_bytes(place));
    assert!(valid.iter().all(|&valid| valid), "{valid:?}");
    let len = key.len();
    assert!(signatures.iter().all(|signature| signature[len..].iter().all(|&byte| byte == 0)));
    signatures.iter().map(|signature| signature[..len].to_vec()).collect()
}

#[test]
fn pkcs1_signatures_are_those_of_both_libraries_for_every_count() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for text in texts() {
        let (oracle, pair) = parse(text);
        let mut key = Key::new(cpu(), &oracle).unwrap();
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for case in 0..9_u8 {
            let scheme = PKCS1[usize::from(case % 3)];
            let text = [case; 40];
            messages.push(encoded(scheme, &text, key.len(), &mut rng));
            let padding = [&RSA_PKCS1_SHA256, &RSA_PKCS1_SHA384, &RSA_PKCS1_SHA512][usize::from(case % 3)];
            let mut signature = vec![0; key.len()];
            pair.sign(padding, &SystemRandom::new(), &text, &mut signature).unwrap();
            let other = match case % 3 {
                0 => oracle.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(text)),
                1 => oracle.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha384>(), &Sha384::digest(text)),
                _ => oracle.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), &Sha512::digest(text)),
            };
            assert_eq!(signature, other.unwrap());
            expected.push(signature);
        }
        for count in 1..=9 {
            assert_eq!(sign(&mut key, &messages[..count], &mut rng), expected[..count], "{count}");
        }
    }
}

#[test]
fn pss_signatures_hold_for_both_libraries() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for text in texts() {
        let (oracle, _) = parse(text);
        let public = oracle.to_public_key();
        let public_der = public.to_pkcs1_der().unwrap();
        let mut key = Key::new(cpu(), &oracle).unwrap();
        for count in [3, 6] {
            let text = |case: usize| [u8::try_from(case).unwrap(); 146];
            let messages: Vec<_> =
                (0..count).map(|case| encoded(PSS[case % 3], &text(case), key.len(), &mut rng)).collect();
            for (case, signature) in sign(&mut key, &messages, &mut rng).iter().enumerate() {
                assert!(verify(PSS[case % 3], public_der.as_bytes(), &text(case), signature));
                assert!(!verify(PSS[case % 3], public_der.as_bytes(), &text(case + 1), signature));
                let text = text(case);
                let outcome = match case % 3 {
                    0 => public.verify(Pss::new::<rsa::sha2::Sha256>(), &Sha256::digest(text), signature),
                    1 => public.verify(Pss::new::<rsa::sha2::Sha384>(), &Sha384::digest(text), signature),
                    _ => public.verify(Pss::new::<rsa::sha2::Sha512>(), &Sha512::digest(text), signature),
                };
                outcome.unwrap();
            }
        }
    }
}

fn place(number: &BigUint, len: usize) -> Encoded {
    let bytes = number.to_bytes_be();
    let mut place = [0; MAX_LEN];
    place[len - bytes.len()..len].copy_from_slice(&bytes);
    place
}

/// 0, 1 and -1 are their own powers, multiples of a prime have none; what is not below the modulus is
/// refused and disturbs no other lane.
#[test]
fn messages_at_the_edges() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for text in texts() {
        let (oracle, _) = parse(text);
        let mut key = Key::new(cpu(), &oracle).unwrap();
        let (n, [p, q]) = (oracle.n(), oracle.primes()) else { panic!("two primes") };
        let top = BigUint::from(1_u32) << n.bits();
        let numbers = [
            n.clone(),
            BigUint::from(0_u32),
            BigUint::from(1_u32),
            n - 1_u32,
            p.clone(),
            n - q,
            &top - 1_u32,
            BigUint::from(2_u32),
        ];
        let messages = numbers.each_ref().map(|number| place(number, key.len()));
        for (first, count) in [(0, 8), (0, 4), (4, 4), (0, 1), (1, 1), (6, 2)] {
            let mut signatures = [[0xaa; MAX_LEN]; 8];
            let mut valid = [true; 8];
            let (signatures, valid) = (&mut signatures[..count], &mut valid[..count]);
            key.sign(&messages[first..first + count], signatures, valid, &mut |place| rng.fill_bytes(place));
            for (index, number) in numbers[first..first + count].iter().enumerate() {
                assert_eq!(valid[index], number < n, "{}", first + index);
                let power = if number < n { number.modpow(oracle.d(), n) } else { BigUint::from(0_u32) };
                assert!(signatures[index] == place(&power, key.len()), "{}", first + index);
            }
        }
    }
}

/// Whether some of `count` signatures were let out after `spoil` had worked on the key.
fn survives(oracle: &RsaPrivateKey, count: usize, spoil: &dyn Fn(&mut Expanded<4, 8>)) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut key = Expanded::<4, 8>::new(cpu(), oracle).unwrap();
    let messages = [encoded(PKCS1[0], b"text", 256, &mut rng); 8];
    let mut signatures = [[0xaa; MAX_LEN]; 8];
    let mut valid = [false; 8];
    let mut random = |place: &mut [u8]| rng.fill_bytes(place);
    key.sign(cpu(), &messages[..count], &mut signatures, &mut valid, &mut random);
    assert_eq!(valid.iter().filter(|&&valid| valid).count(), count);
    spoil(&mut key);
    valid.fill(true);
    key.sign(cpu(), &messages[..count], &mut signatures, &mut valid, &mut random);
    signatures.iter().zip(valid).take(count).any(|(signature, valid)| valid || *signature != [0; MAX_LEN])
}

#[test]
fn a_fault_in_any_step_is_refused() {
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    for count in [1, 4, 5, 8] {
        let whole = count > 4;
        assert!(survives(&oracle, count, &|_| {}));
        assert_eq!(survives(&oracle, count, &|key| key.p.private = key.q.private), !whole);
        assert_eq!(survives(&oracle, count, &|key| key.q.private = key.p.private), !whole);
        assert_eq!(survives(&oracle, count, &|key| key.both.private = key.p.private), whole);
        assert_eq!(survives(&oracle, count, &|key| key.both.private = key.q.private), whole);
        assert!(!survives(&oracle, count, &|key| key.coefficient = key.p.private));
        assert!(!survives(&oracle, count, &|key| key.blinding[0] = key.blinding[1]));
        assert!(!survives(&oracle, count, &|key| key.blinding[1] = key.blinding[0]));
        assert!(!survives(&oracle, count, &|key| key.public_exponent = 3));
    }
}

/// A fault in the blinding is not kept for the calls that follow.
#[test]
fn blinding_is_drawn_anew_after_a_fault() {
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let mut key = Expanded::<4, 8>::new(cpu(), &oracle).unwrap();
    let messages = [encoded(PKCS1[0], b"text", 256, &mut rng); 2];
    let mut outcomes = Vec::new();
    for call in 0..4 {
        let mut valid = [false; 2];
        key.sign(cpu(), &messages, &mut [[0; MAX_LEN]; 2], &mut valid, &mut |place| rng.fill_bytes(place));
        outcomes.push((valid, key.uses_left));
        if call == 1 {
            key.blinding[0] = key.blinding[1];
        }
    }
    assert_eq!(outcomes, [([true; 2], 31), ([true; 2], 30), ([false; 2], 0), ([true; 2], 31)]);
}

#[test]
fn blinding_changes_with_each_call_and_is_drawn_anew() {
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut key = Expanded::<4, 8>::new(cpu(), &oracle).unwrap();
    let messages: [Encoded; 8] =
        std::array::from_fn(|case| encoded(PKCS1[0], &[u8::try_from(case).unwrap()], 256, &mut rng));
    let expected: [Encoded; 8] = std::array::from_fn(|case| {
        place(&BigUint::from_bytes_be(&messages[case][..256]).modpow(oracle.d(), oracle.n()), 256)
    });
    let mut seen = std::collections::HashSet::new();
    let mut renewals = Vec::new();
    for call in 0..70 {
        let mut drawn = false;
        let count = call % 8 + 1;
        let mut signatures = [[0; MAX_LEN]; 8];
        let mut valid = [false; 8];
        key.sign(cpu(), &messages[..count], &mut signatures, &mut valid, &mut |place| {
            drawn = true;
            rng.fill_bytes(place);
        });
        assert!(signatures[..count] == expected[..count] && valid[..count].iter().all(|&valid| valid));
        assert!(signatures[count..].as_flattened().iter().all(|&byte| byte == 0));
        if drawn {
            renewals.push(call);
        }
        // SAFETY: `cpu()` has seen to it that the CPU has the features.
        unsafe {
            for mut number in key.blinding {
                key.modulus.reduce(&mut number);
                for lane in 0..LANES {
                    let mut bytes = [0; 256];
                    number.write(lane, &mut bytes);
                    assert!(seen.insert(bytes), "call {call}, lane {lane}");
                }
            }
        }
    }
    assert_eq!(renewals, [0, 32, 64]);
}

/// With the primes of `key` and `exponent`, if that has an inverse.
fn with_exponent(key: &RsaPrivateKey, exponent: u64) -> Option<RsaPrivateKey> {
    let [p, q] = key.primes() else { panic!("two primes") };
    RsaPrivateKey::from_p_q(p.clone(), q.clone(), BigUint::from(exponent)).ok()
}

#[test]
fn other_exponents_sign() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    let small = [3, 5, 7, 11, 13, 17, 257].into_iter().find_map(|e| with_exponent(&oracle, e)).unwrap();
    let large = [0xffff_fffb, 0xffff_ffef].into_iter().find_map(|e| with_exponent(&oracle, e)).unwrap();
    for oracle in [small, large] {
        let mut key = Key::new(cpu(), &oracle).unwrap();
        let message = encoded(PKCS1[0], b"text", 256, &mut rng);
        let signature = oracle.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(b"text"));
        assert_eq!(sign(&mut key, &[message], &mut rng), [signature.unwrap()]);
    }
}

#[test]
fn keys_of_other_shapes_are_left_to_others() {
    let (key, _) = parse(&RSA_2048_PKCS1);
    let (long, _) = parse(&RSA_4096_PKCS8);
    let short = rsa::pkcs8::DecodePrivateKey::from_pkcs8_pem(str::from_utf8(&RSA_1024_PKCS8).unwrap());
    let short: RsaPrivateKey = short.unwrap();
    let e = || BigUint::from(0x1_0001_u32);
    let primes = |key: &RsaPrivateKey| key.primes().to_vec();

    assert!(Key::new(cpu(), &short).is_none());
    // Of 3072 bits: of a prime of 1024 and one of 2048, and of four primes.
    let uneven = RsaPrivateKey::from_p_q(primes(&key)[0].clone(), primes(&long)[0].clone(), e()).unwrap();
    assert_eq!(uneven.size(), 384);
    assert!(Key::new(cpu(), &uneven).is_none());
    let several = RsaPrivateKey::from_primes([primes(&key), primes(&short)].concat(), e()).unwrap();
    assert_eq!(several.size(), 384);
    assert!(Key::new(cpu(), &several).is_none());

    let exponent = (0x1_0000_0001..).step_by(2).take(100).find_map(|e| with_exponent(&key, e)).unwrap();
    assert!(Key::new(cpu(), &exponent).is_none());
    assert!(Key::new(cpu(), &key).is_some());
}

/// Another length of salt or of the modulus than fits is refused.
#[test]
fn encodings_that_do_not_fit() {
    let salt = [0; MAX_SALT_LEN];
    let schemes = PKCS1.into_iter().chain(PSS).zip([32, 48, 64].into_iter().cycle());
    for (scheme, hash_len) in schemes {
        let fits = |salt_len, len| encode(scheme, b"", &salt[..salt_len], &mut vec![0; len]).is_some();
        // RFC 8017 section 9.1.1: "If emLen < hLen + sLen + 2"; section 9.2: "If emLen < tLen + 11".
        let (salt_len, least) =
            if PSS.contains(&scheme) { (hash_len, 2 * hash_len + 2) } else { (0, hash_len + 19 + 11) };
        for len in 0..300 {
            assert_eq!(fits(salt_len, len), len >= least, "{scheme:?} {len}");
        }
        for other in (0..=MAX_SALT_LEN).filter(|&len| len != salt_len) {
            assert!(!fits(other, 256), "{scheme:?} {other}");
        }
    }
    assert!(encode(SignatureScheme::EcdsaSecp256r1Sha256, b"", b"", &mut [0; 256]).is_none());
}

/// Keys, blinding and salts differ. Of a key only the place is the same: all are read before, without aws-lc,
/// which allocates as its randomness has it, and one comes to stand where the first was. Of what is optimised as a
/// release alone: it is what ships, and the other would take minutes.
#[cfg(not(debug_assertions))]
mod traces {
    use std::collections::VecDeque;

    use super::*;
    use crate::batch::curves::Pools;
    use crate::batch::jobs::Work;
    use crate::batch::tests::trace::{RUNS, assert_same_traces, eight};
    use crate::test_keys::new_rsa;
    use crate::{AwsLc, Done, Message};

    #[test]
    fn no_secret_of_a_few_shows_in_the_trace() {
        trace("no_secret_of_a_few_shows_in_the_trace", LANES / 2);
    }

    #[test]
    fn no_secret_of_many_shows_in_the_trace() {
        trace("no_secret_of_many_shows_in_the_trace", LANES);
    }

    fn trace(test: &str, count: usize) {
        const END: &str = "-----END PRIVATE KEY-----\n";
        let (_, module) = module_path!().split_once("::").unwrap();
        let texts = || (0..RUNS).map(|_| String::from_utf8(new_rsa(2048)).unwrap()).collect();
        assert_same_traces(&format!("{module}::{test}"), texts, move |run, texts| {
            let expanded = |text| {
                let key: RsaPrivateKey = rsa::pkcs8::DecodePrivateKey::from_pkcs8_pem(text).unwrap();
                Expanded::<4, 8>::new(cpu(), &key).unwrap()
            };
            let mut keys: Vec<_> = texts.split_inclusive(END).map(expanded).collect();
            let mut first = keys.remove(0);
            if let Some(other) = run.checked_sub(1) {
                let (first, other) = (&mut *first, &mut *keys[other]);
                std::mem::swap(first, other);
                first.modulus.settle(&mut other.modulus);
                first.p.modulus.settle(&mut other.p.modulus);
                first.q.modulus.settle(&mut other.q.modulus);
                first.both.modulus.settle(&mut other.both.modulus);
            }
            let mut key = Key { cpu: cpu(), len: 256, expanded: first };
            let mut random = ChaCha20Rng::seed_from_u64(7 + run as u64);
            let (tickets, signings) = eight(PSS[0], Message::new(&[b"text"]).unwrap());
            let (scalar, mut ahead) = (AwsLc::new(&[], 1).unwrap(), Pools::new());
            let mut done = VecDeque::with_capacity(LANES);
            move || {
                let (random, ahead, done) = (&mut random, &mut ahead, &mut done);
                let mut work = Work { cpu: cpu(), random, ahead, done, scalar: &scalar };
                work.sign_rsa(&tickets[..count], &signings[..count], &mut key);
                assert!(done.drain(..).all(|(_, done)| matches!(done, Done::Signed(_))));
            }
        });
    }
}

/// The halves of the private exponent: any number takes the time of another, zero too. Results are none, and
/// blinding is drawn anew each time.
#[test]
fn no_exponent_shows_in_the_time() {
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let messages = [encoded(PKCS1[0], b"text", 256, &mut rng); 4];
    let mut key = Expanded::<4, 8>::new(cpu(), &oracle).unwrap();
    let exponents = |bytes: [[u8; 128]; 2]| {
        // SAFETY: `cpu()` has seen to it that the CPU has the features.
        unsafe { Number::<4>::read_pair(&bytes[0], &bytes[1]) }
    };
    let random = |rng: &mut rand_chacha::ChaCha8Rng| {
        let mut bytes = [[0; 128]; 2];
        rng.fill_bytes(bytes.as_flattened_mut());
        exponents(bytes)
    };
    assert_no_leak("RSA-2048 by exponent", exponents([[0; 128]; 2]), random, |exponent| {
        key.both.private = *exponent;
        let (mut signatures, mut valid) = ([[0; MAX_LEN]; 4], [true; 4]);
        key.sign(cpu(), &messages, &mut signatures, &mut valid, &mut |place| rng.fill_bytes(place));
        assert_eq!(valid, [false; 4]);
    });
}

/// A message is no secret, but what the base of a power is shows what its exponent does.
#[test]
fn no_message_shows_in_the_time() {
    let (oracle, _) = parse(&RSA_2048_PKCS1);
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut key = Key::new(cpu(), &oracle).unwrap();
    let fixed = [place(&BigUint::from(2_u32), 256); 4];
    let random = |rng: &mut rand_chacha::ChaCha8Rng| {
        let mut messages = [[0; MAX_LEN]; 4];
        for message in &mut messages {
            rng.fill_bytes(&mut message[1..256]);
        }
        messages
    };
    assert_no_leak("RSA-2048 by message", fixed, random, |messages| {
        let (mut signatures, mut valid) = ([[0; MAX_LEN]; 4], [false; 4]);
        key.sign(messages, &mut signatures, &mut valid, &mut |place| rng.fill_bytes(place));
        assert_eq!(valid, [true; 4]);
    });
}

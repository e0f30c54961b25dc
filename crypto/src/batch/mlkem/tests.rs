//! ML-KEM-768 against aws-lc, the `ml-kem` crate and Wycheproof.

use aws_lc_rs::kem::{self, ML_KEM_768};
use ml_kem::kem::{Decapsulate, KeyExport, TryKeyInit};
use ml_kem::{FromSeed, MlKem768};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

use super::*;

fn cpu() -> Cpu {
    Cpu::detect().expect("AVX-512 IFMA")
}

fn random<const N: usize, const COUNT: usize>(rng: &mut ChaCha8Rng) -> [[u8; N]; COUNT] {
    let mut bytes = [[0; N]; COUNT];
    rng.fill_bytes(bytes.as_flattened_mut());
    bytes
}

/// Key pairs of up to eight seeds.
fn pairs(seeds: &[[u8; 64]]) -> Vec<DecapsulationKey> {
    let mut keys = vec![[0; _]; seeds.len()];
    generate(cpu(), seeds, &mut keys.iter_mut().collect::<Vec<_>>());
    keys
}

/// What up to eight keys and messages make.
fn encapsulated(keys: &[&EncapsulationKey], messages: &[[u8; 32]]) -> Vec<(Ciphertext, [u8; 32], bool)> {
    let count = keys.len();
    let (mut ciphertexts, mut secrets, mut valid) =
        (vec![[0; _]; count], vec![[0; 32]; count], vec![false; count]);
    let places = &mut ciphertexts.iter_mut().collect::<Vec<_>>();
    encapsulate(cpu(), keys, messages, places, &mut secrets, &mut valid);
    (0..count).map(|index| (ciphertexts[index], secrets[index], valid[index])).collect()
}

fn decapsulated(keys: &[&DecapsulationKey], ciphertexts: &[&Ciphertext]) -> Vec<[u8; 32]> {
    let mut secrets = vec![[0; 32]; keys.len()];
    decapsulate(cpu(), keys, ciphertexts, &mut secrets);
    secrets
}

/// Key pairs, ciphertexts and secrets are those of the `ml-kem` crate, with any number of lanes filled; and
/// aws-lc finds the secrets in the ciphertexts, and in wrong ones finds the same wrong ones.
#[test]
fn the_same_as_two_others() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let cases = if cfg!(debug_assertions) { 200 } else { 24_000 };
    let mut done = 0;
    for count in (1..=LANES).cycle() {
        if done >= cases {
            break;
        }
        done += count;
        let seeds = &random::<64, LANES>(&mut rng)[..count];
        let messages = &random::<32, LANES>(&mut rng)[..count];
        let keys = pairs(seeds);
        let publics: Vec<_> = keys.iter().map(encapsulation_key).collect();
        let encapsulated = encapsulated(&publics, messages);
        let mut wrong: Vec<_> = encapsulated.iter().map(|(ciphertext, ..)| *ciphertext).collect();
        for ciphertext in &mut wrong {
            ciphertext[rng.next_u32() as usize % 1088] ^= 1 << (rng.next_u32() % 8);
        }
        let references: Vec<_> = keys.iter().collect();
        let right: Vec<_> = encapsulated.iter().map(|(ciphertext, ..)| ciphertext).collect();
        let secrets = decapsulated(&references, &right);
        let rejections = decapsulated(&references, &wrong.iter().collect::<Vec<_>>());
        for index in 0..count {
            let (ciphertext, secret, valid) = &encapsulated[index];
            assert!(valid);
            let (private, public) = MlKem768::from_seed(&seeds[index].into());
            assert_eq!(public.to_bytes().as_slice(), publics[index]);
            let (theirs, shared) = public.encapsulate_deterministic(&messages[index].into());
            assert_eq!(theirs.as_slice(), ciphertext);
            assert_eq!(shared.as_slice(), secret);
            assert_eq!(private.decapsulate(&wrong[index].into()).as_slice(), rejections[index]);

            let private = kem::DecapsulationKey::new(&ML_KEM_768, &keys[index]).unwrap();
            let shared = private.decapsulate(ciphertext[..].into()).unwrap();
            assert_eq!(shared.as_ref(), secret);
            assert_eq!(secrets[index], *secret);
            let rejection = private.decapsulate(wrong[index][..].into()).unwrap();
            assert_eq!(rejection.as_ref(), rejections[index]);
            assert_ne!(rejections[index], *secret);
        }
    }
}

/// What aws-lc makes is understood.
#[test]
fn aws_lc_encapsulates() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let keys = pairs(&random::<64, LANES>(&mut rng));
    for key in &keys {
        let theirs = kem::EncapsulationKey::new(&ML_KEM_768, encapsulation_key(key)).unwrap();
        let (ciphertext, secret) = theirs.encapsulate().unwrap();
        let ciphertext = ciphertext.as_ref().try_into().unwrap();
        assert_eq!(decapsulated(&[key], &[ciphertext])[0], secret.as_ref());
    }
}

/// FIPS 203 section 7.2: each coefficient of a key, at the edges of what its twelve bits hold.
#[test]
fn the_modulus_check() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let keys = pairs(&random::<64, LANES>(&mut rng));
    let messages = random::<32, LANES>(&mut rng);
    for coefficient in 0..768_usize {
        let values = [3329, 0, 3328, 4095, 3330, 1, 3329, 2048];
        let mut publics: Vec<_> = keys.iter().map(|key| *encapsulation_key(key)).collect();
        for (public, value) in publics.iter_mut().zip(values) {
            let at = coefficient * 3 / 2;
            let (shift, mask) = if coefficient % 2 == 0 { (0, 0xf000) } else { (4, 0x000f) };
            let two = u16::from_le_bytes([public[at], public[at + 1]]) & mask | value << shift;
            public[at..at + 2].copy_from_slice(&two.to_le_bytes());
        }
        let references: Vec<_> = publics.iter().collect();
        let encapsulated = encapsulated(&references, &messages);
        for (index, (ciphertext, secret, valid)) in encapsulated.iter().enumerate() {
            assert_eq!(*valid, values[index] < 3329, "coefficient {coefficient} is {}", values[index]);
            let public = ml_kem::EncapsulationKey::<MlKem768>::new_from_slice(&publics[index]);
            assert_eq!(public.is_ok(), *valid);
            let Ok(public) = public else { continue };
            let (theirs, shared) = public.encapsulate_deterministic(&messages[index].into());
            assert_eq!((theirs.as_slice(), shared.as_slice()), (&ciphertext[..], &secret[..]));
        }
    }
}

/// Keys and messages of nothing but zeros or the greatest there are.
#[test]
fn extreme_keys_and_messages() {
    let mut greatest = [0xff; 1184];
    for three in greatest[..1152].chunks_mut(3) {
        // Twice 3328.
        three.copy_from_slice(&[0x00, 0x0d, 0xd0]);
    }
    let keys = [&[0; 1184], &greatest, &[0; 1184], &greatest];
    let messages = [[0; 32], [0; 32], [0xff; 32], [0xff; 32]];
    for (index, (ciphertext, secret, valid)) in encapsulated(&keys, &messages).iter().enumerate() {
        assert!(valid);
        let public = ml_kem::EncapsulationKey::<MlKem768>::new_from_slice(keys[index]).unwrap();
        let (theirs, shared) = public.encapsulate_deterministic(&messages[index].into());
        assert_eq!((theirs.as_slice(), shared.as_slice()), (&ciphertext[..], &secret[..]));
    }
}

#[test]
fn wycheproof_of_encapsulation() {
    let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(key), Some(message)) = (&test.encaps_key, &test.msg) else { continue };
        // Of other lengths, none gets here.
        let Ok(key) = <&EncapsulationKey>::try_from(&key[..]) else { continue };
        let (ciphertext, secret, valid) = encapsulated(&[key], &[message[..].try_into().unwrap()])[0];
        assert_eq!(valid, test.result == TestResult::Valid, "case {}", test.tc_id);
        if valid {
            assert_eq!(Some(&ciphertext[..]), test.ct.as_deref().map(Vec::as_slice), "case {}", test.tc_id);
            assert_eq!(
                Some(&secret[..]),
                test.shared_secret.as_deref().map(Vec::as_slice),
                "case {}",
                test.tc_id
            );
        }
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn wycheproof_of_generation() {
    let set = TestSet::load(TestName::MlKem768KeyGenSeed).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = test.seed.as_ref().unwrap()[..].try_into().unwrap();
        let key = &pairs(&[seed])[0];
        assert_eq!(
            Some(&encapsulation_key(key)[..]),
            test.encaps_key.as_deref().map(Vec::as_slice),
            "case {}",
            test.tc_id
        );
        assert_eq!(Some(&key[..]), test.decaps_key.as_deref().map(Vec::as_slice), "case {}", test.tc_id);
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn wycheproof_of_decapsulation() {
    let set = TestSet::load(TestName::MlKem768).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(seed), Some(ciphertext)) = (&test.seed, &test.ct) else { continue };
        let Ok(seed) = seed[..].try_into() else { continue };
        let Ok(ciphertext) = <&Ciphertext>::try_from(&ciphertext[..]) else { continue };
        let secret = decapsulated(&[&pairs(&[seed])[0]], &[ciphertext])[0];
        let same = Some(&secret[..]) == test.shared_secret.as_deref().map(Vec::as_slice);
        assert_eq!(same, test.result == TestResult::Valid, "case {}", test.tc_id);
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

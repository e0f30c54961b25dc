use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use hex_literal::hex;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rsa::BigUint;
use sha2::{Digest, Sha256};

use super::*;

const N: [u8; 32] = hex!("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

fn cpu() -> Cpu {
    Cpu::detect().expect("AVX-512 IFMA")
}

fn random(rng: &mut ChaCha8Rng) -> [u8; 32] {
    loop {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        if SecretKey::from_slice(&secret).is_ok() {
            return secret;
        }
    }
}

fn public(secret: &[u8; 32]) -> [u8; 65] {
    let public = SecretKey::from_slice(secret).unwrap().public_key().to_sec1_point(false);
    public.as_bytes().try_into().unwrap()
}

/// The signature in whole numbers.
fn other(key: &[u8; 32], nonce: &[u8; 32], digest: &[u8; 32]) -> [u8; 64] {
    let [n, key, k, digest] = [&N, key, nonce, digest].map(|bytes| BigUint::from_bytes_be(bytes));
    let r = BigUint::from_bytes_be(&public(nonce)[1..33]) % &n;
    let s = k.modpow(&(&n - 2_u8), &n) * (digest + &r * key) % &n;
    let mut signature = [0; 64];
    for (place, number) in signature.chunks_mut(32).zip([r, s]) {
        let bytes = number.to_bytes_be();
        place[32 - bytes.len()..].copy_from_slice(&bytes);
    }
    signature
}

fn check(keys: &[[u8; 32]], nonces: &[[u8; 32]], digests: &[[u8; 32]]) {
    let (mut signatures, mut valid) = (vec![[0; 64]; keys.len()], vec![false; keys.len()]);
    sign(cpu(), keys, Nonces::Given(nonces), digests, &mut signatures, &mut valid);
    for i in 0..keys.len() {
        assert!(valid[i]);
        assert_eq!(
            signatures[i],
            other(&keys[i], &nonces[i], &digests[i]),
            "{:02x?} {:02x?}",
            keys[i],
            nonces[i]
        );
    }
}

#[test]
fn known_signatures() {
    // RFC 6979 appendix A.2.5, SHA-256.
    let key = hex!("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let nonces = [
        hex!("a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60"),
        hex!("d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0"),
    ];
    let digests = [Sha256::digest(b"sample").into(), Sha256::digest(b"test").into()];
    let (mut signatures, mut valid) = ([[0; 64]; 2], [false; 2]);
    sign(cpu(), &[key; 2], Nonces::Given(&nonces), &digests, &mut signatures, &mut valid);
    assert_eq!(valid, [true; 2]);
    let sample = hex!(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    let test = hex!(
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
    );
    assert_eq!(signatures, [sample, test]);
}

#[test]
fn every_number_of_jobs() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for count in 1..=MAX_JOBS {
        let keys: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
        let nonces: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
        let messages: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
        let digests: Vec<[u8; 32]> = messages.iter().map(|message| Sha256::digest(message).into()).collect();
        check(&keys, &nonces, &digests);
        let (mut signatures, mut valid) = (vec![[0; 64]; count], vec![false; count]);
        sign(cpu(), &keys, Nonces::Given(&nonces), &digests, &mut signatures, &mut valid);
        for i in 0..count {
            let key = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public(&keys[i]));
            key.verify(&messages[i], &signatures[i]).unwrap();
        }
    }
}

/// Small and large keys, nonces and digests, each with each; digests up to 2^256 - 1.
#[test]
fn remarkable_numbers() {
    let n = BigUint::from_bytes_be(&N);
    let mut scalars = Vec::new();
    for k in [1_u8, 2, 3, 4, 5, 46, 47, 48, 63, 64, 126, 127, 128, 129] {
        let mut low = [0; 32];
        low[31] = k;
        scalars.extend([low, (&n - k).to_bytes_be().try_into().unwrap()]);
    }
    let mut digests = scalars.clone();
    digests.extend([[0; 32], N, [0xff; 32]]);
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut jobs = Vec::new();
    for key in &scalars {
        for nonce in &scalars {
            for digest in &digests {
                // s = 0 is another test's.
                if rng.next_u32() % 8 == 0 && other(key, nonce, digest)[32..] != [0; 32] {
                    jobs.push((*key, *nonce, *digest));
                }
            }
        }
    }
    for jobs in jobs.chunks(MAX_JOBS) {
        let keys: Vec<_> = jobs.iter().map(|job| job.0).collect();
        let nonces: Vec<_> = jobs.iter().map(|job| job.1).collect();
        let digests: Vec<_> = jobs.iter().map(|job| job.2).collect();
        check(&keys, &nonces, &digests);
    }
}

/// A digest of -r d makes s zero; that job is refused, as are those whose nonce is none, and no other.
#[test]
fn zero_is_no_signature() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let n = BigUint::from_bytes_be(&N);
    for at in 0..MAX_JOBS {
        let keys: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        let mut nonces: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        let mut digests: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        let r = BigUint::from_bytes_be(&other(&keys[at], &nonces[at], &digests[at])[..32]);
        let digest = (&n - r * BigUint::from_bytes_be(&keys[at]) % &n).to_bytes_be();
        digests[at] = [0; 32];
        digests[at][32 - digest.len()..].copy_from_slice(&digest);
        nonces[(at + 8) % MAX_JOBS] = [0; 32];
        nonces[(at + 9) % MAX_JOBS] = N;
        nonces[(at + 15) % MAX_JOBS] = [0xff; 32];
        let (mut signatures, mut valid) = (vec![[0; 64]; MAX_JOBS], vec![false; MAX_JOBS]);
        sign(cpu(), &keys, Nonces::Given(&nonces), &digests, &mut signatures, &mut valid);
        for i in 0..MAX_JOBS {
            let refused = [0, 8, 9, 15].contains(&((i + MAX_JOBS - at) % MAX_JOBS));
            assert_eq!(valid[i], !refused);
            let wanted = if refused { [0; 64] } else { other(&keys[i], &nonces[i], &digests[i]) };
            assert_eq!(signatures[i], wanted);
        }
    }
}

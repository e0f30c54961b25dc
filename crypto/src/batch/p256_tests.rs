use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use hex_literal::hex;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rsa::BigUint;

use super::*;

const N: [u8; 32] = hex!("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

fn cpu() -> Cpu {
    Cpu::detect().expect("AVX-512 IFMA")
}

fn scalar(number: &BigUint) -> [u8; 32] {
    let bytes = number.to_bytes_be();
    let mut scalar = [0; 32];
    scalar[32 - bytes.len()..].copy_from_slice(&bytes);
    scalar
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

fn shared(secret: &[u8; 32], peer: &[u8; 65]) -> Option<[u8; 32]> {
    let peer = PublicKey::from_sec1_bytes(peer).ok()?;
    let secret = SecretKey::from_slice(secret).unwrap();
    Some((*secret.diffie_hellman(&peer).raw_secret_bytes()).into())
}

/// Small scalars and those near n; single bits, runs of ones and of zeros; digits of every size in every
/// window; and those whose last digit cancels or doubles what stands before it.
fn remarkable() -> Vec<[u8; 32]> {
    let (zero, one, n) = (BigUint::from(0_u8), BigUint::from(1_u8), BigUint::from_bytes_be(&N));
    let mut numbers = Vec::new();
    for k in 1..=300_u16 {
        numbers.extend([BigUint::from(k), &n - BigUint::from(k)]);
    }
    let half = (&n - &one) >> 1;
    numbers.extend([half.clone(), &half + &one]);
    for bit in 1..256 {
        let power = &one << bit;
        numbers.extend([&power - &one, power.clone(), &power + &one, (&one << 256) - &power]);
        numbers.extend([1_u8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129].map(|k| (&one << bit) * k));
        numbers.push(if power < n { &n - &power } else { zero.clone() });
    }
    for top in 0..32_u8 {
        let near = BigUint::from(top) << 252;
        for less in [&near * 2_u8, near] {
            numbers.extend([0_u8, 1, 2].map(|k| if less > n { &less - &n + k } else { &n - &less + k }));
        }
    }
    numbers.retain(|number| *number > zero && *number < n);
    numbers.iter().map(scalar).collect()
}

#[test]
fn known_pairs_and_agreement() {
    // RFC 5903 section 8.1.
    let i = hex!("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
    let gi = hex!(
        "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59a"
        "b1f45b33accf5f58389e0577b8990bb3"
    );
    let r = hex!("c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53");
    let gr = hex!(
        "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6a"
        "ac23f046ada30f8353e74f33039872ab"
    );
    let gir = hex!("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
    let mut publics = [[0; 65]; 2];
    generate(cpu(), &[i, r], &mut publics);
    assert_eq!(publics, [gi, gr]);
    let (mut shared, mut valid) = ([[0; 32]; 2], [false; 2]);
    agree(cpu(), &[i, r], &[gr, gi], &mut shared, &mut valid);
    assert_eq!((shared, valid), ([gir; 2], [true; 2]));
}

#[test]
fn remarkable_secrets() {
    let secrets = remarkable();
    assert!(secrets.len() > 3000);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let points: Vec<_> = (0..4).map(|_| public(&random(&mut rng))).collect();
    for secrets in secrets.chunks(MAX_JOBS) {
        let peers: Vec<_> = (0..secrets.len()).map(|i| points[i % points.len()]).collect();
        let mut publics = vec![[0; 65]; secrets.len()];
        let (mut agreed, mut valid) = (vec![[0; 32]; secrets.len()], vec![false; secrets.len()]);
        generate(cpu(), secrets, &mut publics);
        agree(cpu(), secrets, &peers, &mut agreed, &mut valid);
        for (i, secret) in secrets.iter().enumerate() {
            assert_eq!(publics[i], public(secret), "{secret:02x?}");
            assert!(valid[i]);
            assert_eq!(agreed[i], shared(secret, &peers[i]).unwrap(), "{secret:02x?}");
        }
    }
}

/// Each number of jobs, all entries, against both libraries; what stands behind the slices stays as it is.
#[test]
fn every_number_of_jobs() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for count in 1..=MAX_JOBS {
        let secrets: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
        let peers: Vec<_> = (0..count).map(|_| public(&random(&mut rng))).collect();
        let (mut generated, mut publics) = (vec![[0; 65]; count], vec![[0; 65]; count]);
        let (mut agreed, mut valid) = (vec![[0; 32]; count], vec![false; count]);
        let (mut exchanged, mut exchanged_valid) = (vec![[0; 32]; count], vec![false; count]);
        generate(cpu(), &secrets, &mut generated);
        agree(cpu(), &secrets, &peers, &mut agreed, &mut valid);
        exchange(cpu(), &secrets, &peers, &mut publics, &mut exchanged, &mut exchanged_valid);
        assert_eq!((&generated, &agreed, &valid), (&publics, &exchanged, &exchanged_valid));
        for i in 0..count {
            assert_eq!(publics[i], public(&secrets[i]));
            assert_eq!(Some(agreed[i]), shared(&secrets[i], &peers[i]));
            assert!(valid[i]);
            let key = agreement::PrivateKey::from_private_key(&ECDH_P256, &secrets[i]).unwrap();
            assert_eq!(key.compute_public_key().unwrap().as_ref(), publics[i]);
            let peer = UnparsedPublicKey::new(&ECDH_P256, peers[i]);
            let known = agreement::agree(&key, peer, (), |secret| Ok(secret.to_vec()));
            assert_eq!(known, Ok(agreed[i].to_vec()));
        }
    }
}

/// Among valid peers, one that is not: not the form, not below p, not on the curve.
#[test]
fn peers_off_the_curve() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let p = hex!("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let good = public(&random(&mut rng));
    let with = |at: usize, bytes: &[u8]| {
        let mut peer = good;
        peer[at..at + bytes.len()].copy_from_slice(bytes);
        peer
    };
    // x = 0 has a point, y^2 = b; x = p and x + p of a small x are the same in another form.
    let root =
        BigUint::from_bytes_be(&hex!("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"))
            .modpow(&((BigUint::from_bytes_be(&p) + 1_u8) >> 2), &BigUint::from_bytes_be(&p));
    let mut zero = [0; 65];
    zero[0] = 4;
    zero[33..].copy_from_slice(&scalar(&root));
    let mut zero_as_p = zero;
    zero_as_p[1..33].copy_from_slice(&p);
    // The same for a point with y = 5.
    let mut five = [0; 65];
    five[0] = 4;
    five[1..33].copy_from_slice(&hex!("d7325d7646cd60d80a92738ceb345f844cffaf35841022cab176f692de8de1d7"));
    five[64] = 5;
    let mut five_over = five;
    five_over[33..].copy_from_slice(&scalar(&(BigUint::from_bytes_be(&p) + 5_u8)));
    let mut negative = good;
    negative[33..]
        .copy_from_slice(&scalar(&(BigUint::from_bytes_be(&p) - BigUint::from_bytes_be(&good[33..]))));

    let mut peers = vec![
        good,
        five,
        zero,
        negative,
        zero_as_p,
        five_over,
        [0; 65],
        [0xff; 65],
        with(1, &p),
        with(33, &p),
        with(1, &[0; 32]),
        with(33, &[0; 32]),
        with(1, &[0; 64]),
        with(1, &[0xff; 64]),
    ];
    peers.extend([0, 1, 2, 3, 5, 6, 7, 0x84, 0xff].map(|form| with(0, &[form])));
    for _ in 0..40 {
        let at = 1 + rng.next_u32() as usize % 64;
        peers.push(with(at, &[good[at] ^ 1 << (rng.next_u32() % 8)]));
    }
    for (i, bad) in peers.iter().enumerate() {
        let want = i < 4;
        assert_eq!(PublicKey::from_sec1_bytes(bad).is_ok() && bad[0] == 4, want, "{bad:02x?}");
        for count in [1, 5, 8, 20, MAX_JOBS] {
            let at = i % count;
            let secrets: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
            let peers: Vec<_> = (0..count).map(|job| if job == at { *bad } else { good }).collect();
            let mut publics = vec![[0; 65]; count];
            let (mut agreed, mut valid) = (vec![[1; 32]; count], vec![!want; count]);
            exchange(cpu(), &secrets, &peers, &mut publics, &mut agreed, &mut valid);
            for job in 0..count {
                assert_eq!(valid[job], want || job != at);
                let wanted = if valid[job] { shared(&secrets[job], &peers[job]).unwrap() } else { [0; 32] };
                assert_eq!(agreed[job], wanted);
                assert_eq!(publics[job], public(&secrets[job]));
            }
        }
    }
}

/// A secret that is none spoils no other.
#[test]
fn secrets_out_of_range() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for bad in [[0; 32], N, [0xff; 32]] {
        let mut secrets: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        secrets[9] = bad;
        let peers: Vec<_> = (0..MAX_JOBS).map(|_| public(&random(&mut rng))).collect();
        let mut publics = vec![[0; 65]; MAX_JOBS];
        let (mut agreed, mut valid) = (vec![[0; 32]; MAX_JOBS], vec![false; MAX_JOBS]);
        exchange(cpu(), &secrets, &peers, &mut publics, &mut agreed, &mut valid);
        for job in (0..MAX_JOBS).filter(|job| *job != 9) {
            assert_eq!(publics[job], public(&secrets[job]));
            assert_eq!(Some(agreed[job]), shared(&secrets[job], &peers[job]));
        }
    }
}

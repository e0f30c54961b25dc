//! X25519 of eight lanes and of four against RFC 7748, `x25519-dalek` and aws-lc.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use hex_literal::hex;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::four::{Avx2, x25519 as four};
use super::*;

const BASE: [u8; 32] = hex!("0900000000000000000000000000000000000000000000000000000000000000");

/// The u-coordinates of low order, canonical and not (RFC 7748 section 6.1; p - 1 to p + 1 at the end).
const LOW_ORDER: [[u8; 32]; 7] = [
    hex!("0000000000000000000000000000000000000000000000000000000000000000"),
    hex!("0100000000000000000000000000000000000000000000000000000000000000"),
    hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// What is tested.
#[derive(Clone, Copy, Debug)]
enum Width {
    Eight(Cpu),
    Four(Avx2),
}

impl Width {
    fn both() -> [Self; 2] {
        [Self::Eight(Cpu::detect().expect("AVX-512 IFMA")), Self::Four(Avx2::detect().expect("AVX2"))]
    }

    fn agree(self, secrets: &[[u8; 32]], peers: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let mut shared = vec![[0xaa; 32]; secrets.len()];
        match self {
            Self::Eight(cpu) => agree(cpu, secrets, peers, &mut shared),
            Self::Four(cpu) => four::agree(cpu, secrets, peers, &mut shared),
        }
        shared
    }

    fn generate_into(self, secrets: &[[u8; 32]], publics: &mut [[u8; 32]]) {
        match self {
            Self::Eight(cpu) => generate(cpu, secrets, publics),
            Self::Four(cpu) => four::generate(cpu, secrets, publics),
        }
    }

    fn generate(self, secrets: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let mut publics = vec![[0xaa; 32]; secrets.len()];
        self.generate_into(secrets, &mut publics);
        publics
    }

    /// Our shares, and what was agreed on.
    fn exchange(self, secrets: &[[u8; 32]], peers: &[[u8; 32]]) -> [Vec<[u8; 32]>; 2] {
        let mut publics = vec![[0xaa; 32]; secrets.len()];
        let mut shared = publics.clone();
        match self {
            Self::Eight(cpu) => exchange(cpu, secrets, peers, &mut publics, &mut shared),
            Self::Four(cpu) => four::exchange(cpu, secrets, peers, &mut publics, &mut shared),
        }
        [publics, shared]
    }

    /// All three operations in both other implementations.
    fn check(self, secrets: &[[u8; 32]], peers: &[[u8; 32]]) {
        let [publics, shared] = self.exchange(secrets, peers);
        assert_eq!(publics, self.generate(secrets), "{self:?}");
        assert_eq!(shared, self.agree(secrets, peers), "{self:?}");
        for (((secret, peer), public), shared) in secrets.iter().zip(peers).zip(&publics).zip(&shared) {
            assert_eq!(*public, x25519_dalek::x25519(*secret, BASE), "{self:?}");
            assert_eq!(*public, generated_by_awslc(secret), "{self:?}");
            assert_eq!(*shared, x25519_dalek::x25519(*secret, *peer), "{self:?}");
            assert_eq!(*shared, agreed_by_awslc(secret, peer), "{self:?}");
        }
    }
}

/// What aws-lc answers, 0 where it refuses.
fn agreed_by_awslc(secret: &[u8; 32], peer: &[u8; 32]) -> [u8; 32] {
    let secret = PrivateKey::from_private_key(&agreement::X25519, secret).unwrap();
    let peer = UnparsedPublicKey::new(&agreement::X25519, peer);
    agreement::agree(&secret, peer, (), |shared| Ok(shared.try_into().unwrap())).unwrap_or_default()
}

fn generated_by_awslc(secret: &[u8; 32]) -> [u8; 32] {
    let secret = PrivateKey::from_private_key(&agreement::X25519, secret).unwrap();
    secret.compute_public_key().unwrap().as_ref().try_into().unwrap()
}

fn random(rng: &mut ChaCha8Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// RFC 7748 section 5.2, the first two.
#[test]
fn vectors() {
    for width in Width::both() {
        let secrets = [
            hex!("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
            hex!("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
        ];
        let peers = [
            hex!("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
            hex!("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
        ];
        let shared = [
            hex!("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
            hex!("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"),
        ];
        assert_eq!(width.agree(&secrets, &peers), shared);
    }
}

/// RFC 7748 section 5.2, the iterated one.
#[test]
fn a_thousand_iterations() {
    for width in Width::both() {
        let (mut k, mut u) = (BASE, BASE);
        for i in 1..=1000 {
            (k, u) = (width.agree(&[k], &[u])[0], k);
            if i == 1 {
                assert_eq!(k, hex!("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
            }
        }
        assert_eq!(k, hex!("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    }
}

/// RFC 7748 section 6.1.
#[test]
fn alice_and_bob() {
    for width in Width::both() {
        let secrets = [
            hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
            hex!("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
        ];
        let [alice, bob] = [
            hex!("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
            hex!("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
        ];
        let shared = hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(width.generate(&secrets), [alice, bob]);
        assert_eq!(width.agree(&secrets, &[bob, alice]), [shared, shared]);
    }
}

#[test]
fn random_jobs_in_every_count() {
    for width in Width::both() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..3 {
            for count in 1..=MAX_JOBS {
                let secrets: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
                // Points on the curve, and whatever 32 bytes are: half of them are on the twist.
                let peers: Vec<_> = (0..count).map(|_| random(&mut rng)).collect();
                width.check(&secrets, &if round == 0 { width.generate(&peers) } else { peers });
            }
        }
    }
}

/// Each window's digits, all of them, and the extremes.
#[test]
fn secrets_at_the_edges() {
    for width in Width::both() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut secrets = vec![[0; 32], [0xff; 32], [0x55; 32], [0xaa; 32]];
        for bit in 0..256 {
            let mut secret = [0; 32];
            secret[bit / 8] = 1 << (bit % 8);
            secrets.push(secret);
            secrets.push(secret.map(|byte| !byte));
        }
        for digit in 0..64 {
            // The same digit in all windows, after the three bits that are cleared.
            let mut secret = [0; 32];
            for bit in 0..253 {
                secret[(bit + 3) / 8] |= (digit >> (bit % 6) & 1) << ((bit + 3) % 8);
            }
            secrets.push(secret);
        }
        for secrets in secrets.chunks(MAX_JOBS) {
            let peers: Vec<_> = secrets.iter().map(|_| random(&mut rng)).collect();
            width.check(secrets, &peers);
        }
    }
}

/// The order of the base point and its neighbours; clamping makes others of them.
#[test]
fn secrets_about_the_order() {
    for width in Width::both() {
        let order = hex!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let secrets: Vec<_> = (0..16_u8)
            .map(|i| {
                let mut secret = order;
                secret[0] = secret[0].wrapping_add(i).wrapping_sub(8);
                secret[31] = 0x10 << (i % 3);
                secret
            })
            .collect();
        width.check(&secrets, &secrets);
    }
}

#[test]
fn peers_at_the_edges() {
    for width in Width::both() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut peers = LOW_ORDER.to_vec();
        for last in [0x7f, 0xff] {
            // p - 3 to 2^255 - 1, with and without the bit that is ignored.
            for first in 0xea..=0xff {
                let mut peer = [0xff; 32];
                (peer[0], peer[31]) = (first, last);
                peers.push(peer);
            }
        }
        for first in 0..16 {
            let mut peer = [0; 32];
            peer[0] = first;
            peers.push(peer);
            peer[31] = 0x80;
            peers.push(peer);
        }
        for bit in 0..256 {
            let mut peer = [0; 32];
            peer[bit / 8] = 1 << (bit % 8);
            peers.push(peer);
            peers.push(peer.map(|byte| !byte));
        }
        for peers in peers.chunks(MAX_JOBS - 1) {
            let secrets: Vec<_> = peers.iter().map(|_| random(&mut rng)).collect();
            width.check(&secrets, peers);
        }
    }
}

/// One of low order gives 0, in whichever lane, and the others their secrets all the same.
#[test]
fn low_order_disturbs_no_other() {
    for width in Width::both() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for place in 0..MAX_JOBS {
            let secrets: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
            let mut peers: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
            let before = width.agree(&secrets, &peers);
            peers[place] = LOW_ORDER[place % LOW_ORDER.len()];
            let after = width.agree(&secrets, &peers);
            for (i, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(*after, if i == place { [0; 32] } else { *before });
            }
            width.check(&secrets, &peers);
        }
        let secrets = [random(&mut rng); LOW_ORDER.len()];
        assert_eq!(width.agree(&secrets, &LOW_ORDER), [[0; 32]; LOW_ORDER.len()]);
    }
}

/// Lanes without a job take the first one's numbers, and what the place of a result held before is nothing.
#[test]
fn empty_lanes_do_not_matter() {
    for width in Width::both() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let secrets: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        let peers: Vec<_> = (0..MAX_JOBS).map(|_| random(&mut rng)).collect();
        let (publics, shared) = (width.generate(&secrets), width.agree(&secrets, &peers));
        for start in 0..MAX_JOBS {
            for count in [1, 7, 8, 9, 31] {
                let end = MAX_JOBS.min(start + count);
                assert_eq!(width.generate(&secrets[start..end]), publics[start..end]);
                assert_eq!(width.agree(&secrets[start..end], &peers[start..end]), shared[start..end]);
            }
        }
        let mut place = [[0x5a; 32]; 4];
        width.generate_into(&secrets[..3], &mut place[..3]);
        assert_eq!(place[3], [0x5a; 32]);
        assert!(width.generate(&[]).is_empty());
        assert!(width.agree(&[], &[]).is_empty());
        assert!(width.exchange(&[], &[]).iter().all(Vec::is_empty));
    }
}

//! Random numbers and shares, a part of which are remarkable: `Edgy`, `scalar`, `share`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use hex_literal::hex;
use p256::elliptic_curve::sec1::ToSec1Point;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, TryCryptoRng, TryRng};
use rsa::BigUint;

use crate::{Group, Share};

/// A generator of which every eighth number of 32 bytes is remarkable; its clones are one.
#[derive(Clone)]
pub(super) struct Edgy(pub(super) Rc<RefCell<ChaCha8Rng>>);

impl TryRng for Edgy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.borrow_mut().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.borrow_mut().try_next_u64()
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Infallible> {
        let random = &mut *self.0.borrow_mut();
        random.fill_bytes(place);
        for number in place.as_chunks_mut().0 {
            if one_in(8, random) {
                *number = edge(random);
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Edgy {}

pub(super) fn one_in(number: u32, random: &mut impl Rng) -> bool {
    random.next_u32().is_multiple_of(number)
}

/// A private scalar, in or out of its range; a quarter are remarkable.
pub(super) fn scalar(random: &mut impl Rng) -> [u8; 32] {
    let mut scalar = [0; 32];
    random.fill_bytes(&mut scalar);
    if one_in(4, random) { edge(random) } else { scalar }
}

/// A peer's share: X25519's in every form, a quarter remarkable; P-256's is a point of the curve, of which
/// every eighth has a remarkable coordinate, and every sixteenth is spoilt.
pub(super) fn share(group: Group, random: &mut impl Rng) -> Share {
    match group {
        Group::X25519 => {
            let u =
                if one_in(16, random) { LOW_ORDER[pick(LOW_ORDER.len(), random)] } else { scalar(random) };
            Share::new(group, &u).unwrap()
        }
        _ => {
            let mut point = if one_in(8, random) { remarkable_point(random) } else { point(random) };
            if one_in(16, random) {
                spoil(&mut point, random);
            }
            Share::new(group, &point).unwrap()
        }
    }
}

/// 0, 1, a power of two, all ones, an order or a prime, and what is a little above or below; in either byte
/// order.
fn edge(random: &mut impl Rng) -> [u8; 32] {
    let middle = match random.next_u32() % 8 {
        0 => BigUint::default(),
        1 => BigUint::from(1_u8) << (random.next_u32() % 256) as usize,
        2 => BigUint::from_bytes_be(&[0xff; 32]),
        3 => BigUint::from_bytes_be(&P256_ORDER),
        4 => BigUint::from_bytes_be(&P256_PRIME),
        5 => (BigUint::from(1_u8) << 255) - 19_u8,
        6 => BigUint::from_bytes_be(&CURVE25519_ORDER),
        // Few bits.
        _ => (0..3).map(|_| BigUint::from(1_u8) << (random.next_u32() % 254) as usize).sum(),
    };
    let distance = [0, 0, 1, 2, random.next_u32() % 256][pick(5, random)];
    let top = BigUint::from(1_u8) << 256;
    let number = if one_in(2, random) { middle + distance } else { middle + &top - distance };
    let mut bytes = number_bytes(&(number % top));
    if one_in(2, random) {
        bytes.reverse();
    }
    bytes
}

fn pick(count: usize, random: &mut impl Rng) -> usize {
    random.next_u32() as usize % count
}

fn number_bytes(number: &BigUint) -> [u8; 32] {
    let (mut bytes, digits) = ([0; 32], number.to_bytes_be());
    bytes[32 - digits.len()..].copy_from_slice(&digits);
    bytes
}

/// A random multiple of the base point; aws-lc is the fastest to find one.
fn point(random: &mut impl Rng) -> [u8; 65] {
    loop {
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        let algorithm = &aws_lc_rs::agreement::ECDH_P256;
        if let Ok(key) = aws_lc_rs::agreement::PrivateKey::from_private_key(algorithm, &secret) {
            return key.compute_public_key().unwrap().as_ref().try_into().unwrap();
        }
    }
}

/// A point with x or y near 0 or p, or a small multiple of the base point; or its negative.
fn remarkable_point(random: &mut impl Rng) -> [u8; 65] {
    let prime = BigUint::from_bytes_be(&P256_PRIME);
    let (x, y) = match random.next_u32() % 3 {
        0 => {
            let (y, x) = SMALL_Y[pick(SMALL_Y.len(), random)];
            (BigUint::from_bytes_be(&x), BigUint::from(y))
        }
        1 => loop {
            let distance = random.next_u32() % 1000;
            let x = if one_in(2, random) { BigUint::from(distance) } else { &prime - 1_u8 - distance };
            // RFC 8422 does without compressed points, the crate does not.
            let compressed = [&[2][..], &number_bytes(&x)].concat();
            if let Ok(point) = p256::PublicKey::from_sec1_bytes(&compressed) {
                let point = point.to_sec1_point(false);
                break (x, BigUint::from_bytes_be(&point.as_bytes()[33..]));
            }
        },
        _ => {
            let mut secret = [0; 32];
            secret[31] = 1 + random.next_u32().to_le_bytes()[0] / 2;
            let point = p256::SecretKey::from_slice(&secret).unwrap().public_key().to_sec1_point(false);
            let [x, y] = [&point.as_bytes()[1..33], &point.as_bytes()[33..]].map(BigUint::from_bytes_be);
            (x, y)
        }
    };
    let y = if one_in(2, random) { y } else { prime - y };
    let mut point = [4; 65];
    point[1..33].copy_from_slice(&number_bytes(&x));
    point[33..].copy_from_slice(&number_bytes(&y));
    point
}

fn spoil(point: &mut [u8; 65], random: &mut impl Rng) {
    match random.next_u32() % 6 {
        0 => point[1 + pick(64, random)] ^= 1 << (random.next_u32() % 8),
        1 => point[0] = random.next_u32().to_le_bytes()[0],
        2 => point[1..33].copy_from_slice(&edge(random)),
        3 => point[33..].copy_from_slice(&edge(random)),
        4 => point[1..].fill(0),
        // The same x, but not below p, if that is possible.
        _ => {
            let x = BigUint::from_bytes_be(&point[1..33]) + BigUint::from_bytes_be(&P256_PRIME);
            if x.bits() <= 256 {
                point[1..33].copy_from_slice(&number_bytes(&x));
            } else {
                point[33] ^= 0x80;
            }
        }
    }
}

const P256_PRIME: [u8; 32] = hex!("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

const P256_ORDER: [u8; 32] = hex!("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

const CURVE25519_ORDER: [u8; 32] = hex!("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");

/// The u-coordinates whose multiples by a clamped scalar are all zero (RFC 7748 section 6.1).
const LOW_ORDER: [[u8; 32]; 8] = [
    hex!("0000000000000000000000000000000000000000000000000000000000000000"),
    hex!("0100000000000000000000000000000000000000000000000000000000000000"),
    hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
];

/// Points of P-256 with a small y, before their x: the roots of x^3 - 3 x + b - y^2.
const SMALL_Y: [(u8, [u8; 32]); 6] = [
    (1, hex!("09e78d4ef60d05f750f6636209092bc43cbdd6b47e11a9de20a9feb2a50bb96c")),
    (1, hex!("8d0177ebab9c6e9e10db6dd095dbac0d6375e8a97b70f611875d877f0069d2c7")),
    (4, hex!("7fafb72b9e2f17b87cc216b6785c0bfc860ed577216fd3c8f30a7a8707e613ca")),
    (5, hex!("d7325d7646cd60d80a92738ceb345f844cffaf35841022cab176f692de8de1d7")),
    (13, hex!("005baa3ee09194e314d2e68337dae45641120fccfcf390a509295d857fbca029")),
    (18, hex!("d07709f79a174afe50f0bc6718fe869c0c30d6736a443b89c06164eba0c5d17a")),
];

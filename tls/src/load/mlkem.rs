//! The hybrid X25519MLKEM768 for a client that keeps no secret: a share that costs nothing to make, and what is
//! agreed on, for one hash.
//!
//! The encapsulation key has t-hat = 0 (FIPS 203 section 5.1), which passes the modulus check, and has the server do
//! all of its work. What it encrypts is then v = e2 + Decompress_1(m) (section 5.2, algorithm 14), with e2 of at
//! most 2: whoever sees the ciphertext reads m from its upper bits. Nobody else does this in earnest.

use sha3::{Digest, Sha3_512};

/// Bytes of t-hat, of rho behind it, and of the first part of a ciphertext.
const T_HAT: usize = 1152;
const RHO: usize = 32;
const U: usize = 960;
const V: usize = 128;

/// The encapsulation key of t-hat = 0 and rho = 0, and the base point of X25519.
pub(super) static SHARE: [u8; T_HAT + RHO + 32] = {
    let mut share = [0; T_HAT + RHO + 32];
    share[T_HAT + RHO] = 9;
    share
};

/// SHA3-256 of the encapsulation key.
const KEY_HASH: [u8; 32] = [
    0xd2, 0xc9, 0xa2, 0x83, 0xb3, 0xd9, 0x77, 0x59, 0x10, 0x0a, 0x9a, 0x12, 0xb3, 0xea, 0x90, 0xd7, 0x0e,
    0x51, 0x08, 0x2b, 0x5d, 0xf2, 0x80, 0xa5, 0x1c, 0xbe, 0x62, 0x34, 0xe4, 0x40, 0x3e, 0x60,
];

/// The secret of both parts; `None` when the server's `share` is none.
pub(super) fn agreed(share: &[u8]) -> Option<[u8; 64]> {
    let (v, point) = share.get(U..)?.split_first_chunk::<V>()?;
    let point: &[u8; 32] = point.try_into().ok()?;
    let mut message = [0; 32];
    for (byte, nibbles) in message.iter_mut().zip(v.chunks_exact(4)) {
        // Compress_4 of a bit: 8 for one, 0 for none, whatever e2 is; two coefficients a byte.
        *byte = nibbles.iter().rev().fold(0, |bits, pair| bits << 2 | (pair >> 7) << 1 | (pair >> 3 & 1));
    }
    // FIPS 203 section 6.2: (K, r) is G(m || H(ek)).
    let both = Sha3_512::new().chain_update(message).chain_update(KEY_HASH).finalize();
    let mut secret = [0; 64];
    let (first, second) = secret.split_at_mut(32);
    first.copy_from_slice(both.get(..32)?);
    second.copy_from_slice(point);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use sha3::Sha3_256;

    use super::*;

    #[test]
    fn the_hash_of_the_key() {
        assert_eq!(Sha3_256::digest(&SHARE[..T_HAT + RHO])[..], KEY_HASH);
    }
}

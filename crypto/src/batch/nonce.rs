//! Nonces of ECDSA, from the key, the digest and fresh randomness at once.
//!
//! RFC 6979 makes a nonce of key and digest, so that no lack of randomness gives the key away, and section 3.6
//! lets it take in further data, so that no fault in the computation does. This is the same idea for one hash
//! in eight lanes: k = SHA-512(key | randomness | digest) mod n. Of 512 bits, what the remainder prefers is
//! below 2^-256.

use zeroize::Zeroize;

use super::lanes::{LANES, Lanes, lanes, splat};
use super::p256_field::{Limbs, constant, limbs};
use super::p256_scalar::Scalar;
use super::sha512;

/// 2^256 R^2 mod n.
const HIGH: [u64; 5] =
    [0xf_6c1c_86aa_7ab0, 0xc_7cdf_4402_064a, 0x5_e93f_2616_fa57, 0x6_4d54_3b92_46ba, 0x3a54_e7b4_07be];

/// The nonces of at most eight signatures, below n; of zero there is no more than of any other.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn nonces(keys: &[[u8; 32]], randomness: &[[u8; 32]], digests: &[[u8; 32]]) -> Limbs {
    let mut message = [splat(0); 14];
    for (part, words) in [keys, randomness, digests].into_iter().zip(message.chunks_mut(4)) {
        words.copy_from_slice(&transposed(part));
    }
    let mut hash = sha512::one_block(&message, 96);
    let [a, b, c, d, e, f, g, h] = hash;
    let (high, low) = (limbs(&[d, c, b, a]), limbs(&[h, g, f, e]));
    let high = Scalar(high).mul(&Scalar(constant(&HIGH)));
    let sum = high.plus(&Scalar::new(&low).0);
    let nonces = sum.mul(&Scalar(constant(&[1, 0, 0, 0, 0]))).canonical();
    message.zeroize();
    hash.zeroize();
    nonces
}

/// The words of each number, big-endian; zeros in lanes without one.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn transposed(numbers: &[[u8; 32]]) -> [Lanes; 4] {
    let mut words = [[0; LANES]; 4];
    // Number after number: word after word the compiler makes a gather of it.
    for (lane, number) in numbers.iter().take(LANES).enumerate() {
        for (word, bytes) in words.iter_mut().zip(number.as_chunks().0) {
            word[lane] = u64::from_be_bytes(*bytes);
        }
    }
    let vectors = [lanes(words[0]), lanes(words[1]), lanes(words[2]), lanes(words[3])];
    words.zeroize();
    vectors
}

#[cfg(test)]
mod tests {
    use p256::elliptic_curve::ops::Reduce;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};
    use sha2::{Digest, Sha512};

    use super::super::lanes::Cpu;
    use super::super::p256_field::write;
    use super::*;

    /// The number of big-endian `bytes` mod n, a byte at a time.
    fn modulo(bytes: &[u8]) -> [u8; 32] {
        let scalar = |number: u8| {
            let mut bytes = p256::FieldBytes::default();
            bytes[31] = number;
            <p256::Scalar as Reduce<p256::FieldBytes>>::reduce(&bytes)
        };
        let base = scalar(16) * scalar(16);
        let sum = bytes.iter().fold(p256::Scalar::ZERO, |sum, byte| sum * base + scalar(*byte));
        sum.to_bytes().into()
    }

    #[test]
    fn they_are_the_hash_mod_n() {
        Cpu::detect().expect("AVX-512 IFMA");
        let mut random = ChaCha20Rng::seed_from_u64(1);
        for count in 1..=LANES {
            for _ in 0..100 {
                let mut parts = [[[0; 32]; LANES]; 3];
                parts.iter_mut().for_each(|part| random.fill_bytes(part.as_flattened_mut()));
                let [keys, noise, digests] = &parts;
                let mut found = [[0; 32]; LANES];
                // SAFETY: the features were detected above.
                unsafe { into(&mut found, &keys[..count], &noise[..count], &digests[..count]) };
                for lane in 0..count {
                    let hash = Sha512::digest([keys[lane], noise[lane], digests[lane]].concat());
                    assert_eq!(found[lane], modulo(&hash), "lane {lane} of {count}");
                }
            }
        }
    }

    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn into(place: &mut [[u8; 32]; LANES], keys: &[[u8; 32]], noise: &[[u8; 32]], digests: &[[u8; 32]]) {
        write(&nonces(keys, noise, digests), place.iter_mut());
    }
}

//! Digests of what ECDSA signs in handshakes: `digest`.

use sha2::block_api::compress256;

/// SHA-256 of `message`, as long as a [`Message`](crate::Message) at most.
pub(super) fn digest(message: &[u8]) -> [u8; 32] {
    let (mut state, rest) = match message.strip_prefix(&[0x20; 64]) {
        Some(rest) => (AFTER_SPACES, rest),
        None => (START, message),
    };
    let mut blocks = [[0; 64]; 3];
    let bytes = blocks.as_flattened_mut();
    bytes[..rest.len()].copy_from_slice(rest);
    // FIPS 180-4 section 5.1.1.
    bytes[rest.len()] = 0x80;
    let used = (rest.len() + 9).next_multiple_of(64);
    bytes[used - 8..used].copy_from_slice(&(8 * message.len() as u64).to_be_bytes());
    compress256(&mut state, &blocks[..used / 64]);
    let mut digest = [0; 32];
    for (place, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    digest
}

/// FIPS 180-4 section 5.3.3.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The state after the first block of what TLS 1.3 signs, "a string that consists of octet 32 (0x20) repeated 64
/// times" (RFC 8446 section 4.4.3).
const AFTER_SPACES: [u32; 8] =
    [0x4268_b9ff, 0x7558_c82e, 0x963e_7bc1, 0xea41_9fe6, 0x7219_e763, 0x7a24_6bdb, 0x160f_bff0, 0x07ef_412d];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn it_is_sha_256_with_and_without_the_spaces() {
        let text: Vec<u8> = (0..168).map(|byte| byte ^ 0x20).collect();
        for len in 0..=text.len() {
            assert_eq!(digest(&text[..len])[..], Sha256::digest(&text[..len])[..]);
        }
        for len in 0..=104 {
            for spaces in [63, 64] {
                let message = [&[0x20; 64][..spaces], &text[..len]].concat();
                assert_eq!(digest(&message)[..], Sha256::digest(&message)[..]);
            }
        }
    }
}

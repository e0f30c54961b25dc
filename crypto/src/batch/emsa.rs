//! Encodings of messages for RSA signatures: EMSA-PSS and EMSA-PKCS1-v1_5 (RFC 8017 sections 9.1.1, 9.2).
//!
//! For moduli of whole bytes. A PSS salt is as long as the hash, and MGF1 is of the same hash (RFC 8446
//! section 4.2.3). Nothing here is secret, and nothing allocates.

use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::SignatureScheme;

/// Bytes of the longest salt.
pub(crate) const MAX_SALT_LEN: usize = 64;

/// Bytes of salt that [`encode`] wants: none for PKCS #1 v1.5.
pub(crate) const fn salt_len(scheme: SignatureScheme) -> usize {
    use SignatureScheme as S;
    match scheme {
        S::RsaPssRsaeSha256 => 32,
        S::RsaPssRsaeSha384 => 48,
        S::RsaPssRsaeSha512 => 64,
        _ => 0,
    }
}

/// Fills `encoded`, as long as the modulus, with the encoding of `message`. `None` for a scheme that is
/// not of RSA, a salt of another length, and a modulus too short.
pub(crate) fn encode(scheme: SignatureScheme, message: &[u8], salt: &[u8], encoded: &mut [u8]) -> Option<()> {
    use SignatureScheme as S;
    if salt.len() != salt_len(scheme) {
        return None;
    }
    match scheme {
        S::RsaPssRsaeSha256 => pss::<Sha256>(message, salt, encoded),
        S::RsaPssRsaeSha384 => pss::<Sha384>(message, salt, encoded),
        S::RsaPssRsaeSha512 => pss::<Sha512>(message, salt, encoded),
        S::RsaPkcs1Sha256 => pkcs1::<Sha256>(message, 1, encoded),
        S::RsaPkcs1Sha384 => pkcs1::<Sha384>(message, 2, encoded),
        S::RsaPkcs1Sha512 => pkcs1::<Sha512>(message, 3, encoded),
        S::EcdsaSecp256r1Sha256 | S::EcdsaSecp384r1Sha384 | S::Ed25519 => None,
    }
}

/// RFC 8017 section 9.1.1, where emBits is one less than the bits of the modulus (section 8.1.1).
fn pss<H: Digest>(message: &[u8], salt: &[u8], encoded: &mut [u8]) -> Option<()> {
    let message_hash = H::digest(message);
    let mut hasher = H::new();
    hasher.update([0; 8]);
    hasher.update(&message_hash);
    hasher.update(salt);
    let hash = hasher.finalize();

    let (trailer, rest) = encoded.split_last_mut()?;
    let (masked, hash_place) = rest.split_at_mut_checked(rest.len().checked_sub(hash.len())?)?;
    let (padding, salt_place) = masked.split_at_mut_checked(masked.len().checked_sub(salt.len())?)?;
    let (one, zeros) = padding.split_last_mut()?;
    zeros.fill(0);
    *one = 1;
    salt_place.copy_from_slice(salt);
    hash_place.copy_from_slice(&hash);
    *trailer = 0xbc;
    add_mask::<H>(&hash, masked);
    // Step 11: "Set the leftmost 8emLen - emBits bits of the leftmost octet in maskedDB to zero."
    *masked.first_mut()? &= 0x7f;
    Some(())
}

/// MGF1 (RFC 8017 section B.2.1) of `seed`, added to `place`.
fn add_mask<H: Digest>(seed: &[u8], place: &mut [u8]) {
    for (counter, chunk) in (0_u32..).zip(place.chunks_mut(<H as Digest>::output_size())) {
        let mask = H::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        chunk.iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// RFC 8017 section 9.2; `arc` is the last of the hash's object identifier, 2.16.840.1.101.3.4.2.
fn pkcs1<H: Digest>(message: &[u8], arc: u8, encoded: &mut [u8]) -> Option<()> {
    let hash = H::digest(message);
    let len = u8::try_from(hash.len()).ok()?;
    let info = [
        0x30,
        len + 17,
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        arc,
        0x05,
        0,
        0x04,
        len,
    ];
    let (rest, hash_place) = encoded.split_at_mut_checked(encoded.len().checked_sub(hash.len())?)?;
    let (rest, info_place) = rest.split_at_mut_checked(rest.len().checked_sub(info.len())?)?;
    // At least eight octets of padding between 00 01 and 00.
    let [zero, kind, padding @ .., end] = rest else { return None };
    if padding.len() < 8 {
        return None;
    }
    [*zero, *kind, *end] = [0, 1, 0];
    padding.fill(0xff);
    info_place.copy_from_slice(&info);
    hash_place.copy_from_slice(&hash);
    Some(())
}

//! The records that are transferred, the same bytes by each way: header, ciphertext, tag.
//!
//! They are records of TLS 1.3 (RFC 8446 section 5.2) without its inner content type, so that a write of the
//! paper's size is a record of that size: the header is the additional data.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use miette::miette;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;
/// Bytes of a record's tag.
pub(super) const TAG: usize = 16;
/// The most bytes of plaintext of a record.
pub(super) const MOST: usize = 1 << 14;

/// The key of all measurements: what is sent is no secret.
pub(super) const KEY: [u8; 16] = *b"levee-load paper";
const IV: [u8; 12] = *b"transfer 100";

/// The header of a record of `plaintext` bytes.
pub(super) fn header(plaintext: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(plaintext + TAG).unwrap_or(u16::MAX).to_be_bytes();
    [23, 3, 3, high, low]
}

/// The nonce of record `sequence` (RFC 8446 section 5.3).
pub(super) fn nonce(sequence: u64) -> [u8; 12] {
    let mut nonce = IV;
    for (byte, mask) in nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()) {
        *byte ^= mask;
    }
    nonce
}

/// The key as the library that user space seals and the receiver opens with takes it.
pub(super) fn key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &KEY).expect("16 bytes are a key of AES-128"))
}

/// Bytes that `payload` bytes become in records of `size`.
pub(super) const fn stream_len(payload: usize, size: usize) -> usize {
    payload + payload.div_ceil(size) * (HEADER + TAG)
}

/// Whether `stream` is `payload` in records of `size`; decrypts it where it lies.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn verify(stream: &mut [u8], payload: &[u8], size: usize) -> miette::Result<()> {
    let key = key();
    let mut rest = stream;
    for (sequence, plaintext) in (0..).zip(payload.chunks(size)) {
        let wrong = |what: &str| miette!("record {sequence} of {size} bytes: {what}");
        let (record, behind) = std::mem::take(&mut rest)
            .split_at_mut_checked(HEADER + plaintext.len() + TAG)
            .ok_or_else(|| wrong("the stream ends in it"))?;
        rest = behind;
        let (head, sealed) = record.split_at_mut(HEADER);
        if *head != header(plaintext.len()) {
            return Err(wrong("its header is another"));
        }
        let nonce = Nonce::assume_unique_for_key(nonce(sequence));
        let opened = key
            .open_in_place(nonce, Aad::from(&*head), sealed)
            .map_err(|_| wrong("its tag does not match"))?;
        if *opened != *plaintext {
            return Err(wrong("its plaintext is another"));
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(miette!("{} bytes follow the last record", rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(payload: &[u8], size: usize) -> Vec<u8> {
        let key = key();
        let mut stream = Vec::new();
        for (sequence, plaintext) in (0..).zip(payload.chunks(size)) {
            let head = header(plaintext.len());
            let mut body = plaintext.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce(sequence));
            key.seal_in_place_append_tag(nonce, Aad::from(head), &mut body).unwrap();
            stream.extend(head);
            stream.extend(body);
        }
        stream
    }

    #[test]
    fn a_stream_is_verified_to_the_last_byte() {
        let payload: Vec<u8> = (0..10_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        let mut stream = sealed(&payload, 4096);
        assert_eq!(stream.len(), stream_len(payload.len(), 4096));
        verify(&mut stream.clone(), &payload, 4096).unwrap();
        for at in [0, 4, 5, 100, 4096 + HEADER, 4096 + HEADER + TAG, stream.len() - 1] {
            let mut changed = stream.clone();
            changed[at] ^= 1;
            verify(&mut changed, &payload, 4096).unwrap_err();
        }
        verify(&mut stream[..stream.len() - 1].to_vec(), &payload, 4096).unwrap_err();
        verify(&mut [&stream[..], &[0]].concat(), &payload, 4096).unwrap_err();
        let mut other = payload;
        other[9_999] ^= 1;
        verify(&mut stream, &other, 4096).unwrap_err();
    }

    #[test]
    fn nonces_differ_in_the_last_eight_bytes() {
        assert_eq!(nonce(0), IV);
        assert_eq!(nonce(1)[11], IV[11] ^ 1);
        assert_eq!(nonce(1 << 56)[4], IV[4] ^ 1);
        assert_eq!(nonce(u64::MAX)[..4], IV[..4]);
    }
}

//! The bytes that the origin's bodies are made of.
//!
//! Every body of `n` bytes is the first `n` bytes of one endless sequence, so both ends of a test know
//! them without talking. The sequence repeats after a prime number of bytes: a piece that is lost,
//! doubled or moved by a segment, a record or a power of two changes the bytes that follow.

use std::io;
use std::sync::LazyLock;

/// Length after which the sequence repeats: the largest prime below 2^20.
pub const PERIOD: usize = 1_048_573;

static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..PERIOD).map(|_| step(&mut state)).collect()
});

/// The longest run of the sequence from `offset` that lies in one piece, at most `limit` bytes.
pub fn piece(offset: u64, limit: u64) -> &'static [u8] {
    let start = usize::try_from(offset % PERIOD as u64).expect("below the period");
    let length = usize::try_from(limit).unwrap_or(usize::MAX).min(PERIOD - start);
    &BLOCK[start..start + length]
}

/// Writes the first `length` bytes.
///
/// # Errors
/// What `out` says.
pub fn write(out: &mut dyn io::Write, length: u64) -> io::Result<()> {
    let mut offset = 0;
    while offset < length {
        let piece = piece(offset, length - offset);
        out.write_all(piece)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

/// One byte of xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
fn step(state: &mut u64) -> u8 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_prefixes_of_one_sequence() {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        write(&mut short, 1000).unwrap();
        write(&mut long, 2 * PERIOD as u64 + 5).unwrap();
        assert_eq!(short, long[..1000]);
        assert_eq!(long[..5], long[2 * PERIOD..]);
    }

    #[test]
    fn shifting_by_a_power_of_two_shows() {
        let block = piece(0, PERIOD as u64);
        for shift in (0..20).map(|bit| 1 << bit) {
            assert_ne!(block[..64], block[shift..shift + 64], "shift {shift}");
        }
    }
}

//! The Internet checksum (RFC 1071), incremental over pieces.

use std::net::Ipv4Addr;
use std::ops::Range;

use levee_buf::Pieces;

/// A running one's complement sum, in the byte order of the machine (RFC 1071 section 2(B)).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: u64,
    odd: bool,
}

impl Sum {
    /// The pseudo-header of RFC 9293 section 3.1; a `length` of zero leaves the length out.
    pub(crate) fn pseudo(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        let [a, b] = length.to_be_bytes();
        let mut sum = Self::default();
        sum.bytes(&source.octets());
        sum.bytes(&destination.octets());
        sum.bytes(&[0, protocol, a, b]);
        sum
    }

    /// Adds contiguous bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        // RFC 1071 section 2(C): any word size will do, as long as carries come back in. Two sums, so that
        // one need not wait for the other's carry.
        let (words, rest) = bytes.as_chunks::<16>();
        let (mut even, mut odd) = (0, 0);
        for word in words {
            let word = u128::from_ne_bytes(*word);
            #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
            let (low, high) = (word as u64, (word >> 64) as u64);
            (even, odd) = (carry_in(even, low), carry_in(odd, high));
        }
        let mut sum = halves(even).wrapping_add(halves(odd));
        let (pairs, last) = rest.as_chunks::<2>();
        for pair in pairs {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes(*pair)));
        }
        if let [byte] = last {
            sum = sum.wrapping_add(u64::from(u16::from_ne_bytes([*byte, 0])));
        }
        let mut folded = fold(sum);
        if self.odd {
            // RFC 1071 section 2(B): a sum over swapped bytes is the swapped sum.
            folded = folded.swap_bytes();
        }
        self.sum = self.sum.wrapping_add(u64::from(folded));
        self.odd ^= !last.is_empty();
    }

    /// Adds a range of bytes in pieces.
    pub(crate) fn pieces(&mut self, pieces: &impl Pieces, range: Range<usize>) {
        pieces.for_each(range, &mut |chunk| self.bytes(chunk));
    }

    /// The sum as the two bytes it has on the wire, not complemented: what devices want of a pseudo-header.
    pub(crate) fn raw(self) -> [u8; 2] {
        fold(self.sum).to_ne_bytes()
    }

    /// The checksum field's two bytes.
    pub(crate) fn finish(self) -> [u8; 2] {
        (!fold(self.sum)).to_ne_bytes()
    }

    /// Whether bytes that contain their own checksum are intact.
    pub(crate) fn is_intact(self) -> bool {
        fold(self.sum) == u16::MAX
    }
}

/// The checksum over contiguous bytes.
pub(crate) fn of(bytes: &[u8]) -> [u8; 2] {
    let mut sum = Sum::default();
    sum.bytes(bytes);
    sum.finish()
}

/// A one's complement sum of 64 bits.
const fn carry_in(sum: u64, word: u64) -> u64 {
    let (sum, carry) = sum.overflowing_add(word);
    sum.wrapping_add(carry as u64)
}

/// The sum of the halves, which leaves room for more.
const fn halves(sum: u64) -> u64 {
    (sum >> 32).wrapping_add(sum & 0xffff_ffff)
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    let [low, high, ..] = sum.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use levee_buf::Heap;

    use super::*;

    #[test]
    fn rfc_1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let mut sum = Sum::default();
        sum.bytes(&bytes);
        assert_eq!(sum.raw(), [0xdd, 0xf2]);
        assert_eq!(of(&bytes), [0x22, 0x0d]);
    }

    #[test]
    fn any_split_gives_the_same_sum() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1001).collect();
        let whole = of(&bytes);
        let heap = Heap::new(8);
        for cut in [0, 1, 2, 3, 17, 500, 999, 1000] {
            let chain = heap.chain_of(&[&bytes[..cut / 2], &bytes[cut / 2..cut], &bytes[cut..]]);
            let mut sum = Sum::default();
            sum.pieces(&chain, 0..bytes.len());
            assert_eq!(sum.finish(), whole, "{cut}");
        }
        let mut with = bytes;
        with.push(0);
        with.extend(whole);
        let mut sum = Sum::default();
        sum.bytes(&with);
        assert!(sum.is_intact());
    }
}

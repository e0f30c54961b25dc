//! Bytes that are known without being kept: `Content` of bodies, and `Digest` of a world's history.

use std::ops::Range;

/// The bytes of a body: each is a function of a number and its place, so that one lost, doubled, moved or taken
/// from another body shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Which bytes.
    pub(crate) number: u64,
    /// How many.
    pub(crate) length: u64,
}

impl Content {
    /// The bytes of `range`, as far as they go.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let range = range.start..range.end.min(self.length);
        let mut bytes =
            Vec::with_capacity(usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0));
        let mut word = range.start / 8;
        while word * 8 < range.end {
            let from = usize::try_from(range.start.saturating_sub(word * 8)).unwrap_or(8);
            let to = usize::try_from((range.end - word * 8).min(8)).unwrap_or(8);
            bytes.extend_from_slice(&mix(self.number.rotate_left(32) ^ word).to_le_bytes()[from..to]);
            word += 1;
        }
        bytes
    }

    /// Whether `bytes` are those from `at` on.
    pub(crate) fn holds(&self, at: u64, bytes: &[u8]) -> bool {
        self.bytes(at..at + bytes.len() as u64) == bytes
    }
}

/// A sum of all that happened, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ number);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for word in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..word.len()].copy_from_slice(word);
            self.number(u64::from_le_bytes(eight));
        }
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

/// The finalizer of splitmix64: every bit of the input moves every bit of the output.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_at_every_place() {
        let content = Content { number: 3, length: 100 };
        let all = content.bytes(0..200);
        assert_eq!(all.len(), 100);
        for at in 0..=100 {
            assert!(content.holds(at, &all[usize::try_from(at).unwrap()..]));
        }
        assert!(!content.holds(1, &all[..50]) && !content.holds(60, &[all[60..].to_vec(), vec![0]].concat()));
        assert!(!Content { number: 4, ..content }.holds(0, &all));
    }

    #[test]
    fn a_digest_tells_order_and_borders() {
        let digest = |parts: &[&[u8]]| {
            let mut digest = Digest::new();
            parts.iter().for_each(|part| digest.bytes(part));
            digest.value()
        };
        let all = [digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]), digest(&[b"c", b"ab"]), digest(&[b"abc"])];
        assert!((1..4).all(|at| !all[at..].contains(&all[at - 1])));
        assert_eq!(digest(&[b"ab", b"c"]), all[0]);
    }
}

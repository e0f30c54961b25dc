//! Bytes that lie in far too many segments: `thicken`.
//!
//! Back-pressure counts bytes, but a stranger who sends records of one byte makes each hold a segment. What
//! has become that thin is copied into full segments: beyond the first 64 segments a byte held costs at most
//! nine bytes of packet memory, whatever the size of the records it came in.

use levee_buf::{Memory, Pieces};

/// Segments below which nothing is done.
const SEGMENTS: usize = 64;
/// Bytes a segment holds on average where nothing is done.
const THICK: usize = 256;

/// Copies the bytes of `chain` together if they lie in many small segments; returns whether it did. Without
/// memory for it, `chain` stays as it is.
pub(super) fn thicken<M: Memory>(memory: &M, chain: &mut M::Chain) -> bool {
    if chain.segments() <= SEGMENTS || chain.len() >= chain.segments() * THICK {
        return false;
    }
    let mut thick = M::Chain::default();
    let mut fits = true;
    chain.for_each(0..chain.len(), &mut |piece| fits &= memory.push(&mut thick, piece).is_ok());
    if fits {
        *chain = thick;
    }
    fits
}

#[cfg(test)]
mod tests {
    use levee_buf::{Chain, Heap};

    use super::*;

    #[test]
    fn thin_bytes_are_copied_together_and_thick_ones_are_not() {
        let heap = Heap::new(1000);
        let mut thin = heap.chain_of(&[&b"x"[..]; 500]);
        assert!(thicken(&heap, &mut thin));
        assert_eq!((thin.to_vec(), thin.segments(), heap.in_use()), (vec![b'x'; 500], 1, 1));
        let mut thick = heap.chain_of(&[&[7; 300][..]; 100]);
        assert!(!thicken(&heap, &mut thick));
        let mut few = heap.chain_of(&[&b"x"[..]; 10]);
        assert!(!thicken(&heap, &mut few));
    }

    #[test]
    fn without_memory_nothing_is_lost() {
        let heap = Heap::new(100);
        let mut thin = heap.chain_of(&[&b"x"[..]; 100]);
        assert!(!thicken(&heap, &mut thin));
        assert_eq!(thin.len(), 100);
    }
}

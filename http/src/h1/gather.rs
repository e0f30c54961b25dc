//! Making a head contiguous.

use levee_buf::{Chain, Exhausted, Memory, Pieces};

/// Makes the first `n` bytes of `chain` contiguous and returns whether it had to copy them.
///
/// Only a head that crosses a segment is copied, into one fresh segment; what follows is linked behind
/// it. `n` is at most [`levee_buf::MAX_ROOM`] and at most the chain's length.
///
/// # Errors
/// [`Exhausted`] when there is no such segment; `chain` is as before.
pub fn gather<M: Memory>(memory: &M, chain: &mut M::Chain, n: usize) -> Result<bool, Exhausted> {
    if chain.chunk(0).len() >= n {
        return Ok(false);
    }
    let mut whole = memory.alloc(n).ok_or(Exhausted)?;
    let head = memory.split_to(chain, n).ok_or(Exhausted)?;
    head.copy_to(0, whole.extend(head.len()).ok_or(Exhausted)?);
    whole.append(chain.take());
    *chain = whole;
    Ok(true)
}

/// The most segments that an unfinished head should lie in.
const HEAD_SEGMENTS: usize = 16;

/// Makes all of `chain`, an unfinished head, contiguous once it lies in more than sixteen segments, and
/// returns whether it did.
///
/// A peer that sends a head byte by byte would else hold a segment for each byte. To be called when
/// [`super::HeadScanner::scan`] wants more.
///
/// # Errors
/// [`Exhausted`] when there is no segment that takes it; `chain` is as before.
pub fn compact<M: Memory>(memory: &M, chain: &mut M::Chain) -> Result<bool, Exhausted> {
    if chain.segments() <= HEAD_SEGMENTS {
        return Ok(false);
    }
    gather(memory, chain, chain.len())
}

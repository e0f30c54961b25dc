//! The traits of packet memory: `Memory`, `Chain`, `Pieces`.
//!
//! What they do not do: reach into a device, or know what the bytes mean.

use std::ops::Range;

/// Free bytes in front of the data of a fresh segment: room for the lower layers' headers.
pub const HEADROOM: usize = 128;

/// Bytes of data a segment of the common size has room for.
pub const ROOM: usize = 2048;

/// The most bytes one contiguous segment can be asked for: a TLS record of 2^14 bytes with its header,
/// content type and tag, and a handshake flight with its certificates.
pub const MAX_ROOM: usize = 16_640;

/// A source of packet memory, bounded, of one lcore.
///
/// A handle: cloning it gives another handle to the same memory.
pub trait Memory: Clone + 'static {
    /// A run of segments of this memory.
    type Chain: Chain;

    /// An empty chain of one contiguous segment with [`HEADROOM`] bytes of headroom and at least `room`
    /// bytes of tailroom. `None` when memory is exhausted or `room` is over [`MAX_ROOM`].
    fn alloc(&self, room: usize) -> Option<Self::Chain>;

    /// Removes the first `at` bytes of `chain` and returns them; copies nothing. Both halves stay as
    /// writable as they were; where the cut goes through a segment, the first half has no tailroom and
    /// the second no headroom. `at` beyond the end takes all. `None` when memory is exhausted: `chain`
    /// is as before.
    fn split_to(&self, chain: &mut Self::Chain, at: usize) -> Option<Self::Chain>;

    /// A second owner of `range` of `chain`; copies nothing, unless a segment has so many owners that it
    /// cannot count another. The segments that `range` touches are shared from then on in both chains. A
    /// range beyond the end is cut to the end. `None` when memory is exhausted.
    fn reference(&self, chain: &mut Self::Chain, range: Range<usize>) -> Option<Self::Chain>;

    /// Copies `bytes` behind the end of `chain`, into tailroom and then into fresh segments.
    ///
    /// For headers and other bytes that the proxy writes itself: payload is linked, never pushed.
    ///
    /// # Errors
    /// [`Exhausted`] when memory ran out: `chain` may hold a part of `bytes`.
    fn push(&self, chain: &mut Self::Chain, mut bytes: &[u8]) -> Result<(), Exhausted> {
        while !bytes.is_empty() {
            let room = chain.tailroom().min(bytes.len());
            if room == 0 {
                let fresh = self.alloc(bytes.len().min(ROOM)).ok_or(Exhausted)?;
                chain.append(fresh);
                continue;
            }
            let (head, rest) = bytes.split_at(room);
            chain.extend(room).ok_or(Exhausted)?.copy_from_slice(head);
            bytes = rest;
        }
        Ok(())
    }
}

/// Memory ran out; the caller sheds the connection or the request that asked, with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// Bytes in several pieces, without ownership: what parsers and ciphers take.
pub trait Pieces {
    /// Bytes in all pieces together.
    fn len(&self) -> usize;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pieces the bytes lie in.
    fn segments(&self) -> usize;

    /// The contiguous bytes from offset `at` to the end of the piece it lies in; empty only at or
    /// beyond the end.
    fn chunk(&self, at: usize) -> &[u8];

    /// As [`Pieces::chunk`], to be written. `None` when the bytes are shared, or `at` is at or beyond
    /// the end.
    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]>;

    /// Whether every byte of `range` may be written.
    fn is_exclusive(&self, range: Range<usize>) -> bool;

    /// Calls `each` on the contiguous pieces of `range` in order.
    fn for_each(&self, range: Range<usize>, each: &mut dyn FnMut(&[u8])) {
        let mut at = range.start;
        while at < range.end {
            let chunk = self.chunk(at);
            let take = chunk.len().min(range.end - at);
            let Some(chunk) = chunk.get(..take).filter(|chunk| !chunk.is_empty()) else { return };
            each(chunk);
            at += take;
        }
    }

    /// As [`Pieces::for_each`], to be written; false when it met shared bytes and stopped there.
    fn for_each_mut(&mut self, range: Range<usize>, each: &mut dyn FnMut(&mut [u8])) -> bool {
        let mut at = range.start;
        while at < range.end.min(self.len()) {
            let Some(chunk) = self.chunk_mut(at) else { return false };
            let take = chunk.len().min(range.end - at);
            let Some(chunk) = chunk.get_mut(..take) else { return false };
            each(chunk);
            at += take;
        }
        true
    }

    /// Copies the bytes from offset `at` into `into` and returns how many there were.
    fn copy_to(&self, at: usize, into: &mut [u8]) -> usize {
        let mut done = 0;
        let end = at.saturating_add(into.len()).min(self.len());
        self.for_each(at..end, &mut |chunk| {
            if let Some(place) = into.get_mut(done..done + chunk.len()) {
                place.copy_from_slice(chunk);
                done += chunk.len();
            }
        });
        done
    }
}

/// An owned run of segments.
///
/// `Default` is the chain without a segment; it costs nothing.
pub trait Chain: Pieces + Default + 'static {
    /// Links `tail` behind the end; copies nothing, constant time. A segment of `self` without bytes at
    /// the end is dropped unless it is the only one and `tail` is empty.
    fn append(&mut self, tail: Self);

    /// Gives up the first `n` bytes (all when there are fewer) and frees the segments they filled.
    fn trim_front(&mut self, n: usize);

    /// Gives up all bytes beyond the first `len` and frees the segments they filled.
    fn truncate(&mut self, len: usize);

    /// Bytes that [`Chain::prepend`] can still take: free room in front of the first segment, zero when
    /// that segment is shared.
    fn headroom(&self) -> usize;

    /// Bytes that [`Chain::extend`] can still take: free room behind the last segment, zero when that
    /// segment is shared.
    fn tailroom(&self) -> usize;

    /// Grows the data by `n` bytes in front, in place, and returns them to be written. Their content is
    /// unspecified. `None` when `n` is over [`Chain::headroom`].
    fn prepend(&mut self, n: usize) -> Option<&mut [u8]>;

    /// Grows the data by `n` bytes behind the end, in place, and returns them to be written. Their
    /// content is unspecified. `None` when `n` is over [`Chain::tailroom`].
    fn extend(&mut self, n: usize) -> Option<&mut [u8]>;

    /// Takes the whole chain and leaves the empty one.
    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// All bytes as one vector: for tests and for the control plane.
    fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.len()];
        self.copy_to(0, &mut all);
        all
    }
}

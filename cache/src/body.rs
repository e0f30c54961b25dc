//! Bodies in packet memory: `Bodies` holds the pieces of all entries, `Body` is one entry's.
//!
//! A body lies in pieces of [`PIECE`] bytes, the last one shorter, so that any offset is found in constant
//! time: a tree of 64 branches a node names the pieces, and a body of one piece needs no node. Nothing is
//! copied and nothing is allocated; taking a body apart costs a step a piece.

use levee_buf::{Chain, Exhausted, HEADROOM, MAX_ROOM, Memory, ROOM};

use crate::slab::{NONE, Pool};

/// Bytes of a piece: the payload of one full TLS record.
pub(crate) const PIECE: usize = 16_384;

/// Packet memory that a segment of the common size holds.
pub(crate) const SEGMENT: usize = HEADROOM + ROOM;

/// Packet memory that a segment of the largest size holds.
pub(crate) const RECORD: usize = HEADROOM + MAX_ROOM;

const BRANCHES: usize = 64;

/// Packet memory that `chain` pins, at most: whole segments, all of the largest size when the bytes show
/// that one of them is.
pub(crate) fn cost<C: Chain>(chain: &C) -> usize {
    let segments = chain.segments();
    segments * if chain.len() <= segments * ROOM { SEGMENT } else { RECORD }
}

/// Packet memory that a contiguous chain of `len` bytes will pin.
pub(crate) const fn cost_of_alloc(len: usize) -> usize {
    if len <= ROOM { SEGMENT } else { RECORD }
}

/// One body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Body {
    /// A piece when `levels` is zero, a node otherwise; nothing when there are no pieces.
    root: u32,
    levels: u8,
    pieces: u32,
    len: u64,
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

/// The pieces and nodes of all bodies.
#[derive(Debug)]
pub(crate) struct Bodies<C> {
    pieces: Pool<C>,
    nodes: Pool<Node>,
}

#[derive(Debug)]
struct Node([u32; BRANCHES]);

impl Default for Node {
    fn default() -> Self {
        Self([NONE; BRANCHES])
    }
}

impl<C: Chain> Bodies<C> {
    /// Room for `entries` bodies that together pin at most `bytes` of packet memory.
    pub(crate) fn new(entries: usize, bytes: usize) -> Self {
        // A full piece pins more than PIECE bytes, and each body has at most one piece that is not full.
        let full = bytes / PIECE;
        let pieces = entries + full;
        // A body of one piece needs no node, one of up to 64 needs one, and one of k more at most
        // 3 k / 64 beside it.
        let nodes = full.min(entries + pieces * 3 / BRANCHES + 1);
        Self { pieces: Pool::new(pieces), nodes: Pool::new(nodes) }
    }

    /// Links `chain` behind the end of `body`, and leaves it empty.
    ///
    /// # Errors
    /// [`Exhausted`] when memory or the room set aside ran out: `chain` still has what `body` has not, and nothing
    /// can be appended any more.
    pub(crate) fn append<M: Memory<Chain = C>>(
        &mut self,
        body: &mut Body,
        memory: &M,
        chain: &mut C,
    ) -> Result<(), Exhausted> {
        while !chain.is_empty() {
            let at = offset_in_piece(body.len);
            let room = PIECE - at;
            let piece = if at == 0 {
                self.add_piece(body)?
            } else {
                self.piece(body, body.pieces - 1).ok_or(Exhausted)?
            };
            let part = if chain.len() <= room {
                chain.take()
            } else {
                memory.split_to(chain, room).ok_or(Exhausted)?
            };
            body.len += part.len() as u64;
            self.pieces[piece].append(part);
        }
        Ok(())
    }

    /// References at most `max` bytes from `offset`; empty at or beyond the end. `None` when memory is
    /// exhausted.
    pub(crate) fn read<M: Memory<Chain = C>>(
        &mut self,
        body: &Body,
        memory: &M,
        offset: u64,
        max: usize,
    ) -> Option<C> {
        let mut out = C::default();
        let end = offset.saturating_add(max as u64).min(body.len);
        let mut offset = offset;
        while offset < end {
            let index = u32::try_from(offset / PIECE as u64).ok()?;
            let piece = self.piece(body, index)?;
            let from = offset_in_piece(offset);
            let take = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE - from);
            out.append(memory.reference(&mut self.pieces[piece], from..from + take)?);
            offset += take as u64;
        }
        Some(out)
    }

    /// Takes `body` apart and frees its memory.
    pub(crate) fn clear(&mut self, body: Body) {
        if body.pieces > 0 {
            self.clear_below(body.root, body.levels);
        }
    }

    /// Whether nothing is held.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.in_use() == 0 && self.nodes.in_use() == 0
    }

    /// The piece with that index.
    fn piece(&self, body: &Body, index: u32) -> Option<u32> {
        let mut at = body.root;
        for level in (0..body.levels).rev() {
            at = self.nodes[at].0[branch(index, level)];
        }
        (index < body.pieces && at != NONE).then_some(at)
    }

    /// A fresh piece at the end of `body`.
    fn add_piece(&mut self, body: &mut Body) -> Result<u32, Exhausted> {
        let index = body.pieces;
        if index == 0 {
            body.root = self.pieces.take().ok_or(Exhausted)?;
            body.pieces = 1;
            return Ok(body.root);
        }
        if u64::from(index) >> (6 * u32::from(body.levels)) > 0 {
            let root = self.nodes.take().ok_or(Exhausted)?;
            self.nodes[root].0[0] = body.root;
            body.root = root;
            body.levels += 1;
        }
        let mut node = body.root;
        for level in (1..body.levels).rev() {
            let place = branch(index, level);
            if self.nodes[node].0[place] == NONE {
                self.nodes[node].0[place] = self.nodes.take().ok_or(Exhausted)?;
            }
            node = self.nodes[node].0[place];
        }
        let piece = self.pieces.take().ok_or(Exhausted)?;
        self.nodes[node].0[branch(index, 0)] = piece;
        body.pieces += 1;
        Ok(piece)
    }

    /// Recursion as deep as the tree: six levels name 2^32 pieces.
    fn clear_below(&mut self, at: u32, levels: u8) {
        let Some(below) = levels.checked_sub(1) else {
            drop(self.pieces.put(at));
            return;
        };
        let Node(branches) = self.nodes.put(at);
        for branch in branches.into_iter().take_while(|&branch| branch != NONE) {
            self.clear_below(branch, below);
        }
    }
}

/// The branch that leads to piece `index` in a node `level` steps above the pieces' own.
fn branch(index: u32, level: u8) -> usize {
    ((u64::from(index) >> (6 * u32::from(level))) & 63) as usize
}

fn offset_in_piece(offset: u64) -> usize {
    usize::try_from(offset % PIECE as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use levee_buf::{Chain, Heap, Pieces};

    use super::{Bodies, Body, PIECE};

    fn bytes(len: usize) -> Vec<u8> {
        (0..=250_u8).cycle().take(len).collect()
    }

    #[test]
    fn any_range_reads_as_written_across_pieces_and_levels() {
        let heap = Heap::new(4096);
        let mut bodies = Bodies::new(1, 70 * PIECE);
        let mut body = Body::default();
        let content = bytes(66 * PIECE + 5);
        for part in content.chunks(5000) {
            bodies.append(&mut body, &heap, &mut heap.chain(part)).unwrap();
        }
        assert_eq!((body.len(), body.levels), (content.len() as u64, 2));
        for (at, max) in [(0, 10), (PIECE - 3, 7), (64 * PIECE - 1, 2 * PIECE), (66 * PIECE, 100), (5, 0)] {
            let read = bodies.read(&body, &heap, at as u64, max).unwrap().to_vec();
            assert_eq!(read, content[at..content.len().min(at + max)], "{at} {max}");
        }
        assert!(bodies.read(&body, &heap, u64::MAX, 9).unwrap().is_empty());
        bodies.clear(body);
        assert!(bodies.is_empty());
        assert_eq!(heap.in_use(), 0);
    }

    #[test]
    fn exhaustion_leaves_a_body_that_can_be_cleared() {
        let heap = Heap::new(64);
        let mut bodies = Bodies::new(1, 2 * PIECE);
        let mut body = Body::default();
        let content = bytes(9 * PIECE);
        let mut rest = heap.chain(&content);
        assert!(bodies.append(&mut body, &heap, &mut rest).is_err());
        let mut whole = bodies.read(&body, &heap, 0, content.len()).unwrap().to_vec();
        assert!(!whole.is_empty() && !rest.is_empty());
        whole.extend(rest.take().to_vec());
        assert_eq!(whole, content, "every byte is here or there");
        bodies.clear(body);
        assert!(bodies.is_empty());
        assert_eq!(heap.in_use(), 0);
    }
}

//! Packet memory on the heap, for tests and simulation: `Heap` and `HeapChain`.
//!
//! Bounded by a number of segments, so that exhaustion and leaks are seen. Splitting inside a segment
//! copies here, which packet buffers do not.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use crate::chain::{Chain, HEADROOM, MAX_ROOM, Memory, Pieces};

/// A bounded number of heap segments.
#[derive(Clone, Debug)]
pub struct Heap {
    free: Rc<Cell<usize>>,
    limit: usize,
}

impl Heap {
    /// Memory of at most `limit` segments alive at a time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { free: Rc::new(Cell::new(limit)), limit }
    }

    /// Segments alive: zero when nothing leaked.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.limit - self.free.get()
    }

    /// A chain of one segment that holds a copy of `bytes`, whatever their number.
    ///
    /// # Panics
    /// When memory is exhausted.
    #[must_use]
    pub fn chain(&self, bytes: &[u8]) -> HeapChain {
        let mut room = vec![0; HEADROOM + bytes.len()];
        room[HEADROOM..].copy_from_slice(bytes);
        let lease = Lease::take(&self.free).expect("heap memory is exhausted");
        HeapChain::of(Segment {
            store: Store::Owned(room),
            range: HEADROOM..HEADROOM + bytes.len(),
            _lease: lease,
        })
    }

    /// A chain with one segment for each of `pieces`.
    ///
    /// # Panics
    /// When memory is exhausted.
    #[must_use]
    pub fn chain_of(&self, pieces: &[&[u8]]) -> HeapChain {
        let mut chain = HeapChain::default();
        for piece in pieces {
            chain.append(self.chain(piece));
        }
        chain
    }
}

impl Memory for Heap {
    type Chain = HeapChain;

    fn alloc(&self, room: usize) -> Option<HeapChain> {
        if room > MAX_ROOM {
            return None;
        }
        let lease = Lease::take(&self.free)?;
        let room = room.max(crate::ROOM);
        let store = Store::Owned(vec![0; HEADROOM + room]);
        Some(HeapChain::of(Segment { store, range: HEADROOM..HEADROOM, _lease: lease }))
    }

    fn split_to(&self, chain: &mut HeapChain, at: usize) -> Option<HeapChain> {
        let mut front = HeapChain::default();
        let cut = chain.locate(at);
        let (index, offset) = cut.unwrap_or((chain.segments.len(), 0));
        let second = match chain.segments.get_mut(index) {
            Some(segment) if offset > 0 => Some(segment.cut(offset, Lease::take(&self.free)?)),
            _ => None,
        };
        let rest = chain.segments.split_off(index + usize::from(second.is_some()));
        front.segments = std::mem::replace(&mut chain.segments, rest);
        if let Some(second) = second {
            chain.segments.push_front(second);
        }
        front.length = front.segments.iter().map(Segment::len).sum();
        chain.length -= front.length;
        Some(front)
    }

    fn reference(&self, chain: &mut HeapChain, range: Range<usize>) -> Option<HeapChain> {
        let mut second = HeapChain::default();
        let mut start = 0;
        for segment in &mut chain.segments {
            let end = start + segment.len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                let lease = Lease::take(&self.free)?;
                second.append(HeapChain::of(segment.share(from - start..to - start, lease)));
            }
            start = end;
        }
        Some(second)
    }
}

/// An owned run of heap segments.
#[derive(Debug, Default)]
pub struct HeapChain {
    segments: VecDeque<Segment>,
    length: usize,
}

impl HeapChain {
    fn of(segment: Segment) -> Self {
        Self { length: segment.len(), segments: VecDeque::from([segment]) }
    }

    /// The segment that byte `at` lies in and the offset there.
    fn locate(&self, at: usize) -> Option<(usize, usize)> {
        let mut offset = at;
        for (index, segment) in self.segments.iter().enumerate() {
            if offset < segment.len() {
                return Some((index, offset));
            }
            offset -= segment.len();
        }
        None
    }
}

impl Pieces for HeapChain {
    fn len(&self) -> usize {
        self.length
    }

    fn segments(&self) -> usize {
        self.segments.len()
    }

    fn chunk(&self, at: usize) -> &[u8] {
        self.locate(at).map_or(&[], |(index, offset)| &self.segments[index].bytes()[offset..])
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        let (index, offset) = self.locate(at)?;
        Some(&mut self.segments[index].bytes_mut()?[offset..])
    }

    fn for_each(&self, range: Range<usize>, each: &mut dyn FnMut(&[u8])) {
        let Some((first, mut skip)) = self.locate(range.start) else { return };
        let mut left = range.len();
        for segment in self.segments.range(first..) {
            let bytes = &segment.bytes()[std::mem::take(&mut skip)..];
            let bytes = &bytes[..bytes.len().min(left)];
            left -= bytes.len();
            if !bytes.is_empty() {
                each(bytes);
            } else if left == 0 {
                return;
            }
        }
    }

    fn for_each_mut(&mut self, range: Range<usize>, each: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some((first, mut skip)) = self.locate(range.start) else { return true };
        let mut left = range.len();
        for segment in self.segments.range_mut(first..) {
            let length = (segment.len() - skip).min(left);
            let from = std::mem::take(&mut skip);
            if length > 0 {
                let Some(bytes) = segment.bytes_mut() else { return false };
                each(&mut bytes[from..from + length]);
                left -= length;
            } else if left == 0 {
                return true;
            }
        }
        true
    }

    fn is_exclusive(&self, range: Range<usize>) -> bool {
        let mut start = 0;
        self.segments.iter().all(|segment| {
            let end = start + segment.len();
            let touched = range.start.max(start) < range.end.min(end);
            start = end;
            !touched || matches!(segment.store, Store::Owned(_))
        })
    }
}

impl Chain for HeapChain {
    fn append(&mut self, mut tail: Self) {
        if tail.segments.is_empty() {
            return;
        }
        if self.segments.back().is_some_and(|last| last.len() == 0) {
            self.segments.pop_back();
        }
        self.segments.append(&mut tail.segments);
        self.length += tail.length;
    }

    fn trim_front(&mut self, n: usize) {
        let mut n = n.min(self.length);
        self.length -= n;
        while let Some(first) = self.segments.front_mut() {
            if n < first.len() {
                first.range.start += n;
                return;
            }
            n -= first.len();
            self.segments.pop_front();
        }
    }

    fn truncate(&mut self, len: usize) {
        while self.length > len {
            let Some(last) = self.segments.back_mut() else { return };
            let cut = (self.length - len).min(last.len());
            last.range.end -= cut;
            self.length -= cut;
            if last.len() == 0 {
                self.segments.pop_back();
            }
        }
    }

    fn headroom(&self) -> usize {
        self.segments.front().map_or(0, |first| match &first.store {
            Store::Owned(_) => first.range.start,
            Store::Shared(_) => 0,
        })
    }

    fn tailroom(&self) -> usize {
        self.segments.back().map_or(0, |last| match &last.store {
            Store::Owned(room) => room.len() - last.range.end,
            Store::Shared(_) => 0,
        })
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.headroom() {
            return None;
        }
        let first = self.segments.front_mut()?;
        first.range.start -= n;
        self.length += n;
        first.bytes_mut()?.get_mut(..n)
    }

    fn extend(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.tailroom() {
            return None;
        }
        let last = self.segments.back_mut()?;
        let old = last.len();
        last.range.end += n;
        self.length += n;
        last.bytes_mut()?.get_mut(old..)
    }
}

#[derive(Debug)]
struct Segment {
    store: Store,
    range: Range<usize>,
    _lease: Lease,
}

#[derive(Debug)]
enum Store {
    Owned(Vec<u8>),
    Shared(Rc<Vec<u8>>),
}

impl Segment {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Owned(room) => &room[self.range.clone()],
            Store::Shared(room) => &room[self.range.clone()],
        }
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.store {
            Store::Owned(room) => room.get_mut(self.range.clone()),
            Store::Shared(_) => None,
        }
    }

    /// Keeps the bytes before `at` and returns the rest as a segment as writable as this one.
    fn cut(&mut self, at: usize, lease: Lease) -> Self {
        let middle = self.range.start + at;
        let rest = match &mut self.store {
            Store::Owned(room) => {
                let rest = room.split_off(middle);
                Self { range: 0..self.range.end - middle, store: Store::Owned(rest), _lease: lease }
            }
            Store::Shared(room) => {
                Self { range: middle..self.range.end, store: Store::Shared(Rc::clone(room)), _lease: lease }
            }
        };
        self.range.end = middle;
        rest
    }

    fn share(&mut self, within: Range<usize>, lease: Lease) -> Self {
        let range = self.range.start + within.start..self.range.start + within.end;
        if let Store::Owned(room) = &mut self.store {
            self.store = Store::Shared(Rc::new(std::mem::take(room)));
        }
        let Store::Shared(room) = &self.store else { unreachable!("the store was made shared above") };
        Self { range, store: Store::Shared(Rc::clone(room)), _lease: lease }
    }
}

/// One segment of the budget, given back when dropped.
#[derive(Debug)]
struct Lease(Rc<Cell<usize>>);

impl Lease {
    fn take(free: &Rc<Cell<usize>>) -> Option<Self> {
        free.set(free.get().checked_sub(1)?);
        Some(Self(Rc::clone(free)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[cfg(test)]
mod tests;

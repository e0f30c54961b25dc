//! `Chain`: an owned run of mbufs, as `levee_buf::Chain` describes it.
//!
//! The head mbuf carries the length of all (`pkt_len`) and the number of segments modulo 2^16
//! (`nb_segs`), as drivers expect, so that a chain is ready to be sent as it is. Segments are not empty,
//! except perhaps the last.

use std::ops::Range;

use levee_buf::Pieces;

use crate::mbuf::Segment;

/// An owned run of mbufs, in 16 bytes. Dropping it frees them.
#[derive(Default)]
pub struct Chain {
    ends: Option<Ends>,
}

const _: () = assert!(size_of::<Chain>() == 16);

// SAFETY: a chain is the only owner of its mbufs. What several mbufs lie over is counted by an atomic
// number, and each byte of it is written by one of them at most (`mbuf.rs`); mempools take mbufs back
// from any thread.
unsafe impl Send for Chain {}

// SAFETY: a shared `Chain` is only read.
unsafe impl Sync for Chain {}

#[derive(Clone, Copy)]
struct Ends {
    head: Segment,
    tail: Segment,
}

impl Chain {
    /// Owns one segment whose `pkt_len` and `nb_segs` are those of a packet of its own.
    pub(crate) fn of(segment: Segment) -> Self {
        Self { ends: Some(Ends { head: segment, tail: segment }) }
    }

    /// Owns what a driver received: `head` and what is linked behind it.
    pub(crate) fn received(head: Segment) -> Self {
        let mut tail = head;
        while let Some(next) = tail.next() {
            tail = next;
        }
        Self { ends: Some(Ends { head, tail }) }
    }

    /// The first segment, with `pkt_len` and `nb_segs` right.
    pub(crate) fn head(&self) -> Option<Segment> {
        self.ends.map(|ends| ends.head)
    }

    /// Gives the segments to someone else who will free them.
    pub(crate) fn into_head(mut self) -> Option<Segment> {
        self.ends.take().map(|ends| ends.head)
    }

    /// Segments with a byte of `range`.
    pub(crate) fn touched(&self, range: &Range<usize>) -> usize {
        self.walk()
            .take_while(|(_, start)| *start < range.end)
            .filter(|(segment, start)| !within(range, *start, segment.len()).is_empty())
            .count()
    }

    /// Writes `bytes` from offset `at` on; false when they do not fit or are shared.
    pub(crate) fn write_at(&mut self, at: usize, mut bytes: &[u8]) -> bool {
        let range = at..at + bytes.len();
        self.for_each_mut(range, &mut |place| {
            let (head, rest) = bytes.split_at(place.len());
            place.copy_from_slice(head);
            bytes = rest;
        }) && bytes.is_empty()
    }

    /// Takes the first `n` bytes of a chain of one segment out of sight, until [`Chain::reveal`].
    pub(crate) fn hide(&mut self, n: usize) {
        if let Some(Ends { head, .. }) = self.ends {
            head.advance(narrow(n));
            head.set_pkt_len(u32::from(head.data_len()));
        }
    }

    /// Brings back what [`Chain::hide`] hid.
    pub(crate) fn reveal(&mut self, n: usize) {
        if let Some(Ends { head, .. }) = self.ends {
            head.set_data_off(head.data_off() - narrow(n));
            head.set_data_len(head.data_len() + narrow(n));
            head.set_pkt_len(u32::from(head.data_len()));
        }
    }

    fn walk(&self) -> Walk {
        Walk { next: self.head(), at: 0 }
    }

    /// The segment that byte `at` lies in, and where it begins.
    fn locate(&self, at: usize) -> Option<(Segment, usize)> {
        self.walk().find(|(segment, start)| at < start + segment.len())
    }

    pub(crate) fn split_to(
        &mut self,
        at: usize,
        reference: impl FnOnce() -> Option<Segment>,
    ) -> Option<Self> {
        if at >= self.len() {
            return Some(std::mem::take(self));
        }
        let Some(Ends { head, tail }) = self.ends.filter(|_| at > 0) else { return Some(Self::default()) };
        let whole = head.pkt_len();
        let count = head.nb_segs();
        let mut before: Option<Segment> = None;
        let (mut cut, mut start, mut passed) = (head, 0, 0_u16);
        while start + cut.len() <= at {
            start += cut.len();
            passed = passed.wrapping_add(1);
            before = Some(cut);
            cut = cut.next()?;
        }
        let inside = at - start;
        let last = match before {
            // The cut is between two segments.
            Some(before) if inside == 0 => before,
            _ if cut.is_crowded() => return None,
            _ => {
                let over = reference()?;
                cut.split(over, narrow(inside));
                if let Some(before) = before {
                    before.set_next(Some(over));
                }
                passed = passed.wrapping_add(1);
                over
            }
        };
        last.set_next(None);
        let front = Ends { head: if before.is_some() { head } else { last }, tail: last };
        front.head.set_pkt_len(wide(at));
        front.head.set_nb_segs(passed);
        cut.set_pkt_len(whole - wide(at));
        // The cut segment is counted on both sides.
        cut.set_nb_segs(count.wrapping_sub(passed).wrapping_add(u16::from(inside > 0)));
        self.ends = Some(Ends { head: cut, tail });
        Some(Self { ends: Some(front) })
    }

    pub(crate) fn reference(
        &mut self,
        range: Range<usize>,
        mut reference: impl FnMut() -> Option<Segment>,
        mut fresh: impl FnMut(usize) -> Option<Segment>,
    ) -> Option<Self> {
        let mut second = Self::default();
        for (segment, start) in self.walk() {
            if start >= range.end {
                break;
            }
            let from = range.start.max(start);
            let to = range.end.min(start + segment.len());
            if from < to {
                let (at, n) = (narrow(from - start), narrow(to - from));
                let over = if segment.is_crowded() {
                    let over = fresh(to - from)?;
                    segment.copy(over, at, n);
                    over
                } else {
                    let over = reference()?;
                    segment.share(over, at, n);
                    over
                };
                over.set_pkt_len(wide(to - from));
                second.link(Self::of(over));
            }
        }
        Some(second)
    }

    /// Links `tail` behind the end. Neither is without segments.
    fn link(&mut self, mut tail: Self) {
        let Some(behind) = tail.ends.take() else { return };
        match &mut self.ends {
            None => self.ends = Some(behind),
            Some(ends) => {
                ends.tail.set_next(Some(behind.head));
                ends.tail = behind.tail;
                ends.head.set_pkt_len(ends.head.pkt_len() + behind.head.pkt_len());
                ends.head.set_nb_segs(ends.head.nb_segs().wrapping_add(behind.head.nb_segs()));
            }
        }
    }

    /// Frees the last segment.
    fn drop_tail(&mut self) {
        let Some(Ends { head, tail }) = self.ends else { return };
        if head == tail {
            *self = Self::default();
            return;
        }
        let Some((before, _)) = self.walk().find(|(segment, _)| segment.next() == Some(tail)) else { return };
        head.set_pkt_len(head.pkt_len() - u32::from(tail.data_len()));
        head.set_nb_segs(head.nb_segs().wrapping_sub(1));
        before.set_next(None);
        self.ends = Some(Ends { head, tail: before });
        free(tail);
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            free(ends.head);
        }
    }
}

impl Pieces for Chain {
    fn len(&self) -> usize {
        self.ends.map_or(0, |ends| ends.head.pkt_len() as usize)
    }

    fn segments(&self) -> usize {
        // No more segments than bytes, and one: the 16 bits did not overflow.
        match self.ends {
            None => 0,
            Some(ends) if ends.head.pkt_len() < u32::from(u16::MAX) => usize::from(ends.head.nb_segs()),
            Some(_) => self.walk().count(),
        }
    }

    fn chunk(&self, at: usize) -> &[u8] {
        self.locate(at).map_or(&[], |(segment, start)| &bytes(self, segment)[at - start..])
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        let (segment, start) = self.locate(at)?;
        Some(&mut bytes_mut(self, segment)?[at - start..])
    }

    fn is_exclusive(&self, range: Range<usize>) -> bool {
        self.walk()
            .take_while(|(_, start)| *start < range.end)
            .filter(|(segment, start)| range.start.max(*start) < range.end.min(start + segment.len()))
            .all(|(segment, _)| !segment.is_shared())
    }

    fn for_each(&self, range: Range<usize>, each: &mut dyn FnMut(&[u8])) {
        for (segment, start) in self.walk() {
            if start >= range.end {
                return;
            }
            let within = within(&range, start, segment.len());
            if !within.is_empty() {
                each(&bytes(self, segment)[within]);
            }
        }
    }

    fn for_each_mut(&mut self, range: Range<usize>, each: &mut dyn FnMut(&mut [u8])) -> bool {
        for (segment, start) in self.walk() {
            if start >= range.end {
                break;
            }
            let within = within(&range, start, segment.len());
            if !within.is_empty() {
                let Some(bytes) = bytes_mut(self, segment) else { return false };
                each(&mut bytes[within]);
            }
        }
        true
    }
}

impl levee_buf::Chain for Chain {
    fn append(&mut self, tail: Self) {
        if tail.ends.is_none() {
            return;
        }
        if self.ends.is_some_and(|ends| ends.tail.data_len() == 0) {
            self.drop_tail();
        }
        self.link(tail);
    }

    fn trim_front(&mut self, n: usize) {
        let len = self.len();
        let Some(Ends { head, tail }) = self.ends else { return };
        if n >= len {
            *self = Self::default();
            return;
        }
        let (mut first, mut start, mut passed) = (head, 0, 0_u16);
        let mut before = None;
        while start + first.len() <= n {
            let Some(next) = first.next() else { return };
            start += first.len();
            passed = passed.wrapping_add(1);
            before = Some(first);
            first = next;
        }
        let count = head.nb_segs();
        first.advance(narrow(n - start));
        if let Some(before) = before {
            before.set_next(None);
            free(head);
        }
        first.set_pkt_len(wide(len - n));
        first.set_nb_segs(count.wrapping_sub(passed));
        self.ends = Some(Ends { head: first, tail });
    }

    fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        if len == 0 {
            *self = Self::default();
            return;
        }
        let Some((last, start)) = self.locate(len - 1) else { return };
        let Some(Ends { head, .. }) = self.ends else { return };
        let kept = self.walk().take_while(|(_, at)| *at < len).count();
        last.set_data_len(narrow(len - start));
        let behind = last.next();
        last.set_next(None);
        head.set_pkt_len(wide(len));
        #[expect(clippy::cast_possible_truncation, reason = "the number of segments is kept modulo 2^16")]
        head.set_nb_segs(kept as u16);
        self.ends = Some(Ends { head, tail: last });
        if let Some(behind) = behind {
            free(behind);
        }
    }

    fn headroom(&self) -> usize {
        self.ends.map_or(0, |ends| ends.head.headroom())
    }

    fn tailroom(&self) -> usize {
        self.ends.map_or(0, |ends| ends.tail.tailroom())
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let head = self.ends?.head;
        if n > head.headroom() {
            return None;
        }
        head.set_data_off(head.data_off() - narrow(n));
        head.set_data_len(head.data_len() + narrow(n));
        head.set_pkt_len(head.pkt_len() + wide(n));
        bytes_mut(self, head)?.get_mut(..n)
    }

    fn extend(&mut self, n: usize) -> Option<&mut [u8]> {
        let Ends { head, tail } = self.ends?;
        if n > tail.tailroom() {
            return None;
        }
        let old = tail.len();
        tail.set_data_len(tail.data_len() + narrow(n));
        head.set_pkt_len(head.pkt_len() + wide(n));
        bytes_mut(self, tail)?.get_mut(old..)
    }
}

/// Segments from the head on, each with the offset of its first byte.
struct Walk {
    next: Option<Segment>,
    at: usize,
}

impl Iterator for Walk {
    type Item = (Segment, usize);

    fn next(&mut self) -> Option<(Segment, usize)> {
        let segment = self.next?;
        let start = self.at;
        self.next = segment.next();
        self.at += segment.len();
        Some((segment, start))
    }
}

/// The part of `range` that lies in a segment of `len` bytes at `start`, counted from there.
fn within(range: &Range<usize>, start: usize, len: usize) -> Range<usize> {
    let from = range.start.saturating_sub(start).min(len);
    let to = (range.end - start).min(len);
    from..to.max(from)
}

/// The bytes of `segment`, a segment of `owner`.
fn bytes(_owner: &Chain, segment: Segment) -> &[u8] {
    // SAFETY: the data lies within the buffer, which lives as long as the segment, which the chain owns
    // for the lifetime of the borrow. No one writes to it meanwhile: it is either exclusive to the
    // borrowed chain, or shared and so never written.
    unsafe { std::slice::from_raw_parts(segment.data(), segment.len()) }
}

/// The bytes of `segment`, a segment of `owner`, unless they are shared.
fn bytes_mut(_owner: &mut Chain, segment: Segment) -> Option<&mut [u8]> {
    if segment.is_shared() {
        return None;
    }
    // SAFETY: as for reading; not being shared, no other segment has a byte of it.
    Some(unsafe { std::slice::from_raw_parts_mut(segment.data(), segment.len()) })
}

/// Frees a segment and those behind it.
fn free(head: Segment) {
    // SAFETY: the caller owns the segments and forgets them.
    unsafe { dpdk_sys::rte_pktmbuf_free(head.raw()) }
}

/// A length within one segment: at most what an mbuf's 16 bits hold.
#[expect(clippy::cast_possible_truncation, reason = "a buffer is shorter than 2^16 bytes")]
fn narrow(n: usize) -> u16 {
    n as u16
}

/// A length of a chain: a pool holds less than 2^32 bytes for one.
#[expect(clippy::cast_possible_truncation, reason = "a chain is shorter than 2^32 bytes")]
fn wide(n: usize) -> u32 {
    n as u32
}

#[cfg(test)]
mod tests;

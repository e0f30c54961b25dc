//! Handshake bytes on their way to whole messages: `Assembly`.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_buf::{Chain, Memory};

use super::HEADER;
use crate::error::Error;
use crate::record::Records;

/// Handshake bytes that are not yet a whole message, or wait for their turn.
pub(crate) struct Assembly<C>(C);

impl<C: Default> Default for Assembly<C> {
    fn default() -> Self {
        Self(C::default())
    }
}

impl<C: Chain> Assembly<C> {
    /// Segments that they lie in.
    pub(crate) fn segments(&self) -> usize {
        self.0.segments()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the content of a record. What continues a message is copied behind it, so that a message in
    /// many fragments does not hold a segment for each.
    pub(crate) fn push<M: Memory<Chain = C>>(&mut self, payload: C, memory: &M) -> Result<(), Error> {
        if self.0.is_empty() {
            self.0 = payload;
            return Ok(());
        }
        let mut result = Ok(());
        payload.for_each(0..payload.len(), &mut |bytes| {
            result = result.and_then(|()| memory.push(&mut self.0, bytes));
        });
        Ok(result?)
    }

    /// Type and length, header included, of the message in front, once it is whole. One that is longer
    /// than the `limit` of its type is refused when its header is here.
    pub(crate) fn front(&self, limit: impl FnOnce(u8) -> usize) -> Result<Option<(u8, usize)>, Error> {
        let mut header = [0; HEADER];
        if self.0.copy_to(0, &mut header) < HEADER {
            return Ok(None);
        }
        let [kind, a, b, c] = header;
        let [a, b, c] = [a, b, c].map(usize::from);
        let length = HEADER.saturating_add((a << 16) | (b << 8) | c);
        if length > limit(kind) {
            return Err(Error::MessageTooLong);
        }
        Ok((self.0.len() >= length).then_some((kind, length)))
    }

    /// Makes the first `length` bytes contiguous.
    pub(crate) fn gather<M: Memory<Chain = C>>(
        &mut self,
        length: usize,
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        if self.0.chunk(0).len() >= length {
            return Ok(());
        }
        let mut fresh = out.memory.alloc(length).ok_or(Error::MemoryExhausted)?;
        self.0.copy_to(0, fresh.extend(length).ok_or(Error::MemoryExhausted)?);
        self.0.trim_front(length);
        fresh.append(self.0.take());
        self.0 = fresh;
        out.counters.gathered = out.counters.gathered.wrapping_add(1);
        Ok(())
    }

    /// The bytes, to be given back by [`Assembly::put`] without the message that was worked on.
    pub(crate) fn take(&mut self) -> C {
        self.0.take()
    }

    /// Gives the bytes back.
    pub(crate) fn put(&mut self, bytes: C) {
        self.0 = bytes;
    }
}

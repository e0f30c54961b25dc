//! Reading lists of code points and writing into chains: what all messages share.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_buf::{Chain, Full, Reader, Writer};

use crate::error::Error;

/// A list of 16-bit code points as it lies in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<'a>(&'a [u8]);

impl<'a> Codes<'a> {
    /// The list in `body`, of whole code points and at least one.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, Error> {
        if body.is_empty() || !body.len().is_multiple_of(2) {
            return Err(Error::Malformed);
        }
        Ok(Self(body))
    }

    pub(crate) fn contains(self, code: u16) -> bool {
        self.0.chunks_exact(2).any(|pair| pair == code.to_be_bytes())
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The rest of `reader` must be empty.
pub(crate) fn end(reader: &Reader<'_>) -> Result<(), Error> {
    if reader.is_empty() { Ok(()) } else { Err(Error::Malformed) }
}

/// Writes at most `room` bytes behind the end of `chain`, whose tailroom has the room, and returns how
/// many there were.
pub(crate) fn append<C: Chain>(
    chain: &mut C,
    room: usize,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<usize, Error> {
    let start = chain.len();
    let mut out = Writer::new(chain.extend(room).ok_or(Error::FlightTooLong)?);
    let written = write(&mut out).map(|()| out.len());
    let written = written.unwrap_or_default();
    chain.truncate(start.saturating_add(written));
    if written == 0 { Err(Error::FlightTooLong) } else { Ok(written) }
}

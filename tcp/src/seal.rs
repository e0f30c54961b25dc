//! `Seal`: the upper layer's half of the send path, asked at transmit time.

use levee_buf::Memory;

use crate::stack::ConnId;

/// Gives the bytes of a connection at the moment they may leave.
pub trait Seal<M: Memory> {
    /// Up to `room.window` bytes of wire data to be sent on `id`.
    ///
    /// It may return more: the excess waits in the connection, unsent. It is called again at once while
    /// there is window left, until it answers something else than [`Fill::Data`]. An empty
    /// [`Fill::Data`] counts as [`Fill::Nothing`].
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<M::Chain>;
}

/// What may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes: the smaller of congestion window and peer's window, less what is in flight and what waits
    /// unsent; more than zero. A multiple of `mss` together with what waits, when it is that large.
    pub window: usize,
    /// Payload bytes of one full segment.
    pub mss: usize,
}

/// An answer of [`Seal::fill`].
#[derive(Debug)]
pub enum Fill<C> {
    /// Bytes, in order behind all before them.
    Data(C),
    /// None at this time: asked again after [`Stack::wake`](crate::Stack::wake).
    Nothing,
    /// None, ever again: FIN follows what is queued.
    Finished,
}

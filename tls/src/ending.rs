//! What our side of a connection sends, and how that ends: `Sender`, `Ending`. Servers and clients alike.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use levee_buf::{Chain, Memory, Pieces};

use crate::error::{Alert, Error};
use crate::record::Outgoing;

/// What a connection's `fill` has.
pub enum Filled<C> {
    /// Wire bytes to be sent.
    Wire(C),
    /// A record is being sealed, or could not be yet: call again after the connection's `on_aead` or `resume`.
    Later,
    /// There is nothing to send.
    Nothing,
}

/// How far the end of our side has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    Open,
    Asked(Alert),
    /// The alert is with the record layer.
    Sealed,
    /// The alert was given out, or there is none.
    Closed,
}

/// The end of our side, and what keeps it from sending until then.
pub(crate) struct Ending {
    pub(crate) closing: Closing,
    pub(crate) failed: Option<Error>,
    /// Memory was short in the last fill.
    pub(crate) starved: bool,
}

impl Default for Ending {
    fn default() -> Self {
        Self { closing: Closing::Open, failed: None, starved: false }
    }
}

impl Ending {
    /// Has close_notify sent, to a peer that is there to hear it.
    pub(crate) fn close(&mut self, is_heard: bool) {
        if self.closing == Closing::Open {
            self.closing = if is_heard { Closing::Asked(Alert::CloseNotify) } else { Closing::Closed };
        }
    }

    /// Has the alert of `error` sent, to a peer that is there to hear it; whether it is the first error.
    pub(crate) fn fail(&mut self, error: Error, is_heard: bool) -> bool {
        let first = self.failed.is_none();
        self.failed.get_or_insert(error);
        self.closing = match (self.closing, error.alert()) {
            (Closing::Sealed, _) => Closing::Sealed,
            (Closing::Open | Closing::Asked(_), Some(alert)) if first && is_heard => Closing::Asked(alert),
            // An alert that could not be sent is not tried again.
            _ => Closing::Closed,
        };
        first
    }
}

/// A connection that sends records; `O` is what it may use meanwhile.
pub(crate) trait Sender<M: Memory, O> {
    /// Its record layer, and its end.
    fn sending(&mut self) -> (&mut Outgoing<M>, &mut Ending);

    /// Hands the next record to the record layer; false when there is none.
    fn seal_next(&mut self, plain: &mut M::Chain, room: usize, out: &mut O) -> Result<bool, Error>;

    /// Ends the connection on an error.
    fn verdict(&mut self, result: Result<(), Error>, out: &mut O) -> Result<(), Error>;

    /// Records until there are about `room` bytes of them, or one has to be waited for.
    #[inline]
    fn fill_room(&mut self, plain: &mut M::Chain, room: usize, out: &mut O) -> Filled<M::Chain> {
        let mut wire = M::Chain::default();
        loop {
            let (outgoing, ending) = self.sending();
            wire.append(outgoing.take());
            if outgoing.is_parked() || ending.starved {
                break;
            }
            if ending.closing == Closing::Sealed {
                ending.closing = Closing::Closed;
            }
            if !wire.is_empty() && wire.len() >= room {
                break;
            }
            let has_failed = ending.failed.is_some();
            match self.seal_next(plain, room.saturating_sub(wire.len()), out) {
                Ok(true) => {}
                Ok(false) => break,
                // Nothing was taken or sent; the caller tries again when memory is there.
                Err(Error::MemoryExhausted) if !has_failed => self.sending().1.starved = true,
                Err(error) => _ = self.verdict(Err(error), out),
            }
        }
        let (outgoing, ending) = self.sending();
        if !wire.is_empty() {
            Filled::Wire(wire)
        } else if outgoing.is_parked() || ending.starved {
            Filled::Later
        } else {
            Filled::Nothing
        }
    }
}

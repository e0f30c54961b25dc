//! `State`: the states of RFC 9293 section 3.3.2 that a connection's slot can be in.
//!
//! LISTEN and the passive SYN-RECEIVED live in `listen`, TIME-WAIT in `wait`.

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No connection.
    Free,
    SynSent,
    /// Of a simultaneous open.
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    /// Ended; the slot waits until the upper layer was told.
    Closed,
}

impl State {
    /// Whether the handshake is over and the connection lives.
    pub(crate) const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Free | Self::SynSent | Self::SynReceived | Self::Closed)
    }

    /// Whether new bytes may be sent.
    pub(crate) const fn may_send(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }

    /// Whether bytes are awaited from the peer.
    pub(crate) const fn may_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// After our FIN was sent.
    pub(crate) const fn after_our_fin(self) -> Self {
        match self {
            Self::Established => Self::FinWait1,
            Self::CloseWait => Self::LastAck,
            other => other,
        }
    }
}

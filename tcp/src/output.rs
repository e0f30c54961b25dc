//! `Output`: frames on their way to the devices, preallocated.

use std::collections::VecDeque;

use levee_buf::Memory;

/// One Ethernet frame to transmit.
#[derive(Debug)]
pub struct Frame<C> {
    /// Index into [`Config::interfaces`](crate::Config::interfaces).
    pub interface: u16,
    /// The frame from the Ethernet header on; its payload may be shared.
    pub chain: C,
    /// What the device is to do.
    pub offload: TxOffload,
}

/// What the device is asked to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxOffload {
    /// Bytes of Ethernet header.
    pub l2_len: u8,
    /// Bytes of IP header.
    pub l3_len: u8,
    /// Bytes of TCP header.
    pub l4_len: u8,
    /// Fill in the IPv4 header checksum (its field is zero) and the TCP checksum (its field holds the sum
    /// of the pseudo-header, without the length when `tso_mss` is set).
    pub checksum: bool,
    /// Cut the TCP payload into segments of so many bytes.
    pub tso_mss: Option<u16>,
}

/// A bounded queue of frames: filled by [`Stack::emit`](crate::Stack::emit), drained by the worker.
pub struct Output<M: Memory> {
    frames: VecDeque<Frame<M::Chain>>,
    limit: usize,
}

impl<M: Memory> Output<M> {
    /// Room for `limit` frames, allocated at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { frames: VecDeque::with_capacity(limit), limit }
    }

    /// Frames that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.frames.len())
    }

    /// Frames waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The oldest frame.
    pub fn pop(&mut self) -> Option<Frame<M::Chain>> {
        self.frames.pop_front()
    }

    /// The waiting frames themselves, oldest first, for a burst that takes what it can and leaves the rest.
    pub fn frames(&mut self) -> &mut VecDeque<Frame<M::Chain>> {
        &mut self.frames
    }
}

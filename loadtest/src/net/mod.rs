//! How load reaches its target: over our own TCP and a DPDK port, or over the kernel's sockets.
//!
//! A [`Party`] is one who takes part in a run: a flood, a client that sends requests, an origin. It has
//! connections, which it knows by a slot, and works on whatever [`Net`] carries them. Everything runs in
//! one loop on one CPU: in [`dpdk`] over ports, in [`sockets`] over epoll.
//!
//! There is no send call: a party that has something to say calls [`Net::wake`] and is asked by
//! [`Party::fill`] for as much as may leave.

pub mod dpdk;
mod options;
mod pace;
pub mod sockets;
mod stack;

use std::net::SocketAddrV4;

use levee_buf::Memory;
use levee_tcp::Fill;

pub use options::{OriginPlace, Place, Prefix};
pub use pace::Pace;
pub use stack::StackNet;

use crate::report::Part;

/// One who takes part in a run.
pub trait Party<M: Memory> {
    /// Something happened to the connection in `slot`.
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>);

    /// Up to `room` bytes that the connection in `slot` sends now; more if they cannot be cut.
    fn fill(&mut self, slot: usize, room: usize, now_ns: u64) -> Fill<M::Chain>;

    /// Once a turn: opens connections, looks at the time. Returns whether it did something.
    fn turn(&mut self, net: &mut dyn Net<M>) -> bool;

    /// Whether it has done all that it was to do.
    fn is_done(&self, now_ns: u64) -> bool;

    /// Units completed and failed so far.
    fn counts(&self) -> (u64, u64);

    /// What it found out until `now_ns`; an origin finds nothing out.
    fn part(&self, now_ns: u64) -> Option<Part>;
}

/// What happened to a connection since its party was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// It is new: our open succeeded, or a peer's did.
    pub connected: bool,
    /// [`Net::recv`] has bytes.
    pub readable: bool,
    /// The peer will send no more.
    pub fin: bool,
    /// It is over, for this reason: its slot may be another's from here on.
    pub closed: Option<&'static str>,
}

/// What carries connections.
pub trait Net<M: Memory> {
    /// Nanoseconds since the run began.
    fn now_ns(&self) -> u64;

    /// Opens a connection and returns its slot.
    ///
    /// # Errors
    /// The reason, when nothing was sent.
    fn open(&mut self, to: SocketAddrV4) -> Result<usize, &'static str>;

    /// What was received in order and not taken yet.
    fn recv(&mut self, slot: usize) -> M::Chain;

    /// The party has, or may have, something to say on `slot`.
    fn wake(&mut self, slot: usize);

    /// Ends a connection by RST; the slot is not the party's any more.
    fn abort(&mut self, slot: usize);

    /// Ends a connection in good order behind what was filled; the slot is not the party's any more.
    fn finish(&mut self, slot: usize);
}

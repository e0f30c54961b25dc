//! A TCP/IP stack without IO.
//!
//! [`Stack`] turns Ethernet frames and a clock into connections, and connections into Ethernet frames. It
//! reads no clock, opens no device and asks for no randomness: `now`, frames, packet memory and a secret
//! are parameters, so that the same code runs on an lcore over DPDK and in a simulated network with a
//! seeded clock.
//!
//! # A turn
//!
//! ```text
//! rx burst -> Stack::input ...       every frame; bad ones are counted and dropped
//!             Stack::on_timeout      when Stack::deadline has passed
//!             Stack::ready ...       until None: what happened, once per connection
//!             Stack::recv/consumed   in-order bytes, linked; the window reopens by `consumed`
//!             Stack::wake            there are bytes to send
//!             Stack::emit -> tx burst   pulls bytes from Seal, as many as may leave
//! ```
//!
//! There is no send call. [`Seal::fill`] is asked at transmit time, when the congestion window and the
//! peer's window are known, so that a TLS record is cut to what leaves at once. What it returns waits in
//! two chains of packet memory, not yet sent and not yet acknowledged; a frame is a fresh segment with
//! headers in front of a reference to a slice of them. Nothing copies payload.
//!
//! # Bounds
//!
//! Everything is allocated by [`Stack::new`] from [`Config`]: connections, half-open entries,
//! connections in TIME-WAIT, neighbours, out-of-order runs, timers, queues. A stranger's SYN costs a
//! [half-open entry](Config::syn_entries) of at most 100 bytes (12 tuple, 28 state, 24 timer, 4 free list,
//! up to 32 in the table), and nothing at all once these are full: SYN cookies (RFC 4987) answer then.
//! TIME-WAIT costs at most 92. An established connection without bytes in flight costs at most 400 bytes
//! with its tuple, timer and places in tables and queues.
//!
//! # Standards
//!
//! RFC 9293 (TCP), 7323 (window scale, timestamps, PAWS), 6298 (retransmission timer), 5681, 6582, 3042,
//! 3465 (congestion control), 6928 (initial window), 6528 (sequence numbers), 6056 (ports), 5961 (blind
//! attacks), 5927 (ICMP attacks), 6191 (TIME-WAIT reuse), 6691 (MSS), 1122, 791, 792, 826. Not here:
//! IPv6, IP reassembly, selective acknowledgement, urgent data (its bytes are ordinary bytes), ECN.
#![forbid(unsafe_code)]

mod config;
mod congestion;
mod conn;
mod listen;
mod neigh;
mod output;
mod reason;
#[cfg(test)]
mod script;
mod seal;
mod seq;
mod stack;
mod table;
mod time;
mod timer;
mod wait;
mod wire;

pub use config::{Config, ConfigError, ConnectError, InterfaceConfig, ListenError, Timeouts};
pub use output::{Frame, Output, TxOffload};
pub use reason::{Counters, Reason};
pub use seal::{Fill, Room, Seal};
pub use stack::{Checksums, ConnId, Ready, Stack};
pub use time::Instant;

//! Bytes that lie in several pieces.
//!
//! A packet, a TLS record and an HTTP body are the same bytes seen by different layers. They lie in
//! segments of packet memory, and no layer copies them to look at them. This crate names what the
//! layers share: [`Memory`] gives out segments, a [`Chain`] owns a run of them, [`Pieces`] is the view
//! of bytes in pieces that parsers and ciphers take, and [`Reader`] and [`Writer`] are the bounded
//! cursors over contiguous bytes.
//!
//! `Memory` is the one type parameter of the workspace: packet buffers in production
//! (`levee_dpdk::Pool`), [`Heap`] in tests and simulation.
//!
//! # Who may write
//!
//! A byte of packet memory is *exclusive* to one chain or *shared* by several. Fresh segments are
//! exclusive; [`Memory::split_to`] keeps both halves exclusive, since their ranges are disjoint;
//! [`Memory::reference`] makes the range shared, for both sides, and a shared byte is never written.
#![forbid(unsafe_code)]

mod chain;
mod cursor;
mod heap;

pub use chain::{Chain, Exhausted, HEADROOM, MAX_ROOM, Memory, Pieces, ROOM};
pub use cursor::{Full, Reader, Truncated, Writer};
pub use heap::{Heap, HeapChain};

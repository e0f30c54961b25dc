//! Safe DPDK: EAL, packet memory, ports, cryptodev.
//!
//! # Who owns an mbuf
//!
//! A [`Chain`] owns its segments and frees them when dropped, on whichever thread. [`RxQueue::burst`]
//! gives chains out; [`TxQueue::burst`] takes those that the driver accepted and leaves the others with
//! the caller; a crypto operation owns its chains until it is finished. Nothing else holds an mbuf, so
//! after the ports are closed and the chains dropped, [`Pool::in_use`] is zero.
//!
//! # Who may write to it
//!
//! Several mbufs may lie over one buffer: [`levee_buf::Memory::split_to`] puts an indirect mbuf over the
//! first half of a segment, [`levee_buf::Memory::reference`] one over a range of it. Two flags in each
//! mbuf say what its owner may do (`mbuf.rs`).
//!
//! # Threads
//!
//! Everything here may move between threads; queues, queue pairs and rings are used by one at a time,
//! which `&mut` says. Only threads known to DPDK have a mempool cache: the one that called
//! [`Eal::init`] and those of [`Eal::launch`]. On others all works, slower.
//!
//! | file | holds |
//! |---|---|
//! | `eal` | the [`Eal`] token, worker threads |
//! | `log` | where DPDK's log lines go |
//! | `mempool`, `mbuf`, `chain` | [`Pool`], one segment, [`Chain`] |
//! | `cable` | [`cable()`]: two ports joined by rings |
//! | `port`, `offloads`, `queue` | [`Port`]: asked and granted; [`RxQueue`], [`TxQueue`]: bursts |
//! | `flow` | [`Rss`]: which queue a flow reaches |
//! | `ring` | lcore to lcore |
//! | `crypto` | cryptodev: [`crypto::Device`], [`crypto::QueuePair`] |
//! | `clock` | [`Clock`] |

mod cable;
mod chain;
mod clock;
pub mod crypto;
mod eal;
mod error;
mod flow;
pub mod log;
mod mbuf;
mod mempool;
mod offloads;
mod port;
mod queue;
mod ring;

pub use cable::cable;
pub use chain::Chain;
pub use clock::Clock;
pub use eal::{Eal, Worker};
pub use error::Error;
pub use flow::{Rss, SYMMETRIC_KEY, toeplitz};
pub use mempool::{Pool, Sizes, Usage};
pub use offloads::Offloads;
pub use port::{Granted, Link, Port, PortConfig, PortInfo, Queues, Stats};
pub use queue::{Checksums, Frame, MAX_BURST, Received, RxQueue, TxCounters, TxOffload, TxQueue};
pub use ring::{Consumer, Producer, ring};

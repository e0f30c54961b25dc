//! Cryptodev: authenticated encryption by a device, over chains; [`public_key`] work has a module of its own.
//!
//! A [`Device`] is opened by the control plane, which also tries what the device claims against known
//! answers: what it gets wrong counts as not offered. Its [`QueuePair`]s go to workers. A queue pair owns
//! its sessions (keys) and the chains of operations in flight.
//!
//! Software devices answer at once where they can (synchronous CPU crypto, [`Path::Now`]); all others,
//! and what those cannot do at once, answer after a burst ([`Path::Later`]).

mod bursts;
mod device;
mod known_answers;
pub mod public_key;
mod queue_pair;
mod session;

pub use device::{Device, DeviceConfig, Support, interrupt};
pub use queue_pair::{Counters, QueuePair};

use std::ops::Range;

use crate::chain::Chain;

/// Bytes of the tag of every algorithm here.
pub const TAG_LEN: usize = 16;

/// Bytes of the nonce of every algorithm here.
pub const NONCE_LEN: usize = 12;

/// The most bytes of additional data.
pub const MAX_AAD: usize = 16;

/// An AEAD of TLS (RFC 5116, RFC 8439).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
    /// `AEAD_CHACHA20_POLY1305`.
    ChaCha20Poly1305,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// Bytes of a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// DPDK's number.
    fn code(self) -> i32 {
        let code = match self {
            Self::Aes128Gcm | Self::Aes256Gcm => dpdk_sys::RTE_CRYPTO_AEAD_AES_GCM,
            Self::ChaCha20Poly1305 => dpdk_sys::RTE_CRYPTO_AEAD_CHACHA20_POLY1305,
        };
        code.cast_signed()
    }
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Encrypt and write the tag.
    Seal,
    /// Check the tag and decrypt.
    Open,
}

/// When a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In the call.
    Now,
    /// By [`QueuePair::completed`].
    Later,
}

/// A key of a [`QueuePair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub u32);

/// One operation, with the bytes it works on.
pub struct Operation {
    /// Returned untouched.
    pub token: u64,
    /// The key.
    pub session: SessionId,
    /// Which way; the same for all operations of a session.
    pub direction: Direction,
    /// The nonce.
    pub nonce: [u8; NONCE_LEN],
    /// Additional data, and its length, the same for all operations of a session.
    pub aad: ([u8; MAX_AAD], u8),
    /// In place: `at` in it is ciphertext and tag (open), or plaintext and the 16 bytes that the tag will
    /// be written to (seal), exclusive. Out of place: the plaintext, whole, only read.
    pub text: Chain,
    /// The range of `text` worked on in place; of no meaning out of place.
    pub at: Range<usize>,
    /// `Some` seals out of place: ciphertext and tag are appended to this chain, whose one segment has
    /// the tailroom for them.
    pub into: Option<Chain>,
}

impl Operation {
    /// Additional data in the form that [`Operation`] takes; what is over 16 bytes is cut off.
    #[must_use]
    pub fn aad(bytes: &[u8]) -> ([u8; MAX_AAD], u8) {
        let mut aad = [0; MAX_AAD];
        let mut len = 0;
        for (place, byte) in aad.iter_mut().zip(bytes) {
            *place = *byte;
            len += 1;
        }
        (aad, len)
    }
}

/// What became of an [`Operation`].
pub struct Finished {
    /// The operation's.
    pub token: u64,
    /// The operation's.
    pub direction: Direction,
    /// `text` in place, `into` out of place. After a failed open its content is unspecified; what was given up
    /// ([`QueuePair::give_up`]) leaves nothing here.
    pub text: Chain,
    /// Whether it was done.
    pub outcome: Outcome,
}

impl Finished {
    /// Whether `text` is what was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }
}

/// How an [`Operation`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// The tag is another.
    Forged,
    /// It is none that can be done.
    Impossible,
    /// The device failed.
    Fault,
}

/// When an [`Operation`] is answered.
pub enum Answer {
    /// At once.
    Now(Finished),
    /// By [`QueuePair::completed`].
    Later,
    /// As many operations are in flight as there can be: here it is back.
    Busy(Operation),
}

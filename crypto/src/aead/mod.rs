//! Authenticated encryption over segments: `Operation` in, `Finished` out, and the `Aead` between them.
//!
//! An operation owns its bytes until it is finished, so that a device may write to them meanwhile.

use std::ops::Range;

use levee_buf::{Chain, Memory};
use zeroize::{ZeroizeOnDrop, optimization_barrier};

use crate::Token;

mod software;
mod streaming;

pub use software::SoftwareAead;

/// Bytes of the tag of every algorithm here.
pub const TAG_LEN: usize = 16;

/// An AEAD of TLS (RFC 5116, RFC 8439), each with a nonce of 12 bytes and a tag of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
    /// `AEAD_CHACHA20_POLY1305`.
    ChaCha20Poly1305,
}

impl Algorithm {
    /// Bytes of a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// A key and its algorithm; wiped when dropped.
#[derive(Clone)]
pub struct AeadKey {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

/// At once, where `Zeroize` would write byte after byte.
impl Drop for AeadKey {
    fn drop(&mut self) {
        self.bytes = [0; 32];
        optimization_barrier(&self.bytes);
    }
}

impl ZeroizeOnDrop for AeadKey {}

impl AeadKey {
    /// The key in `bytes`; `None` when its length is not the algorithm's.
    #[must_use]
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let mut key = Self { algorithm, bytes: [0; 32] };
        if bytes.len() != algorithm.key_len() {
            return None;
        }
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.key_len()).unwrap_or_default()
    }

    /// Does one operation in place, as [`Operation`] has it, on this CPU and without a session: for the few records of
    /// a handshake, after which the key is gone or was never needed. False: the tag did not match.
    #[must_use]
    pub fn once(
        &self,
        direction: Direction,
        nonce: [u8; 12],
        aad: Aad,
        text: &mut impl Chain,
        at: Range<usize>,
    ) -> bool {
        software::once(self, direction, nonce, aad, text, at).is_some()
    }
}

/// A key installed in an [`Aead`], for one direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub u32);

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Encrypt and write the tag.
    Seal,
    /// Check the tag and decrypt.
    Open,
}

/// Additional data: the 5 bytes of a TLS 1.3 record header or the 13 bytes of TLS 1.2.
#[derive(Clone, Copy, Debug)]
pub struct Aad {
    bytes: [u8; 13],
    len: u8,
}

impl Aad {
    /// The bytes of a TLS 1.3 record header.
    #[must_use]
    pub fn tls13(header: [u8; 5]) -> Self {
        let mut bytes = [0; 13];
        bytes[..5].copy_from_slice(&header);
        Self { bytes, len: 5 }
    }

    /// Sequence number, type, version and plaintext length of TLS 1.2.
    #[must_use]
    pub const fn tls12(bytes: [u8; 13]) -> Self {
        Self { bytes, len: 13 }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// One AEAD operation, with the bytes it works on.
pub struct Operation<C> {
    /// The key.
    pub session: SessionId,
    /// Which way.
    pub direction: Direction,
    /// The nonce.
    pub nonce: [u8; 12],
    /// Additional data.
    pub aad: Aad,
    /// In place: the bytes; `at` in them is ciphertext and tag (open), or plaintext and the 16 bytes
    /// that the tag will be written to (seal), exclusive. Out of place: the plaintext, whole, perhaps
    /// shared, only read.
    pub text: C,
    /// The range of `text` worked on in place; of no meaning out of place.
    pub at: Range<usize>,
    /// `Some` seals out of place: ciphertext and tag are appended to this chain, whose one segment has
    /// the tailroom for them.
    pub into: Option<C>,
}

/// What became of an [`Operation`].
pub struct Finished<C> {
    /// Which way it went.
    pub direction: Direction,
    /// `text` in place, `into` out of place. After a failed open its content is unspecified.
    pub text: C,
    /// Whether it was done.
    pub outcome: Outcome,
}

impl<C> Finished<C> {
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
    /// The engine did not do it.
    Failed,
}

impl Outcome {
    /// Of an operation by our own code, which is done or not: what it does not open is forged.
    #[must_use]
    pub const fn by_hand(direction: Direction, done: bool) -> Self {
        match (done, direction) {
            (true, _) => Self::Done,
            (false, Direction::Open) => Self::Forged,
            (false, Direction::Seal) => Self::Failed,
        }
    }
}

/// When an [`Operation`] is answered.
pub enum Answer<C> {
    /// At once.
    Now(Finished<C>),
    /// By [`Aead::completed`], under its token.
    Later,
    /// The device queue is full: here it is back; submit it again after a turn of the loop.
    Busy(Operation<C>),
}

/// An AEAD engine of one lcore.
///
/// Call order: any number of `submit`, `flush` once a turn, then `completed` until it is `None`.
pub trait Aead<M: Memory> {
    /// Installs a key. `None` when the session table is full.
    fn open_session(&mut self, key: &AeadKey) -> Option<SessionId>;

    /// Forgets a key and wipes it, once no operation under it is in flight.
    fn close_session(&mut self, session: SessionId);

    /// Starts an operation. Operations of one session finish in the order of their submission.
    fn submit(&mut self, token: Token, operation: Operation<M::Chain>) -> Answer<M::Chain>;

    /// Hands gathered operations to the device.
    fn flush(&mut self);

    /// The next operation that was answered [`Answer::Later`] and is finished.
    fn completed(&mut self) -> Option<(Token, Finished<M::Chain>)>;

    /// Keys installed.
    fn keys(&self) -> usize;

    /// Operations whose bytes had to be copied first, since a device did not take them as they lay.
    fn copied(&self) -> u64 {
        0
    }

    /// Tells sums by name: what was done by whom, and what was not.
    fn account(&self, _say: &mut dyn FnMut(&str, u64)) {}
}

#[cfg(test)]
mod tests;

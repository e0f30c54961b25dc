//! The hash over the handshake messages of one connection (RFC 8446 section 4.4.1).

use levee_crypto::{Digest, Hash, Running};

use crate::messages::kind;

/// A running hash over whole handshake messages, headers included, record headers not.
#[derive(Clone)]
pub(crate) struct Transcript(Running);

/// Of no messages, until a ClientHello begins one.
impl Default for Transcript {
    fn default() -> Self {
        Self(Running::new(Hash::Sha256))
    }
}

impl Transcript {
    /// A transcript that starts with `client_hello`.
    pub(crate) fn new(hash: Hash, client_hello: &[u8]) -> Self {
        let mut running = Running::new(hash);
        running.update(client_hello);
        Self(running)
    }

    /// A transcript that was begun before its hash was known.
    pub(crate) const fn begun(running: Running) -> Self {
        Self(running)
    }

    /// A transcript that starts with a first ClientHello that was answered by a HelloRetryRequest.
    ///
    /// RFC 8446 section 4.4.1: ClientHello1 is replaced by a synthetic message of type message_hash
    /// that contains Hash(ClientHello1).
    pub(crate) fn retried(hash: Hash, client_hello: &[u8]) -> Self {
        Self::after(hash, &hash.digest(&[client_hello]))
    }

    /// As [`Transcript::retried`], of the digest of the first ClientHello.
    pub(crate) fn after(hash: Hash, client_hello: &Digest) -> Self {
        let mut running = Running::new(hash);
        running.update(&[kind::MESSAGE_HASH, 0, 0, u8::try_from(client_hello.len()).unwrap_or_default()]);
        running.update(client_hello);
        Self(running)
    }

    pub(crate) fn into_running(self) -> Running {
        self.0
    }

    pub(crate) const fn hash(&self) -> Hash {
        self.0.hash()
    }

    /// The next message or messages.
    pub(crate) fn add(&mut self, messages: &[u8]) {
        self.0.update(messages);
    }

    /// The hash so far.
    pub(crate) fn digest(&self) -> Digest {
        self.0.peek()
    }
}

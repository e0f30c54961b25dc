//! The engines of one lcore, lent to a connection for one call: `Crypto`.

use levee_buf::Memory;
use levee_crypto::{Aead, Engine, Token};
use rand_core::CryptoRng;

use crate::generation::Generation;
use crate::slab::Key;

/// Where a logged secret goes: label, client random, secret.
pub(crate) type KeyLog = Box<dyn FnMut(&str, &[u8; 32], &[u8])>;

/// Engines, randomness and counters that the connections of one lcore share.
pub(crate) struct Crypto<M: Memory> {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) aead: Box<dyn Aead<M>>,
    pub(crate) random: Box<dyn CryptoRng>,
    pub(crate) counters: levee_tls::Counters,
    pub(crate) keylog: Option<KeyLog>,
    /// Where nonces are made ahead: what tells this machine from a copy.
    pub(crate) generation: Option<Generation>,
}

impl<M: Memory> Crypto<M> {
    /// Tells the engine, if it keeps nonces, that it is `now_ns`.
    pub(super) fn witness(&mut self, now_ns: u64) {
        if let Some(generation) = &self.generation {
            self.engine.witness(generation.moment(now_ns));
        }
    }

    /// What the connection of client `key` may use during one call.
    pub(super) fn out<'a>(&'a mut self, memory: &'a M, key: Key) -> levee_tls::Out<'a, M> {
        levee_tls::Out {
            memory,
            engine: &mut *self.engine,
            aead: &mut *self.aead,
            random: &mut *self.random,
            token: Token(key.to_u64()),
            counters: &mut self.counters,
            keylog: self.keylog.as_deref_mut().map(|log| log as _),
        }
    }
}

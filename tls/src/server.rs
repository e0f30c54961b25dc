//! What connections of a worker share: `Out`, that their calls are given, and `Server`, that makes them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use levee_buf::Memory;
use levee_crypto::{Aead, Engine, Job, SharePool, Token};
use rand_core::CryptoRng;

use crate::config::ServerConfig;
use crate::counters::Counters;
use crate::handshake::State;
use crate::record::Records;
use crate::transcript::Transcript;

/// The most bytes of a handshake slot, when a chain takes 40 bytes or less: randoms, transcript, secrets,
/// and a job that found the engine full.
pub const SLOT_SIZE: usize = 704;

const _: () = assert!(size_of::<Slot<levee_buf::HeapChain>>() <= SLOT_SIZE);

/// Takes a line of the key log: label, client random, secret.
pub type KeyLog<'a> = &'a mut dyn FnMut(&str, &[u8; 32], &[u8]);

/// What a connection works with during a call.
pub struct Out<'a, M: Memory> {
    /// Where flights and headers are written.
    pub memory: &'a M,
    /// Public-key jobs; their answers go to [`crate::Connection::on_job`].
    pub engine: &'a mut dyn Engine,
    /// Records; answers that come later go to [`crate::Connection::on_aead`].
    pub aead: &'a mut dyn Aead<M>,
    /// Randomness.
    pub random: &'a mut dyn CryptoRng,
    /// The name under which this connection's jobs and operations come back: at most one job, one
    /// sealing and one opening at a time.
    pub token: Token,
    /// The worker's counters.
    pub counters: &'a mut Counters,
    /// Secrets for SSLKEYLOGFILE, with their labels there.
    pub keylog: Option<KeyLog<'a>>,
}

impl<M: Memory> Out<'_, M> {
    /// What the record layer needs of it.
    pub(crate) fn records(&mut self) -> Records<'_, M> {
        Records { memory: self.memory, aead: self.aead, token: self.token, counters: self.counters }
    }
}

/// A worker's handle to its offer, with the slots of the handshakes under way.
///
/// A slot is taken when a connection's ClientHello is whole and given back when its handshake is over.
/// Their number bounds the handshakes of the worker; none is allocated later. There are as many rooms for long
/// key shares, since a handshake has one at most.
pub struct Server<M: Memory> {
    config: Arc<ServerConfig>,
    slots: RefCell<Vec<Box<Slot<M::Chain>>>>,
    shares: SharePool,
}

/// The state of a handshake.
#[derive(Default)]
pub(crate) struct Slot<C> {
    pub(crate) state: State<C>,
    /// The messages so far, where they stay while states come and go.
    pub(crate) transcript: Transcript,
    /// A job that the engine had no room for.
    pub(crate) job: Option<Job>,
}

impl<M: Memory> Server<M> {
    /// A handle with `handshakes` slots of at most [`SLOT_SIZE`] bytes each.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, handshakes: usize) -> Rc<Self> {
        let slots = (0..handshakes).map(|_| Box::new(Slot::default())).collect();
        let shares = SharePool::new(if config.takes_long_shares() { handshakes } else { 0 });
        Rc::new(Self { config, slots: RefCell::new(slots), shares })
    }

    /// The offer.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Handshake slots that are free.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Room for long key shares. It is short only while jobs of connections that are gone hold some.
    #[must_use]
    pub const fn shares(&self) -> &SharePool {
        &self.shares
    }

    /// A slot for a handshake, if one is free.
    pub(crate) fn take_slot(&self) -> Option<Box<Slot<M::Chain>>> {
        self.slots.borrow_mut().pop()
    }

    /// Gives a slot back, wiped.
    pub(crate) fn give_slot(&self, mut slot: Box<Slot<M::Chain>>) {
        *slot = Slot::default();
        self.slots.borrow_mut().push(slot);
    }
}

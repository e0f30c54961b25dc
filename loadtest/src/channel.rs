//! A connection's bytes, in the clear or through TLS: `Channel`, and what TLS works with: `Security`.

use std::rc::Rc;

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{SoftwareAead, SystemRandom, Token};
use levee_tcp::Fill;
use levee_tls::Filled;
use levee_tls::load::{Client, ClientHandle, ClientOut};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// What the TLS connections of a party share.
pub struct Security<M: Memory> {
    handle: Rc<ClientHandle>,
    aead: SoftwareAead,
    random: ChaCha12Rng,
    counters: levee_tls::Counters,
    memory: M,
}

impl<M: Memory> Security<M> {
    /// For `connections` at a time that `handle` makes.
    #[must_use]
    pub fn new(handle: Rc<ClientHandle>, connections: usize, memory: M) -> Self {
        Self {
            handle,
            // Two keys each, and two more while a handshake changes them.
            aead: SoftwareAead::new(4 * connections),
            random: ChaCha12Rng::from_rng(&mut SystemRandom),
            counters: levee_tls::Counters::default(),
            memory,
        }
    }

    /// A connection that has not sent anything.
    #[must_use]
    pub fn client(&self) -> Client<M> {
        Client::new(&self.handle)
    }

    /// What a call of a client works with.
    pub fn out(&mut self, slot: usize) -> ClientOut<'_, M> {
        ClientOut {
            memory: &self.memory,
            aead: &mut self.aead,
            random: &mut self.random,
            token: Token(slot as u64),
            counters: &mut self.counters,
            keylog: None,
        }
    }

    /// Tickets and sessions that clients can offer.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.handle.tickets()
    }

    /// Random bytes.
    pub fn fill_random(&mut self, bytes: &mut [u8]) {
        self.random.fill_bytes(bytes);
    }

    /// Gives a client's keys back.
    pub fn release(&mut self, client: &mut Client<M>) {
        client.release(&mut self.aead);
    }
}

/// A connection's bytes.
pub enum Channel<M: Memory> {
    /// As they are.
    Plain,
    /// Through TLS.
    Tls(Box<Client<M>>),
}

impl<M: Memory> Channel<M> {
    /// Through `security`, or in the clear.
    #[must_use]
    pub fn new(security: Option<&Security<M>>) -> Self {
        security.map_or(Self::Plain, |security| Self::Tls(Box::new(security.client())))
    }

    /// Takes bytes from the wire and gives those of the application, if there are any.
    ///
    /// # Errors
    /// Why TLS ended.
    pub fn input(
        &mut self,
        wire: M::Chain,
        security: &mut Option<Security<M>>,
        slot: usize,
    ) -> Result<Option<M::Chain>, &'static str> {
        match (self, security) {
            (Self::Tls(client), Some(security)) => {
                client.input(wire, &mut security.out(slot)).map_err(levee_tls::Error::name)?;
                Ok(client.read())
            }
            _ => Ok(Some(wire)),
        }
    }

    /// Whether application bytes can be sent; in the clear that is once it `is_connected`.
    #[must_use]
    pub fn is_open(&self, is_connected: bool) -> bool {
        match self {
            Self::Plain => is_connected,
            Self::Tls(client) => client.handshake().is_some(),
        }
    }

    /// Whether TLS has bytes of its own to send.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        matches!(self, Self::Tls(client) if client.wants_write())
    }

    /// Whether memory was short: [`Channel::resume`] goes on when there is some.
    #[must_use]
    pub fn wants_resume(&self) -> bool {
        matches!(self, Self::Tls(client) if client.wants_resume())
    }

    /// Tries again what memory was short for.
    pub fn resume(&mut self, security: &mut Security<M>, slot: usize) {
        if let Self::Tls(client) = self {
            // What is wrong shows when the connection is read next.
            let _ = client.resume(&mut security.out(slot));
        }
    }

    /// Whether the peer said that nothing follows.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        matches!(self, Self::Tls(client) if client.peer_closed())
    }

    /// Up to about `room` bytes for the wire, of `plain` and of TLS's own.
    pub fn fill(
        &mut self,
        plain: &mut M::Chain,
        room: usize,
        security: &mut Option<Security<M>>,
        slot: usize,
    ) -> Fill<M::Chain> {
        match (self, security) {
            (Self::Tls(client), Some(security)) => match client.fill(plain, room, &mut security.out(slot)) {
                Filled::Wire(wire) => Fill::Data(wire),
                Filled::Later | Filled::Nothing => Fill::Nothing,
            },
            _ if plain.is_empty() => Fill::Nothing,
            _ => Fill::Data(plain.take()),
        }
    }

    /// Gives keys back; once, before the drop.
    pub fn release(&mut self, security: &mut Security<M>) {
        if let Self::Tls(client) = self {
            security.release(client);
        }
    }
}

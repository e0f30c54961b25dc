//! What clients have in common: `ClientOptions`, the handle `ClientHandle`, and `ClientOut`, that calls are
//! given.

use std::cell::RefCell;
use std::rc::Rc;

use levee_buf::Memory;
use levee_crypto::{Aead, Group, SignatureScheme, Token};
use rand_core::CryptoRng;

use super::handshake::State;
use super::hello::Template;
use super::tickets::Tickets;
use crate::config::ConfigError;
use crate::counters::Counters;
use crate::record::Records;
use crate::server::KeyLog;
use crate::suite::{Suite, Version};

/// What a client offers.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Versions, in any order.
    pub versions: Vec<Version>,
    /// Cipher suites, most preferred first; those of other versions are left out.
    pub suites: Vec<Suite>,
    /// Groups, most preferred first; the share of TLS 1.3 is of the first one.
    pub groups: Vec<Group>,
    /// Signature schemes. Those of one kind of key choose the server's certificate.
    pub schemes: Vec<SignatureScheme>,
    /// The name for server_name.
    pub server_name: Option<String>,
    /// Application protocols, most preferred first.
    pub alpn: Vec<Vec<u8>>,
    /// Asks for tickets and sessions, and offers those that a client of the handle was given.
    pub resume: bool,
    /// What is verified besides Finished.
    pub verify: Verify,
}

/// What a client verifies of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Nothing.
    #[default]
    Nothing,
    /// That the handshake was signed by the key of the leaf, whoever issued it. It allocates.
    Signature,
}

impl Default for ClientOptions {
    fn default() -> Self {
        use SignatureScheme as S;
        Self {
            versions: vec![Version::Tls13, Version::Tls12],
            suites: Suite::ALL.to_vec(),
            groups: vec![Group::X25519, Group::Secp256r1],
            schemes: vec![
                S::EcdsaSecp256r1Sha256,
                S::EcdsaSecp384r1Sha384,
                S::Ed25519,
                S::RsaPssRsaeSha256,
                S::RsaPssRsaeSha384,
                S::RsaPssRsaeSha512,
                S::RsaPkcs1Sha256,
                S::RsaPkcs1Sha384,
                S::RsaPkcs1Sha512,
            ],
            server_name: None,
            alpn: Vec::new(),
            resume: false,
            verify: Verify::Nothing,
        }
    }
}

/// What a client works with during a call.
pub struct ClientOut<'a, M: Memory> {
    /// Where flights and headers are written.
    pub memory: &'a M,
    /// Records; answers that come later go to [`Client::on_aead`](super::Client::on_aead).
    pub aead: &'a mut dyn Aead<M>,
    /// Randomness, of the ClientHello alone.
    pub random: &'a mut dyn CryptoRng,
    /// The name under which this client's operations come back: at most one sealing and one opening at a
    /// time.
    pub token: Token,
    /// The counters of all clients.
    pub counters: &'a mut Counters,
    /// Secrets for SSLKEYLOGFILE, with their labels there.
    pub keylog: Option<KeyLog<'a>>,
}

impl<M: Memory> ClientOut<'_, M> {
    /// What the record layer needs of it.
    pub(super) fn records(&mut self) -> Records<'_, M> {
        Records { memory: self.memory, aead: self.aead, token: self.token, counters: self.counters }
    }

    pub(super) fn key_log(&mut self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        if let Some(log) = &mut self.keylog {
            log(label, client_random, secret);
        }
    }
}

/// What the clients of a worker share: the offer with its ClientHello, encoded once; the slots of
/// handshakes under way; the tickets that servers gave.
pub struct ClientHandle {
    pub(super) options: ClientOptions,
    pub(super) hello: Template,
    pub(super) tickets: RefCell<Tickets>,
    #[expect(clippy::vec_box, reason = "a slot is handed out as it is, and a client carries its address")]
    slots: RefCell<Vec<Box<State>>>,
}

impl ClientHandle {
    /// A handle with slots for `handshakes` at a time; none is allocated later.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(mut options: ClientOptions, handshakes: usize) -> Result<Rc<Self>, ConfigError> {
        let versions = options.versions.clone();
        options.suites.retain(|suite| versions.contains(&suite.version()));
        let hello = Template::new(&options)?;
        let slots = (0..handshakes).map(|_| Box::new(State::Empty)).collect();
        Ok(Rc::new(Self { options, hello, tickets: RefCell::default(), slots: RefCell::new(slots) }))
    }

    /// The offer.
    #[must_use]
    pub const fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Handshake slots that are free.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Tickets and sessions that wait to be offered.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.tickets.borrow().len()
    }

    pub(super) fn offers(&self, version: Version) -> bool {
        self.options.versions.contains(&version)
    }

    /// The suite of `code`, if it was offered for `version`.
    pub(super) fn suite(&self, code: u16, version: Version) -> Option<Suite> {
        let mut suites = self.options.suites.iter().copied();
        suites.find(|suite| suite.code() == code && suite.version() == version)
    }

    /// The scheme of `code`, if it was offered.
    pub(super) fn scheme(&self, code: u16) -> Option<SignatureScheme> {
        self.options.schemes.iter().copied().find(|scheme| scheme.code() == code)
    }

    /// The index of a protocol, if it was offered.
    pub(super) fn protocol(&self, name: &[u8]) -> Option<u8> {
        let index = self.options.alpn.iter().position(|protocol| protocol == name)?;
        u8::try_from(index).ok()
    }

    /// A slot for a handshake, if one is free.
    pub(super) fn take_slot(&self) -> Option<Box<State>> {
        self.slots.borrow_mut().pop()
    }

    /// Gives a slot back, wiped.
    pub(super) fn give_slot(&self, mut slot: Box<State>) {
        *slot = State::Empty;
        self.slots.borrow_mut().push(slot);
    }
}

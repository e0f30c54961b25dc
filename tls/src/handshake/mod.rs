//! The server's handshake as values that are consumed: `State`, and the `Context` it is given.
//!
//! A state takes a message or a finished job and answers the next state; an error leaves none. States
//! that wait for a job take no input.
//!
//! ```text
//! TLS 1.3  Hello -> Exchange -> Sign -> Finished -> Done      (Hello -> Hello by HelloRetryRequest)
//! TLS 1.2  Hello -> Generate -> Sign -> ClientKey -> Agree -> ChangeCipher -> Finished -> Done
//! ```
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod hello;
mod tls12;
pub(crate) mod tls13;
mod traffic;

use levee_buf::Memory;
use levee_crypto::{Done, Failure, Job, SharePool, SignatureScheme};
pub(crate) use traffic::Traffic;

use crate::config::ServerConfig;
use crate::error::Error;
use crate::messages::{HEADER, MAX_CLIENT_HELLO, MAX_OTHER, kind};
use crate::record::{Incoming, Outgoing};
use crate::server::Out;
use crate::suite::{Suite, Version};

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The version.
    pub version: Version,
    /// The cipher suite.
    pub suite: Suite,
    /// The group of the key agreement.
    pub group: levee_crypto::Group,
    /// How the server signed.
    pub scheme: SignatureScheme,
    /// The application protocol, as an index into `Options::alpn`.
    pub protocol: Option<u8>,
    /// The certificate, as an index into the entries of the configuration.
    pub certificate: u16,
    /// Whether the client named a server that a certificate has.
    pub named: bool,
}

/// A whole handshake message, contiguous.
pub(crate) struct Message<'a> {
    pub(crate) kind: u8,
    /// With its header.
    pub(crate) bytes: &'a [u8],
    /// No handshake bytes have come behind it.
    pub(crate) last: bool,
}

impl<'a> Message<'a> {
    pub(crate) fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    pub(crate) fn expect(&self, kind: u8) -> Result<(), Error> {
        if self.kind == kind { Ok(()) } else { Err(Error::UnexpectedMessage) }
    }

    /// RFC 8446 section 5.1: handshake messages MUST NOT span key changes.
    pub(crate) fn expect_last(&self) -> Result<(), Error> {
        if self.last { Ok(()) } else { Err(Error::MessageAcrossKeyChange) }
    }
}

/// What a state may touch.
pub(crate) struct Context<'c, 'o, M: Memory> {
    pub(crate) config: &'c ServerConfig,
    /// Room for long key shares.
    pub(crate) shares: &'c SharePool,
    pub(crate) incoming: &'c mut Incoming<M>,
    pub(crate) outgoing: &'c mut Outgoing<M>,
    /// A job that the engine had no room for.
    pub(crate) job: &'c mut Option<Job>,
    pub(crate) out: &'c mut Out<'o, M>,
}

impl<M: Memory> Context<'_, '_, M> {
    /// Gives a job to the engine, or keeps it until [`Connection::resume`](crate::Connection::resume).
    pub(crate) fn submit(&mut self, job: Job) {
        *self.job = self.out.engine.submit(self.out.token, job).err();
    }

    fn random(&mut self) -> [u8; 32] {
        let mut random = [0; 32];
        self.out.random.fill_bytes(&mut random);
        random
    }

    fn key_log(&mut self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        if let Some(log) = &mut self.out.keylog {
            log(label, client_random, secret);
        }
    }
}

/// Where a handshake stands.
pub(crate) enum State<C> {
    Hello(hello::Hello),
    Exchange13(tls13::Exchange),
    Sign13(tls13::Sign<C>),
    Finished13(tls13::Finished),
    Generate12(tls12::Generate),
    Sign12(tls12::Sign),
    ClientKey12(tls12::ClientKey),
    Agree12(tls12::Agree),
    ChangeCipher12(tls12::ChangeCipher),
    Finished12(tls12::Finished),
    Done(Traffic),
    /// An error came out of it.
    Poisoned,
}

impl<C> Default for State<C> {
    fn default() -> Self {
        Self::Hello(hello::Hello::default())
    }
}

impl<C: levee_buf::Chain> State<C> {
    /// Whether it can take messages; if not, it waits for a job.
    pub(crate) const fn wants_input(&self) -> bool {
        matches!(
            self,
            Self::Hello(_)
                | Self::Finished13(_)
                | Self::ClientKey12(_)
                | Self::ChangeCipher12(_)
                | Self::Finished12(_)
        )
    }

    /// Whether TLS 1.3 was chosen.
    pub(crate) const fn is_tls13(&self) -> bool {
        match self {
            Self::Hello(state) => state.is_second(),
            Self::Exchange13(_) | Self::Sign13(_) | Self::Finished13(_) => true,
            _ => false,
        }
    }

    /// The longest message that is taken.
    pub(crate) const fn limit(&self) -> usize {
        if matches!(self, Self::Hello(_)) { MAX_CLIENT_HELLO } else { MAX_OTHER }
    }

    /// Takes a message.
    pub(crate) fn message<M: Memory<Chain = C>>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        match self {
            Self::Hello(state) => {
                message.expect(kind::CLIENT_HELLO)?;
                state.client_hello(message, cx)
            }
            Self::Finished13(state) => {
                message.expect(kind::FINISHED)?;
                state.finished(message, cx)
            }
            Self::ClientKey12(state) => {
                message.expect(kind::CLIENT_KEY_EXCHANGE)?;
                state.client_key_exchange(message, cx)
            }
            Self::Finished12(state) => {
                message.expect(kind::FINISHED)?;
                state.finished(message, cx)
            }
            _ => Err(Error::UnexpectedMessage),
        }
    }

    /// Takes a change_cipher_spec.
    pub(crate) fn change_cipher_spec<M: Memory<Chain = C>>(
        self,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        match self {
            // RFC 8446 section 5: dropped when it comes after the first ClientHello and before the
            // client's Finished.
            Self::Hello(state) => state.change_cipher_spec().map(Self::Hello),
            Self::Finished13(state) => state.change_cipher_spec().map(Self::Finished13),
            Self::ChangeCipher12(state) => state.change_cipher_spec(cx),
            _ => Err(Error::UnexpectedRecord),
        }
    }

    /// Takes the answer to the job it waits for.
    pub(crate) fn resume<M: Memory<Chain = C>>(
        self,
        done: Done,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        match (self, done) {
            // RFC 8446 section 7.4.2 and RFC 8422 section 5.11: abort on a share that is not valid.
            (_, Done::Failed(Failure::InvalidShare)) => Err(Error::BadKeyShare),
            (_, Done::Failed(_)) => Err(Error::EngineFailed),
            (Self::Exchange13(state), Done::Exchanged { share, secret }) => {
                state.exchanged(&share, &secret, cx)
            }
            (Self::Sign13(state), Done::Signed(signature)) => state.signed(&signature, cx),
            (Self::Generate12(state), Done::Generated { private, share }) => {
                state.generated(private, share, cx)
            }
            (Self::Sign12(state), Done::Signed(signature)) => state.signed(&signature, cx),
            (Self::Agree12(state), Done::Agreed { secret }) => state.agreed(&secret, cx),
            _ => Err(Error::UnexpectedCompletion),
        }
    }
}

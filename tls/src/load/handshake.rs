//! The client's handshake as values that are consumed: `State`, and the `Context` it is given.
//!
//! A state takes a message and answers the next state; an error leaves none. States that wait until a
//! flight of ours may be sent take no input.
//!
//! ```text
//! TLS 1.3            Hello -> Flight -> Answer -> Done    (Hello -> Hello by HelloRetryRequest)
//! TLS 1.2            Hello -> Flight -> Answer -> ChangeCipher -> Finished -> Done
//! TLS 1.2, resumed   Hello -> ChangeCipher -> Finished -> Answer -> Done
//! ```

use std::rc::Rc;

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::Group;

use super::config::{ClientHandle, ClientOut};
use super::hello::{Hashes, MAX_COOKIE, Parts};
use super::tickets::Ticket;
use super::traffic::{Traffic, VerifyData};
use super::{ClientEstablished, tls12, tls13};
use crate::codec::append;
use crate::error::Error;
use crate::handshake::Message;
use crate::handshake::tls13::CHANGE_CIPHER_SPEC;
use crate::messages::server_hello::ServerHello;
use crate::messages::{SessionId, kind};
use crate::record::{ContentType, HEADER, Incoming, Outgoing, header};
use crate::suite::Version;

/// The longest Certificate message that is taken, and the most bytes of a flight.
pub(super) const MAX_FLIGHT: usize = 65_536;

/// The longest other message: one that is made contiguous.
pub(super) const MAX_MESSAGE: usize = 16_384;

/// Change_cipher_spec records of TLS 1.3 that are dropped.
const MAX_CHANGE_CIPHER_SPECS: u8 = 2;

/// What a state may touch.
pub(super) struct Context<'c, 'o, M: Memory> {
    pub(super) handle: &'c ClientHandle,
    pub(super) incoming: &'c mut Incoming<M>,
    pub(super) outgoing: &'c mut Outgoing<M>,
    pub(super) out: &'c mut ClientOut<'o, M>,
}

/// Where a handshake stands.
pub(super) enum State {
    /// A free slot; or an error came out of the state.
    Empty,
    /// A renegotiation whose ClientHello is to be sent.
    Again(VerifyData),
    Hello(Hello),
    Flight13(tls13::Flight),
    Answer13(tls13::Answer),
    Flight12(tls12::Flight),
    Answer12(tls12::Answer),
    ChangeCipher12(tls12::ChangeCipher),
    Finished12(tls12::Finished),
    Done(ClientEstablished, Traffic),
}

impl State {
    /// Whether it has a flight to send, and takes no input before that.
    pub(super) const fn wants_write(&self) -> bool {
        matches!(self, Self::Again(_) | Self::Answer13(_) | Self::Answer12(_))
    }

    /// Whether a ServerHello came.
    pub(super) const fn has_server_hello(&self) -> bool {
        !matches!(self, Self::Empty | Self::Again(_) | Self::Hello(_))
    }

    /// Whether the server's flight came whole.
    pub(super) const fn has_flight(&self) -> bool {
        match self {
            Self::Answer13(_) | Self::Answer12(_) => true,
            Self::ChangeCipher12(state) => state.is_full(),
            Self::Finished12(state) => state.is_full(),
            _ => false,
        }
    }

    /// Takes a Certificate message, which need not be contiguous.
    pub(super) fn certificate(
        self,
        pieces: &impl Pieces,
        length: usize,
        handle: &ClientHandle,
    ) -> Result<Self, Error> {
        match self {
            Self::Flight13(state) => state.certificate(pieces, length, handle).map(Self::Flight13),
            Self::Flight12(state) => state.certificate(pieces, length, handle).map(Self::Flight12),
            _ => Err(Error::UnexpectedMessage),
        }
    }

    /// Takes any other message.
    pub(super) fn message<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        match self {
            Self::Hello(state) => {
                message.expect(kind::SERVER_HELLO)?;
                state.server_hello(message, cx)
            }
            Self::Flight13(state) => state.message(message, cx),
            Self::Flight12(state) => state.message(message, cx),
            Self::ChangeCipher12(state) => {
                message.expect(kind::NEW_SESSION_TICKET)?;
                state.new_session_ticket(message, cx)
            }
            Self::Finished12(state) => {
                message.expect(kind::FINISHED)?;
                state.finished(message, cx)
            }
            _ => Err(Error::UnexpectedMessage),
        }
    }

    /// Takes a change_cipher_spec.
    pub(super) fn change_cipher_spec<M: Memory>(self, cx: &mut Context<'_, '_, M>) -> Result<Self, Error> {
        match self {
            // RFC 8446 section 5: dropped when it comes after the first ClientHello and before the
            // server's Finished.
            Self::Hello(mut state) if state.renegotiation.is_none() => {
                count(&mut state.change_cipher_specs)?;
                Ok(Self::Hello(state))
            }
            Self::Flight13(mut state) => {
                count(&mut state.change_cipher_specs)?;
                Ok(Self::Flight13(state))
            }
            Self::ChangeCipher12(state) => state.change_cipher_spec(cx),
            _ => Err(Error::UnexpectedRecord),
        }
    }

    /// Sends what is due into `flight`, which has the room for it.
    pub(super) fn send<M: Memory>(
        self,
        flight: M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        match self {
            Self::Again(data) => Hello::again(data, flight, cx).map(Self::Hello),
            Self::Answer13(state) => state.send(flight, cx),
            Self::Answer12(state) => state.send(flight, cx),
            other => Ok(other),
        }
    }
}

fn count(change_cipher_specs: &mut u8) -> Result<(), Error> {
    *change_cipher_specs += 1;
    if *change_cipher_specs > MAX_CHANGE_CIPHER_SPECS { Err(Error::EmptyRecordFlood) } else { Ok(()) }
}

/// The terms that are agreed on as the handshake goes; the server's signature is the last of them.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) established: ClientEstablished,
    pub(super) client_random: [u8; 32],
}

/// Waiting for a ServerHello: the first one, or the one after a HelloRetryRequest.
pub(super) struct Hello {
    pub(super) random: [u8; 32],
    pub(super) session_id: SessionId,
    pub(super) hashes: Hashes,
    pub(super) ticket: Option<Rc<Ticket>>,
    pub(super) group: Group,
    /// The code of the suite that a HelloRetryRequest named.
    pub(super) retried: Option<u16>,
    /// What the handshake before verified.
    pub(super) renegotiation: Option<VerifyData>,
    pub(super) change_cipher_specs: u8,
}

impl Hello {
    /// The first ClientHello, as a record behind the end of `wire`.
    pub(super) fn first<M: Memory>(
        ticket: Option<Rc<Ticket>>,
        wire: &mut M::Chain,
        handle: &ClientHandle,
        out: &mut ClientOut<'_, M>,
    ) -> Result<Self, Error> {
        let mut state = Self::new(ticket, None, handle, out)?;
        state.record(wire, None, handle)?;
        Ok(state)
    }

    /// The ClientHello of a renegotiation, sealed.
    fn again<M: Memory>(
        data: VerifyData,
        mut wire: M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        let mut state = Self::new(None, Some(data), cx.handle, cx.out)?;
        state.write(&mut wire, cx.outgoing.prefix(), None, cx.handle)?;
        cx.outgoing.seal_in_place(wire, 0, ContentType::Handshake, &mut cx.out.records())?;
        Ok(state)
    }

    fn new<M: Memory>(
        ticket: Option<Rc<Ticket>>,
        renegotiation: Option<VerifyData>,
        handle: &ClientHandle,
        out: &mut ClientOut<'_, M>,
    ) -> Result<Self, Error> {
        let mut randoms = [[0; 32]; 2];
        out.random.fill_bytes(randoms.as_flattened_mut());
        let [random, session_id] = randoms;
        let session_id = match &ticket {
            Some(ticket) if !ticket.session_id.bytes().is_empty() => ticket.session_id,
            ticket if handle.hello.wants_session_id(ticket.as_deref()) => SessionId::new(&session_id),
            _ => SessionId::default(),
        };
        Ok(Self {
            random,
            session_id,
            hashes: handle.hello.hashes(),
            ticket,
            group: handle.hello.first_group(),
            retried: None,
            renegotiation,
            change_cipher_specs: 0,
        })
    }

    /// Writes the message as a record in plaintext.
    fn record<C: Chain>(
        &mut self,
        wire: &mut C,
        cookie: Option<&[u8]>,
        handle: &ClientHandle,
    ) -> Result<(), Error> {
        let start = wire.len();
        let length = self.write(wire, HEADER, cookie, handle)?;
        let head = wire.chunk_mut(start).and_then(|record| record.first_chunk_mut());
        *head.ok_or(Error::SealFailed)? = header(ContentType::Handshake, length);
        Ok(())
    }

    fn write<C: Chain>(
        &mut self,
        wire: &mut C,
        prefix: usize,
        cookie: Option<&[u8]>,
        handle: &ClientHandle,
    ) -> Result<usize, Error> {
        let parts = Parts {
            random: &self.random,
            session_id: &self.session_id,
            group: self.group,
            renegotiation: self.renegotiation.as_ref().map_or(&[], |data| &data.client),
            cookie,
            ticket: self.ticket.as_deref(),
        };
        handle.hello.write(wire, prefix, &parts, &mut self.hashes)
    }

    fn server_hello<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        let hello = ServerHello::decode(message.body())?;
        // RFC 8446 section 4.2.1: with supported_versions that is the version, without it 1.2.
        let Some(version) = hello.version else {
            if self.retried.is_some() || hello.is_retry() {
                return Err(Error::BadServerHello);
            }
            if !cx.handle.offers(Version::Tls12) {
                return Err(Error::NoCommonVersion);
            }
            return tls12::start(self, &hello, message, cx);
        };
        let renegotiates = self.renegotiation.is_some();
        if version != Version::Tls13.code() || !cx.handle.offers(Version::Tls13) || renegotiates {
            return Err(Error::BadServerHello);
        }
        message.expect_last()?;
        // RFC 8446 section 4.1.3: legacy_session_id_echo.
        if hello.session_id != self.session_id.bytes() {
            return Err(Error::BadServerHello);
        }
        if hello.is_retry() {
            return self.retry(&hello, message, cx).map(State::Hello);
        }
        tls13::start(self, &hello, message, cx)
    }

    /// Answers a HelloRetryRequest (RFC 8446 section 4.1.4) with change_cipher_spec and a ClientHello.
    fn retry<M: Memory>(
        mut self,
        hello: &ServerHello<'_>,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        let suite = cx.handle.suite(hello.suite, Version::Tls13).ok_or(Error::BadServerHello)?;
        // RFC 8446 section 4.1.4: a second one, and one that changes nothing, MUST abort.
        let nothing = hello.key_share.is_none() && hello.cookie.is_none();
        if self.retried.replace(hello.suite).is_some() || nothing {
            return Err(Error::BadRetryRequest);
        }
        if let Some(code) = hello.key_share {
            let code = code.try_into().map(u16::from_be_bytes).map_err(|_| Error::Malformed)?;
            let group = Group::from_code(code).filter(|group| *group != self.group);
            let mut offered = cx.handle.options.groups.iter();
            self.group = group
                .filter(|group| offered.any(|offered| offered == group))
                .ok_or(Error::BadRetryRequest)?;
        }
        if hello.cookie.is_some_and(|cookie| cookie.len() > MAX_COOKIE) {
            return Err(Error::MessageTooLong);
        }
        // RFC 8446 section 4.1.4: a pre-shared key of another hash is not offered again.
        if let Some(ticket) = self.ticket.take_if(|ticket| ticket.suite.hash() != suite.hash()) {
            cx.handle.tickets.borrow_mut().recycle(ticket);
        }
        self.hashes = self.hashes.retried(suite.hash(), message.bytes).ok_or(Error::BadServerHello)?;
        let prefix = CHANGE_CIPHER_SPEC.len() + HEADER;
        let wire = cx.handle.hello.alloc(prefix, self.ticket.as_deref(), hello.cookie, cx.out.memory);
        let mut wire = wire.ok_or(Error::MemoryExhausted)?;
        // RFC 8446 appendix D.4: immediately before its second flight.
        append(&mut wire, CHANGE_CIPHER_SPEC.len(), |out| out.bytes(&CHANGE_CIPHER_SPEC))?;
        self.record(&mut wire, hello.cookie, cx.handle)?;
        cx.outgoing.send(wire);
        Ok(self)
    }

    /// The ticket or session that the server did not take.
    pub(super) fn refused(&mut self, handle: &ClientHandle) {
        if let Some(ticket) = self.ticket.take() {
            handle.tickets.borrow_mut().refused(ticket);
        }
    }
}

//! The client's handshake of TLS 1.2 from ServerHello to both Finished (RFC 5246 section 7.3, RFC 8422), a
//! resumed one (section 7.3, RFC 5077), and one inside a connection (RFC 5746).

use levee_buf::{Memory, Pieces, Reader};
use levee_crypto::{Group, Message as Content, Share};
use subtle::ConstantTimeEq;

use super::ClientEstablished;
use super::config::ClientHandle;
use super::handshake::{Context, Hello, State, Terms};
use super::hello::{agreed, share};
use super::tickets::{Secret, Ticket};
use super::tls13::{leaf_key, protocol};
use super::traffic::{Traffic, VerifyData};
use crate::codec::{append, end};
use crate::error::Error;
use crate::handshake::Message;
use crate::keys::{Keys, MasterSecret12};
use crate::messages::server_hello::{KeyExchange, NewSessionTicket, ServerHello};
use crate::messages::{SessionId, kind, server_flight};
use crate::record::{ContentType, HEADER, Protection, header};
use crate::suite::Version;
use crate::transcript::Transcript;

/// Bytes of ClientKeyExchange: its header, and a share behind its length.
const MAX_KEY_EXCHANGE: usize = 4 + 1 + 97;

/// Bytes of a Finished.
const FINISHED: usize = 4 + 12;

/// What all states carry.
struct Common {
    terms: Terms,
    transcript: Transcript,
    server_random: [u8; 32],
    session_id: SessionId,
    extended_master_secret: bool,
    /// A NewSessionTicket is announced.
    ticket_due: bool,
    /// Inside a connection: what is sent is sealed with the keys of that.
    inside: bool,
}

/// Takes the ServerHello: a full handshake, or the session it resumes.
pub(super) fn start<M: Memory>(
    mut hello: Hello,
    server: &ServerHello<'_>,
    message: &Message<'_>,
    cx: &mut Context<'_, '_, M>,
) -> Result<State, Error> {
    let suite = cx.handle.suite(server.suite, Version::Tls12).ok_or(Error::BadServerHello)?;
    check_renegotiation(hello.renegotiation, server.renegotiation_info)?;
    // What only TLS 1.3 has.
    if server.key_share.is_some() || server.pre_shared_key.is_some() || server.cookie.is_some() {
        return Err(Error::UnsolicitedExtension);
    }
    if server.session_ticket && !cx.handle.options.resume {
        return Err(Error::UnsolicitedExtension);
    }
    let hashes = std::mem::take(&mut hello.hashes);
    let mut transcript = hashes.into_transcript(suite.hash()).ok_or(Error::BadServerHello)?;
    transcript.add(message.bytes);
    // RFC 5246 section 7.4.1.3, RFC 5077 section 3.4: the session id comes back if it was resumed.
    let echoed = !server.session_id.is_empty() && server.session_id == hello.session_id.bytes();
    let established = ClientEstablished {
        version: Version::Tls12,
        suite,
        group: None,
        scheme: None,
        resumed: echoed,
        protocol: protocol(server.protocol, cx.handle)?,
    };
    let common = Common {
        terms: Terms { established, client_random: hello.random },
        transcript,
        server_random: server.random,
        session_id: SessionId::new(server.session_id),
        extended_master_secret: server.extended_master_secret,
        ticket_due: server.session_ticket,
        inside: hello.renegotiation.is_some(),
    };
    if !echoed {
        hello.refused(cx.handle);
        return Ok(State::Flight12(Flight { common, leaf: None, due: Due::Certificate }));
    }
    let ticket = hello.ticket.take().ok_or(Error::BadServerHello)?;
    let Secret::Tls12 { master, extended_master_secret } = &ticket.secret else {
        return Err(Error::BadServerHello);
    };
    // RFC 7627 section 5.3: the extension is there as it was.
    if ticket.suite != suite || *extended_master_secret != common.extended_master_secret {
        return Err(Error::BadServerHello);
    }
    let agreed = Agreed::new(&common, master.clone(), cx)?;
    let mut tickets = cx.handle.tickets.borrow_mut();
    // It lives on, if the server gives no other instead.
    if common.ticket_due {
        tickets.recycle(ticket)
    } else {
        tickets.again(ticket)
    }
    Ok(State::ChangeCipher12(ChangeCipher { common, agreed, sent: None, ticket: None }))
}

/// RFC 5746 sections 3.4 and 3.5: empty at first, then both Finished of the handshake before.
fn check_renegotiation(before: Option<VerifyData>, info: Option<&[u8]>) -> Result<(), Error> {
    let ok = match (before, info) {
        // A server that does not know the extension.
        (None, None) => true,
        (None, Some(info)) => info.is_empty(),
        (Some(before), Some(info)) => info == [before.client, before.server].as_flattened(),
        (Some(_), None) => false,
    };
    if ok { Ok(()) } else { Err(Error::BadRenegotiationInfo) }
}

/// The master secret and the keys of both sides.
struct Agreed {
    master: MasterSecret12,
    client: Keys,
    server: Keys,
}

impl Agreed {
    fn new<M: Memory>(
        common: &Common,
        master: MasterSecret12,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Self, Error> {
        let Terms { established, client_random } = &common.terms;
        cx.out.key_log("CLIENT_RANDOM", client_random, master.bytes());
        let keys = master.prf().keys(established.suite, client_random, &common.server_random);
        let [client, server] = keys.ok_or(Error::EngineFailed)?;
        Ok(Self { master, client, server })
    }
}

/// Waiting for the rest of the server's flight.
pub(super) struct Flight {
    common: Common,
    /// The leaf's key, when its signature is to be verified.
    leaf: Option<Box<[u8]>>,
    due: Due,
}

/// The message of the flight that is due.
enum Due {
    Certificate,
    ServerKeyExchange,
    ServerHelloDone(Group, Share),
}

impl Flight {
    /// Takes a Certificate message, wherever it lies.
    pub(super) fn certificate(
        mut self,
        pieces: &impl Pieces,
        length: usize,
        handle: &ClientHandle,
    ) -> Result<Self, Error> {
        if !matches!(self.due, Due::Certificate) {
            return Err(Error::UnexpectedMessage);
        }
        pieces.for_each(0..length, &mut |bytes| self.common.transcript.add(bytes));
        self.leaf = leaf_key(pieces, length, Version::Tls12, handle)?;
        self.due = Due::ServerKeyExchange;
        Ok(self)
    }

    pub(super) fn message<M: Memory>(
        mut self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        self.common.transcript.add(message.bytes);
        match (self.due, message.kind) {
            (Due::ServerKeyExchange, kind::SERVER_KEY_EXCHANGE) => {
                let exchange = KeyExchange::decode(message.body())?;
                let scheme = cx.handle.scheme(exchange.signed.scheme).ok_or(Error::BadSignature)?;
                let Terms { established, client_random } = &mut self.common.terms;
                if let Some(leaf) = self.leaf.take() {
                    // RFC 8422 section 5.4: the signature is over both randoms and the parameters.
                    let parts = [client_random, &self.common.server_random[..], exchange.parameters];
                    let content = Content::new(&parts).ok_or(Error::BadKeyShare)?;
                    if !levee_crypto::verify(scheme, &leaf, content.bytes(), exchange.signed.signature) {
                        return Err(Error::BadSignature);
                    }
                }
                if !cx.handle.options.groups.contains(&exchange.group) {
                    return Err(Error::BadKeyShare);
                }
                let share = Share::new(exchange.group, exchange.share).ok_or(Error::BadKeyShare)?;
                (established.group, established.scheme) = (Some(exchange.group), Some(scheme));
                self.due = Due::ServerHelloDone(exchange.group, share);
                Ok(State::Flight12(self))
            }
            (Due::ServerHelloDone(group, share), kind::SERVER_HELLO_DONE) => {
                end(&Reader::new(message.body()))?;
                let rest = Rest::KeyExchange(group, share);
                Ok(State::Answer12(Answer { common: self.common, rest }))
            }
            _ => Err(Error::UnexpectedMessage),
        }
    }
}

/// Waiting until the rest of our side may be sent.
pub(super) struct Answer {
    common: Common,
    rest: Rest,
}

/// What is to be sent, and all that comes behind it.
enum Rest {
    KeyExchange(Group, Share),
    /// Inside a connection, where each of them is a record to be sealed.
    ChangeCipherSpec(Agreed),
    /// With the server's Finished, if that came before: the session was resumed.
    Finished(Agreed, Option<[u8; 12]>),
}

impl Answer {
    /// Sends all of it in `flight`, or, inside a connection, the next record.
    pub(super) fn send<M: Memory>(
        self,
        mut flight: M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        let Self { mut common, rest } = self;
        let inside = common.inside;
        let (agreed, kind, next): (_, _, fn(Agreed) -> Rest) = match rest {
            Rest::KeyExchange(group, theirs) => {
                let agreed = common.key_exchange(group, &theirs, &mut flight, cx)?;
                if !inside {
                    return common.finish(agreed, None, flight, cx);
                }
                (agreed, ContentType::Handshake, Rest::ChangeCipherSpec)
            }
            Rest::ChangeCipherSpec(agreed) => {
                let prefix = cx.outgoing.prefix();
                append(&mut flight, prefix + 1, |out| {
                    out.reserve(prefix)?;
                    out.u8(1)
                })?;
                (agreed, ContentType::ChangeCipherSpec, |agreed| Rest::Finished(agreed, None))
            }
            Rest::Finished(agreed, received) => return common.finish(agreed, received, flight, cx),
        };
        cx.outgoing.seal_in_place(flight, 0, kind, &mut cx.out.records())?;
        Ok(State::Answer12(Self { common, rest: next(agreed) }))
    }
}

impl Common {
    /// Writes ClientKeyExchange, in a record in plaintext unless it is to be sealed.
    fn key_exchange<M: Memory>(
        &mut self,
        group: Group,
        theirs: &Share,
        flight: &mut M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<Agreed, Error> {
        let prefix = if self.inside { cx.outgoing.prefix() } else { HEADER };
        let length = append(flight, prefix + MAX_KEY_EXCHANGE, |out| {
            out.reserve(prefix)?;
            server_flight::message(out, kind::CLIENT_KEY_EXCHANGE, |out| {
                out.vector::<1>(|out| out.bytes(share(group)))
            })
        })?;
        self.transcript.add(flight.chunk(prefix));
        if !self.inside {
            let head = flight.chunk_mut(0).and_then(|record| record.first_chunk_mut());
            *head.ok_or(Error::SealFailed)? = header(ContentType::Handshake, length - HEADER);
        }
        let (hash, agreed) = (self.transcript.hash(), agreed(group, theirs.bytes())?);
        let premaster = agreed.bytes();
        let master = if self.extended_master_secret {
            MasterSecret12::extended(hash, premaster, &self.transcript.digest())
        } else {
            MasterSecret12::plain(hash, premaster, &self.terms.client_random, &self.server_random)
        };
        Agreed::new(self, master, cx)
    }

    /// Sends change_cipher_spec, unless it went out sealed, and Finished.
    fn finish<M: Memory>(
        mut self,
        agreed: Agreed,
        received: Option<[u8; 12]>,
        mut flight: M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        let verify_data = agreed.master.prf().client_finished(&self.transcript.digest());
        cx.outgoing.protect(Protection::handshake(agreed.client.clone(), Version::Tls12), cx.out.aead);
        if !self.inside {
            append(&mut flight, HEADER + 1, |out| {
                out.bytes(&header(ContentType::ChangeCipherSpec, 1))?;
                out.u8(1)
            })?;
        }
        let (start, prefix) = (flight.len(), cx.outgoing.prefix());
        append(&mut flight, prefix + FINISHED, |out| {
            out.reserve(prefix)?;
            server_flight::finished(out, &verify_data)
        })?;
        self.transcript.add(flight.chunk(start + prefix));
        cx.outgoing.seal_in_place(flight, start, ContentType::Handshake, &mut cx.out.records())?;
        if let Some(server) = received {
            let data = VerifyData { client: verify_data, server };
            return Ok(State::Done(self.terms.established, Traffic::tls12(data)));
        }
        let sent = Some(verify_data);
        Ok(State::ChangeCipher12(ChangeCipher { common: self, agreed, sent, ticket: None }))
    }
}

/// Waiting for the server's change_cipher_spec, and for a ticket if one was announced.
pub(super) struct ChangeCipher {
    common: Common,
    agreed: Agreed,
    /// Our Finished; it comes last when the session is resumed.
    sent: Option<[u8; 12]>,
    ticket: Option<Vec<u8>>,
}

impl ChangeCipher {
    /// Whether it is of a full handshake.
    pub(super) const fn is_full(&self) -> bool {
        self.sent.is_some()
    }

    pub(super) fn new_session_ticket<M: Memory>(
        mut self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        // RFC 5077 section 3.3: only behind a ServerHello with the extension, and once.
        if !std::mem::take(&mut self.common.ticket_due) {
            return Err(Error::UnexpectedMessage);
        }
        let new = NewSessionTicket::decode12(message.body())?;
        self.ticket = Some(cx.handle.tickets.borrow_mut().copy(new.ticket));
        self.common.transcript.add(message.bytes);
        Ok(State::ChangeCipher12(self))
    }

    pub(super) fn change_cipher_spec<M: Memory>(self, cx: &mut Context<'_, '_, M>) -> Result<State, Error> {
        if self.common.ticket_due {
            return Err(Error::UnexpectedRecord);
        }
        cx.incoming.protect(Protection::handshake(self.agreed.server.clone(), Version::Tls12), cx.out.aead);
        Ok(State::Finished12(Finished(self)))
    }
}

/// Waiting for the server's Finished.
pub(super) struct Finished(ChangeCipher);

impl Finished {
    pub(super) const fn is_full(&self) -> bool {
        self.0.is_full()
    }

    pub(super) fn finished<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        let ChangeCipher { mut common, agreed, sent, ticket } = self.0;
        message.expect_last()?;
        let server = agreed.master.prf().server_finished(&common.transcript.digest());
        if !bool::from(server[..].ct_eq(message.body())) {
            return Err(Error::BadFinished);
        }
        common.transcript.add(message.bytes);
        let established = common.terms.established;
        let bytes = ticket.unwrap_or_default();
        let session = !established.resumed && !common.session_id.bytes().is_empty();
        if cx.handle.options.resume && (session || !bytes.is_empty()) {
            cx.handle.tickets.borrow_mut().keep(Ticket {
                bytes,
                session_id: common.session_id,
                suite: established.suite,
                age_add: 0,
                secret: Secret::Tls12 {
                    master: agreed.master.clone(),
                    extended_master_secret: common.extended_master_secret,
                },
            });
        }
        Ok(match sent {
            Some(client) => State::Done(established, Traffic::tls12(VerifyData { client, server })),
            None => State::Answer12(Answer { common, rest: Rest::Finished(agreed, Some(server)) }),
        })
    }
}

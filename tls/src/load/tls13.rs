//! The client's handshake of TLS 1.3 from ServerHello to both Finished (RFC 8446 section 4).

use levee_buf::{Memory, Pieces, Reader};
use levee_crypto::Digest;

use super::ClientEstablished;
use super::config::{ClientHandle, ClientOut, Verify};
use super::handshake::{Context, Hello, State, Terms};
use super::hello::agreed;
use super::tickets::Secret;
use super::traffic::Traffic;
use crate::codec::append;
use crate::error::Error;
use crate::handshake::Message;
use crate::handshake::tls13::{CHANGE_CIPHER_SPEC, signed_content};
use crate::keys::{HandshakeSecret, ResumptionSecret, TrafficSecret};
use crate::messages::server_hello::{ServerHello, Signed, encrypted_extensions, key_share, leaf};
use crate::messages::{HEADER, kind, server_flight};
use crate::record::{ContentType, Incoming, Outgoing, Protection};
use crate::suite::{Suite, Version};
use crate::transcript::Transcript;

/// The most bytes of Finished.
const MAX_FINISHED: usize = 4 + 48;

/// Waiting for the rest of the server's flight.
pub(super) struct Flight {
    terms: Terms,
    transcript: Transcript,
    secret: HandshakeSecret,
    client: TrafficSecret,
    server: TrafficSecret,
    due: Due,
    /// The leaf, when its signature is to be verified.
    leaf: Option<Box<[u8]>>,
    /// The change_cipher_spec went out with the second ClientHello.
    retried: bool,
    pub(super) change_cipher_specs: u8,
}

/// The message of the flight that is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    EncryptedExtensions,
    Certificate,
    CertificateVerify,
    Finished,
}

/// Takes the ServerHello: handshake keys.
pub(super) fn start<M: Memory>(
    mut hello: Hello,
    server: &ServerHello<'_>,
    message: &Message<'_>,
    cx: &mut Context<'_, '_, M>,
) -> Result<State, Error> {
    let suite = cx.handle.suite(server.suite, Version::Tls13).ok_or(Error::BadServerHello)?;
    // RFC 8446 section 4.1.4: the suite of the HelloRetryRequest.
    if hello.retried.is_some_and(|code| code != server.suite) {
        return Err(Error::BadServerHello);
    }
    // We offer psk_dhe_ke alone: there is a share in any case.
    let (group, share) = key_share(server.key_share.ok_or(Error::MissingExtension)?)?;
    if group != hello.group.code() {
        return Err(Error::BadKeyShare);
    }
    let shared = agreed(hello.group, share)?;
    if server.pre_shared_key.is_none() {
        hello.refused(cx.handle);
    }
    let resumed = hello.ticket.is_some();
    let secret = match (hello.ticket.as_deref().map(|ticket| &ticket.secret), server.pre_shared_key) {
        (Some(Secret::Tls13(key)), Some(0)) if key.hash() == suite.hash() => key.handshake(shared.bytes()),
        (None, None) => HandshakeSecret::new(suite.hash(), shared.bytes()),
        // RFC 8446 section 4.2.11: an identity out of range, or a suite of another hash.
        _ => return Err(Error::BadServerHello),
    };
    if let Some(ticket) = hello.ticket.take() {
        cx.handle.tickets.borrow_mut().recycle(ticket);
    }
    let established = ClientEstablished {
        version: Version::Tls13,
        suite,
        group: Some(hello.group),
        scheme: None,
        resumed,
        protocol: None,
    };
    let terms = Terms { established, client_random: hello.random };
    let mut transcript = hello.hashes.into_transcript(suite.hash()).ok_or(Error::BadServerHello)?;
    transcript.add(message.bytes);
    let digest = transcript.digest();
    let [client, server] = secret.traffic(&digest);
    cx.out.key_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &terms.client_random, client.bytes());
    cx.out.key_log("SERVER_HANDSHAKE_TRAFFIC_SECRET", &terms.client_random, server.bytes());
    let keys = server.keys(suite.algorithm()).ok_or(Error::EngineFailed)?;
    cx.incoming.protect(Protection::handshake(keys, Version::Tls13), cx.out.aead);
    // A server that cannot go on after its ServerHello may tell so without keys.
    cx.incoming.take_plain_alerts(true);
    Ok(State::Flight13(Flight {
        terms,
        transcript,
        secret,
        client,
        server,
        due: Due::EncryptedExtensions,
        leaf: None,
        retried: hello.retried.is_some(),
        change_cipher_specs: hello.change_cipher_specs,
    }))
}

impl Flight {
    /// Takes a Certificate message, wherever it lies.
    pub(super) fn certificate(
        mut self,
        pieces: &impl Pieces,
        length: usize,
        handle: &ClientHandle,
    ) -> Result<Self, Error> {
        if self.due != Due::Certificate {
            return Err(Error::UnexpectedMessage);
        }
        pieces.for_each(0..length, &mut |bytes| self.transcript.add(bytes));
        self.leaf = leaf_key(pieces, length, Version::Tls13, handle)?;
        self.due = Due::CertificateVerify;
        Ok(self)
    }

    pub(super) fn message<M: Memory>(
        mut self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        match (self.due, message.kind) {
            (Due::EncryptedExtensions, kind::ENCRYPTED_EXTENSIONS) => {
                let established = &mut self.terms.established;
                established.protocol = protocol(encrypted_extensions(message.body())?, cx.handle)?;
                self.due = if established.resumed { Due::Finished } else { Due::Certificate };
            }
            (Due::CertificateVerify, kind::CERTIFICATE_VERIFY) => {
                let signed = Signed::decode(Reader::new(message.body()))?;
                let scheme = cx.handle.scheme(signed.scheme).ok_or(Error::BadSignature)?;
                if let Some(leaf) = self.leaf.take() {
                    let content = signed_content(&self.transcript.digest()).ok_or(Error::EngineFailed)?;
                    if !levee_crypto::verify(scheme, &leaf, content.bytes(), signed.signature) {
                        return Err(Error::BadSignature);
                    }
                }
                self.terms.established.scheme = Some(scheme);
                self.due = Due::Finished;
            }
            (Due::Finished, kind::FINISHED) => {
                message.expect_last()?;
                if !self.server.finished(&self.transcript.digest()).matches(message.body()) {
                    return Err(Error::BadFinished);
                }
                self.transcript.add(message.bytes);
                let Self { terms, transcript, secret, client, retried, .. } = self;
                return Ok(State::Answer13(Answer { terms, transcript, secret, client, retried }));
            }
            _ => return Err(Error::UnexpectedMessage),
        }
        self.transcript.add(message.bytes);
        Ok(State::Flight13(self))
    }
}

/// Waiting until our Finished may be sent.
pub(super) struct Answer {
    terms: Terms,
    transcript: Transcript,
    secret: HandshakeSecret,
    client: TrafficSecret,
    retried: bool,
}

impl Answer {
    /// Sends change_cipher_spec and Finished, both in `flight`.
    pub(super) fn send<M: Memory>(
        self,
        mut flight: M::Chain,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State, Error> {
        let Self { terms, mut transcript, secret, client, retried } = self;
        let Terms { established, client_random } = terms;
        let digest: Digest = transcript.digest();
        let keys = client.keys(established.suite.algorithm()).ok_or(Error::EngineFailed)?;
        cx.outgoing.protect(Protection::handshake(keys, Version::Tls13), cx.out.aead);
        // RFC 8446 appendix D.4: immediately before its second flight.
        if !retried {
            append(&mut flight, CHANGE_CIPHER_SPEC.len(), |out| out.bytes(&CHANGE_CIPHER_SPEC))?;
        }
        let (start, prefix) = (flight.len(), cx.outgoing.prefix());
        append(&mut flight, prefix + MAX_FINISHED, |out| {
            out.reserve(prefix)?;
            server_flight::finished(out, &client.finished(&digest))
        })?;
        // The secret of tickets is over this message too.
        let finished = cx.handle.options.resume.then(|| {
            transcript.add(flight.chunk(start + prefix));
            transcript.digest()
        });
        let kind = ContentType::Handshake;
        cx.outgoing.seal_in_place(flight, start, kind, &mut cx.out.records())?;
        cx.incoming.take_plain_alerts(false);
        let ready = Ready { secret, client_random, digest, finished };
        Ok(State::Done(established, Traffic::tls13(ready)))
    }
}

/// A complete handshake whose application keys nobody needed yet: many connections of a load generator
/// end where they began.
pub(super) struct Ready {
    secret: HandshakeSecret,
    client_random: [u8; 32],
    /// The transcript up to the server's Finished, and up to ours if tickets are asked for.
    digest: Digest,
    finished: Option<Digest>,
}

/// The secrets of application data.
pub(super) struct Secrets {
    pub(super) client: TrafficSecret,
    pub(super) server: TrafficSecret,
    pub(super) resumption: Option<ResumptionSecret>,
}

impl Ready {
    /// Derives and installs the application keys.
    pub(super) fn keys<M: Memory>(
        self,
        suite: Suite,
        incoming: &mut Incoming<M>,
        outgoing: &mut Outgoing<M>,
        out: &mut ClientOut<'_, M>,
    ) -> Result<Secrets, Error> {
        let master = self.secret.master();
        let [client, server] = master.traffic(&self.digest);
        out.key_log("CLIENT_TRAFFIC_SECRET_0", &self.client_random, client.bytes());
        out.key_log("SERVER_TRAFFIC_SECRET_0", &self.client_random, server.bytes());
        let keys = install(&client, suite, out)?;
        outgoing.protect(keys, out.aead);
        let keys = install(&server, suite, out)?;
        incoming.protect(keys, out.aead);
        let resumption = self.finished.map(|digest| master.resumption(&digest));
        Ok(Secrets { client, server, resumption })
    }
}

/// Keys of `secret`, installed.
pub(super) fn install<M: Memory>(
    secret: &TrafficSecret,
    suite: Suite,
    out: &mut ClientOut<'_, M>,
) -> Result<Protection, Error> {
    let keys = secret.keys(suite.algorithm()).ok_or(Error::EngineFailed)?;
    Protection::install(&keys, Version::Tls13, &mut out.records())
}

/// The index of the protocol that the server chose.
pub(super) fn protocol(name: Option<&[u8]>, handle: &ClientHandle) -> Result<Option<u8>, Error> {
    let Some(name) = name else { return Ok(None) };
    handle.protocol(name).map(Some).ok_or(Error::NoCommonProtocol)
}

/// The key of the first certificate in a Certificate message, if there is something to verify by it.
pub(super) fn leaf_key(
    pieces: &impl Pieces,
    length: usize,
    version: Version,
    handle: &ClientHandle,
) -> Result<Option<Box<[u8]>>, Error> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    if handle.options.verify == Verify::Nothing {
        return Ok(None);
    }
    let mut message = vec![0; length];
    pieces.copy_to(0, &mut message);
    let leaf = leaf(message.get(HEADER..).unwrap_or_default(), version)?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| Error::BadCertificate)?;
    Ok(Some(certificate.public_key().subject_public_key.data.as_ref().into()))
}

//! The handshake of TLS 1.3 from the chosen terms to the client's Finished (RFC 8446 section 4).
//!
//! The flight lies in one segment: ServerHello, change_cipher_spec, and one protected record of
//! EncryptedExtensions, Certificate, CertificateVerify and Finished. Its first part is written when the
//! key exchange is done, its last when the signature is.

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{Digest, Group, Job, Message as Signed, Purpose, Secret, Share, Signature, TAG_LEN};

use super::hello::{Hello, MAX_CHANGE_CIPHER_SPECS, Retry};
use super::{Context, Established, Message, State, Traffic};
use crate::codec::append;
use crate::config::{Certificate, MAX_CERTIFICATE_MESSAGE};
use crate::error::Error;
use crate::keys::{HandshakeSecret, Keys, MasterSecret, TrafficSecret};
use crate::messages::SessionId;
use crate::messages::client_hello::ClientHello;
use crate::messages::server_flight::{self, MAX_ENCRYPTED_EXTENSIONS, MAX_SERVER_HELLO};
use crate::record::{ContentType, HEADER, Protection, header};
use crate::suite::Version;
use crate::transcript::Transcript;

/// The record of change_cipher_spec that middleboxes want to see (RFC 8446 appendix D.4).
pub(crate) const CHANGE_CIPHER_SPEC: [u8; 6] = [ContentType::ChangeCipherSpec as u8, 3, 3, 0, 1, 1];

/// The most bytes of CertificateVerify.
const MAX_CERTIFICATE_VERIFY: usize = 8 + 512;

/// The most bytes of Finished.
const MAX_FINISHED: usize = 4 + 48;

/// The longest flight there can be has room in one segment.
const _: () = assert!(
    HEADER
        + MAX_SERVER_HELLO
        + Group::X25519MlKem768.answer_len()
        + CHANGE_CIPHER_SPEC.len()
        + HEADER
        + MAX_ENCRYPTED_EXTENSIONS
        + MAX_CERTIFICATE_MESSAGE
        + MAX_CERTIFICATE_VERIFY
        + MAX_FINISHED
        + 1
        + TAG_LEN
        <= levee_buf::MAX_ROOM
);

/// Waiting for the key exchange.
pub(crate) struct Exchange {
    terms: Established,
    transcript: Transcript,
    client_random: [u8; 32],
    session_id: SessionId,
    /// The change_cipher_spec went out behind the HelloRetryRequest.
    retried: bool,
    early_data: bool,
}

/// Starts the key exchange with `peer`; `transcript` is that of a HelloRetryRequest.
pub(super) fn start<M: Memory>(
    hello: &ClientHello<'_>,
    message: &Message<'_>,
    terms: Established,
    peer: Share,
    transcript: Option<Transcript>,
    cx: &mut Context<'_, '_, M>,
) -> State<M::Chain> {
    let retried = transcript.is_some();
    let transcript = match transcript {
        Some(mut transcript) => {
            transcript.add(message.bytes);
            transcript
        }
        None => Transcript::new(terms.suite.hash(), message.bytes),
    };
    cx.incoming.skip_early_data(false);
    cx.submit(Job::Exchange { group: terms.group, peer });
    State::Exchange13(Exchange {
        terms,
        transcript,
        client_random: hello.random,
        session_id: SessionId::new(hello.session_id),
        retried,
        early_data: hello.early_data,
    })
}

/// Sends a HelloRetryRequest for the group of `terms` (RFC 8446 section 4.1.4).
pub(super) fn retry<M: Memory>(
    hello: &ClientHello<'_>,
    message: &Message<'_>,
    terms: Established,
    cx: &mut Context<'_, '_, M>,
) -> Result<State<M::Chain>, Error> {
    let mut transcript = Transcript::retried(terms.suite.hash(), message.bytes);
    let room = HEADER + MAX_SERVER_HELLO + CHANGE_CIPHER_SPEC.len();
    let mut wire = cx.out.memory.alloc(room).ok_or(Error::MemoryExhausted)?;
    write_hello(&mut wire, MAX_SERVER_HELLO, &mut transcript, true, hello.session_id, |out| {
        server_flight::hello_retry_request(out, hello.session_id, terms.suite, terms.group)
    })?;
    cx.outgoing.send(wire);
    cx.incoming.skip_early_data(hello.early_data);
    cx.out.counters.hello_retries = cx.out.counters.hello_retries.wrapping_add(1);
    let constant_part = hello.constant_part();
    let group: Group = terms.group;
    Ok(State::Hello(Hello::retry(Retry { group, transcript, constant_part, change_cipher_specs: 0 })))
}

/// Writes the record of a ServerHello of at most `room` bytes and adds it to the transcript; then the change_cipher_spec, when
/// it is `due`.
fn write_hello<C: Chain>(
    wire: &mut C,
    room: usize,
    transcript: &mut Transcript,
    due: bool,
    session_id: &[u8],
    write: impl FnOnce(&mut levee_buf::Writer<'_>) -> Result<(), levee_buf::Full>,
) -> Result<(), Error> {
    append(wire, HEADER, |out| out.bytes(&header(ContentType::Handshake, 0)))?;
    let length = append(wire, room, write)?;
    transcript.add(wire.chunk(HEADER));
    let head = wire.chunk_mut(0).and_then(|record| record.first_chunk_mut()).ok_or(Error::SealFailed)?;
    *head = header(ContentType::Handshake, length);
    // RFC 8446 appendix D.4: after its first handshake message, if the client sent a session id.
    if due && !session_id.is_empty() {
        append(wire, CHANGE_CIPHER_SPEC.len(), |out| out.bytes(&CHANGE_CIPHER_SPEC))?;
    }
    Ok(())
}

/// Waiting for the signature.
pub(crate) struct Sign<C> {
    terms: Established,
    transcript: Transcript,
    client_random: [u8; 32],
    client: TrafficSecret,
    server: TrafficSecret,
    master: MasterSecret,
    /// The flight up to Certificate.
    flight: C,
    /// Where the header of its protected record begins.
    start: usize,
    early_data: bool,
}

impl Exchange {
    pub(super) fn exchanged<M: Memory>(
        self,
        share: &Share,
        secret: &Secret,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Self { terms, mut transcript, client_random, session_id, retried, early_data } = self;
        let config = cx.config;
        let certificate = certificate(config, terms)?;
        let random = cx.random();

        let hello = MAX_SERVER_HELLO + share.bytes().len();
        let room = HEADER + hello + CHANGE_CIPHER_SPEC.len() + HEADER;
        let rest = MAX_ENCRYPTED_EXTENSIONS + certificate.message13.len() + MAX_CERTIFICATE_VERIFY;
        let behind = MAX_FINISHED + 1 + TAG_LEN;
        let mut flight = cx.out.memory.alloc(room + rest + behind).ok_or(Error::MemoryExhausted)?;
        write_hello(&mut flight, hello, &mut transcript, !retried, session_id.bytes(), |out| {
            let (suite, group) = (terms.suite, terms.group);
            server_flight::server_hello13(out, &random, session_id.bytes(), suite, group, share)
        })?;

        let hello_digest = transcript.digest();
        let handshake = HandshakeSecret::new(transcript.hash(), secret.bytes()).key();
        let [client, server] = handshake.traffic(&hello_digest);
        cx.key_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client_random, client.bytes());
        cx.key_log("SERVER_HANDSHAKE_TRAFFIC_SECRET", &client_random, server.bytes());

        let start = flight.len();
        append(&mut flight, HEADER, |out| out.bytes(&[0; HEADER]))?;
        let messages = flight.len();
        let protocol = terms.protocol.and_then(|index| config.options.alpn.get(usize::from(index)));
        append(&mut flight, MAX_ENCRYPTED_EXTENSIONS, |out| {
            server_flight::encrypted_extensions(out, terms.named, protocol.map(Vec::as_slice))
        })?;
        append(&mut flight, certificate.message13.len(), |out| out.bytes(&certificate.message13))?;
        transcript.add(flight.chunk(messages));

        let message = signed_content(&transcript.digest()).ok_or(Error::EngineFailed)?;
        cx.submit(Job::Sign { key: certificate.key, scheme: terms.scheme, message });
        let master = handshake.master();
        Ok(State::Sign13(Sign {
            terms,
            transcript,
            client_random,
            client,
            server,
            master,
            flight,
            start,
            early_data,
        }))
    }
}

pub(super) fn certificate(
    config: &crate::config::ServerConfig,
    terms: Established,
) -> Result<&Certificate, Error> {
    config.certificates.get(usize::from(terms.certificate)).ok_or(Error::EngineFailed)
}

/// What a server's CertificateVerify signs (RFC 8446 section 4.4.3).
pub(crate) fn signed_content(transcript: &Digest) -> Option<Signed> {
    Signed::new(&[&[0x20; 64], b"TLS 1.3, server CertificateVerify", &[0], transcript])
}

impl<C: Chain> Sign<C> {
    pub(super) fn signed<M: Memory<Chain = C>>(
        self,
        signature: &Signature,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<C>, Error> {
        let Self { terms, mut transcript, client_random, client, server, master, mut flight, start, .. } =
            self;
        let at = flight.len();
        append(&mut flight, MAX_CERTIFICATE_VERIFY, |out| {
            server_flight::certificate_verify(out, terms.scheme, signature.bytes())
        })?;
        transcript.add(flight.chunk(at));
        let at = flight.len();
        let algorithm = terms.suite.algorithm();
        let server = server.handshake_keys(algorithm).ok_or(Error::EngineFailed)?;
        let client = client.handshake_keys(algorithm).ok_or(Error::EngineFailed)?;
        let verify_data = server.1.verify_data(&transcript.digest());
        append(&mut flight, MAX_FINISHED, |out| server_flight::finished(out, &verify_data))?;
        transcript.add(flight.chunk(at));
        let digest = transcript.digest();

        let [client_traffic, server_traffic] = master.traffic(&digest);
        cx.key_log("CLIENT_TRAFFIC_SECRET_0", &client_random, client_traffic.bytes());
        cx.key_log("SERVER_TRAFFIC_SECRET_0", &client_random, server_traffic.bytes());

        let keys = install(&server.0, cx)?;
        cx.outgoing.protect(keys, cx.out.aead);
        cx.outgoing.seal_in_place(flight, start, ContentType::Handshake, &mut cx.out.records())?;
        cx.outgoing.protect(Protection::traffic(server_traffic, algorithm), cx.out.aead);
        let keys = install(&client.0, cx)?;
        cx.incoming.protect(keys, cx.out.aead);
        cx.incoming.skip_early_data(self.early_data);
        cx.incoming.take_plain_alerts(true);
        Ok(State::Finished13(Finished {
            terms,
            expected: client.1.verify_data(&digest),
            client_traffic,
            change_cipher_specs: 0,
        }))
    }
}

fn install<M: Memory>(keys: &Keys, cx: &mut Context<'_, '_, M>) -> Result<Protection, Error> {
    Protection::install(keys, Version::Tls13, Purpose::Handshake, &mut cx.out.records())
}

/// Waiting for the client's Finished.
pub(crate) struct Finished {
    terms: Established,
    expected: Digest,
    client_traffic: TrafficSecret,
    change_cipher_specs: u8,
}

impl Finished {
    pub(super) fn change_cipher_spec(mut self) -> Result<Self, Error> {
        self.change_cipher_specs += 1;
        if self.change_cipher_specs > MAX_CHANGE_CIPHER_SPECS {
            return Err(Error::EmptyRecordFlood);
        }
        Ok(self)
    }

    pub(super) fn finished<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        message.expect_last()?;
        // RFC 8446 section 6: decode_error is for what cannot be parsed, as by its length.
        if message.body().len() != self.expected.len() {
            return Err(Error::Malformed);
        }
        if !self.expected.matches(message.body()) {
            return Err(Error::BadFinished);
        }
        let keys = Protection::traffic(self.client_traffic, self.terms.suite.algorithm());
        cx.incoming.protect(keys, cx.out.aead);
        cx.incoming.take_plain_alerts(false);
        Ok(State::Done(Traffic::new(self.terms)))
    }
}

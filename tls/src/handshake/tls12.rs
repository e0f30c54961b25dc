//! The handshake of TLS 1.2 from the chosen terms to both Finished (RFC 5246 section 7.3, RFC 8422).
//!
//! The first flight is one plaintext record of ServerHello, Certificate, ServerKeyExchange and
//! ServerHelloDone, the second change_cipher_spec and Finished, each in one segment.

use levee_buf::{Memory, Pieces, Reader, Writer};
use levee_crypto::{Job, Message as Signed, PrivateShare, Purpose, Secret, Share, Signature, TAG_LEN};

use super::hello::secure_renegotiation;
use super::tls13::certificate;
use super::{Context, Established, Message, State, Traffic};
use crate::codec::{append, end};
use crate::error::Error;
use crate::keys::{Keys, MasterSecret12};
use crate::messages::client_hello::ClientHello;
use crate::messages::server_flight::{self, Answers, MAX_SERVER_HELLO};
use crate::record::{ContentType, HEADER, Protection, header};
use crate::suite::Version;
use crate::transcript::Transcript;

/// RFC 8446 section 4.1.3: the last bytes of the random of a server that could have done TLS 1.3.
const DOWNGRADE: [u8; 8] = *b"DOWNGRD\x01";

/// The most bytes of the parameters of an ephemeral key.
const MAX_PARAMETERS: usize = 4 + 97;

/// The most bytes of ServerKeyExchange and ServerHelloDone.
const MAX_SIGNED: usize = 4 + MAX_PARAMETERS + 4 + 512 + 4;

/// Bytes of a Finished of TLS 1.2.
const FINISHED: usize = 4 + 12;

/// What all states carry.
struct Common {
    terms: Established,
    transcript: Transcript,
    client_random: [u8; 32],
    server_random: [u8; 32],
    extended_master_secret: bool,
}

/// Waiting for an ephemeral key.
pub(crate) struct Generate {
    common: Common,
    secure_renegotiation: bool,
    point_formats: bool,
}

/// Starts with an ephemeral key.
pub(super) fn start<M: Memory>(
    hello: &ClientHello<'_>,
    message: &Message<'_>,
    terms: Established,
    cx: &mut Context<'_, '_, M>,
) -> Result<State<M::Chain>, Error> {
    let mut server_random = cx.random();
    if cx.config.enables(Version::Tls13) {
        *server_random.last_chunk_mut().ok_or(Error::EngineFailed)? = DOWNGRADE;
    }
    cx.submit(Job::Generate { group: terms.group });
    Ok(State::Generate12(Generate {
        common: Common {
            terms,
            transcript: Transcript::new(terms.suite.hash(), message.bytes),
            client_random: hello.random,
            server_random,
            extended_master_secret: hello.extended_master_secret,
        },
        secure_renegotiation: secure_renegotiation(hello),
        point_formats: hello.point_formats.is_some(),
    }))
}

/// Waiting for the signature.
pub(crate) struct Sign {
    hello: Generate,
    private: PrivateShare,
    share: Share,
}

impl Generate {
    pub(super) fn generated<M: Memory>(
        self,
        private: PrivateShare,
        share: Share,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Common { terms, client_random, server_random, .. } = &self.common;
        let mut room = [0; MAX_PARAMETERS];
        let mut parameters = Writer::new(&mut room);
        server_flight::key_exchange_parameters(&mut parameters, terms.group, &share)?;
        // RFC 8422 section 5.4: the signature is over both randoms and the parameters.
        let message = Signed::new(&[client_random, server_random, parameters.written()]);
        let message = message.ok_or(Error::EngineFailed)?;
        let key = certificate(cx.config, *terms)?.key;
        cx.submit(Job::Sign { key, scheme: terms.scheme, message });
        Ok(State::Sign12(Sign { hello: self, private, share }))
    }
}

impl Sign {
    pub(super) fn signed<M: Memory>(
        self,
        signature: &Signature,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Self { hello, private, share } = self;
        let Generate { mut common, secure_renegotiation, point_formats } = hello;
        let terms = common.terms;
        let config = cx.config;
        let certificate = certificate(config, terms)?;
        let protocol = terms.protocol.and_then(|index| config.options.alpn.get(usize::from(index)));
        let answers = Answers {
            secure_renegotiation,
            extended_master_secret: common.extended_master_secret,
            point_formats,
            named: terms.named,
            protocol: protocol.map(Vec::as_slice),
        };

        let room = HEADER + MAX_SERVER_HELLO + certificate.message12.len() + MAX_SIGNED;
        let mut flight = cx.out.memory.alloc(room).ok_or(Error::MemoryExhausted)?;
        append(&mut flight, HEADER, |out| out.bytes(&[0; HEADER]))?;
        append(&mut flight, MAX_SERVER_HELLO, |out| {
            server_flight::server_hello12(out, &common.server_random, terms.suite, &answers)
        })?;
        append(&mut flight, certificate.message12.len(), |out| out.bytes(&certificate.message12))?;
        append(&mut flight, MAX_SIGNED, |out| {
            let mut parameters = [0; MAX_PARAMETERS];
            let mut parameters = Writer::new(&mut parameters);
            server_flight::key_exchange_parameters(&mut parameters, terms.group, &share)?;
            let (parameters, scheme) = (parameters.written(), terms.scheme);
            server_flight::server_key_exchange(out, parameters, scheme, signature.bytes())?;
            server_flight::server_hello_done(out)
        })?;
        common.transcript.add(flight.chunk(HEADER));
        let length = flight.len() - HEADER;
        let head = flight.chunk_mut(0).and_then(|record| record.first_chunk_mut());
        *head.ok_or(Error::SealFailed)? = header(ContentType::Handshake, length);
        cx.outgoing.send(flight);
        Ok(State::ClientKey12(ClientKey { common, private }))
    }
}

/// Waiting for ClientKeyExchange.
pub(crate) struct ClientKey {
    common: Common,
    private: PrivateShare,
}

impl ClientKey {
    pub(super) fn client_key_exchange<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Self { mut common, private } = self;
        let mut input = Reader::new(message.body());
        let share = input.vec8()?.rest();
        end(&input)?;
        // RFC 8422 section 5.7: opaque point <1..2^8-1>.
        if share.is_empty() {
            return Err(Error::Malformed);
        }
        let peer = Share::new(common.terms.group, share).ok_or(Error::BadKeyShare)?;
        common.transcript.add(message.bytes);
        cx.submit(Job::Agree { private, peer });
        Ok(State::Agree12(Agree { common }))
    }
}

/// Waiting for the agreement.
pub(crate) struct Agree {
    common: Common,
}

impl Agree {
    pub(super) fn agreed<M: Memory>(
        self,
        secret: &Secret,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Common { terms, transcript, client_random, server_random, extended_master_secret } = &self.common;
        let hash = terms.suite.hash();
        let master = if *extended_master_secret {
            MasterSecret12::extended(hash, secret.bytes(), &transcript.digest())
        } else {
            MasterSecret12::plain(hash, secret.bytes(), client_random, server_random)
        };
        cx.key_log("CLIENT_RANDOM", client_random, master.bytes());
        let keys = master.prf().keys(terms.suite, client_random, server_random);
        let [client, server] = keys.ok_or(Error::EngineFailed)?;
        Ok(State::ChangeCipher12(ChangeCipher { common: self.common, master, client, server }))
    }
}

/// Waiting for the client's change_cipher_spec.
pub(crate) struct ChangeCipher {
    common: Common,
    master: MasterSecret12,
    client: Keys,
    server: Keys,
}

impl ChangeCipher {
    pub(super) fn change_cipher_spec<M: Memory>(
        self,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Self { common, master, client, server } = self;
        let keys = Protection::install(&client, Version::Tls12, Purpose::Traffic, &mut cx.out.records())?;
        cx.incoming.protect(keys, cx.out.aead);
        Ok(State::Finished12(Finished { common, master, server }))
    }
}

/// Waiting for the client's Finished.
pub(crate) struct Finished {
    common: Common,
    master: MasterSecret12,
    server: Keys,
}

impl Finished {
    pub(super) fn finished<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let Self { common: Common { terms, mut transcript, .. }, master, server } = self;
        message.expect_last()?;
        let prf = master.prf();
        let expected = prf.client_finished(&transcript.digest());
        // RFC 5246 section 7.2.2: decode_error is for a message of an incorrect length.
        if message.body().len() != expected.len() {
            return Err(Error::Malformed);
        }
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], message.body())) {
            return Err(Error::BadFinished);
        }
        transcript.add(message.bytes);
        let verify_data = prf.server_finished(&transcript.digest());

        let keys = Protection::install(&server, Version::Tls12, Purpose::Traffic, &mut cx.out.records())?;
        cx.outgoing.protect(keys, cx.out.aead);
        let prefix = cx.outgoing.prefix();
        let room = HEADER + 1 + prefix + FINISHED + TAG_LEN;
        let mut flight = cx.out.memory.alloc(room).ok_or(Error::MemoryExhausted)?;
        append(&mut flight, HEADER + 1, |out| {
            out.bytes(&header(ContentType::ChangeCipherSpec, 1))?;
            out.u8(1)
        })?;
        let start = flight.len();
        append(&mut flight, prefix + FINISHED, |out| {
            out.reserve(prefix)?;
            server_flight::finished(out, &verify_data)
        })?;
        cx.outgoing.seal_in_place(flight, start, ContentType::Handshake, &mut cx.out.records())?;
        Ok(State::Done(Traffic::new(terms)))
    }
}

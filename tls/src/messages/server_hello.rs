//! Borrowed views of what servers send: ServerHello and HelloRetryRequest of both versions (RFC 8446
//! section 4.1.3, RFC 5246 section 7.4.1.3), and the messages behind it that a client looks into.
//!
//! Decoding checks lengths, and that nothing was answered that a client of ours never asks.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_buf::Reader;
use levee_crypto::Group;

use super::client_hello::{Extensions, Seen};
use super::extension;
use super::server_flight::RETRY_RANDOM;
use crate::codec::end;
use crate::error::Error;
use crate::suite::Version;

/// What a server chose; borrowed from its message.
pub(crate) struct ServerHello<'a> {
    pub(crate) random: [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) suite: u16,
    /// The version of supported_versions.
    pub(crate) version: Option<u16>,
    /// The body of key_share: a KeyShareEntry, or the group that a HelloRetryRequest asks for.
    pub(crate) key_share: Option<&'a [u8]>,
    pub(crate) pre_shared_key: Option<u16>,
    pub(crate) cookie: Option<&'a [u8]>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) session_ticket: bool,
    pub(crate) protocol: Option<&'a [u8]>,
}

impl<'a> ServerHello<'a> {
    /// Decodes the body of the message.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(body);
        // RFC 8446 section 4.1.3: legacy_version MUST be set to 0x0303; we offer nothing below.
        if input.u16()? != Version::Tls12.code() {
            return Err(Error::NoCommonVersion);
        }
        let random = input.array()?;
        let session_id = input.vec8()?.rest();
        let suite = input.u16()?;
        if input.u8()? != 0 {
            return Err(Error::BadCompression);
        }
        if session_id.len() > 32 {
            return Err(Error::Malformed);
        }
        let extensions = if input.is_empty() { &[][..] } else { input.vec16()?.rest() };
        end(&input)?;
        let mut hello = Self {
            random,
            session_id,
            suite,
            version: None,
            key_share: None,
            pre_shared_key: None,
            cookie: None,
            renegotiation_info: None,
            extended_master_secret: false,
            session_ticket: false,
            protocol: None,
        };
        let mut seen = Seen::default();
        let mut list = Extensions(Reader::new(extensions));
        while let Some((code, body)) = list.next()? {
            seen.add(code)?;
            hello.extension(code, body)?;
        }
        Ok(hello)
    }

    fn extension(&mut self, code: u16, body: &'a [u8]) -> Result<(), Error> {
        let mut input = Reader::new(body);
        match code {
            extension::SUPPORTED_VERSIONS => self.version = Some(input.u16()?),
            extension::KEY_SHARE => {
                self.key_share = Some(body);
                return Ok(());
            }
            extension::PRE_SHARED_KEY => self.pre_shared_key = Some(input.u16()?),
            extension::COOKIE => self.cookie = Some(input.vec16()?.rest()),
            extension::RENEGOTIATION_INFO => self.renegotiation_info = Some(input.vec8()?.rest()),
            extension::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            extension::SESSION_TICKET => self.session_ticket = true,
            extension::SERVER_NAME => {}
            extension::EC_POINT_FORMATS => {
                if !input.vec8()?.rest().contains(&0) {
                    return Err(Error::BadPointFormats);
                }
            }
            extension::ALPN => self.protocol = Some(protocol(&mut input)?),
            // RFC 5246 section 7.4.1.4: an extension that was not asked for MUST abort.
            _ => return Err(Error::UnsolicitedExtension),
        }
        end(&input)
    }

    /// Whether it is a HelloRetryRequest.
    pub(crate) fn is_retry(&self) -> bool {
        self.random == RETRY_RANDOM
    }
}

/// The protocol of EncryptedExtensions (RFC 8446 section 4.3.1).
pub(crate) fn encrypted_extensions(body: &[u8]) -> Result<Option<&[u8]>, Error> {
    let mut input = Reader::new(body);
    let mut list = Extensions(input.vec16()?);
    end(&input)?;
    let (mut seen, mut chosen) = (Seen::default(), None);
    while let Some((code, body)) = list.next()? {
        seen.add(code)?;
        match code {
            extension::ALPN => {
                let mut body = Reader::new(body);
                chosen = Some(protocol(&mut body)?);
                end(&body)?;
            }
            // RFC 8446 section 4.2.7: the server's groups MUST NOT be acted upon in this connection.
            extension::SERVER_NAME | extension::SUPPORTED_GROUPS => {}
            _ => return Err(Error::UnsolicitedExtension),
        }
    }
    Ok(chosen)
}

/// RFC 7301 section 3.1: exactly one protocol name.
fn protocol<'a>(input: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let mut list = input.vec16()?;
    let name = list.vec8()?.rest();
    end(&list)?;
    if name.is_empty() { Err(Error::Malformed) } else { Ok(name) }
}

/// The share of a KeyShareEntry (RFC 8446 section 4.2.8) and its group.
pub(crate) fn key_share(body: &[u8]) -> Result<(u16, &[u8]), Error> {
    let mut input = Reader::new(body);
    let entry = (input.u16()?, input.vec16()?.rest());
    end(&input)?;
    Ok(entry)
}

/// A scheme and a signature: CertificateVerify (RFC 8446 section 4.4.3), the end of ServerKeyExchange.
pub(crate) struct Signed<'a> {
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(crate) fn decode(mut input: Reader<'a>) -> Result<Self, Error> {
        let signed = Self { scheme: input.u16()?, signature: input.vec16()?.rest() };
        end(&input)?;
        Ok(signed)
    }
}

/// ServerKeyExchange of ECDHE (RFC 8422 section 5.4).
pub(crate) struct KeyExchange<'a> {
    pub(crate) group: Group,
    pub(crate) share: &'a [u8],
    /// What is signed behind the randoms.
    pub(crate) parameters: &'a [u8],
    pub(crate) signed: Signed<'a>,
}

impl<'a> KeyExchange<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(body);
        // ECCurveType named_curve.
        if input.u8()? != 3 {
            return Err(Error::BadKeyShare);
        }
        let group = Group::from_code(input.u16()?).ok_or(Error::BadKeyShare)?;
        let share = input.vec8()?.rest();
        let length = body.len().saturating_sub(input.len());
        let parameters = body.get(..length).unwrap_or_default();
        Ok(Self { group, share, parameters, signed: Signed::decode(input)? })
    }
}

/// NewSessionTicket of either version.
pub(crate) struct NewSessionTicket<'a> {
    /// Seconds; of TLS 1.2 a hint, where zero says nothing.
    pub(crate) lifetime: u32,
    pub(crate) age_add: u32,
    pub(crate) nonce: &'a [u8],
    pub(crate) ticket: &'a [u8],
}

impl<'a> NewSessionTicket<'a> {
    /// RFC 8446 section 4.6.1.
    pub(crate) fn decode13(body: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(body);
        let (lifetime, age_add) = (input.u32()?, input.u32()?);
        let (nonce, ticket) = (input.vec8()?.rest(), input.vec16()?.rest());
        let mut extensions = Extensions(input.vec16()?);
        end(&input)?;
        // RFC 8446 section 4.6.1: clients MUST ignore unrecognized extensions.
        while extensions.next()?.is_some() {}
        if ticket.is_empty() { Err(Error::Malformed) } else { Ok(Self { lifetime, age_add, nonce, ticket }) }
    }

    /// RFC 5077 section 3.3.
    pub(crate) fn decode12(body: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(body);
        let (lifetime, ticket) = (input.u32()?, input.vec16()?.rest());
        end(&input)?;
        Ok(Self { lifetime, age_add: 0, nonce: &[], ticket })
    }
}

/// The first certificate in the body of a Certificate message.
pub(crate) fn leaf(body: &[u8], version: Version) -> Result<&[u8], Error> {
    let mut input = Reader::new(body);
    // RFC 8446 section 4.4.2: certificate_request_context is of zero length in server authentication.
    if version == Version::Tls13 && !input.vec8()?.is_empty() {
        return Err(Error::Malformed);
    }
    let mut list = input.vec24()?;
    end(&input)?;
    Ok(list.vec24()?.rest())
}

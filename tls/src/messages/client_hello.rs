//! A borrowed view of ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2).
//!
//! Decoding checks lengths and what is wrong in itself; what we have in common is for `handshake::hello`.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_buf::Reader;
use levee_crypto::{Digest, Group, Hash, Running};

use crate::codec::{Codes, end};
use crate::error::Error;
use crate::messages::extension;

/// The most extensions that are looked at; browsers send about twenty.
const MAX_EXTENSIONS: usize = 64;

/// What a client offers; borrowed from its message.
#[derive(Debug)]
pub(crate) struct ClientHello<'a> {
    pub(crate) legacy_version: u16,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) suites: Codes<'a>,
    pub(crate) compression: &'a [u8],
    pub(crate) server_name: Option<&'a [u8]>,
    pub(crate) versions: Option<Codes<'a>>,
    pub(crate) groups: Option<Codes<'a>>,
    pub(crate) signatures: Option<Codes<'a>>,
    pub(crate) key_shares: Option<KeyShares<'a>>,
    pub(crate) alpn: Option<&'a [u8]>,
    pub(crate) point_formats: Option<&'a [u8]>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) early_data: bool,
    pub(crate) pre_shared_key: bool,
    pub(crate) psk_modes: bool,
    extensions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Decodes the body of the message.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(body);
        let legacy_version = input.u16()?;
        let random = input.array()?;
        let session_id = input.vec8()?.rest();
        if session_id.len() > 32 {
            return Err(Error::Malformed);
        }
        let suites = Codes::new(input.vec16()?.rest())?;
        let compression = input.vec8()?.rest();
        // RFC 8446 section 4.1.2: opaque legacy_compression_methods<1..2^8-1>.
        if compression.is_empty() {
            return Err(Error::Malformed);
        }
        // RFC 5246 section 7.4.1.2: the extensions are there if bytes follow the compression methods.
        let extensions = if input.is_empty() { &[][..] } else { input.vec16()?.rest() };
        end(&input)?;
        let mut hello = Self {
            legacy_version,
            random,
            session_id,
            suites,
            compression,
            server_name: None,
            versions: None,
            groups: None,
            signatures: None,
            key_shares: None,
            alpn: None,
            point_formats: None,
            renegotiation_info: None,
            extended_master_secret: false,
            early_data: false,
            pre_shared_key: false,
            psk_modes: false,
            extensions,
        };
        let mut seen = Seen::default();
        let mut list = Extensions(Reader::new(extensions));
        while let Some((code, body)) = list.next()? {
            seen.add(code)?;
            // RFC 8446 section 4.2.11: pre_shared_key MUST be the last extension.
            if hello.pre_shared_key {
                return Err(Error::BadPreSharedKey);
            }
            hello.extension(code, body)?;
        }
        // RFC 8446 section 4.2.9: pre_shared_key without psk_key_exchange_modes MUST abort.
        if hello.pre_shared_key && !hello.psk_modes {
            return Err(Error::MissingExtension);
        }
        Ok(hello)
    }

    fn extension(&mut self, code: u16, body: &'a [u8]) -> Result<(), Error> {
        let mut input = Reader::new(body);
        match code {
            extension::SERVER_NAME => {
                self.server_name = server_name(&mut input)?;
            }
            extension::SUPPORTED_VERSIONS => self.versions = Some(Codes::new(input.vec8()?.rest())?),
            extension::SUPPORTED_GROUPS => self.groups = Some(Codes::new(input.vec16()?.rest())?),
            extension::SIGNATURE_ALGORITHMS => self.signatures = Some(Codes::new(input.vec16()?.rest())?),
            extension::KEY_SHARE => self.key_shares = Some(KeyShares::new(input.vec16()?.rest())?),
            extension::ALPN => {
                let list = input.vec16()?.rest();
                check_protocols(list)?;
                self.alpn = Some(list);
            }
            extension::EC_POINT_FORMATS => {
                let formats = input.vec8()?.rest();
                if formats.is_empty() {
                    return Err(Error::Malformed);
                }
                self.point_formats = Some(formats);
            }
            extension::RENEGOTIATION_INFO => self.renegotiation_info = Some(input.vec8()?.rest()),
            extension::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            extension::EARLY_DATA => self.early_data = true,
            extension::PRE_SHARED_KEY => {
                self.pre_shared_key = true;
                return Ok(());
            }
            extension::PSK_KEY_EXCHANGE_MODES => {
                if input.vec8()?.is_empty() {
                    return Err(Error::Malformed);
                }
                self.psk_modes = true;
            }
            // RFC 8446 section 4.1.2: servers MUST ignore unrecognized extensions.
            _ => return Ok(()),
        }
        end(&input)
    }

    /// A digest of what a second ClientHello may not change.
    ///
    /// RFC 8446 section 4.1.2: the client sends the same ClientHello without modification, except for
    /// key_share, early_data, cookie, pre_shared_key and padding.
    pub(crate) fn constant_part(&self) -> Digest {
        let mut running = Running::new(Hash::Sha256);
        running.update(&self.legacy_version.to_be_bytes());
        running.update(&self.random);
        for field in [self.session_id, self.suites.bytes(), self.compression] {
            running.update(&field.len().to_be_bytes());
            running.update(field);
        }
        let mut list = Extensions(Reader::new(self.extensions));
        while let Ok(Some((code, body))) = list.next() {
            if !matches!(
                code,
                extension::KEY_SHARE
                    | extension::EARLY_DATA
                    | extension::COOKIE
                    | extension::PRE_SHARED_KEY
                    | extension::PADDING
            ) {
                running.update(&code.to_be_bytes());
                running.update(&body.len().to_be_bytes());
                running.update(body);
            }
        }
        running.peek()
    }

    /// The protocols that the client offers.
    pub(crate) fn offers_protocol(&self, protocol: &[u8]) -> bool {
        let mut input = Reader::new(self.alpn.unwrap_or_default());
        std::iter::from_fn(|| input.vec8().ok()).any(|offered| offered.rest() == protocol)
    }
}

/// The list of extensions, in order.
pub(crate) struct Extensions<'a>(pub(crate) Reader<'a>);

impl<'a> Extensions<'a> {
    pub(crate) fn next(&mut self) -> Result<Option<(u16, &'a [u8])>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.0.u16()?, self.0.vec16()?.rest())))
    }
}

/// Extension types met so far.
pub(crate) struct Seen {
    codes: [u16; MAX_EXTENSIONS],
    len: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { codes: [0; MAX_EXTENSIONS], len: 0 }
    }
}

impl Seen {
    /// RFC 8446 section 4.2: there MUST NOT be more than one extension of the same type.
    pub(crate) fn add(&mut self, code: u16) -> Result<(), Error> {
        if self.codes.iter().take(self.len).any(|&seen| seen == code) {
            return Err(Error::DuplicateExtension);
        }
        *self.codes.get_mut(self.len).ok_or(Error::TooManyExtensions)? = code;
        self.len = self.len.saturating_add(1);
        Ok(())
    }
}

/// The shares of a key_share extension (RFC 8446 section 4.2.8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyShares<'a>(&'a [u8]);

impl<'a> KeyShares<'a> {
    fn new(list: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader::new(list);
        while !input.is_empty() {
            input.u16()?;
            if input.vec16()?.is_empty() {
                return Err(Error::Malformed);
            }
        }
        Ok(Self(list))
    }

    fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut input = Reader::new(self.0);
        std::iter::from_fn(move || Some((input.u16().ok()?, input.vec16().ok()?.rest())))
    }

    /// The share for `group`.
    ///
    /// RFC 8446 section 4.2.8: clients MUST NOT offer multiple shares for the same group, nor a share
    /// for a group that is not in supported_groups.
    pub(crate) fn find(self, group: Group, offered: Codes<'_>) -> Result<Option<&'a [u8]>, Error> {
        let mut shares = self.iter().filter(|(code, _)| *code == group.code());
        let Some((code, share)) = shares.next() else { return Ok(None) };
        if shares.next().is_some() || !offered.contains(code) {
            return Err(Error::BadKeyShare);
        }
        Ok(Some(share))
    }

    /// The one share of a second ClientHello.
    pub(crate) fn only(self) -> Option<(u16, &'a [u8])> {
        let mut shares = self.iter();
        let share = shares.next()?;
        shares.next().is_none().then_some(share)
    }
}

/// The host name (RFC 6066 section 3); other kinds of name are passed over.
fn server_name<'a>(input: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Error> {
    let mut list = input.vec16()?;
    let mut host = None;
    if list.is_empty() {
        return Err(Error::Malformed);
    }
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = list.vec16()?.rest();
        // RFC 6066 section 3: there MUST NOT be more than one name of the same type.
        if kind == 0 && (name.is_empty() || host.replace(name).is_some()) {
            return Err(Error::Malformed);
        }
    }
    Ok(host)
}

/// RFC 7301 section 3.1: a list of at least one name, and empty names MUST NOT be included.
fn check_protocols(list: &[u8]) -> Result<(), Error> {
    let mut input = Reader::new(list);
    if input.is_empty() {
        return Err(Error::Malformed);
    }
    while !input.is_empty() {
        if input.vec8()?.is_empty() {
            return Err(Error::Malformed);
        }
    }
    Ok(())
}

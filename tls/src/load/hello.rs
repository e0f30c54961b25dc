//! The ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2): a template that is encoded once, and
//! what changes with each handshake.

use levee_buf::{Chain, Full, Memory, Writer};
use levee_crypto::{Digest, Group, Hash, Running, Secret as Agreed, TAG_LEN};

use super::config::ClientOptions;
use super::mlkem;
use super::tickets::{Secret, Ticket};
use crate::codec::append;
use crate::config::ConfigError;
use crate::error::Error;
use crate::messages::server_flight::{Written, extension, message};
use crate::messages::{SessionId, extension, kind};
use crate::suite::Version;
use crate::transcript::Transcript;

/// The most bytes of the extensions that never change.
const MAX_EXTENSIONS: usize = 8192;

/// The most bytes of everything but the template, a ticket and a cookie: header, random, session id, and
/// the extensions with renegotiation data and with a binder, and what stands around ticket and cookie.
const MAX_REST: usize = 4 + 2 + 32 + 33 + 2 + (5 + 12) + 4 + 6 + (4 + 8 + 2 + 3 + 48);

/// The longest cookie that is given back.
pub(super) const MAX_COOKIE: usize = 1024;

/// The generator of P-256 (SEC 2 section 2.4.2), uncompressed.
const P256_GENERATOR: [u8; 65] = [
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
    0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
    0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// The base point of X25519 (RFC 7748 section 4.1): u = 9.
const X25519_GENERATOR: [u8; 32] = {
    let mut u = [0; 32];
    u[0] = 9;
    u
};

/// The generator of P-384 (SEC 2 section 2.5.1), uncompressed.
const P384_GENERATOR: [u8; 97] = [
    0x04, 0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3, 0x20, 0xad, 0x74,
    0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41, 0xe0, 0x82, 0x54, 0x2a, 0x38, 0x55,
    0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a, 0x54, 0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7, 0x36, 0x17,
    0xde, 0x4a, 0x96, 0x26, 0x2c, 0x6f, 0x5d, 0x9e, 0x98, 0xbf, 0x92, 0x92, 0xdc, 0x29, 0xf8, 0xf4, 0x1d,
    0xbd, 0x28, 0x9a, 0x14, 0x7c, 0xe9, 0xda, 0x31, 0x13, 0xb5, 0xf0, 0xb8, 0xc0, 0x0a, 0x60, 0xb1, 0xce,
    0x1d, 0x7e, 0x81, 0x9d, 0x7a, 0x43, 0x1d, 0x7c, 0x90, 0xea, 0x0e, 0x5f,
];

/// Our share: the generator; of the hybrid that, behind an encapsulation key that hides nothing.
pub(super) const fn share(group: Group) -> &'static [u8] {
    match group {
        Group::X25519 => &X25519_GENERATOR,
        Group::Secp256r1 => &P256_GENERATOR,
        Group::Secp384r1 => &P384_GENERATOR,
        Group::X25519MlKem768 => &mlkem::SHARE,
    }
}

/// What is agreed on with the generator as our share: the server's `share` itself.
pub(super) fn agreed(group: Group, share: &[u8]) -> Result<Agreed, Error> {
    let secret = match group {
        Group::X25519 => share.try_into().ok().map(Agreed::new::<32>),
        Group::Secp256r1 => x_coordinate::<32>(share).map(Agreed::new),
        Group::Secp384r1 => x_coordinate::<48>(share).map(Agreed::new),
        Group::X25519MlKem768 => mlkem::agreed(share).map(Agreed::new),
    };
    secret.ok_or(Error::BadKeyShare)
}

/// Of an uncompressed point; it is the secret (RFC 8446 section 7.4.2).
fn x_coordinate<const N: usize>(share: &[u8]) -> Option<[u8; N]> {
    let (x, y) = share.strip_prefix(&[4])?.split_first_chunk()?;
    (y.len() == N).then_some(*x)
}

/// The parts of a ClientHello that are the same in all.
pub(super) struct Template {
    /// Cipher suites and compression methods.
    suites: Vec<u8>,
    first_group: Group,
    /// The extensions, for each group a share may be sent of.
    extensions: Vec<(Group, Vec<u8>)>,
    sha256: bool,
    sha384: bool,
    tls12: bool,
    tls13: bool,
    tickets12: bool,
}

/// What is particular to one ClientHello.
pub(super) struct Parts<'a> {
    pub(super) random: &'a [u8; 32],
    pub(super) session_id: &'a SessionId,
    pub(super) group: Group,
    /// The client's verify_data of the handshake before (RFC 5746 section 3.5).
    pub(super) renegotiation: &'a [u8],
    pub(super) cookie: Option<&'a [u8]>,
    pub(super) ticket: Option<&'a Ticket>,
}

impl Template {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, ConfigError> {
        let with = |version: Version| options.versions.contains(&version);
        let suite_for = |version: &Version| options.suites.iter().any(|suite| suite.version() == *version);
        if options.versions.is_empty() || !options.versions.iter().all(suite_for) {
            return Err(ConfigError::NoSuite);
        }
        let first_group = *options.groups.first().ok_or(ConfigError::NoGroup)?;
        if options.schemes.is_empty() {
            return Err(ConfigError::NoScheme);
        }
        let fits = |protocol: &Vec<u8>| (1..=255).contains(&protocol.len());
        if options.alpn.len() > 255 || !options.alpn.iter().all(fits) {
            return Err(ConfigError::BadProtocol);
        }
        if options.server_name.as_ref().is_some_and(|name| !(1..=253).contains(&name.len())) {
            return Err(ConfigError::BadServerName);
        }
        let (tls12, tls13) = (with(Version::Tls12), with(Version::Tls13));
        let encoded = |write: &dyn Fn(&mut Writer<'_>) -> Written| {
            let mut room = vec![0; MAX_EXTENSIONS];
            let mut out = Writer::new(&mut room);
            // Of all lists that of the protocols alone can be too long.
            write(&mut out).map_err(|Full| ConfigError::BadProtocol)?;
            let length = out.len();
            room.truncate(length);
            Ok(room)
        };
        let suites = encoded(&|out| {
            out.vector::<2>(|out| options.suites.iter().try_for_each(|suite| out.u16(suite.code())))?;
            out.bytes(&[1, 0])
        })?;
        let extensions = |group: &Group| Ok((*group, encoded(&|out| extensions(out, options, *group))?));
        let uses = |hash: Hash| options.suites.iter().any(|suite| suite.hash() == hash);
        Ok(Self {
            suites,
            first_group,
            extensions: options.groups.iter().map(extensions).collect::<Result<_, ConfigError>>()?,
            sha256: uses(Hash::Sha256),
            sha384: uses(Hash::Sha384),
            tls12,
            tls13,
            tickets12: tls12 && options.resume,
        })
    }

    /// The group whose share is sent first.
    pub(super) const fn first_group(&self) -> Group {
        self.first_group
    }

    /// The hashes of a ClientHello that is yet to be written.
    pub(super) fn hashes(&self) -> Hashes {
        let running = |wanted: bool, hash: Hash| wanted.then(|| Running::new(hash));
        Hashes { sha256: running(self.sha256, Hash::Sha256), sha384: running(self.sha384, Hash::Sha384) }
    }

    /// Whether a session id is sent that nothing is resumed by: RFC 8446 appendix D.4 wants one for
    /// middleboxes, and RFC 5077 section 3.4 to see whether a ticket was taken.
    pub(super) fn wants_session_id(&self, ticket: Option<&Ticket>) -> bool {
        self.tls13 || ticket.is_some()
    }

    /// Memory for a record of the message with `prefix` bytes in front, and what seals it behind.
    pub(super) fn alloc<M: Memory>(
        &self,
        prefix: usize,
        ticket: Option<&Ticket>,
        cookie: Option<&[u8]>,
        memory: &M,
    ) -> Option<M::Chain> {
        memory.alloc(prefix + self.most(ticket, cookie) + TAG_LEN)
    }

    fn most(&self, ticket: Option<&Ticket>, cookie: Option<&[u8]>) -> usize {
        let extensions = self.extensions.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default();
        let particular = ticket.map_or(0, |ticket| ticket.bytes.len()) + cookie.map_or(0, <[u8]>::len);
        MAX_REST + self.suites.len() + extensions + particular
    }

    /// Writes the message behind the end of `wire` with `prefix` bytes in front, hashes it and puts the
    /// binder of its ticket in. Returns its length.
    pub(super) fn write<C: Chain>(
        &self,
        wire: &mut C,
        prefix: usize,
        parts: &Parts<'_>,
        hashes: &mut Hashes,
    ) -> Result<usize, Error> {
        let start = wire.len() + prefix;
        let length = append(wire, prefix + self.most(parts.ticket, parts.cookie), |out| {
            out.reserve(prefix)?;
            self.message(out, parts)
        })?;
        let bytes = wire.chunk_mut(start).ok_or(Error::SealFailed)?;
        let Some(Secret::Tls13(key)) = parts.ticket.map(|ticket| &ticket.secret) else {
            hashes.update(bytes);
            return Ok(length - prefix);
        };
        // RFC 8446 section 4.2.11.2: the binder is over what stands in front of the binders.
        let at = bytes.len().saturating_sub(2 + 1 + key.hash().len());
        let (truncated, binders) = bytes.split_at_mut(at);
        hashes.update(truncated);
        let transcript = hashes.peek(key.hash()).ok_or(Error::SealFailed)?;
        let (_, binder) = binders.split_first_chunk_mut::<3>().ok_or(Error::SealFailed)?;
        binder.copy_from_slice(&key.binder(&transcript));
        hashes.update(binders);
        Ok(length - prefix)
    }

    fn message(&self, out: &mut Writer<'_>, parts: &Parts<'_>) -> Written {
        message(out, kind::CLIENT_HELLO, |out| {
            out.u16(Version::Tls12.code())?;
            out.bytes(parts.random)?;
            out.vector::<1>(|out| out.bytes(parts.session_id.bytes()))?;
            out.bytes(&self.suites)?;
            out.vector::<2>(|out| {
                let fixed = self.extensions.iter().find(|(group, _)| *group == parts.group).ok_or(Full)?;
                out.bytes(&fixed.1)?;
                self.particular(out, parts)
            })
        })
    }

    /// The extensions that are not in the template.
    fn particular(&self, out: &mut Writer<'_>, parts: &Parts<'_>) -> Written {
        if self.tls12 {
            extension(out, extension::RENEGOTIATION_INFO, |out| {
                out.vector::<1>(|out| out.bytes(parts.renegotiation))
            })?;
        }
        if let Some(cookie) = parts.cookie {
            extension(out, extension::COOKIE, |out| out.vector::<2>(|out| out.bytes(cookie)))?;
        }
        let (old, new) = match parts.ticket {
            Some(Ticket { bytes, secret: Secret::Tls12 { .. }, .. }) => (&bytes[..], None),
            Some(ticket @ Ticket { secret: Secret::Tls13(key), .. }) => (&[][..], Some((ticket, key))),
            None => (&[][..], None),
        };
        if self.tickets12 {
            extension(out, extension::SESSION_TICKET, |out| out.bytes(old))?;
        }
        // RFC 8446 section 4.2.11: pre_shared_key MUST be the last extension.
        let Some((ticket, key)) = new else { return Ok(()) };
        extension(out, extension::PRE_SHARED_KEY, |out| {
            out.vector::<2>(|out| {
                out.vector::<2>(|out| out.bytes(&ticket.bytes))?;
                // We have no clock: the ticket is of age zero, which matters to early data alone.
                out.u32(ticket.age_add)
            })?;
            out.vector::<2>(|out| out.vector::<1>(|out| out.reserve(key.hash().len()).map(|_| ())))
        })
    }
}

/// The extensions that are in all ClientHellos with a share of `group`.
fn extensions(out: &mut Writer<'_>, options: &ClientOptions, group: Group) -> Written {
    let (tls12, tls13) = (Version::Tls12, Version::Tls13);
    let with = |version: Version| options.versions.contains(&version);
    if let Some(name) = &options.server_name {
        extension(out, extension::SERVER_NAME, |out| {
            out.vector::<2>(|out| {
                out.u8(0)?;
                out.vector::<2>(|out| out.bytes(name.as_bytes()))
            })
        })?;
    }
    extension(out, extension::SUPPORTED_GROUPS, |out| {
        out.vector::<2>(|out| options.groups.iter().try_for_each(|group| out.u16(group.code())))
    })?;
    extension(out, extension::SIGNATURE_ALGORITHMS, |out| {
        out.vector::<2>(|out| options.schemes.iter().try_for_each(|scheme| out.u16(scheme.code())))
    })?;
    if !options.alpn.is_empty() {
        extension(out, extension::ALPN, |out| {
            out.vector::<2>(|out| {
                options.alpn.iter().try_for_each(|name| out.vector::<1>(|out| out.bytes(name)))
            })
        })?;
    }
    if with(tls12) {
        extension(out, extension::EC_POINT_FORMATS, |out| out.bytes(&[1, 0]))?;
        extension(out, extension::EXTENDED_MASTER_SECRET, |_| Ok(()))?;
    }
    if !with(tls13) {
        return Ok(());
    }
    extension(out, extension::SUPPORTED_VERSIONS, |out| {
        let both: &[Version] = if with(tls12) { &[tls13, tls12] } else { &[tls13] };
        out.vector::<1>(|out| both.iter().try_for_each(|version| out.u16(version.code())))
    })?;
    if options.resume {
        // psk_dhe_ke (RFC 8446 section 4.2.9).
        extension(out, extension::PSK_KEY_EXCHANGE_MODES, |out| out.bytes(&[1, 1]))?;
    }
    extension(out, extension::KEY_SHARE, |out| {
        out.vector::<2>(|out| {
            out.u16(group.code())?;
            out.vector::<2>(|out| out.bytes(share(group)))
        })
    })
}

/// A transcript whose hash is not chosen yet: one for each hash that the suites on offer have.
#[derive(Clone, Default)]
pub(super) struct Hashes {
    sha256: Option<Running>,
    sha384: Option<Running>,
}

impl Hashes {
    fn of(&self, hash: Hash) -> &Option<Running> {
        match hash {
            Hash::Sha256 => &self.sha256,
            Hash::Sha384 => &self.sha384,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.iter_mut().chain(&mut self.sha384).for_each(|running| running.update(bytes));
    }

    pub(super) fn peek(&self, hash: Hash) -> Option<Digest> {
        self.of(hash).as_ref().map(Running::peek)
    }

    /// What a HelloRetryRequest of a suite with `hash` makes of it.
    pub(super) fn retried(&self, hash: Hash, request: &[u8]) -> Option<Self> {
        let mut running = Transcript::after(hash, &self.peek(hash)?).into_running();
        running.update(request);
        Some(match hash {
            Hash::Sha256 => Self { sha256: Some(running), sha384: None },
            Hash::Sha384 => Self { sha256: None, sha384: Some(running) },
        })
    }

    /// The transcript of a suite with `hash`, if one of the offer has it.
    pub(super) fn into_transcript(self, hash: Hash) -> Option<Transcript> {
        let Self { sha256, sha384 } = self;
        match hash {
            Hash::Sha256 => sha256,
            Hash::Sha384 => sha384,
        }
        .map(Transcript::begun)
    }
}

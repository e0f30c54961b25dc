//! Which fields go on to the next hop: `Fields::end_to_end`.

use crate::field::Fields;

/// The most field names that Connection may list; [`crate::framing`] refuses a message with more.
pub(crate) const CONNECTION_OPTIONS: usize = 16;

/// Fields of one connection, with those that a proxy consumes.
///
/// RFC 9110 section 7.6.1: "Intermediaries SHOULD remove or replace fields that are known to require
/// removal before forwarding, whether or not they appear as a connection-option".
static HOP_BY_HOP: Names<10> = Names::new([
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
]);

impl<'a> Fields<'a> {
    /// The field lines that go on to the next hop, and that a cache may store: without those of the
    /// connection, those that Connection lists, and those for a proxy.
    ///
    /// Content-Length is among them; whoever writes a message writes its own.
    pub fn end_to_end(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let listed = Listed::of(self);
        self.iter().filter(move |(name, _)| !HOP_BY_HOP.has(name) && !listed.has(name))
    }
}

/// A few field names in lower case, shorter than 32 bytes.
pub(crate) struct Names<const N: usize> {
    names: [&'static [u8]; N],
    /// A bit for each length that a name has: most names are told apart by it.
    lengths: u32,
}

impl<const N: usize> Names<N> {
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "constants, checked when built"
    )]
    pub(crate) const fn new(names: [&'static [u8]; N]) -> Self {
        let (mut lengths, mut at) = (0, 0);
        while at < N {
            lengths |= 1 << names[at].len();
            at += 1;
        }
        Self { names, lengths }
    }

    /// Whether `name` is one of them, as a backend may read it.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        let bit = u32::try_from(name.len()).ok().and_then(|len| self.lengths.checked_shr(len)).unwrap_or(0);
        bit & 1 == 1 && self.names.iter().any(|each| same_name(name, each))
    }
}

/// Whether two names are the same to a backend: in any case, and with `_` for `-`, which CGI and its
/// heirs cannot tell apart (RFC 3875 section 4.1.18).
#[must_use]
pub fn same_name(one: &[u8], other: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(fold).eq(other.iter().map(fold))
}

/// A connection option that names no field.
pub(crate) fn is_plain_option(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close")
        || option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"upgrade")
}

/// The field names that Connection lists, collected once so that removing them costs no more than
/// fields times [`CONNECTION_OPTIONS`].
#[derive(Clone, Copy)]
struct Listed<'a> {
    names: [&'a [u8]; CONNECTION_OPTIONS],
    len: usize,
}

impl<'a> Listed<'a> {
    fn of(fields: &Fields<'a>) -> Self {
        let mut listed = Self { names: [&[]; CONNECTION_OPTIONS], len: 0 };
        let options = fields.list(b"connection").filter(|option| !is_plain_option(option));
        for (place, option) in listed.names.iter_mut().zip(options) {
            *place = option;
            listed.len = listed.len.saturating_add(1);
        }
        listed
    }

    fn has(&self, name: &[u8]) -> bool {
        self.names.iter().take(self.len).any(|each| same_name(name, each))
    }
}

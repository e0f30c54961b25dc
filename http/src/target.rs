//! The request target (RFC 9112 section 3.2) and the authority that a request is for.

use core::net::Ipv6Addr;

use crate::chars::{decimal, is_target, is_unreserved};
use crate::error::Reason;
use crate::field::Fields;
use crate::head::{Method, Version};

/// The form of a request target. The authority-form belongs to CONNECT, which is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// A request target of visible ASCII characters without a fragment.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    form: Form,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Its form as received.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The path with its leading slash, as sent: neither decoded nor normalised; `*` for a server-wide
    /// OPTIONS.
    #[must_use]
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// What stands behind the first question mark.
    #[must_use]
    pub const fn query(&self) -> Option<&'a [u8]> {
        self.query
    }
}

/// A host and port (RFC 3986 section 3.2 without userinfo).
#[derive(Clone, Copy, Debug, Default)]
pub struct Authority<'a> {
    bytes: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Host and port as sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The host as sent, of any case; an IPv6 address with its brackets.
    #[must_use]
    pub const fn host(&self) -> &'a [u8] {
        self.host
    }

    /// The port, when one is named.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether there is none: HTTP/1.0 without Host.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// `uri-host [ ":" port ]`; `None` when it is none.
    ///
    /// Names are held to `unreserved` characters: the percent-encoding and delimiters that RFC 3986
    /// admits occur in no DNS name, and are read differently by different backends.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let host_len = match bytes {
            [b'[', rest @ ..] => {
                let close = rest.iter().position(|&byte| byte == b']')?;
                let address = core::str::from_utf8(rest.get(..close)?).ok()?;
                address.parse::<Ipv6Addr>().ok()?;
                close.checked_add(2)?
            }
            _ => bytes.iter().position(|&byte| byte == b':').unwrap_or(bytes.len()),
        };
        let (host, rest) = bytes.split_at_checked(host_len)?;
        let valid = host.first() == Some(&b'[') || host.iter().all(|&byte| is_unreserved(byte));
        if host.is_empty() || !valid {
            return None;
        }
        let port = match rest {
            [] | [b':'] => None,
            [b':', port @ ..] => Some(u16::try_from(decimal(port)?).ok()?),
            _ => return None,
        };
        Some(Self { bytes, host, port })
    }
}

/// The target in `raw` and, in absolute-form, its authority.
pub(crate) fn parse<'a>(
    raw: &'a [u8],
    method: Method,
) -> Result<(Target<'a>, Option<Authority<'a>>), Reason> {
    if raw.is_empty() || !raw.iter().all(|&byte| is_target(byte)) {
        return Err(Reason::Target);
    }
    match raw {
        [b'/', ..] => Ok((split(Form::Origin, raw), None)),
        // RFC 9112 section 3.2.4: "The asterisk-form of request-target is only used for a server-wide
        // OPTIONS request".
        b"*" if method == Method::Options => {
            Ok((Target { form: Form::Asterisk, path: raw, query: None }, None))
        }
        b"*" => Err(Reason::TargetAsterisk),
        _ => absolute(raw, method),
    }
}

fn absolute(raw: &[u8], method: Method) -> Result<(Target<'_>, Option<Authority<'_>>), Reason> {
    let colon = raw.windows(3).position(|window| window == b"://").ok_or(Reason::Target)?;
    let (scheme, rest) = raw.split_at_checked(colon).ok_or(Reason::Target)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(Reason::TargetScheme);
    }
    let rest = rest.get(3..).ok_or(Reason::Target)?;
    let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(Reason::Target)?;
    // RFC 9110 section 4.2.4: a recipient "SHOULD parse for userinfo and treat its presence as an
    // error".
    let authority = Authority::parse(authority).ok_or(Reason::TargetAuthority)?;
    // RFC 9112 section 3.2.4: of an OPTIONS in absolute-form "in which the URI has an empty path and no
    // query component", "the last proxy on the request chain MUST send a request-target of "*"".
    let path = if path.is_empty() && method == Method::Options { b"*" } else { path };
    Ok((split(Form::Absolute, path), Some(authority)))
}

/// RFC 9112 section 3.2.1: "If the target URI's path component is empty, the client MUST send "/" as
/// the path within the origin-form of request-target."
fn split(form: Form, raw: &[u8]) -> Target<'_> {
    let mark = raw.iter().position(|&byte| byte == b'?').unwrap_or(raw.len());
    let (path, query) = raw.split_at_checked(mark).unwrap_or((raw, &[]));
    let path: &[u8] = if path.is_empty() { b"/" } else { path };
    Target { form, path, query: query.get(1..) }
}

/// The authority that the request is for.
///
/// RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more than
/// one Host header field line or a Host header field with an invalid field value."
pub(crate) fn authority<'a>(
    of_target: Option<Authority<'a>>,
    fields: &Fields<'a>,
    version: Version,
) -> Result<Authority<'a>, Reason> {
    let mut hosts = fields.all(b"host");
    let host = match hosts.next() {
        Some(value) => Some(Authority::parse(value).ok_or(Reason::HostInvalid)?),
        None if version == Version::Http11 => return Err(Reason::HostMissing),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(Reason::HostRepeated);
    }
    Ok(of_target.or(host).unwrap_or_default())
}

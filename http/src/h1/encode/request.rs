//! The head of a request to a backend.

use core::net::IpAddr;

use levee_buf::{Full, Writer};

use super::{display, field, fields_room, number, number_field, via};
use crate::chars::decimal;
use crate::head::{Length, Method, RequestHead};
use crate::hop::Names;

/// What a request becomes on its way to the backend.
#[derive(Clone, Copy, Debug)]
pub struct RequestRewrite<'a> {
    /// The client's address, appended to X-Forwarded-For.
    pub client: IpAddr,
    /// Whether the client came over TLS: X-Forwarded-Proto is set to `https` or `http`.
    pub https: bool,
    /// The framing of the content as it is sent. [`Length::UntilClose`] is sent as chunked.
    pub length: Length,
    /// Whether the connection to the backend is to live on after the response.
    pub keep_alive: bool,
    /// Whether Upgrade goes with it: [`crate::framing::RequestFraming::upgrade`], if the route allows.
    pub upgrade: bool,
    /// Whether the backend is asked for a 100 (Continue); else the expectation ends here.
    pub expect_continue: bool,
    /// A Host in place of the client's; what the client asked for goes as X-Forwarded-Host.
    pub host: Option<&'a [u8]>,
    /// For a fetch into a cache, which is of the whole representation whatever part of it, and under
    /// whatever conditions, the client asked for.
    pub fetch: Option<Conditions<'a>>,
}

/// The conditions of a cache's own (RFC 9111 section 4.3.1), in place of the client's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// The value of If-None-Match.
    pub if_none_match: Option<&'a [u8]>,
    /// The value of If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
}

/// Bytes that [`request`] writes at most.
#[must_use]
pub fn request_room(head: &RequestHead<'_>, rewrite: &RequestRewrite<'_>) -> usize {
    // The constant covers the request line's fixed parts, Host, the four fields for the backend with the
    // longest address, framing, Connection and the names of conditions.
    [
        head.method_name.len(),
        head.target.path().len(),
        head.target.query().map_or(0, <[u8]>::len),
        head.authority.as_bytes().len().saturating_mul(2),
        rewrite.host.map_or(0, <[u8]>::len),
        rewrite.fetch.and_then(|fetch| fetch.if_none_match).map_or(0, <[u8]>::len),
        rewrite.fetch.and_then(|fetch| fetch.if_modified_since).map_or(0, <[u8]>::len),
        fields_room(&head.fields),
    ]
    .into_iter()
    .fold(448, usize::saturating_add)
}

/// Writes the head for the backend.
///
/// The target in origin-form, Host from the authority, the end-to-end fields in their order, then what
/// the backend is told about the client, then our own framing.
///
/// # Errors
/// [`Full`] when `out` has less than [`request_room`].
pub fn request(
    head: &RequestHead<'_>,
    rewrite: &RequestRewrite<'_>,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    out.bytes(head.method_name)?;
    out.bytes(b" ")?;
    out.bytes(head.target.path())?;
    if let Some(query) = head.target.query() {
        out.bytes(b"?")?;
        out.bytes(query)?;
    }
    // RFC 9112 section 2.3: "Intermediaries ... MUST send their own HTTP-version in forwarded messages".
    out.bytes(b" HTTP/1.1\r\n")?;
    let authority = head.authority.as_bytes();
    field(out, b"Host", rewrite.host.unwrap_or(authority))?;
    for (name, value) in head.fields.end_to_end().filter(|(name, _)| !REBUILT.has(name)) {
        if rewrite.fetch.is_some() && SELECTING.has(name) {
            continue;
        }
        if head.method == Method::Options && name.eq_ignore_ascii_case(b"max-forwards") {
            max_forwards(out, name, value)?;
        } else {
            field(out, name, value)?;
        }
    }
    if let Some(fetch) = rewrite.fetch {
        if let Some(tag) = fetch.if_none_match {
            field(out, b"If-None-Match", tag)?;
        }
        if let Some(date) = fetch.if_modified_since {
            field(out, b"If-Modified-Since", date)?;
        }
    }
    forwarded_for(head, rewrite.client, out)?;
    field(out, b"X-Forwarded-Proto", if rewrite.https { b"https" } else { b"http" })?;
    if rewrite.host.is_some() && !authority.is_empty() {
        field(out, b"X-Forwarded-Host", authority)?;
    }
    via(out, head.version)?;
    match rewrite.length {
        Length::None => {}
        Length::Exact(length) => number_field(out, b"Content-Length", length)?,
        Length::Chunked | Length::UntilClose => field(out, b"Transfer-Encoding", b"chunked")?,
    }
    if rewrite.expect_continue {
        field(out, b"Expect", b"100-continue")?;
    }
    if rewrite.upgrade {
        for value in head.fields.all(b"upgrade") {
            field(out, b"Upgrade", value)?;
        }
        field(out, b"Connection", b"upgrade")?;
    } else if !rewrite.keep_alive {
        field(out, b"Connection", b"close")?;
    }
    out.bytes(b"\r\n")
}

/// Fields that are written anew, whatever the client sent under their names.
static REBUILT: Names<6> = Names::new([
    b"host",
    b"content-length",
    b"expect",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
]);

/// Fields that ask for a part, or for an answer under a condition (RFC 9110 sections 13.1 and 14.2).
static SELECTING: Names<6> = Names::new([
    b"range",
    b"if-range",
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
]);

/// The addresses that came with the request and the client's own, in one line.
fn forwarded_for(head: &RequestHead<'_>, client: IpAddr, out: &mut Writer<'_>) -> Result<(), Full> {
    out.bytes(b"X-Forwarded-For: ")?;
    let forwarded =
        head.fields.end_to_end().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for"));
    for (_, value) in forwarded.filter(|(_, value)| !value.is_empty()) {
        out.bytes(value)?;
        out.bytes(b", ")?;
    }
    display(out, format_args!("{client}\r\n"))
}

/// RFC 9110 section 7.6.2: of an OPTIONS, "the intermediary MUST generate an updated Max-Forwards field
/// in the forwarded message" whose value is one less.
fn max_forwards(out: &mut Writer<'_>, name: &[u8], value: &[u8]) -> Result<(), Full> {
    let Some(left) = decimal(value) else { return field(out, name, value) };
    out.bytes(name)?;
    out.bytes(b": ")?;
    number(out, left.saturating_sub(1))?;
    out.bytes(b"\r\n")
}

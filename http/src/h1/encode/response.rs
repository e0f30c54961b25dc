//! The head of a response to a client.

use levee_buf::{Full, Writer};

use super::{field, fields_room, number, number_field, via};
use crate::head::{Length, ResponseHead, Version};
use crate::hop::same_name;

/// What a response becomes on its way to the client.
#[derive(Clone, Copy, Debug)]
pub struct ResponseRewrite<'a> {
    /// The client's version.
    pub client: Version,
    /// The framing of the content as it is sent; see [`crate::framing::to_client`].
    pub length: Length,
    /// With [`Length::None`], the Content-Length to state all the same: answers to HEAD, and 304.
    pub content_length: Option<u64>,
    /// Whether the client's connection lives on.
    pub keep_alive: bool,
    /// Whether Upgrade goes with it: a 101.
    pub upgrade: bool,
    /// Which of the head's fields go; all when `None`.
    pub only: Option<fn(&[u8]) -> bool>,
    /// The age in seconds of a stored response, in place of any that came with it.
    pub age: Option<u64>,
    /// The present as an HTTP date, for a response without Date.
    pub date: &'a [u8; 29],
}

/// Bytes that [`response`] writes at most.
#[must_use]
pub fn response_room(head: &ResponseHead<'_>) -> usize {
    fields_room(&head.fields).saturating_add(head.reason.len()).saturating_add(256)
}

/// Writes the head for the client: status line, end-to-end fields in their order, then our own.
///
/// # Errors
/// [`Full`] when `out` has less than [`response_room`].
pub fn response(
    head: &ResponseHead<'_>,
    rewrite: &ResponseRewrite<'_>,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    // RFC 9112 section 2.3: "Intermediaries ... MUST send their own HTTP-version in forwarded messages".
    out.bytes(b"HTTP/1.1 ")?;
    number(out, u64::from(head.status))?;
    out.bytes(b" ")?;
    out.bytes(head.reason)?;
    out.bytes(b"\r\n")?;
    let rebuilt = |name: &[u8]| {
        same_name(name, b"content-length") || (rewrite.age.is_some() && same_name(name, b"age"))
    };
    let rebuilt = |name: &[u8]| rebuilt(name) || rewrite.only.is_some_and(|goes| !goes(name));
    for (name, value) in head.fields.end_to_end().filter(|(name, _)| !rebuilt(name)) {
        field(out, name, value)?;
    }
    via(out, head.version)?;
    if let Some(age) = rewrite.age {
        number_field(out, b"Age", age)?;
    }
    // RFC 9110 section 6.6.1: a recipient of "a response message without a Date header field MUST record
    // the time it was received and append a corresponding Date header field".
    if head.status >= 200 && !head.fields.contains(b"date") {
        field(out, b"Date", rewrite.date)?;
    }
    framing(head.status, rewrite, out)?;
    if rewrite.upgrade {
        for value in head.fields.all(b"upgrade") {
            field(out, b"Upgrade", value)?;
        }
        field(out, b"Connection", b"upgrade")?;
    } else if head.status >= 200 {
        connection(out, rewrite.client, rewrite.keep_alive && rewrite.length != Length::UntilClose)?;
    }
    out.bytes(b"\r\n")
}

/// Writes the framing fields.
///
/// RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response with a
/// status code of 1xx (Informational) or 204 (No Content)." RFC 9112 section 6.1 says the same of
/// Transfer-Encoding.
fn framing(status: u16, rewrite: &ResponseRewrite<'_>, out: &mut Writer<'_>) -> Result<(), Full> {
    if status < 200 || status == 204 {
        return Ok(());
    }
    match (rewrite.length, rewrite.content_length) {
        (Length::Exact(length), _) | (Length::None, Some(length)) => {
            number_field(out, b"Content-Length", length)
        }
        (Length::Chunked, _) => field(out, b"Transfer-Encoding", b"chunked"),
        (Length::None, None) | (Length::UntilClose, _) => Ok(()),
    }
}

/// Writes what the client does not take for granted.
pub(super) fn connection(out: &mut Writer<'_>, client: Version, keep_alive: bool) -> Result<(), Full> {
    match (client, keep_alive) {
        (Version::Http11, true) => Ok(()),
        (Version::Http10, true) => field(out, b"Connection", b"keep-alive"),
        // RFC 9112 section 9.6: "A server that receives a "close" connection option ... SHOULD send a
        // "close" connection option in its final response on that connection."
        (_, false) => field(out, b"Connection", b"close"),
    }
}

//! The stored form of a response's head: the text of an HTTP/1.1 head, as the parser takes it.
//!
//! Written without what belongs to one connection (RFC 9111 section 3.1) and without Age and
//! Content-Length, which each answer gets anew. Merging with a 304 follows section 3.2.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::conditional::is_entity_tag;
use levee_buf::{Full, Writer};
use levee_http::{FieldTable, Fields, Limits, MAX_FIELDS, ResponseHead, format_http_date};

/// What a stored head is made of.
pub(crate) struct Source<'a> {
    pub(crate) status: u16,
    pub(crate) reason: &'a [u8],
    pub(crate) fields: Fields<'a>,
    /// Fields of a 304 that replace those above.
    pub(crate) update: Option<Fields<'a>>,
    /// Unix seconds for the Date of a response without one.
    pub(crate) received_s: u64,
    pub(crate) keep_cookies: bool,
}

impl<'a> Source<'a> {
    /// Bytes that [`Source::write`] writes; `None` when the fields are more than a head can have.
    pub(crate) fn measure(&self) -> Option<usize> {
        let lines = self.lines().fold((0_usize, 0_usize), |(count, bytes), (name, value)| {
            (
                count.saturating_add(1),
                bytes.saturating_add(name.len()).saturating_add(value.len()).saturating_add(4),
            )
        });
        let (count, bytes) = lines;
        let (date, reserved) = if self.has_date() { (0, 0) } else { (DATE.len().saturating_add(33), 1) };
        // The status line is `HTTP/1.1 200 ` and the reason, with two line ends and the empty line's.
        (count.saturating_add(reserved) <= MAX_FIELDS)
            .then(|| bytes.saturating_add(date).saturating_add(self.reason.len()).saturating_add(17))
    }

    /// Writes the head, empty line included.
    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.bytes(b"HTTP/1.1 ")?;
        for divisor in [100, 10, 1_u16] {
            let digit = self.status.checked_div(divisor).unwrap_or(0) % 10;
            out.u8(b'0' | u8::try_from(digit).unwrap_or(0))?;
        }
        out.u8(b' ')?;
        out.bytes(self.reason)?;
        out.bytes(b"\r\n")?;
        for (name, value) in self.lines() {
            for part in [name, b": ", value, b"\r\n"] {
                out.bytes(part)?;
            }
        }
        if !self.has_date() {
            // RFC 9110 section 6.6.1: a recipient with a clock "MUST record the time it was received and
            // append a corresponding Date header field to the message's header section if it is cached".
            for part in [DATE, b": ", &format_http_date(self.received_s), b"\r\n"] {
                out.bytes(part)?;
            }
        }
        out.bytes(b"\r\n")
    }

    /// The lines that are stored.
    fn lines(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let update = self.update.unwrap_or_default();
        let kept = self.fields.iter().filter(move |(name, _)| {
            // Section 3.2: "the cache MUST add each header field in the provided response to the stored
            // response, replacing field values that are already present". The old Date is no part of a
            // response that was validated just now.
            let outdated = self.update.is_some() && name.eq_ignore_ascii_case(DATE);
            !outdated && (!update.contains(name) || is_left_out(&update, name, false))
        });
        let of_stored = kept.filter(|(name, _)| !is_left_out(&self.fields, name, self.keep_cookies));
        // The cookies of a 304 are for the one client whose request it answers.
        of_stored.chain(update.iter().filter(move |(name, _)| !is_left_out(&update, name, false)))
    }

    fn has_date(&self) -> bool {
        self.lines().any(|(name, _)| name.eq_ignore_ascii_case(DATE))
    }
}

/// Whether the field, which stands in a message with these fields, is not stored.
fn is_left_out(message: &Fields<'_>, name: &[u8], keep_cookies: bool) -> bool {
    let listed = |names: &[&[u8]]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    listed(NOT_STORED)
        || (!keep_cookies && listed(&[b"set-cookie", b"set-cookie2"]))
        || message.has_member(b"connection", name)
}

/// Reads a stored head.
pub(crate) fn parse<'a>(head: &'a [u8], fields: &'a mut FieldTable) -> Option<ResponseHead<'a>> {
    let limits = Limits { head_bytes: levee_buf::MAX_ROOM, request_line: 0, fields: MAX_FIELDS };
    levee_http::h1::parse_response(head, fields, &limits).ok()
}

/// The value of the first field of a stored head that has this name, in lower case.
pub(crate) fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let (own, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b": ")?.strip_suffix(b"\r")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Whether a head, whose fields `value` finds, has something to ask the backend by.
pub(crate) fn has_validator<'a>(value: impl Fn(&[u8]) -> Option<&'a [u8]>) -> bool {
    value(b"etag").is_some_and(is_entity_tag) || value(b"last-modified").is_some_and(|date| !date.is_empty())
}

const DATE: &[u8] = b"date";

/// RFC 9110 section 7.6.1 and RFC 9111 section 3.1; Content-Length and Age are made anew for each answer,
/// and Content-Range is processed away (section 3.2).
const NOT_STORED: &[&[u8]] = &[
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"content-length",
    b"content-range",
    b"age",
];

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

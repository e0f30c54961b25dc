//! Conditional requests answered from the store (RFC 9111 section 4.3.2, RFC 9110 section 13).
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_http::{Fields, RequestHead, ResponseHead};

use crate::fresh;

/// What a stored response answers a request with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// The stored status, head and body (HEAD: without the body).
    Full,
    /// 304, with the fields of the stored head for which [`in_not_modified`] holds.
    NotModified,
}

/// Whether a 304 carries the field named `name` of the 200 it stands for.
///
/// RFC 9110 section 15.4.5: "Content-Location, Date, ETag, and Vary" and "Cache-Control and Expires", and
/// no other representation metadata.
#[must_use]
pub fn in_not_modified(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b"content-location", b"date", b"etag", b"vary", b"cache-control", b"expires"];
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// Whether a request has a condition that a cache evaluates.
pub(crate) fn is_conditional(fields: &Fields<'_>) -> bool {
    fields.contains(b"if-none-match") || fields.contains(b"if-modified-since")
}

/// Evaluates the preconditions of `request` for `stored`, which was received at `received_s`.
///
/// In the order of RFC 9110 section 13.2.2, of which only steps 3 and 4 apply to a cache: "If-Match and
/// If-Unmodified-Since [...] are not applicable to a cache, and If-None-Match takes precedence over
/// If-Modified-Since" (RFC 9111 section 4.3.2).
pub(crate) fn evaluate(request: &RequestHead<'_>, stored: &ResponseHead<'_>, received_s: u64) -> Serve {
    // RFC 9110 section 13.2.1: a condition is ignored when the response without it is no success.
    if !(200..300).contains(&stored.status) {
        return Serve::Full;
    }
    if request.fields.contains(b"if-none-match") {
        return if none_match_fails(&request.fields, stored.fields.get(b"etag")) {
            Serve::NotModified
        } else {
            Serve::Full
        };
    }
    let Some(since) = fresh::date(&request.fields, b"if-modified-since") else { return Serve::Full };
    // RFC 9111 section 4.3.2: without Last-Modified, Date and then the time of reception stand in.
    let modified = match stored.fields.get(b"last-modified") {
        Some(_) => fresh::date(&stored.fields, b"last-modified"),
        None => Some(fresh::date(&stored.fields, b"date").unwrap_or(received_s)),
    };
    if modified.is_some_and(|modified| modified <= since) { Serve::NotModified } else { Serve::Full }
}

/// Whether If-None-Match names the stored response: `*` or, by weak comparison, its entity tag.
fn none_match_fails(request: &Fields<'_>, etag: Option<&[u8]>) -> bool {
    let mut tags = request.all(b"if-none-match").flat_map(EntityTags);
    tags.any(|tag| tag == b"*" || etag.is_some_and(|etag| weakly_equal(tag, etag)))
}

/// RFC 9110 section 8.8.3.2: equal "if their opaque-tags match character-by-character, regardless of either
/// or both being tagged as "weak"".
pub(crate) fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag| <[u8]>::strip_prefix(tag, b"W/").unwrap_or(tag);
    is_entity_tag(other) && opaque(one) == opaque(other)
}

/// RFC 9110 section 8.8.3.2: equal and neither weak.
pub(crate) fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    is_entity_tag(one) && !is_weak(one) && one == other
}

pub(crate) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// `entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE`
pub(crate) fn is_entity_tag(tag: &[u8]) -> bool {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inner = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.iter().all(|&byte| byte > b' ' && byte != b'"' && byte != 0x7f))
}

/// The entity tags of a list. A tag may hold commas and backslashes, which mean nothing in it
/// (RFC 9110 section 8.8.3), so that it is no quoted-string.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = self.0.get(start..)?;
        let open = rest.iter().position(|&byte| byte == b'"' || byte == b',').unwrap_or(rest.len());
        let end = match rest.get(open) {
            Some(b'"') => {
                let inner = rest.get(open.saturating_add(1)..)?;
                let close = inner.iter().position(|&byte| byte == b'"')?;
                open.saturating_add(close).saturating_add(2)
            }
            _ => open,
        };
        let (tag, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(tag.trim_ascii_end())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

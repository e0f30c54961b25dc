//! Secondary keys (RFC 9111 section 4.1): the request fields that a stored response's Vary names.
//!
//! A section of an entry's memory holds, for each name, the value that the request had which fetched the
//! response. At most [`NAMES`] names.
//!
//! ```text
//! name length (1) | name, lower case | 0: absent, 1: present | value length (2) | value
//! ```
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::hash::Hasher;

use levee_buf::{Full, Reader, Writer};
use levee_http::{Fields, same_name};
use siphasher::sip::SipHasher13;

use crate::reason::Reason;

/// The most names that a Vary may have.
pub(crate) const NAMES: usize = 16;

/// Fields by which a backend is told the client's address. What the proxy puts there the request does not
/// show, so that a response that varies by one of them never matches.
const FORWARDED: [&[u8]; 3] = [b"x-forwarded-for", b"forwarded", b"x-real-ip"];

/// Bytes that [`write()`] writes for a response with these fields to a request with those.
pub(crate) fn measure(response: &Fields<'_>, request: &Fields<'_>) -> Result<usize, Reason> {
    let mut total = 0_usize;
    for (count, name) in response.list(b"vary").enumerate() {
        if name == b"*" || FORWARDED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(Reason::VaryAny);
        }
        let length = selected(request, name).map_or(0, Iterator::count);
        if count >= NAMES || !is_name(name) || length > usize::from(u16::MAX) {
            return Err(Reason::VaryInvalid);
        }
        total = total.saturating_add(name.len()).saturating_add(length).saturating_add(4);
    }
    Ok(total)
}

/// Writes the section. [`measure`] has approved of both.
pub(crate) fn write(response: &Fields<'_>, request: &Fields<'_>, out: &mut Writer<'_>) -> Result<(), Full> {
    for name in response.list(b"vary") {
        out.vector::<1>(|out| name.iter().try_for_each(|byte| out.u8(byte.to_ascii_lowercase())))?;
        let value = selected(request, name);
        out.u8(u8::from(value.is_some()))?;
        out.vector::<2>(|out| value.into_iter().flatten().try_for_each(|byte| out.u8(byte)))?;
    }
    Ok(())
}

/// Whether `request` selects the response whose section this is.
///
/// "If (after any normalization that might take place) a header field is absent from a request, it can only
/// match another request if it is also absent there."
pub(crate) fn matches(section: &[u8], request: &Fields<'_>) -> bool {
    let mut section = Reader::new(section);
    while !section.is_empty() {
        let Some(Stored { name, value }) = Stored::read(&mut section) else { return false };
        let same = match (selected(request, name), value) {
            (None, None) => true,
            (Some(asked), Some(value)) => asked.eq(value.iter().copied()),
            _ => false,
        };
        if !same {
            return false;
        }
    }
    true
}

/// A keyed hash of what `request` has for the names of `section`.
pub(crate) fn hash(section: &[u8], request: &Fields<'_>, secret: &[u8; 16]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(secret);
    let mut section = Reader::new(section);
    while let Some(Stored { name, .. }) = Stored::read(&mut section) {
        let value = selected(request, name);
        hasher.write_u8(u8::from(value.is_some()));
        for byte in value.into_iter().flatten() {
            hasher.write_u8(byte);
        }
        // No value holds an LF: where one ends is part of the hash.
        hasher.write_u8(b'\n');
    }
    hasher.finish()
}

/// Whether the section has the very names of `response`'s Vary, in their order.
pub(crate) fn has_names_of(section: &[u8], response: &Fields<'_>) -> bool {
    let mut section = Reader::new(section);
    let mut names = response.list(b"vary");
    while let Some(Stored { name, .. }) = Stored::read(&mut section) {
        if !names.next().is_some_and(|other| other.eq_ignore_ascii_case(name)) {
            return false;
        }
    }
    names.next().is_none()
}

/// One member of a section.
struct Stored<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Stored<'a> {
    fn read(section: &mut Reader<'a>) -> Option<Self> {
        let name = section.vec8().ok()?.rest();
        let present = section.u8().ok()? == 1;
        let value = section.vec16().ok()?.rest();
        Some(Self { name, value: present.then_some(value) })
    }
}

fn is_name(name: &[u8]) -> bool {
    name.len() <= usize::from(u8::MAX) && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"')
}

/// The bytes of a request field in normal form, its lines joined by commas; `None` when it is absent, also for
/// the backend: what the client's Connection names does not reach it, and a response cannot depend on it. What
/// may be the same name to a backend counts as the same.
///
/// Fields of content negotiation are lists by their grammar: white space outside of their quoted strings is
/// no difference (RFC 9110 section 12.5). Of other fields nothing is known, and all bytes count.
fn selected<'a, 'n>(request: &Fields<'a>, name: &'n [u8]) -> Option<impl Iterator<Item = u8> + use<'a, 'n>> {
    let list = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"accept"));
    let comma: &[u8] = if list { b"," } else { b", " };
    let seen = request.end_to_end().filter(move |(each, _)| same_name(each, name));
    let mut lines = seen.map(|(_, value)| value).enumerate().peekable();
    lines.peek()?;
    Some(lines.flat_map(move |(at, line)| {
        let comma = if at == 0 { &[] } else { comma };
        comma.iter().copied().chain(normal(line, list))
    }))
}

fn normal(line: &[u8], list: bool) -> impl Iterator<Item = u8> + use<'_> {
    // Where a quoted string ends behind an escape is not worth the doubt.
    let list = list && !line.contains(&b'\\');
    let mut quoted = false;
    line.iter().copied().filter(move |&byte| {
        quoted ^= byte == b'"';
        !list || quoted || !matches!(byte, b' ' | b'\t')
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

//! Cache keys: `Key`, the target URI of a request in one normal form.
//!
//! RFC 9111 section 2: "The cache key [...] comprises, at a minimum, the request method and target URI". The
//! method is GET for all that is stored, so the key is scheme, authority, path and query, always all of
//! them. A keyed hash finds candidates, and the whole key decides: a collision costs a comparison.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::hash::Hasher;

use levee_buf::{Full, Writer};
use levee_http::{Form, RequestHead};
use siphasher::sip::SipHasher13;

use crate::reason::Reason;

/// The key of a request, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    https: bool,
    host: &'a [u8],
    /// Absent when it is the scheme's default.
    port: Option<u16>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Key<'a> {
    /// The key of `request`, which is for `authority`.
    pub(crate) fn of(request: &RequestHead<'a>, authority: &'a [u8], https: bool) -> Result<Self, Reason> {
        if request.target.form() == Form::Asterisk {
            return Err(Reason::Target);
        }
        Self::new(https, authority, request.target.path(), request.target.query())
    }

    /// The key of a URI in parts.
    ///
    /// RFC 9110 section 4.2.3: scheme and host are case-insensitive, the default port and an empty path are
    /// no difference. Percent-encoding is left as sent: two spellings are two keys, never one too few.
    pub(crate) fn new(
        https: bool,
        authority: &'a [u8],
        path: &'a [u8],
        query: Option<&'a [u8]>,
    ) -> Result<Self, Reason> {
        let (host, port) = split_port(authority);
        if host.is_empty() {
            return Err(Reason::NoAuthority);
        }
        let default = if https { 443 } else { 80 };
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Self { https, host, port: port.filter(|&port| port != default), path, query })
    }

    /// The key of `reference` (RFC 3986 section 4.1) on the page of this key; `None` when it is of another
    /// origin, or relative to the path.
    pub(crate) fn resolve<'r>(&self, reference: &'r [u8]) -> Option<Key<'r>>
    where
        'a: 'r,
    {
        let reference = reference.split(|&byte| byte == b'#').next()?;
        let scheme: &[u8] = if self.https { b"https:" } else { b"http:" };
        let rest = match reference.split_at_checked(scheme.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => rest,
            _ => reference,
        };
        let Some(rest) = rest.strip_prefix(b"//") else {
            let rest = reference.starts_with(b"/").then_some(reference)?;
            let (path, query) = split_query(rest);
            return Some(Key { path, query, ..*self });
        };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let (path, query) = split_query(rest);
        let other = Key::new(self.https, authority, path, query).ok()?;
        (other.host.eq_ignore_ascii_case(self.host) && other.port == self.port).then_some(other)
    }

    /// A keyed hash, for finding candidates.
    pub(crate) fn hash(&self, secret: &[u8; 16]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(secret);
        self.for_each(&mut |part| hasher.write(part));
        hasher.finish()
    }

    /// Bytes of the normal form.
    pub(crate) fn len(&self) -> usize {
        let mut len = 0_usize;
        self.for_each(&mut |part| len = len.saturating_add(part.len()));
        len
    }

    /// Whether `stored` is this key's normal form.
    pub(crate) fn matches(&self, stored: &[u8]) -> bool {
        let mut rest = Some(stored);
        self.for_each(&mut |part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Writes the normal form.
    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        let mut done = Ok(());
        self.for_each(&mut |part| done = done.and_then(|()| out.bytes(part)));
        done
    }

    /// The normal form in pieces. Neither host nor port hold a slash and the path starts with one, so two
    /// keys never have the same bytes.
    fn for_each(&self, each: &mut dyn FnMut(&[u8])) {
        each(if self.https { b"https://" } else { b"http://" });
        for part in self.host.chunks(64) {
            let mut lower = [0; 64];
            if let Some(lower) = lower.get_mut(..part.len()) {
                lower.copy_from_slice(part);
                lower.make_ascii_lowercase();
                each(lower);
            }
        }
        if let Some(port) = self.port {
            each(b":");
            each(&port.to_be_bytes());
        }
        each(self.path);
        if let Some(query) = self.query {
            each(b"?");
            each(query);
        }
    }
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mark = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at_checked(mark).unwrap_or((target, &[]));
    (path, query.strip_prefix(b"?"))
}

/// Host and port of an authority; an empty port is none (RFC 3986 section 6.2.3), and what is no port
/// belongs to the host.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let colon = authority.iter().rposition(|&byte| byte == b':');
    let Some((host, digits)) = colon.and_then(|colon| authority.split_at_checked(colon)) else {
        return (authority, None);
    };
    let digits = digits.strip_prefix(b":").unwrap_or_default();
    if digits.is_empty() {
        return (host, None);
    }
    match std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+')).map(str::parse) {
        Some(Ok(port)) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::*;

    fn normal(https: bool, authority: &str, path: &str, query: Option<&str>) -> Vec<u8> {
        let key = Key::new(https, authority.as_bytes(), path.as_bytes(), query.map(str::as_bytes)).unwrap();
        let mut room = [0; 512];
        let mut out = Writer::new(&mut room);
        key.write(&mut out).unwrap();
        let bytes = out.written().to_vec();
        assert_eq!(bytes.len(), key.len());
        assert!(key.matches(&bytes));
        assert!(!key.matches(&bytes[1..]) && !key.matches(&[&bytes[..], b"x"].concat()));
        bytes
    }

    #[test]
    fn equivalent_uris_have_one_key() {
        let plain = normal(true, "example.com", "/", None);
        for (authority, path) in [("EXAMPLE.com", "/"), ("example.com:443", ""), ("Example.Com:", "/")] {
            assert_eq!(normal(true, authority, path, None), plain, "{authority} {path}");
        }
        let long = "A".repeat(200);
        assert_eq!(normal(true, &long, "/", None), normal(true, &long.to_lowercase(), "/", None));
        assert_eq!(normal(false, "[::1]:80", "/", None), normal(false, "[::1]", "/", None));
    }

    #[test]
    fn scheme_authority_path_and_query_all_tell_keys_apart() {
        let keys = [
            normal(true, "a", "/", None),
            normal(false, "a", "/", None),
            normal(true, "b", "/", None),
            normal(true, "a:80", "/", None),
            normal(true, "a:8443", "/", None),
            normal(true, "a", "/A", None),
            normal(true, "a", "/a", None),
            normal(true, "a", "/", Some("")),
            normal(true, "a", "/", Some("q")),
            normal(true, "[::1]", "/", None),
            normal(true, "[::]:1", "/", None),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(key), "{at}");
        }
    }

    #[test]
    fn there_is_no_key_without_an_authority() {
        assert_eq!(Key::new(true, b"", b"/", None).err(), Some(Reason::NoAuthority));
        assert_eq!(Key::new(true, b":443", b"/", None).err(), Some(Reason::NoAuthority));
    }

    #[test]
    fn the_hash_depends_on_the_secret_and_on_every_part() {
        let key = Key::new(true, b"A", b"/", None).unwrap();
        assert_eq!(key.hash(&[1; 16]), Key::new(true, b"a:443", b"", None).unwrap().hash(&[1; 16]));
        assert_ne!(key.hash(&[1; 16]), key.hash(&[2; 16]));
        assert_ne!(key.hash(&[1; 16]), Key::new(true, b"a", b"/", Some(b"")).unwrap().hash(&[1; 16]));
    }
}

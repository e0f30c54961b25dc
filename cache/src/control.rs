//! Cache-Control of requests and responses (RFC 9111 section 5.2): `RequestControl`, `ResponseControl`.
//!
//! Every doubt is settled for the origin: what cannot be read restricts, what restricts holds in any form,
//! and what permits holds only as the grammar has it.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_http::Fields;

/// RFC 9111 section 1.2.2: a greater delta-seconds is considered to be 2147483648.
pub(crate) const DELTA_MAX: u64 = 1 << 31;

/// What a request asks of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestControl {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// Seconds beyond the lifetime that it takes; all there are when none are named.
    pub(crate) max_stale: Option<u64>,
}

impl RequestControl {
    /// Cache-Control, or Pragma where there is none.
    pub(crate) fn of(fields: &Fields<'_>) -> Self {
        let mut control = Self::default();
        for member in fields.list(b"cache-control") {
            let Directive { name, argument } = Directive::of(member);
            if name.eq_ignore_ascii_case(b"no-cache") {
                control.no_cache = true;
            } else if name.eq_ignore_ascii_case(b"no-store") {
                control.no_store = true;
            } else if name.eq_ignore_ascii_case(b"only-if-cached") {
                control.only_if_cached = true;
            } else if name.eq_ignore_ascii_case(b"max-age") {
                let seconds = argument.and_then(delta_seconds).unwrap_or(0);
                control.max_age = Some(control.max_age.map_or(seconds, |other| other.min(seconds)));
            } else if name.eq_ignore_ascii_case(b"min-fresh") {
                let seconds = argument.and_then(delta_seconds).unwrap_or(DELTA_MAX);
                control.min_fresh = Some(control.min_fresh.map_or(seconds, |other| other.max(seconds)));
            } else if name.eq_ignore_ascii_case(b"max-stale") {
                // Section 5.2.1.2: "If no value is assigned to max-stale, then the client will accept a
                // stale response of any age."
                let seconds = argument.map_or(u64::MAX, |value| delta_seconds(value).unwrap_or(0));
                control.max_stale = Some(control.max_stale.map_or(seconds, |other| other.min(seconds)));
            }
        }
        // RFC 9111 section 5.4: Pragma "no-cache" counts "when the Cache-Control header field is not
        // present in a request".
        if !fields.contains(b"cache-control") && fields.has_member(b"pragma", b"no-cache") {
            control.no_cache = true;
        }
        control
    }
}

/// What a response permits the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseControl {
    pub(crate) no_store: bool,
    /// With and without field names: a qualified form counts as the plain one (section 5.2.2.4: "Many
    /// caches [...] will treat it as if it is unqualified").
    pub(crate) no_cache: bool,
    /// With and without field names, as `no_cache`.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    /// Zero when invalid or contradictory.
    pub(crate) max_age: Option<u64>,
    /// Zero when invalid or contradictory.
    pub(crate) s_maxage: Option<u64>,
}

impl ResponseControl {
    pub(crate) fn of(fields: &Fields<'_>) -> Self {
        let mut control = Self::default();
        for member in fields.list(b"cache-control") {
            // A quoted string without an end swallows the directives behind it, whatever they were.
            control.no_store |= quote_is_open(member);
            let Directive { name, argument } = Directive::of(member);
            if name.eq_ignore_ascii_case(b"no-store") {
                control.no_store = true;
            } else if name.eq_ignore_ascii_case(b"no-cache") {
                control.no_cache = true;
            } else if name.eq_ignore_ascii_case(b"private") {
                control.private = true;
            } else if name.eq_ignore_ascii_case(b"public") {
                control.public |= argument.is_none();
            } else if name.eq_ignore_ascii_case(b"must-revalidate") {
                control.must_revalidate = true;
            } else if name.eq_ignore_ascii_case(b"proxy-revalidate") {
                control.proxy_revalidate = true;
            } else if name.eq_ignore_ascii_case(b"must-understand") {
                control.must_understand |= argument.is_none();
            } else if name.eq_ignore_ascii_case(b"max-age") {
                control.max_age = lifetime(control.max_age, argument);
            } else if name.eq_ignore_ascii_case(b"s-maxage") {
                control.s_maxage = lifetime(control.s_maxage, argument);
            }
        }
        control
    }
}

/// RFC 9111 section 4.2.1: of several values "either the first occurrence should be used or the response
/// should be considered stale", and "responses that have invalid freshness information (e.g., a max-age
/// directive with non-integer content)" are stale.
fn lifetime(before: Option<u64>, argument: Option<&[u8]>) -> Option<u64> {
    let seconds = argument.and_then(delta_seconds).unwrap_or(0);
    Some(if before.is_none_or(|before| before == seconds) { seconds } else { 0 })
}

/// `cache-directive = token [ "=" ( token / quoted-string ) ]`
struct Directive<'a> {
    name: &'a [u8],
    argument: Option<&'a [u8]>,
}

impl<'a> Directive<'a> {
    fn of(member: &'a [u8]) -> Self {
        let mut parts = member.splitn(2, |&byte| byte == b'=');
        // White space around the equals sign is no syntax: it stays in the argument, which is then no
        // number, and is cut off the name, which then still restricts.
        let name = parts.next().unwrap_or_default().trim_ascii();
        Self { name, argument: parts.next() }
    }
}

/// A number of seconds as token or, since "recipients ought to accept both forms" (section 5.2), as
/// quoted-string.
pub(crate) fn delta_seconds(argument: &[u8]) -> Option<u64> {
    let quoted = argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let digits = quoted.unwrap_or(argument);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |seconds, &digit| {
        seconds.saturating_mul(10).saturating_add(u64::from(digit & 0x0f)).min(DELTA_MAX)
    }))
}

fn quote_is_open(member: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in member {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

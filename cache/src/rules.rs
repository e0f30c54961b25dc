//! Which responses may be stored (RFC 9111 section 3), by a cache that is shared.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_http::{Method, RequestHead, ResponseHead};

use crate::Policy;
use crate::control::ResponseControl;
use crate::reason::Reason;

/// Status codes that may be stored without explicit freshness (RFC 9110 section 15.1), without 206, which
/// is not understood here.
pub(crate) const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Status codes that are stored at all: those, and the redirects that need explicit freshness.
///
/// RFC 9111 section 3 would permit any final status with explicit freshness. An error that one odd request
/// provoked would then be served to all others.
const fn is_understood(status: u16) -> bool {
    is_heuristically_cacheable(status) || matches!(status, 302 | 303 | 307)
}

/// Whether a shared cache may store `response` to `request`.
pub(crate) fn storable(
    request: &RequestHead<'_>,
    request_no_store: bool,
    response: &ResponseHead<'_>,
    control: &ResponseControl,
    policy: &Policy,
) -> Result<(), Reason> {
    // "the request method is understood by the cache"; HEAD has no content to store.
    if request.method != Method::Get {
        return Err(Reason::Method);
    }
    if !is_understood(response.status) {
        return Err(Reason::Status);
    }
    // Section 5.2.1.5.
    if request_no_store {
        return Err(Reason::RequestNoStore);
    }
    // Section 5.2.2.3: with must-understand "the cache SHOULD ignore the no-store directive if it
    // understands and implements the status code's caching requirements".
    if control.no_store && !control.must_understand {
        return Err(Reason::NoStore);
    }
    if control.private {
        return Err(Reason::Private);
    }
    if request.fields.contains(b"authorization") && !permits_sharing(control) {
        return Err(Reason::AuthorizedResponse);
    }
    if response.fields.contains(b"set-cookie") && !(policy.store_set_cookie && control.public) {
        return Err(Reason::SetCookie);
    }
    // "the response contains at least one of": public, Expires, max-age, s-maxage, a heuristically
    // cacheable status code.
    let explicit = control.public
        || control.max_age.is_some()
        || control.s_maxage.is_some()
        || response.fields.contains(b"expires");
    if !explicit && !is_heuristically_cacheable(response.status) {
        return Err(Reason::Status);
    }
    Ok(())
}

/// Section 3.5: the directives that allow to store the response to a request with Authorization.
pub(crate) const fn permits_sharing(control: &ResponseControl) -> bool {
    control.must_revalidate || control.public || control.s_maxage.is_some()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

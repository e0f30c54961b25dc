//! Freshness and age of a stored response (RFC 9111 section 4.2): `Freshness`.
//!
//! Seconds, saturating: no value of a field makes the arithmetic fail.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_http::{Fields, ResponseHead, parse_http_date};

use crate::control::{DELTA_MAX, RequestControl, ResponseControl, delta_seconds};
use crate::rules::is_heuristically_cacheable;
use crate::{Now, Policy};

/// What decides whether a stored response may be used without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    pub(crate) response_time: Now,
    pub(crate) freshness_lifetime_s: u64,
    pub(crate) corrected_initial_age_s: u64,
    /// `no-cache`: never without validation.
    no_cache: bool,
    /// A directive that forbids to serve it stale (section 4.2.4).
    never_stale: bool,
}

/// What a stored response is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Fresh,
    /// Stale, and the request takes it as it is.
    Stale,
    /// Only after validation.
    Validate,
}

impl Freshness {
    /// Of a response to a request made at `request_time`, received at `response_time` with this Age.
    pub(crate) fn of(
        response: &ResponseHead<'_>,
        control: &ResponseControl,
        policy: &Policy,
        age_value: u64,
        request_time: Now,
        response_time: Now,
    ) -> Self {
        // RFC 9110 section 6.6.1: a recipient with a clock records the time of reception where there is no
        // Date.
        let date = date(&response.fields, b"date").unwrap_or(response_time.seconds());
        // Section 4.2.3.
        let apparent_age = response_time.seconds().saturating_sub(date);
        let response_delay = response_time.since(request_time).div_ceil(1000);
        let corrected_age_value = age_value.saturating_add(response_delay);
        let shared = control.s_maxage.is_some();
        Self {
            response_time,
            freshness_lifetime_s: freshness_lifetime(response, control, policy, date),
            corrected_initial_age_s: apparent_age.max(corrected_age_value),
            no_cache: control.no_cache,
            // Section 5.2.2.10: s-maxage "also implies the semantics of the proxy-revalidate response
            // directive for a shared cache".
            never_stale: control.must_revalidate || control.proxy_revalidate || shared || control.no_cache,
        }
    }

    /// current_age, in seconds (section 4.2.3).
    pub(crate) fn current_age_s(&self, now: Now) -> u64 {
        self.corrected_initial_age_s.saturating_add(now.since(self.response_time) / 1000)
    }

    /// "response_is_fresh = (freshness_lifetime > current_age)"
    fn is_fresh(&self, now: Now) -> bool {
        self.freshness_lifetime_s > self.current_age_s(now)
    }

    /// Whether not even the moment of its arrival found it fresh: each request has to ask.
    pub(crate) fn always_validates(&self) -> bool {
        self.no_cache || !self.is_fresh(self.response_time)
    }

    /// What it is good for, for a request with `control` that has waited since `since`, if it has.
    pub(crate) fn judge(&self, control: &RequestControl, now: Now, since: Option<Now>) -> Use {
        if self.no_cache {
            return Use::Validate;
        }
        let age = self.current_age_s(now);
        let fresh = self.is_fresh(now);
        // What was received or validated while the request waited satisfies its wish for validation.
        if fresh && since.is_some_and(|since| self.response_time >= since) {
            return Use::Fresh;
        }
        if control.no_cache {
            return Use::Validate;
        }
        let stale_s = match control.min_fresh {
            // Section 5.2.1.3: "a response whose freshness lifetime is no less than its current age plus the
            // specified time in seconds".
            Some(wanted) => age.saturating_add(wanted).saturating_sub(self.freshness_lifetime_s),
            None if fresh => 0,
            None => age.saturating_sub(self.freshness_lifetime_s).max(1),
        };
        let too_old_s = control.max_age.map_or(0, |max_age| age.saturating_sub(max_age));
        if fresh && stale_s == 0 && too_old_s == 0 {
            return Use::Fresh;
        }
        // Section 4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit
        // in-protocol directive". Section 5.2.1.1: max-age yields to max-stale.
        match control.max_stale {
            Some(limit) if !self.never_stale && control.min_fresh.is_none() => {
                let over_s = age.saturating_sub(self.freshness_lifetime_s);
                if over_s <= limit && too_old_s <= limit { Use::Stale } else { Use::Validate }
            }
            _ => Use::Validate,
        }
    }
}

/// Section 4.2.1, the first match: s-maxage, max-age, Expires minus Date, a heuristic.
fn freshness_lifetime(
    response: &ResponseHead<'_>,
    control: &ResponseControl,
    policy: &Policy,
    date_s: u64,
) -> u64 {
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return seconds;
    }
    if response.fields.contains(b"expires") {
        // Section 5.3: an invalid date, "especially including the value "0", [represents] a time in the
        // past (i.e., "already expired")".
        return date(&response.fields, b"expires").map_or(0, |expires| expires.saturating_sub(date_s));
    }
    // Section 4.2.2: heuristics only for heuristically cacheable status codes and `public`.
    if !is_heuristically_cacheable(response.status) && !control.public {
        return 0;
    }
    date(&response.fields, b"last-modified")
        .map_or(0, |modified| (date_s.saturating_sub(modified) / 10).min(policy.heuristic_cap_s))
}

/// A field that is one date; `None` when it is missing, invalid, or there several times and not alike.
pub(crate) fn date(fields: &Fields<'_>, name: &[u8]) -> Option<u64> {
    let mut values = fields.all(name);
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    parse_http_date(value)
}

/// Section 5.1: of a list "the first member", and what is "not a non-negative integer" is ignored.
pub(crate) fn age_value(fields: &Fields<'_>) -> u64 {
    fields
        .list(b"age")
        .next()
        .filter(|age| !age.starts_with(b"\""))
        .and_then(delta_seconds)
        .map_or(0, |age| age.min(DELTA_MAX))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]
mod tests;

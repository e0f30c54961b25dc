//! RFC 9110 section 13 as far as it is a cache's.

use super::*;
use crate::testing::{request, response};

const MODIFIED: &str = "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT";
const SINCE: &str = "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT";

#[test]
fn preconditions_by_precedence() {
    for (stored, asked, not_modified) in [
        // Section 13.1.2, weak comparison of section 8.8.3.2.
        (&["ETag: \"a\""][..], &["If-None-Match: \"a\""][..], true),
        (&["ETag: \"a\""], &["If-None-Match: W/\"a\""], true),
        (&["ETag: W/\"a\""], &["If-None-Match: \"a\""], true),
        (&["ETag: \"a\""], &["If-None-Match: \"A\""], false),
        (&["ETag: \"a\""], &["If-None-Match: w/\"a\""], false),
        (&["ETag: \"a\""], &["If-None-Match: \"b\", W/\"c\" ,\"a\""], true),
        (&["ETag: \"a\""], &["If-None-Match: \"b\"", "If-None-Match: \"a\""], true),
        (&["ETag: \"a,b\""], &["If-None-Match: \"x\", \"a,b\""], true),
        (&["ETag: \"b\""], &["If-None-Match: \"a,\"b\"\""], false),
        (&["ETag: \"a\\\""], &["If-None-Match: \"x\\\", \"a\\\""], true),
        (&["ETag: \"\""], &["If-None-Match: \"\""], true),
        (&["ETag: \"a\""], &["If-None-Match: *"], true),
        (&[], &["If-None-Match: *"], true),
        (&[], &["If-None-Match: \"a\""], false),
        (&["ETag: a"], &["If-None-Match: a"], false),
        (&["ETag: \"a\""], &["If-None-Match: \"a"], false),
        (&["ETag: \"a\""], &["If-None-Match:"], false),
        // Section 13.1.3: If-Modified-Since is ignored when there is If-None-Match.
        (&["ETag: \"a\"", MODIFIED], &["If-None-Match: \"b\"", SINCE], false),
        (&[MODIFIED], &[SINCE], true),
        (&[MODIFIED], &["If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT"], true),
        (&[MODIFIED], &["If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"], false),
        (&[MODIFIED], &["If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT"], true),
        (&[MODIFIED], &["If-Modified-Since: today"], false),
        (&[MODIFIED], &[SINCE, "If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT"], false),
        (&["Last-Modified: today"], &[SINCE], false),
        // RFC 9111 section 4.3.2: without Last-Modified by Date, and without that by reception.
        (&["Date: Tue, 14 Nov 2023 22:13:20 GMT"], &[SINCE], true),
        (&["Date: Tue, 14 Nov 2023 22:13:21 GMT"], &[SINCE], false),
        (&[], &[SINCE], true),
        (&[], &["If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"], false),
        // Not applicable to a cache.
        (&["ETag: \"a\"", MODIFIED], &["If-Match: \"b\""], false),
        (&[MODIFIED], &["If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT"], false),
        (&["ETag: \"a\""], &["If-Range: \"a\"", "Range: bytes=0-1"], false),
    ] {
        let (asked, stored) = (request("GET /", asked), response(200, stored));
        let wanted = if not_modified { Serve::NotModified } else { Serve::Full };
        assert_eq!(evaluate(&asked, &stored, 1_700_000_000), wanted, "{asked:?} {stored:?}");
    }
}

#[test]
fn only_a_success_is_not_modified() {
    // RFC 9110 section 13.2.1.
    let asked = request("GET /", &["If-None-Match: *"]);
    for (status, wanted) in
        [(200, Serve::NotModified), (204, Serve::NotModified), (301, Serve::Full), (404, Serve::Full)]
    {
        assert_eq!(evaluate(&asked, &response(status, &[]), 0), wanted, "{status}");
    }
}

#[test]
fn strong_comparison_wants_two_strong_tags() {
    for (one, other, equal) in [
        ("\"a\"", "\"a\"", true),
        ("W/\"a\"", "W/\"a\"", false),
        ("W/\"a\"", "\"a\"", false),
        ("a", "a", false),
        ("\"a b\"", "\"a b\"", false),
    ] {
        assert_eq!(strongly_equal(one.as_bytes(), other.as_bytes()), equal, "{one} {other}");
    }
}

#[test]
fn a_304_carries_the_fields_that_keep_a_cache_in_step() {
    for name in ["Cache-Control", "content-location", "Date", "ETag", "Expires", "Vary"] {
        assert!(in_not_modified(name.as_bytes()), "{name}");
    }
    for name in ["Last-Modified", "Content-Type", "Content-Length", "Set-Cookie", "X"] {
        assert!(!in_not_modified(name.as_bytes()), "{name}");
    }
}

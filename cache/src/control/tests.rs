//! Cache-Control as it comes.

use super::*;
use crate::testing::{request, response};

#[test]
fn response_directives() {
    let none = ResponseControl::default();
    for (lines, wanted) in [
        (&[][..], none),
        (&["Cache-Control: "], none),
        (&["Cache-Control: , ,,"], none),
        (&["Cache-Control: max-age=60"], ResponseControl { max_age: Some(60), ..none }),
        (&["cache-control: MAX-AGE=60, Public"], ResponseControl { max_age: Some(60), public: true, ..none }),
        // Section 5.2: "recipients ought to accept both forms".
        (&["Cache-Control: max-age=\"60\""], ResponseControl { max_age: Some(60), ..none }),
        // Section 1.2.2: greater than can be represented.
        (
            &["Cache-Control: max-age=99999999999999999999999"],
            ResponseControl { max_age: Some(DELTA_MAX), ..none },
        ),
        (&["Cache-Control: max-age=2147483649"], ResponseControl { max_age: Some(DELTA_MAX), ..none }),
        // Section 4.2.1: invalid freshness information is stale.
        (&["Cache-Control: max-age"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age="], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age=-1"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age=+1"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age=1.5"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age=60s"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age = 60"], ResponseControl { max_age: Some(0), ..none }),
        (&["Cache-Control: max-age=\"60"], ResponseControl { max_age: Some(0), no_store: true, ..none }),
        (&["Cache-Control: max-age='60'"], ResponseControl { max_age: Some(0), ..none }),
        // Several values: equal or stale.
        (&["Cache-Control: max-age=60, max-age=60"], ResponseControl { max_age: Some(60), ..none }),
        (
            &["Cache-Control: max-age=60", "Cache-Control: max-age=50"],
            ResponseControl { max_age: Some(0), ..none },
        ),
        (
            &["Cache-Control: s-maxage=5, max-age=60, s-maxage=6, s-maxage=6"],
            ResponseControl { max_age: Some(60), s_maxage: Some(0), ..none },
        ),
        // What restricts holds in any form, what permits in none but its own.
        (
            &["Cache-Control: no-store=x, private=\"a, public\", no-cache=\"set-cookie\""],
            ResponseControl { no_store: true, private: true, no_cache: true, ..none },
        ),
        (&["Cache-Control: public=x, must-understand=1"], none),
        (&["Cache-Control: \"no-store\", x=\"no-store, public\""], none),
        (
            &["Cache-Control: must-revalidate, proxy-revalidate, must-understand"],
            ResponseControl { must_revalidate: true, proxy_revalidate: true, must_understand: true, ..none },
        ),
        // A quoted string without an end may hide anything.
        (&["Cache-Control: x=\"y, max-age=60"], ResponseControl { no_store: true, ..none }),
        (&["Cache-Control: x=\"y\\\", max-age=60"], ResponseControl { no_store: true, ..none }),
        // Section 5.2.3: unrecognized directives are ignored.
        (
            &["Cache-Control: community=\"UCI\", max-age=1, immutable"],
            ResponseControl { max_age: Some(1), ..none },
        ),
        (&["Pragma: no-cache"], none),
    ] {
        assert_eq!(ResponseControl::of(&response(200, lines).fields), wanted, "{lines:?}");
    }
}

#[test]
fn request_directives() {
    let none = RequestControl::default();
    for (lines, wanted) in [
        (&[][..], none),
        (
            &["Cache-Control: no-cache, no-store, only-if-cached"],
            RequestControl { no_cache: true, no_store: true, only_if_cached: true, ..none },
        ),
        (&["Cache-Control: max-age=5, max-age=3, max-age=9"], RequestControl { max_age: Some(3), ..none }),
        (&["Cache-Control: max-age=x"], RequestControl { max_age: Some(0), ..none }),
        (&["Cache-Control: min-fresh=5, min-fresh=\"7\""], RequestControl { min_fresh: Some(7), ..none }),
        (&["Cache-Control: min-fresh"], RequestControl { min_fresh: Some(DELTA_MAX), ..none }),
        (&["Cache-Control: max-stale"], RequestControl { max_stale: Some(u64::MAX), ..none }),
        (&["Cache-Control: max-stale, max-stale=5"], RequestControl { max_stale: Some(5), ..none }),
        (&["Cache-Control: max-stale=x"], RequestControl { max_stale: Some(0), ..none }),
        // Section 5.4: Pragma only without Cache-Control.
        (&["Pragma: x, No-Cache"], RequestControl { no_cache: true, ..none }),
        (&["Pragma: no-cache", "Cache-Control: max-age=5"], RequestControl { max_age: Some(5), ..none }),
    ] {
        assert_eq!(RequestControl::of(&request("GET /", lines).fields), wanted, "{lines:?}");
    }
}

//! Lifetime, age and judgement by the numbers.

use super::*;
use crate::testing::{START, response};

fn freshness(status: u16, fields: &[&str], delay_ms: u64) -> Freshness {
    let response = response(status, fields);
    let control = ResponseControl::of(&response.fields);
    let age = age_value(&response.fields);
    let received = Now(START.0 + delay_ms);
    Freshness::of(&response, &control, &Policy::default(), age, START, received)
}

const DATE: &str = "Date: Tue, 14 Nov 2023 22:13:20 GMT";

#[test]
fn the_lifetime_is_the_first_match() {
    // Section 4.2.1.
    let later = "Expires: Tue, 14 Nov 2023 22:14:20 GMT";
    let modified = "Last-Modified: Tue, 14 Nov 2023 20:33:20 GMT";
    for (status, fields, seconds) in [
        (200, &["Cache-Control: s-maxage=1, max-age=2", DATE, later][..], 1),
        (200, &["Cache-Control: max-age=2, s-maxage=x", DATE, later], 0),
        (200, &["Cache-Control: max-age=2", DATE, later], 2),
        (200, &[DATE, later], 60),
        // "using the time the message was received if it is not present"
        (200, &[later], 60),
        (200, &["Date: Tue, 14 Nov 2023 22:13:30 GMT", later], 50),
        (200, &["Date: Tue, 14 Nov 2023 22:20:00 GMT", later], 0),
        // Section 5.3: invalid dates are "already expired".
        (200, &["Expires: 0", modified], 0),
        (200, &["Expires: ", modified], 0),
        (200, &["Expires: Tue, 14 Nov 2023 22:14:20 CET", modified], 0),
        (200, &[later, "Expires: 0"], 0),
        (200, &[later, later, DATE], 60),
        // Section 4.2.2: a tenth of 6000 seconds, where there is no explicit expiration.
        (200, &[DATE, modified], 600),
        (404, &[DATE, modified], 600),
        (302, &[DATE, modified], 0),
        (302, &[DATE, modified, "Cache-Control: public"], 600),
        (200, &[DATE, "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"], 86_400),
        (200, &[DATE, "Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT"], 0),
        (200, &[DATE, "Last-Modified: yesterday"], 0),
        (200, &[DATE], 0),
    ] {
        assert_eq!(freshness(status, fields, 0).freshness_lifetime_s, seconds, "{status} {fields:?}");
    }
}

#[test]
fn the_age_is_the_greater_of_two_estimates() {
    // Section 4.2.3.
    for (fields, delay_ms, seconds) in [
        (&[][..], 0, 0),
        (&[DATE], 0, 0),
        (&[DATE], 3000, 3),
        (&["Date: Tue, 14 Nov 2023 22:13:10 GMT"], 0, 10),
        (&["Date: Tue, 14 Nov 2023 22:13:30 GMT"], 0, 0),
        (&["Age: 7"], 0, 7),
        (&["Age: 7"], 1500, 9),
        (&["Age: 7", "Date: Tue, 14 Nov 2023 22:13:00 GMT"], 0, 20),
        // Section 5.1: the first of a list; invalid values are ignored.
        (&["Age: 7, 100"], 0, 7),
        (&["Age: 7", "Age: 100"], 0, 7),
        (&["Age: -7"], 0, 0),
        (&["Age: \"7\""], 0, 0),
        (&["Age: 7.5"], 0, 0),
        (&["Age: 99999999999999999999"], 0, DELTA_MAX),
    ] {
        let fresh = freshness(200, fields, delay_ms);
        assert_eq!(fresh.corrected_initial_age_s, seconds, "{fields:?} {delay_ms}");
        let later = Now(fresh.response_time.0 + 4999);
        assert_eq!(fresh.current_age_s(later), seconds + 4, "{fields:?} {delay_ms}");
        // A clock that went back makes nothing younger than it was.
        assert_eq!(fresh.current_age_s(Now(0)), seconds, "{fields:?} {delay_ms}");
    }
}

#[test]
fn judgement_never_fails_whatever_the_numbers() {
    let extremes = [None, Some(0), Some(1), Some(DELTA_MAX), Some(u64::MAX)];
    for lifetime in [0, 1, u64::MAX] {
        for age in [0, 1, u64::MAX] {
            for now in [Now(0), START, Now(u64::MAX)] {
                for max_age in extremes {
                    for min_fresh in extremes {
                        for max_stale in extremes {
                            let fresh = Freshness {
                                response_time: START,
                                freshness_lifetime_s: lifetime,
                                corrected_initial_age_s: age,
                                ..Freshness::default()
                            };
                            let control =
                                RequestControl { max_age, min_fresh, max_stale, ..RequestControl::default() };
                            let verdict = fresh.judge(&control, now, None);
                            let is_fresh = fresh.is_fresh(now);
                            // Fresh is never said of what is not, nor stale without leave.
                            assert!(is_fresh || verdict != Use::Fresh);
                            assert!(max_stale.is_some() || verdict != Use::Stale);
                        }
                    }
                }
            }
        }
    }
}

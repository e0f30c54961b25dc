//! The rules that no sequence of calls to the store shows; the rest is in the store's tests.

use super::*;

#[test]
fn every_status_that_is_stored_is_final_and_understood() {
    let stored: Vec<u16> = (100..600).filter(|&status| is_understood(status)).collect();
    assert_eq!(stored, [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501]);
}

#[test]
fn sharing_with_authorization_needs_one_of_three_directives() {
    // RFC 9111 section 3.5.
    let none = ResponseControl::default();
    for (control, permits) in [
        (ResponseControl { public: true, ..none }, true),
        (ResponseControl { must_revalidate: true, ..none }, true),
        (ResponseControl { s_maxage: Some(0), ..none }, true),
        (ResponseControl { max_age: Some(9), proxy_revalidate: true, must_understand: true, ..none }, false),
    ] {
        assert_eq!(permits_sharing(&control), permits, "{control:?}");
    }
}

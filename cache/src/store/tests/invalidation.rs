//! RFC 9111 section 4.4: what unsafe requests outdate, and purging.

use levee_http::Length;

use crate::testing::{Bench, request, response};
use crate::{Lookup, Reason, Stored};

const FRESH: &[&str] = &["Cache-Control: max-age=60"];

fn invalidate(bench: &mut Bench, line: &str, status: u16, fields: &[&str]) -> usize {
    let (request, response) = (request(line, &[]), response(status, fields));
    bench.store.invalidate(&request, b"Example.com:443", true, &response)
}

#[test]
fn unsafe_methods_with_a_non_error_response_invalidate_their_target() {
    // "(including methods whose safety is unknown)"
    for (line, status, gone) in [
        ("POST /", 200, 1),
        ("PUT /", 204, 1),
        ("DELETE /", 303, 1),
        ("PATCH /", 200, 1),
        ("BREW /", 200, 1),
        ("POST /", 404, 0),
        ("POST /", 500, 0),
        ("POST /other", 200, 0),
        ("GET /", 200, 0),
        ("HEAD /", 200, 0),
        ("OPTIONS /", 200, 0),
    ] {
        let mut bench = Bench::new();
        bench.put("/", &[], FRESH, b"x");
        assert_eq!(invalidate(&mut bench, line, status, &[]), gone, "{line} {status}");
        assert_eq!(bench.store.entries(), 1 - gone);
    }
}

#[test]
fn all_variants_of_the_target_go() {
    let mut bench = Bench::new();
    for cookie in ["Cookie: 1", "Cookie: 2"] {
        bench.put("/", &[cookie], &["Cache-Control: max-age=60", "Vary: Cookie"], b"x");
    }
    assert_eq!(invalidate(&mut bench, "POST /", 200, &[]), 2);
    assert_eq!((bench.store.entries(), bench.heap.in_use()), (0, 0));
}

#[test]
fn location_and_content_location_go_when_of_the_same_origin() {
    // "A cache MUST NOT trigger an invalidation under these conditions if the origin of the URI to be
    // invalidated differs from the origin of the target URI."
    for (field, gone) in [
        ("Location: /a?b", true),
        ("Content-Location: /a?b", true),
        ("Location: https://example.com/a?b#part", true),
        ("Location: HTTPS://EXAMPLE.com:443/a?b", true),
        ("Location: //example.com/a?b", true),
        ("Location: http://example.com/a?b", false),
        ("Location: https://example.com:8443/a?b", false),
        ("Location: https://example.com.evil.example/a?b", false),
        ("Location: https://other.example/a?b", false),
        ("Location: //other.example/a?b", false),
        ("Location: /a", false),
        ("Location: a?b", false),
        ("Location: ", false),
        ("Location: https:", false),
        ("Location: https://", false),
    ] {
        let mut bench = Bench::new();
        bench.put("/a?b", &[], FRESH, b"x");
        assert_eq!(invalidate(&mut bench, "POST /", 201, &[field]), usize::from(gone), "{field}");
    }
}

#[test]
fn what_is_being_fetched_may_be_from_before_the_change() {
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    let begun = bench.miss("/begun", &[]);
    let (asked, head) = (request("GET /begun", &[]), response(200, FRESH));
    assert_eq!(bench.store.begin(begun, &asked, &head, Length::Exact(0), bench.now), Stored::Storing);
    assert_eq!(bench.lookup(&request("GET /", &[]), 1), Lookup::Wait);
    invalidate(&mut bench, "POST /", 200, &["Location: /begun"]);
    // Who waits does not wait for what is outdated.
    assert_eq!(bench.woken(), [1]);
    let newer = bench.miss("/", &[]);
    let refused = bench.store.begin(fill, &request("GET /", &[]), &head, Length::Exact(0), bench.now);
    assert_eq!(refused, Stored::NotStorable(Reason::Invalidated));
    assert_eq!(bench.store.finish(begun, bench.now), None);
    assert_eq!(bench.store.counters().not_stored(Reason::Invalidated), 2);
    bench.answer(newer, &request("GET /", &[]), &head, b"new").unwrap();
    bench.hit("/", &[]);
}

#[test]
fn purging_forgets_one_uri_or_all() {
    let mut bench = Bench::new();
    for target in ["/", "/a", "/a?b"] {
        bench.put(target, &[], FRESH, b"x");
    }
    assert_eq!(bench.store.purge(true, b"EXAMPLE.com", b"/a", Some(b"b")), 1);
    assert_eq!(bench.store.purge(false, b"example.com", b"/a", None), 0);
    let Lookup::Hit(pinned) = bench.get("/a", &[]) else { panic!("a hit") };
    let fill = bench.miss("/b", &[]);
    bench.store.purge_all();
    assert_eq!(bench.body(pinned), b"x");
    bench.store.release(pinned);
    assert_eq!(bench.store.entries(), 0);
    let refused = bench.answer(fill, &request("GET /b", &[]), &response(200, FRESH), b"x");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::Invalidated)));
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
    assert_eq!(bench.store.counters().removed, 3);
}

//! RFC 9111 section 4: when a stored response is used, and what is served.

use levee_http::Method;

use crate::testing::{Bench, request, response};
use crate::{Lookup, Reason, Serve};

const FRESH: &[&str] = &["Cache-Control: max-age=60"];

#[test]
fn a_stored_response_is_served_with_head_body_and_age() {
    let mut bench = Bench::new();
    let body: Vec<u8> = (0..40_000_u32).map(|at| (at % 253) as u8).collect();
    let answer = ["Content-Type: text/plain", "X-Unknown: kept", "Age: 5", "Cache-Control: max-age=60"];
    bench.put("/a?b", &[], &answer, &body);
    bench.pass(3);
    let entry = bench.hit("/a?b", &[]);
    assert_eq!(bench.body(entry), body);
    assert_eq!(
        bench.store.read(entry, 16_380, 10).map(|chain| levee_buf::Chain::to_vec(&chain)),
        Some(body[16_380..16_390].to_vec())
    );
    // Section 4: "a cache MUST generate an Age header field, replacing any present in the response".
    assert_eq!((bench.store.age(entry, bench.now), bench.field(entry, "age")), (8, None));
    // Section 3.1: "Caches MUST include all received response header fields -- including unrecognized ones".
    assert_eq!(bench.field(entry, "x-unknown").as_deref(), Some("kept"));
    // RFC 9110 section 6.6.1: without a Date, the time of reception is appended.
    assert_eq!(bench.field(entry, "date").as_deref(), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
}

#[test]
fn it_is_for_its_uri_alone() {
    let mut bench = Bench::new();
    bench.put("/a", &[], FRESH, b"");
    for target in ["/", "/a?", "/a?x", "/A", "/a/"] {
        let fill = bench.miss(target, &[]);
        bench.store.abandon(fill);
    }
    let other_host = request("GET http://other.example/a", &[]);
    assert!(matches!(bench.lookup(&other_host, 0), Lookup::Fill(_)));
    let same = request("GET /a", &[]);
    let plain = bench.store.lookup(&same, b"example.com", false, bench.now, 0);
    assert!(matches!(plain, Lookup::Fill(_)));
    let port = bench.store.lookup(&same, b"example.com:8443", true, bench.now, 0);
    assert!(matches!(port, Lookup::Fill(_)));
    let none = bench.store.lookup(&same, b"", true, bench.now, 0);
    assert_eq!(none, Lookup::Bypass(Reason::NoAuthority));
    let spelled = bench.store.lookup(&same, b"EXAMPLE.com:443", true, bench.now, 0);
    assert!(matches!(spelled, Lookup::Hit(_)));
}

#[test]
fn freshness_ends_with_the_lifetime() {
    // Section 4.2: "response_is_fresh = (freshness_lifetime > current_age)".
    let mut bench = Bench::new();
    bench.put("/", &[], &["Cache-Control: max-age=60", "ETag: \"1\""], b"x");
    bench.pass(59);
    bench.hit("/", &[]);
    bench.pass(1);
    bench.revalidate("/", &[]);
}

#[test]
fn requests_narrow_and_widen_what_they_take() {
    // Section 5.2.1, of a response with a lifetime of 60 seconds.
    let hit = |extra: &str, age: u64, control: &str| {
        let mut bench = Bench::new();
        let control_of_response = format!("Cache-Control: max-age=60{extra}");
        bench.put("/", &[], &[&control_of_response, "ETag: \"1\""], b"x");
        bench.pass(age);
        matches!(bench.get("/", &[control]), Lookup::Hit(_))
    };
    for (extra, age, control, served) in [
        ("", 10, "Cache-Control: max-age=10", true),
        ("", 11, "Cache-Control: max-age=10", false),
        ("", 11, "Cache-Control: max-age=10, max-stale", true),
        ("", 11, "Cache-Control: max-age=nonsense", false),
        ("", 50, "Cache-Control: min-fresh=10", true),
        ("", 51, "Cache-Control: min-fresh=10", false),
        ("", 51, "Cache-Control: min-fresh=10, max-stale", false),
        ("", 1, "Cache-Control: no-cache", false),
        ("", 1, "Pragma: no-cache", false),
        ("", 1, "Cache-Control: no-store", true),
        ("", 60, "Cache-Control: max-stale", true),
        ("", 70, "Cache-Control: max-stale=10", true),
        ("", 71, "Cache-Control: max-stale=10", false),
        ("", 70, "Cache-Control: max-stale=10, max-stale=5", false),
        // Section 4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit
        // in-protocol directive".
        (", must-revalidate", 61, "Cache-Control: max-stale", false),
        (", proxy-revalidate", 61, "Cache-Control: max-stale", false),
        (", s-maxage=60", 61, "Cache-Control: max-stale", false),
        (", no-cache", 1, "Cache-Control: max-stale", false),
        (", immutable", 1, "Cache-Control: no-cache", false),
    ] {
        assert_eq!(hit(extra, age, control), served, "{extra} {age} {control}");
    }
}

#[test]
fn only_if_cached_is_served_from_the_store_or_not_at_all() {
    // Section 5.2.1.7.
    let mut bench = Bench::new();
    assert_eq!(bench.get("/", &["Cache-Control: only-if-cached"]), Lookup::OnlyIfCached504);
    bench.put("/", &[], FRESH, b"x");
    bench.hit("/", &["Cache-Control: only-if-cached"]);
    bench.pass(60);
    assert_eq!(bench.get("/", &["Cache-Control: only-if-cached"]), Lookup::OnlyIfCached504);
    bench.hit("/", &["Cache-Control: only-if-cached, max-stale"]);
    assert_eq!((bench.store.counters().only_if_cached, bench.store.counters().stale_hits), (2, 1));
}

#[test]
fn head_is_served_from_get_and_fetches_nothing() {
    let mut bench = Bench::new();
    let head = request("HEAD /", &[]);
    assert_eq!(bench.lookup(&head, 0), Lookup::Bypass(Reason::Head));
    bench.put("/", &[], FRESH, b"x");
    assert!(matches!(bench.lookup(&head, 0), Lookup::Hit(_)));
}

#[test]
fn what_the_cache_has_no_part_in_bypasses() {
    let mut bench = Bench::new();
    for (line, fields, reason) in [
        ("POST /", &[][..], Reason::Method),
        ("DELETE /", &[], Reason::Method),
        ("BREW /", &[], Reason::Method),
        ("OPTIONS *", &[], Reason::Method),
        ("GET /", &["Content-Length: 5"], Reason::RequestBody),
        ("GET /", &["Transfer-Encoding: chunked"], Reason::RequestBody),
        ("GET /", &["Cache-Control: no-store"], Reason::RequestNoStore),
        ("GET /", &["Range: bytes=0-"], Reason::Range),
        ("GET /", &["If-Match: \"a\""], Reason::Precondition),
        ("GET /", &["If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT"], Reason::Precondition),
        ("GET /", &["Connection: upgrade", "Upgrade: websocket"], Reason::Upgrade),
    ] {
        let request = request(line, fields);
        assert_eq!(bench.lookup(&request, 0), Lookup::Bypass(reason), "{line} {fields:?}");
        assert_eq!(request.method == Method::Get, reason != Reason::Method);
    }
    assert_eq!(bench.store.counters().bypassed(Reason::Method), 4);
    // A stored response serves them all the same, where that is sound.
    bench.put("/", &["Content-Length: 0"], FRESH, b"x");
    for field in ["Range: bytes=0-", "If-Match: \"a\"", "Cache-Control: no-store"] {
        bench.hit("/", &[field]);
    }
    assert_eq!(bench.get("/", &["Content-Length: 5"]), Lookup::Bypass(Reason::RequestBody));
}

#[test]
fn authorization_is_served_only_what_says_so() {
    let mut bench = Bench::new();
    let authorized = &["Authorization: Basic eA=="];
    bench.put("/plain", &[], FRESH, b"x");
    assert_eq!(bench.get("/plain", authorized), Lookup::Bypass(Reason::Authorization));
    bench.put("/public", authorized, &["Cache-Control: public, max-age=60"], b"x");
    bench.hit("/public", authorized);
    bench.hit("/public", &[]);
}

#[test]
fn conditions_are_answered_from_the_store() {
    let mut bench = Bench::new();
    let answer = ["Cache-Control: max-age=60", "ETag: \"1\"", "Last-Modified: Tue, 14 Nov 2023 20:00:00 GMT"];
    let entry = bench.put("/", &[], &answer, b"x");
    let serve = |fields: &[&str]| bench.store.conditional(entry, &request("GET /", fields));
    assert_eq!(serve(&[]), Serve::Full);
    assert_eq!(serve(&["If-None-Match: W/\"1\""]), Serve::NotModified);
    assert_eq!(serve(&["If-Modified-Since: Tue, 14 Nov 2023 20:00:00 GMT"]), Serve::NotModified);
    bench.store.purge_all();
    assert_eq!(bench.store.conditional(entry, &request("GET /", &["If-None-Match: *"])), Serve::Full);
}

#[test]
fn vary_selects() {
    // Section 4.1: "the cache MUST NOT use that stored response without revalidation unless all the
    // presented request header fields nominated by that Vary field value match".
    let mut bench = Bench::new();
    let vary = &["Cache-Control: max-age=60", "Vary: Accept-Encoding, Cookie", "ETag: \"1\""];
    bench.put("/", &["Accept-Encoding: gzip, br", "Cookie: a=b"], vary, b"packed");
    bench.hit("/", &["accept-encoding: gzip,br", "COOKIE: a=b", "Accept: other"]);
    bench.hit("/", &["Accept-Encoding: gzip", "Cookie: a=b", "Accept-Encoding: br"]);
    for fields in [
        &[][..],
        &["Accept-Encoding: gzip, br"],
        &["Accept-Encoding: gzip, br", "Cookie: a=B"],
        &["Accept-Encoding: gzip, br", "Cookie: a=b", "Cookie: c=d"],
        &["Accept-Encoding: br, gzip", "Cookie: a=b"],
        &["Accept-Encoding: ", "Cookie: a=b"],
    ] {
        let fill = bench.miss("/", fields);
        bench.store.abandon(fill);
    }
    bench.put("/", &[], vary, b"plain");
    let plain = bench.hit("/", &[]);
    let packed = bench.hit("/", &["Accept-Encoding: gzip, br", "Cookie: a=b"]);
    assert_eq!((bench.body(plain), bench.body(packed)), (b"plain".to_vec(), b"packed".to_vec()));
}

#[test]
fn the_variants_of_a_key_are_bounded_and_the_most_recent_stay() {
    let mut bench = Bench::new();
    for client in 0..40 {
        let agent = format!("User-Agent: {client}");
        bench.put("/", &[&agent], &["Cache-Control: max-age=600", "Vary: user-agent"], b"");
        bench.pass(1);
    }
    assert_eq!(bench.store.entries(), super::super::VARIANTS);
    bench.hit("/", &["User-Agent: 39"]);
    bench.hit("/", &["User-Agent: 24"]);
    bench.miss("/", &["User-Agent: 23"]);
}

#[test]
fn of_several_that_match_the_one_with_vary_and_then_the_most_recent_is_used() {
    let mut bench = Bench::new();
    let old = "Date: Tue, 14 Nov 2023 22:13:19 GMT";
    bench.put("/", &["A: 1"], &["Cache-Control: max-age=60", "Vary: A"], b"by a");
    let fill = bench.miss("/", &["B: 1"]);
    let answer = response(200, &["Cache-Control: max-age=60", "Vary: B", old]);
    bench.answer(fill, &request("GET /", &["B: 1"]), &answer, b"by b").unwrap();
    let both = bench.hit("/", &["A: 1", "B: 1"]);
    assert_eq!(bench.body(both), b"by a");
    let fill = bench.miss("/", &["A: 2", "B: 2"]);
    bench.pass(1);
    bench
        .answer(fill, &request("GET /", &[]), &response(200, &["Cache-Control: max-age=60"]), b"any")
        .unwrap();
    let any = bench.hit("/", &[]);
    let by_a = bench.hit("/", &["A: 1"]);
    assert_eq!((bench.body(any), bench.body(by_a)), (b"any".to_vec(), b"by a".to_vec()));
}

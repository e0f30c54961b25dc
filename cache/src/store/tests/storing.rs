//! RFC 9111 section 3: what is stored, and what is not.

use levee_http::Length;

use crate::testing::{Bench, LIMITS, request, response};
use crate::{Limits, Lookup, Policy, Reason, Stored};

/// What becomes of a response to a GET with these fields.
fn store(asked: &[&str], status: u16, answer: &[&str]) -> Result<(), Reason> {
    store_by(Policy::default(), asked, status, answer)
}

fn store_by(policy: Policy, asked: &[&str], status: u16, answer: &[&str]) -> Result<(), Reason> {
    let mut bench = Bench::with(LIMITS, policy);
    let fill = bench.miss("/", asked);
    let outcome = bench.answer(fill, &request("GET /", asked), &response(status, answer), b"body");
    let entries = usize::from(outcome.is_ok());
    assert_eq!(bench.store.entries(), entries);
    assert_eq!(bench.store.counters().stored, entries as u64);
    if outcome.is_err() {
        assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
    }
    outcome.map(|_| ()).map_err(|refused| match refused {
        Stored::NotStorable(reason) => {
            assert_eq!(bench.store.counters().not_stored(reason), 1);
            reason
        }
        Stored::Storing => panic!("dropped on the way"),
    })
}

const MODIFIED: &str = "Last-Modified: Tue, 14 Nov 2023 12:13:20 GMT";

#[test]
fn the_rules_of_section_3() {
    for (asked, status, answer, outcome) in [
        // "the response contains at least one of the following"
        (&[][..], 200, &["Cache-Control: public", "ETag: \"a\""][..], Ok(())),
        (&[], 200, &["Expires: Tue, 14 Nov 2023 23:13:20 GMT"], Ok(())),
        (&[], 200, &["Cache-Control: max-age=1"], Ok(())),
        (&[], 200, &["Cache-Control: s-maxage=1"], Ok(())),
        (&[], 200, &[MODIFIED], Ok(())),
        (&[], 302, &["Cache-Control: max-age=1"], Ok(())),
        (&[], 302, &[MODIFIED], Err(Reason::Status)),
        (&[], 302, &["Cache-Control: public", MODIFIED], Ok(())),
        // Never of use again.
        (&[], 200, &[], Err(Reason::NeverReusable)),
        (&[], 200, &["Cache-Control: max-age=0"], Err(Reason::NeverReusable)),
        (&[], 200, &["Cache-Control: max-age=0", "ETag: \"a\""], Ok(())),
        (&[], 200, &["Cache-Control: max-age=0", "ETag: unquoted"], Err(Reason::NeverReusable)),
        (&[], 200, &["Cache-Control: no-cache"], Err(Reason::NeverReusable)),
        (&[], 200, &["Cache-Control: no-cache", "ETag: \"a\""], Ok(())),
        (&[], 200, &["Cache-Control: max-age=5", "Age: 5"], Err(Reason::NeverReusable)),
        // "the no-store cache directive is not present in the response"
        (&[], 200, &["Cache-Control: max-age=9, no-store"], Err(Reason::NoStore)),
        (&[], 200, &["Cache-Control: max-age=9", "Cache-Control: NO-STORE"], Err(Reason::NoStore)),
        (&[], 200, &["Cache-Control: max-age=9, no-store, must-understand"], Ok(())),
        (&[], 206, &["Cache-Control: max-age=9, no-store, must-understand"], Err(Reason::Status)),
        // "if the cache is shared: the private response directive is [...] not present"
        (&[], 200, &["Cache-Control: max-age=9, private"], Err(Reason::Private)),
        (&[], 200, &["Cache-Control: max-age=9, private=\"x-a, x-b\""], Err(Reason::Private)),
        (&[], 200, &["Cache-Control: public, private, max-age=9"], Err(Reason::Private)),
        // "the Authorization header field is not present in the request [...] or a response directive is
        // present that explicitly allows shared caching", section 3.5
        (&["Authorization: a"], 200, &["Cache-Control: max-age=9"], Err(Reason::AuthorizedResponse)),
        (
            &["Authorization: a"],
            200,
            &["Cache-Control: max-age=9, proxy-revalidate"],
            Err(Reason::AuthorizedResponse),
        ),
        (&["Authorization: a"], 200, &["Cache-Control: max-age=9, public"], Ok(())),
        (&["Authorization: a"], 200, &["Cache-Control: max-age=9, must-revalidate"], Ok(())),
        (&["Authorization: a"], 200, &["Cache-Control: s-maxage=9"], Ok(())),
        (&["Authorization: a"], 200, &["Cache-Control: s-maxage=9, private"], Err(Reason::Private)),
        // "the response status code is final", "the cache understands the response status code"
        (&[], 206, &["Cache-Control: max-age=9"], Err(Reason::Status)),
        (&[], 304, &["Cache-Control: max-age=9"], Err(Reason::Status)),
        (&[], 400, &["Cache-Control: max-age=9"], Err(Reason::Status)),
        (&[], 401, &["Cache-Control: max-age=9"], Err(Reason::Status)),
        (&[], 500, &["Cache-Control: max-age=9"], Err(Reason::Status)),
        (&[], 503, &["Cache-Control: public, max-age=9"], Err(Reason::Status)),
        (&[], 404, &["Cache-Control: max-age=9"], Ok(())),
        (&[], 301, &["Cache-Control: max-age=9"], Ok(())),
        // Cookies are for one client.
        (&[], 200, &["Cache-Control: public, max-age=9", "Set-Cookie: a=b"], Err(Reason::SetCookie)),
        // Section 4.1: "A stored response with a Vary header field value containing a member "*" always
        // fails to match."
        (&[], 200, &["Cache-Control: max-age=9", "Vary: *"], Err(Reason::VaryAny)),
        (&[], 200, &["Cache-Control: max-age=9", "Vary: Accept, *"], Err(Reason::VaryAny)),
        (&[], 200, &["Cache-Control: max-age=9", "Vary: Accept, X-Forwarded-For"], Err(Reason::VaryAny)),
        (&[], 200, &["Cache-Control: max-age=9", "Vary: a b"], Err(Reason::VaryInvalid)),
        (&[], 200, &["Cache-Control: max-age=9", "Vary: \"a, *\""], Err(Reason::VaryInvalid)),
        (
            &[],
            200,
            &["Cache-Control: max-age=9", "Vary: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"],
            Err(Reason::VaryInvalid),
        ),
    ] {
        assert_eq!(store(asked, status, answer), outcome, "{asked:?} {status} {answer:?}");
    }
}

#[test]
fn no_store_of_the_request_holds_for_its_response() {
    // Section 5.2.1.5; a lookup bypasses already, and begin holds to it by itself.
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    let asked = request("GET /", &["Cache-Control: no-store"]);
    let refused = bench.answer(fill, &asked, &response(200, &["Cache-Control: max-age=9"]), b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::RequestNoStore)));
    let fill = bench.miss("/", &[]);
    let refused = bench.answer(fill, &request("HEAD /", &[]), &response(200, &[MODIFIED]), b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::Method)));
}

#[test]
fn set_cookie_is_stored_only_by_leave_of_policy_and_response() {
    let policy = Policy { store_set_cookie: true, ..Policy::default() };
    let cookie = "Set-Cookie: a=b";
    assert_eq!(store_by(policy, &[], 200, &["Cache-Control: max-age=9", cookie]), Err(Reason::SetCookie));
    assert_eq!(store_by(policy, &[], 200, &["Cache-Control: public, max-age=9", cookie]), Ok(()));
}

#[test]
fn heuristics_can_be_switched_off() {
    let policy = Policy { heuristic_cap_s: 0, ..Policy::default() };
    assert_eq!(store(&[], 200, &[MODIFIED]), Ok(()));
    let mut bench = Bench::with(LIMITS, policy);
    bench.put("/", &[], &[MODIFIED], b"");
    bench.revalidate("/", &[]);
}

#[test]
fn fields_of_one_connection_are_not_stored() {
    // Section 3.1.
    let mut bench = Bench::new();
    let entry = bench.put(
        "/",
        &[],
        &[
            "Cache-Control: max-age=60",
            "Connection: x-hop, close",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic",
            "Proxy-Authentication-Info: a",
            "Upgrade: h2c",
            "Content-Length: 1",
            "X-End: 1",
        ],
        b"x",
    );
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "upgrade",
        "content-length",
    ] {
        assert_eq!(bench.field(entry, gone), None, "{gone}");
    }
    assert_eq!(bench.field(entry, "x-end").as_deref(), Some("1"));
}

#[test]
fn incomplete_responses_are_never_stored() {
    // Section 3.3.
    let fresh = response(200, &["Cache-Control: max-age=60"]);
    let asked = request("GET /", &[]);
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    assert_eq!(bench.store.begin(fill, &asked, &fresh, Length::Exact(5), bench.now), Stored::Storing);
    assert!(bench.store.append(fill, &mut bench.heap.chain(b"1234")));
    assert_eq!(bench.store.finish(fill, bench.now), None);

    bench.pass(10);
    let fill = bench.miss("/", &[]);
    bench.store.begin(fill, &asked, &fresh, Length::Exact(5), bench.now);
    assert!(bench.store.append(fill, &mut bench.heap.chain(b"1234")));
    assert!(!bench.store.append(fill, &mut bench.heap.chain(b"56")));
    assert!(!bench.store.append(fill, &mut bench.heap.chain(b"5")));
    assert_eq!(bench.store.finish(fill, bench.now), None);

    bench.pass(10);
    let fill = bench.miss("/", &[]);
    bench.store.begin(fill, &asked, &fresh, Length::UntilClose, bench.now);
    assert!(bench.store.append(fill, &mut bench.heap.chain(b"1234")));
    bench.store.abandon(fill);
    assert_eq!(bench.store.finish(fill, bench.now), None);

    let fill = bench.miss("/", &[]);
    assert_eq!(bench.store.finish(fill, bench.now), None);
    assert_eq!(bench.store.counters().not_stored(Reason::Incomplete), 4);
    assert_eq!((bench.store.entries(), bench.store.bytes(), bench.heap.in_use()), (0, 0, 0));
}

#[test]
fn every_length_is_stored_when_it_ends_well() {
    let asked = request("GET /", &[]);
    for (length, body) in [
        (Length::None, &b""[..]),
        (Length::Exact(0), b""),
        (Length::Exact(3), b"abc"),
        (Length::Chunked, b"abc"),
        (Length::UntilClose, b"abc"),
    ] {
        let mut bench = Bench::new();
        let fill = bench.miss("/", &[]);
        let head = response(200, &["Cache-Control: max-age=60"]);
        assert_eq!(bench.store.begin(fill, &asked, &head, length, bench.now), Stored::Storing);
        assert!(bench.store.append(fill, &mut bench.heap.chain(body)));
        let entry = bench.store.finish(fill, bench.now).unwrap();
        assert_eq!(bench.body(entry), body, "{length:?}");
        bench.hit("/", &[]);
    }
}

#[test]
fn what_is_too_large_is_not_stored_and_bypasses_for_a_while() {
    let limits = Limits { entry_bytes: 20_000, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    let head = response(200, &["Cache-Control: max-age=60"]);
    let asked = request("GET /", &[]);
    let fill = bench.miss("/", &[]);
    let known = bench.store.begin(fill, &asked, &head, Length::Exact(20_001), bench.now);
    assert_eq!(known, Stored::NotStorable(Reason::TooLarge));
    assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::HitForMiss));

    bench.pass(2);
    let fill = bench.miss("/", &[]);
    assert_eq!(bench.store.begin(fill, &asked, &head, Length::Chunked, bench.now), Stored::Storing);
    // A byte a segment: what it pins counts, not what it says.
    let mut parts = 0;
    while bench.store.append(fill, &mut bench.heap.chain(b"x")) {
        parts += 1;
    }
    assert_eq!(parts, 20_000 / 2176 - 1);
    assert_eq!(bench.store.counters().not_stored(Reason::TooLarge), 2);
    assert_eq!((bench.store.entries(), bench.store.bytes(), bench.heap.in_use()), (0, 0, 0));
    assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::HitForMiss));
}

#[test]
fn a_head_counts_towards_its_entry() {
    for (entry_bytes, stored) in [(2175, false), (2176, true)] {
        let mut bench = Bench::with(Limits { entry_bytes, ..LIMITS }, Policy::default());
        let fill = bench.miss("/", &[]);
        let head = response(200, &["Cache-Control: max-age=60"]);
        let outcome = bench.answer(fill, &request("GET /", &[]), &head, b"");
        assert_eq!(outcome.is_ok(), stored, "{entry_bytes}");
        assert_eq!(bench.store.counters().not_stored(Reason::TooLarge), u64::from(!stored));
    }
}

#[test]
fn heads_and_keys_beyond_a_segment_are_not_stored() {
    let mut bench = Bench::with(Limits { bytes: 64 << 20, ..LIMITS }, Policy::default());
    let long = format!("/{}", "x".repeat(8000));
    bench.put(&long, &[], &["Cache-Control: max-age=60"], b"");
    bench.hit(&long, &[]);
    let filler = format!("X-Filler: {}", "y".repeat(12_000));
    let fill = bench.miss(&format!("{long}2"), &[]);
    let head = response(200, &["Cache-Control: max-age=60", &filler]);
    let refused = bench.answer(fill, &request("GET /", &[]), &head, b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::HeadTooLong)));
    // Date is added to a head that has none: a hundred fields are one too many.
    let many: Vec<_> = (0..99).map(|n| format!("X-{n}: 1")).collect();
    let mut many: Vec<_> = many.iter().map(String::as_str).collect();
    many.push("Cache-Control: max-age=60");
    let fill = bench.miss("/many", &[]);
    let refused = bench.answer(fill, &request("GET /", &[]), &response(200, &many), b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::HeadTooLong)));
    let entry = bench.put("/fits", &[], &many[1..], b"");
    assert_eq!(bench.field(entry, "x-98").as_deref(), Some("1"));
}

#[test]
fn exhausted_memory_stores_nothing_and_leaks_nothing() {
    for segments in 0..14 {
        let mut bench = Bench::new();
        let heap = levee_buf::Heap::new(segments);
        bench.store = crate::Store::new(LIMITS, [7; 16], heap.clone());
        match bench.get("/", &[]) {
            Lookup::Fill(fill) => {
                let head = response(200, &["Cache-Control: max-age=60"]);
                let asked = request("GET /", &[]);
                if bench.store.begin(fill, &asked, &head, Length::Chunked, bench.now) == Stored::Storing {
                    let body = levee_buf::Heap::new(1).chain(&[1; 60_000]);
                    let mut body = Some(body);
                    while let Some(mut part) = body.take() {
                        bench.store.append(fill, &mut part);
                    }
                }
                bench.store.finish(fill, bench.now);
            }
            other => assert_eq!(other, Lookup::Bypass(Reason::Exhausted)),
        }
        bench.store.purge_all();
        assert_eq!((bench.store.bytes(), bench.store.entries(), heap.in_use()), (0, 0, 0), "{segments}");
    }
}

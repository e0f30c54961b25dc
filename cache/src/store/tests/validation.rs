//! RFC 9111 section 4.3: validation, and freshening by a 304.

use levee_http::Length;

use crate::testing::{Bench, LIMITS, request, response};
use crate::{Limits, Lookup, Policy, Reason, Stored, Validators};

const TAGGED: &[&str] = &["Cache-Control: max-age=60", "ETag: \"1\"", "X-A: old", "X-B: old", "X-B: older"];

/// A stored response that is stale by a second.
fn stale(answer: &[&str]) -> Bench {
    let mut bench = Bench::new();
    bench.put("/", &[], answer, b"body");
    bench.pass(61);
    bench
}

#[test]
fn the_conditions_are_the_stored_validators() {
    // Section 4.3.1.
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    let modified = format!("Last-Modified: {date}");
    for (fields, etag, last_modified) in [
        (&["ETag: \"1\"", modified.as_str()][..], Some("\"1\""), Some(date)),
        (&["ETag: W/\"1\""], Some("W/\"1\""), None),
        (&[&modified], None, Some(date)),
        (&["ETag: oops", &modified], None, Some(date)),
    ] {
        let answer = [fields, &["Cache-Control: max-age=60"]].concat();
        let mut bench = stale(&answer);
        let (_, entry) = bench.revalidate("/", &[]);
        let wanted =
            Validators { etag: etag.map(str::as_bytes), last_modified: last_modified.map(str::as_bytes) };
        assert_eq!(bench.store.validators(entry), wanted);
    }
    stale(&["Cache-Control: max-age=60"]).miss("/", &[]);
}

#[test]
fn a_304_freshens_head_and_age_and_keeps_the_body() {
    // Sections 4.3.4 and 3.2.
    let mut bench = stale(TAGGED);
    let (fill, entry) = bench.revalidate("/", &[]);
    assert_eq!(bench.get("/", &[]), Lookup::Wait);
    let fields = [
        "ETag: \"1\"",
        "X-B: new",
        "X-C: new",
        "Connection: X-D",
        "X-D: hop",
        "Content-Length: 77",
        "Set-Cookie: a=b",
        "Age: 2",
        "Date: Tue, 14 Nov 2023 22:14:20 GMT",
    ];
    let validated = bench.store.not_modified(fill, &response(304, &fields), bench.now);
    assert_eq!((validated, bench.woken().len()), (Some(entry), 1));
    for (name, value) in [
        ("x-a", Some("old")),
        ("x-b", Some("new")),
        ("x-c", Some("new")),
        ("x-d", None),
        ("content-length", None),
        ("set-cookie", None),
        ("age", None),
        ("cache-control", Some("max-age=60")),
        ("date", Some("Tue, 14 Nov 2023 22:14:20 GMT")),
    ] {
        assert_eq!(bench.field(entry, name).as_deref(), value, "{name}");
    }
    assert_eq!(bench.store.age(entry, bench.now), 2);
    assert_eq!(bench.body(entry), b"body");
    bench.store.release(entry);
    bench.pass(57);
    assert_eq!(bench.hit("/", &[]), entry);
    bench.pass(1);
    bench.revalidate("/", &[]);
    let counters = bench.store.counters();
    assert_eq!((counters.revalidations, counters.validated), (2, 1));
}

#[test]
fn a_304_without_date_makes_it_as_new_as_its_arrival() {
    let mut bench = Bench::new();
    let answer = [TAGGED, &["Date: Tue, 14 Nov 2023 22:13:20 GMT"]].concat();
    bench.put("/", &[], &answer, b"body");
    bench.pass(100);
    let (fill, entry) = bench.revalidate("/", &[]);
    assert_eq!(bench.store.not_modified(fill, &response(304, &["ETag: \"1\""]), bench.now), Some(entry));
    assert_eq!(bench.field(entry, "date").as_deref(), Some("Tue, 14 Nov 2023 22:15:00 GMT"));
    bench.store.release(entry);
    bench.hit("/", &[]);
}

#[test]
fn a_304_about_something_else_updates_nothing() {
    // Section 4.3.4: "If none of the stored responses contains the same strong validator, then the cache
    // MUST NOT use the new response to update any stored responses."
    let modified = "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT";
    let later = "Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT";
    for (stored, fields, same) in [
        (&["ETag: \"1\""][..], &["ETag: \"1\""][..], true),
        (&["ETag: \"1\""], &[], true),
        (&["ETag: \"1\""], &["ETag: \"2\""], false),
        (&["ETag: W/\"1\""], &["ETag: \"1\""], false),
        (&["ETag: \"1\""], &["ETag: W/\"1\""], true),
        (&["ETag: W/\"1\""], &["ETag: W/\"1\""], true),
        (&[modified], &["ETag: \"1\""], false),
        (&[modified], &[modified], true),
        (&[modified], &[later], false),
        (&[modified], &[], true),
        (&["ETag: \"1\"", modified], &["ETag: \"1\"", later], true),
    ] {
        let mut bench = stale(&[stored, &["Cache-Control: max-age=60"]].concat());
        let (fill, entry) = bench.revalidate("/", &[]);
        let outcome = bench.store.not_modified(fill, &response(304, fields), bench.now);
        assert_eq!(outcome, same.then_some(entry), "{stored:?} {fields:?}");
        if !same {
            // The entry is gone, and the fill takes the answer to a request without conditions.
            assert_eq!(bench.store.entries(), 0);
            assert_eq!(bench.store.not_modified(fill, &response(304, fields), bench.now), None);
            let fresh = response(200, &["Cache-Control: max-age=60"]);
            let new = bench.answer(fill, &request("GET /", &[]), &fresh, b"new").unwrap();
            assert_eq!(bench.body(new), b"new");
        }
    }
}

#[test]
fn a_304_that_forbids_storing_serves_once() {
    for field in ["Cache-Control: no-store", "Cache-Control: private, max-age=9", "Vary: Cookie"] {
        let mut bench = stale(TAGGED);
        let (fill, entry) = bench.revalidate("/", &[]);
        assert_eq!(
            bench.store.not_modified(fill, &response(304, &[field]), bench.now),
            Some(entry),
            "{field}"
        );
        assert_eq!(bench.body(entry), b"body");
        bench.miss("/", &[]);
        bench.store.release(entry);
        assert_eq!(bench.store.entries(), 0);
    }
}

#[test]
fn a_full_response_replaces_what_was_stored() {
    // Section 4.3.3.
    let mut bench = stale(TAGGED);
    let (fill, old) = bench.revalidate("/", &[]);
    bench.answer(fill, &request("GET /", &[]), &response(200, TAGGED), b"newer").unwrap();
    let new = bench.hit("/", &[]);
    assert_eq!(bench.body(new), b"newer");
    assert_eq!((bench.store.entries(), bench.store.read(old, 0, 9).is_none()), (1, true));

    bench.pass(61);
    let (fill, _) = bench.revalidate("/", &[]);
    let gone = bench.answer(fill, &request("GET /", &[]), &response(200, &["Cache-Control: no-store"]), b"");
    assert_eq!(gone, Err(Stored::NotStorable(Reason::NoStore)));
    assert_eq!((bench.store.entries(), bench.heap.in_use()), (0, 0));
}

#[test]
fn a_server_error_leaves_what_was_stored_to_be_validated_again() {
    let mut bench = stale(TAGGED);
    let (fill, entry) = bench.revalidate("/", &[]);
    let begun = bench.store.begin(fill, &request("GET /", &[]), &response(503, &[]), Length::None, bench.now);
    assert_eq!(begun, Stored::NotStorable(Reason::Status));
    assert_eq!(bench.revalidate("/", &[]).1, entry);
}

#[test]
fn an_entry_evicted_while_it_is_validated_serves_and_goes() {
    let mut bench = stale(TAGGED);
    let (fill, entry) = bench.revalidate("/", &[]);
    bench.store.purge_all();
    assert_eq!(bench.store.not_modified(fill, &response(304, &["ETag: \"1\""]), bench.now), Some(entry));
    assert_eq!(bench.body(entry), b"body");
    bench.miss("/", &[]);
    bench.store.release(entry);
    bench.store.purge_all();
    assert_eq!(bench.store.entries(), 0);
}

#[test]
fn a_304_without_room_for_its_fields_serves_once() {
    let limits = Limits { bytes: 3 * 2176, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    bench.put("/", &[], TAGGED, b"body");
    bench.pass(61);
    let (fill, entry) = bench.revalidate("/", &[]);
    assert_eq!(bench.store.bytes(), limits.bytes);
    assert_eq!(bench.store.not_modified(fill, &response(304, &["X-B: new"]), bench.now), Some(entry));
    assert_eq!(bench.field(entry, "x-b").as_deref(), Some("old|older"));
    bench.store.release(entry);
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
}

#[test]
fn a_validation_without_room_for_its_key_holds_nothing() {
    let mut bench = Bench::with(Limits { bytes: 2 * 2176, ..LIMITS }, Policy::default());
    let fill = bench.miss("/", &[]);
    bench.answer(fill, &request("GET /", &[]), &response(200, TAGGED), b"").unwrap();
    let Lookup::Hit(entry) = bench.get("/", &[]) else { panic!("a hit") };
    let other = bench.miss("/other", &[]);
    bench.pass(61);
    assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::Budget));
    bench.store.audit();
    bench.store.abandon(other);
    bench.store.release(entry);
    bench.store.purge_all();
    assert_eq!((bench.store.entries(), bench.store.bytes()), (0, 0));
}

#[test]
fn a_304_that_makes_the_head_larger_is_accounted_for() {
    let mut bench = stale(TAGGED);
    let before = bench.store.bytes();
    let (fill, _) = bench.revalidate("/", &[]);
    let field = format!("X-A: {}", "y".repeat(3000));
    let entry = bench.store.not_modified(fill, &response(304, &["ETag: \"1\"", &field]), bench.now).unwrap();
    assert_eq!(bench.store.bytes(), before - 2176 + 128 + levee_buf::MAX_ROOM);
    bench.store.audit();
    bench.store.release(entry);
    bench.store.audit();
}

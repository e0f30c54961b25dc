//! One fetch a key: who waits, who is woken, and when waiting is no use.

use levee_http::Length;

use crate::testing::{Bench, LIMITS, request, response};
use crate::{Limits, Lookup, Policy, Reason, Stored};

const FRESH: &[&str] = &["Cache-Control: max-age=60"];

fn wait(bench: &mut Bench, fields: &[&str], waiters: std::ops::Range<u64>) {
    for waiter in waiters {
        assert_eq!(bench.lookup(&request("GET /", fields), waiter), Lookup::Wait);
    }
}

#[test]
fn all_wait_for_the_first_and_are_woken_in_order() {
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    wait(&mut bench, &[], 1..6);
    bench.miss("/other", &[]);
    assert_eq!(bench.woken(), []);
    bench.answer(fill, &request("GET /", &[]), &response(200, FRESH), b"x").unwrap();
    assert_eq!(bench.woken(), [1, 2, 3, 4, 5]);
    bench.hit("/", &[]);
    let counters = bench.store.counters();
    assert_eq!((counters.misses, counters.waits, counters.hits), (2, 5, 1));
}

#[test]
fn an_abandoned_fetch_passes_to_the_next() {
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    wait(&mut bench, &[], 1..4);
    bench.store.abandon(fill);
    bench.store.abandon(fill);
    let asked = request("GET /", &[]);
    let mut outcomes = Vec::new();
    while let Some(waiter) = bench.store.woken() {
        outcomes.push(bench.lookup(&asked, waiter));
    }
    assert!(matches!(outcomes[..], [Lookup::Fill(_), Lookup::Wait, Lookup::Wait]), "{outcomes:?}");
    assert_eq!(bench.woken(), []);
}

#[test]
fn a_response_that_is_not_storable_lets_all_go_side_by_side() {
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    wait(&mut bench, &[], 1..4);
    let refused =
        bench.answer(fill, &request("GET /", &[]), &response(200, &["Cache-Control: private"]), b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::Private)));
    assert_eq!(bench.woken(), [1, 2, 3]);
    for _ in 0..3 {
        assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::HitForMiss));
    }
    bench.miss("/other", &[]);
    bench.pass(2);
    bench.miss("/", &[]);
}

#[test]
fn what_one_request_alone_brings_about_keeps_no_key_out() {
    let mut bench = Bench::new();
    let authorized = &["Authorization: a"];
    let fill = bench.miss("/", authorized);
    // Nobody waits for a response that is likely for one client, and it waits for nobody.
    let other = bench.miss("/", &[]);
    let third = bench.miss("/", authorized);
    let refused = bench.answer(fill, &request("GET /", authorized), &response(200, FRESH), b"");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::AuthorizedResponse)));
    bench.store.abandon(third);
    wait(&mut bench, &[], 1..2);
    bench.answer(other, &request("GET /", &[]), &response(200, FRESH), b"x").unwrap();
    bench.hit("/", &[]);
}

#[test]
fn waiters_with_other_fields_leave_when_vary_shows_it() {
    let mut bench = Bench::new();
    let (gzip, br) = (&["Accept-Encoding: gzip"], &["Accept-Encoding: br"]);
    let fill = bench.miss("/", gzip);
    wait(&mut bench, br, 1..3);
    wait(&mut bench, gzip, 3..4);
    let head = response(200, &["Cache-Control: max-age=60", "Vary: Accept-Encoding"]);
    bench.store.begin(fill, &request("GET /", gzip), &head, Length::Exact(0), bench.now);
    let mut outcomes = Vec::new();
    while let Some(waiter) = bench.store.woken() {
        let fields = if waiter == 3 { gzip } else { br };
        outcomes.push(bench.lookup(&request("GET /", fields), waiter));
    }
    assert!(matches!(outcomes[..], [Lookup::Fill(_), Lookup::Wait, Lookup::Wait]), "{outcomes:?}");
    assert!(bench.store.finish(fill, bench.now).is_some());
    assert_eq!(bench.woken(), [3]);
    bench.hit("/", gzip);
    // Another variant, of which nothing is stored: who differs in what Vary names does not wait for it.
    wait(&mut bench, br, 4..5);
    bench.miss("/", &["Accept-Encoding: zstd"]);
}

#[test]
fn a_response_that_each_request_must_validate_is_waited_for_by_nobody() {
    let mut bench = Bench::new();
    let fill = bench.miss("/", &[]);
    wait(&mut bench, &[], 1..3);
    let head = response(200, &["Cache-Control: no-cache", "ETag: \"1\""]);
    bench.store.begin(fill, &request("GET /", &[]), &head, Length::Exact(0), bench.now);
    assert_eq!(bench.woken(), [1, 2]);
    assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::HitForMiss));
    assert!(bench.store.finish(fill, bench.now).is_some());
    let (one, _) = bench.revalidate("/", &[]);
    let (other, _) = bench.revalidate("/", &[]);
    assert_ne!(one, other);
}

#[test]
fn who_waited_takes_what_arrived_meanwhile() {
    // A no-cache request wants validation; a response that came while it waited was not there before.
    let mut bench = Bench::new();
    bench.put("/", &[], &["Cache-Control: max-age=60", "ETag: \"1\""], b"x");
    bench.pass(5);
    let asked = request("GET /", &["Cache-Control: no-cache"]);
    let (fill, _) = bench.revalidate("/", &["Cache-Control: no-cache"]);
    assert_eq!(bench.lookup(&asked, 1), Lookup::Wait);
    assert_eq!(bench.lookup(&asked, 2), Lookup::Wait);
    // Others are served what is fresh all the while.
    bench.hit("/", &[]);
    let entry = bench.store.not_modified(fill, &response(304, &["ETag: \"1\""]), bench.now).unwrap();
    bench.store.release(entry);
    while let Some(waiter) = bench.store.woken() {
        assert_eq!(bench.lookup(&asked, waiter), Lookup::Hit(entry), "{waiter}");
        bench.store.release(entry);
    }
    assert!(matches!(bench.lookup(&asked, 1), Lookup::Revalidate { .. }));
}

#[test]
fn fetches_and_waiters_are_bounded() {
    let mut bench = Bench::with(Limits { fills: 2, waiters: 3, ..LIMITS }, Policy::default());
    let fill = bench.miss("/", &[]);
    bench.miss("/2", &[]);
    assert_eq!(bench.get("/3", &[]), Lookup::Bypass(Reason::FillsFull));
    wait(&mut bench, &[], 1..4);
    assert_eq!(bench.get("/", &[]), Lookup::Bypass(Reason::WaitersFull));
    assert!(bench.store.forget(2) && !bench.store.forget(2));
    wait(&mut bench, &[], 4..5);
    bench.store.abandon(fill);
    assert!(bench.store.forget(3));
    assert_eq!(bench.woken(), [1, 4]);
    bench.miss("/3", &[]);
    assert_eq!(bench.store.counters().bypassed(Reason::FillsFull), 1);
}

#[test]
fn ids_of_ended_fills_do_nothing() {
    let mut bench = Bench::with(Limits { fills: 1, ..LIMITS }, Policy::default());
    let asked = request("GET /", &[]);
    let head = response(200, FRESH);
    let old = bench.miss("/", &[]);
    bench.store.abandon(old);
    let new = bench.miss("/", &[]);
    let begun = bench.store.begin(old, &asked, &head, Length::Chunked, bench.now);
    assert_eq!(begun, Stored::NotStorable(Reason::NoSuchFill));
    assert!(!bench.store.append(old, &mut bench.heap.chain(b"x")));
    assert_eq!(bench.store.not_modified(old, &head, bench.now), None);
    bench.store.abandon(old);
    assert_eq!(bench.store.finish(old, bench.now), None);
    bench.answer(new, &asked, &head, b"x").unwrap();
}

#[test]
fn nobody_waits_for_the_validation_of_another_variant() {
    let mut bench = Bench::new();
    let (gzip, br, zstd) = (&["Accept-Encoding: gzip"], &["Accept-Encoding: br"], &["Accept-Encoding: zstd"]);
    let vary = &["Cache-Control: max-age=60", "Vary: Accept-Encoding", "ETag: \"1\""];
    bench.put("/", gzip, vary, b"");
    bench.put("/", br, vary, b"");
    bench.pass(60);
    let (fill, entry) = bench.revalidate("/", gzip);
    let (other_fill, other) = bench.revalidate("/", br);
    assert!(fill != other_fill && entry != other);
    bench.miss("/", zstd);
    for fields in [gzip, br, zstd] {
        assert_eq!(bench.get("/", fields), Lookup::Wait, "{fields:?}");
    }
}

#[test]
fn who_waits_twice_has_waited_since_the_first_time() {
    let mut bench = Bench::new();
    let asked = request("GET /", &["Cache-Control: no-cache"]);
    let fill = bench.miss("/", &[]);
    assert_eq!(bench.lookup(&asked, 1), Lookup::Wait);
    bench.pass(1);
    let head = response(200, &["Cache-Control: max-age=60", "Vary: Accept"]);
    bench.store.begin(fill, &asked, &head, Length::Exact(0), bench.now);
    bench.pass(1);
    assert_eq!(bench.store.woken(), Some(1));
    assert_eq!(bench.lookup(&asked, 1), Lookup::Wait);
    bench.store.finish(fill, bench.now);
    assert_eq!(bench.store.woken(), Some(1));
    assert!(matches!(bench.lookup(&asked, 1), Lookup::Hit(_)));
}

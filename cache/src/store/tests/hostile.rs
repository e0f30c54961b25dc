//! What strangers send: nothing panics, and nothing grows.

use levee_http::Length;
use proptest::prelude::*;

use crate::testing::{Bench, request, response};
use crate::{Limits, Lookup, Now, Policy, Stored};

/// Values as odd as the parser of heads lets them through.
fn value() -> impl Strategy<Value = String> {
    let directive = prop_oneof![
        Just("max-age=".to_owned()),
        Just("s-maxage=\"".to_owned()),
        Just("no-cache=\"a, b".to_owned()),
        Just("private".to_owned()),
        Just("must-understand, no-store".to_owned()),
        Just("max-stale, min-fresh=18446744073709551616".to_owned()),
        Just("W/\"a,b\", *".to_owned()),
        Just("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        Just("*".to_owned()),
        Just("Accept, Cookie, Accept".to_owned()),
        "[0-9]{0,30}",
        "[ -~]{0,40}",
    ];
    proptest::collection::vec(directive, 0..4).prop_map(|parts| parts.join(", "))
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let field =
        (proptest::sample::select(names), value()).prop_map(|(name, value)| format!("{name}: {value}"));
    proptest::collection::vec(field, 0..8)
}

const OF_REQUESTS: &[&str] = &[
    "Cache-Control",
    "Pragma",
    "If-None-Match",
    "If-Modified-Since",
    "Accept",
    "Cookie",
    "Range",
    "Authorization",
];

const OF_RESPONSES: &[&str] = &[
    "Cache-Control",
    "Expires",
    "Date",
    "Age",
    "Last-Modified",
    "ETag",
    "Vary",
    "Connection",
    "Set-Cookie",
    "Location",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_heads_and_no_times_make_it_panic(
        asked in fields(OF_REQUESTS),
        first in fields(OF_RESPONSES),
        second in fields(OF_RESPONSES),
        status in 200_u16..600,
        times in proptest::array::uniform4(prop_oneof![Just(0), Just(u64::MAX), 0..4_000_000_000_000_u64]),
    ) {
        let mut bench = Bench::new();
        let [asked, first, second] = [&asked, &first, &second]
            .map(|fields| fields.iter().map(String::as_str).collect::<Vec<_>>());
        let asked = request("GET /", &asked);
        let plain = request("GET /", &[]);
        for (at, time) in times.into_iter().enumerate() {
            bench.now = Now(time);
            let request = if at % 2 == 0 { &plain } else { &asked };
            match bench.lookup(request, 0) {
                Lookup::Hit(entry) => {
                    let _ = (bench.store.conditional(entry, request), bench.store.age(entry, bench.now));
                    prop_assert!(bench.field(entry, "age").is_none());
                    bench.store.release(entry);
                }
                Lookup::Fill(fill) => {
                    let stored = bench.store.begin(fill, request, &response(status, &first), Length::None, bench.now);
                    let entry = bench.store.finish(fill, bench.now);
                    prop_assert_eq!(stored == Stored::Storing, entry.is_some());
                }
                Lookup::Revalidate { fill, entry } => {
                    let _ = bench.store.validators(entry);
                    if let Some(entry) = bench.store.not_modified(fill, &response(304, &second), bench.now) {
                        bench.store.release(entry);
                    }
                    bench.store.abandon(fill);
                }
                Lookup::Wait | Lookup::Bypass(_) | Lookup::OnlyIfCached504 => {}
            }
        }
        bench.store.invalidate(&self::request("POST /", &[]), b"example.com", true, &response(200, &first));
        bench.store.purge_all();
        prop_assert_eq!((bench.store.bytes(), bench.store.entries(), bench.heap.in_use()), (0, 0, 0));
    }

    #[test]
    fn no_authority_and_no_reference_make_it_panic(
        authority in proptest::collection::vec(any::<u8>(), 0..100),
        path in proptest::collection::vec(any::<u8>(), 0..100),
        location in value(),
    ) {
        let mut bench = Bench::new();
        let asked = request("GET /", &[]);
        bench.store.lookup(&asked, &authority, true, bench.now, 0);
        bench.store.purge(false, &authority, &path, Some(&path));
        let answer = response(200, &[&format!("Location: {location}")]);
        bench.store.invalidate(&request("POST /", &[]), &authority, true, &answer);
    }
}

#[test]
fn strangers_fill_every_limit_and_no_more() {
    let limits = Limits { bytes: 64 << 10, entry_bytes: 16 << 10, entries: 16, fills: 4, waiters: 4 };
    let mut bench = Bench::with(limits, Policy::default());
    for n in 0..3000_u32 {
        let (target, cookie) = (format!("/{}", n % 97), format!("Cookie: {n}"));
        let asked = request(&format!("GET {target}"), &[&cookie]);
        let answer = response(200, &["Cache-Control: max-age=600", "Vary: Cookie"]);
        if let Lookup::Fill(fill) = bench.lookup(&asked, u64::from(n)) {
            match n % 5 {
                0 => bench.store.abandon(fill),
                1 => {
                    let private = response(200, &["Cache-Control: private"]);
                    bench.store.begin(fill, &asked, &private, Length::Chunked, bench.now);
                }
                _ => drop(bench.answer(fill, &asked, &answer, &vec![b'x'; n as usize % 9000])),
            }
        }
        assert!(bench.store.bytes() <= limits.bytes && bench.store.entries() <= limits.entries);
        bench.woken();
    }
    bench.store.purge_all();
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
}

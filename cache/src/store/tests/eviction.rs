//! The byte budget, what is evicted for it, and pins.

use levee_buf::{Chain, Pieces};
use levee_http::Length;

use crate::body::SEGMENT;
use crate::testing::{Bench, LIMITS, request, response};
use crate::{Limits, Lookup, Policy, Reason, Stored};

const FRESH: &[&str] = &["Cache-Control: max-age=6000"];

#[test]
fn a_scan_does_not_drive_out_what_is_used() {
    let limits = Limits { bytes: 100 * 2 * SEGMENT, entries: 1000, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    let popular: Vec<String> = (0..20).map(|n| format!("/popular/{n}")).collect();
    for target in &popular {
        bench.put(target, &[], FRESH, b"x");
        bench.hit(target, &[]);
        bench.hit(target, &[]);
    }
    for n in 0..2000 {
        bench.put(&format!("/scan/{n}"), &[], FRESH, b"x");
        assert!(bench.store.bytes() <= limits.bytes);
    }
    for target in &popular {
        bench.hit(target, &[]);
    }
    let counters = bench.store.counters();
    assert!(counters.evictions >= 1900 && counters.evicted_bytes == counters.evictions * 2 * SEGMENT as u64);
}

#[test]
fn the_budget_counts_what_is_really_held() {
    let mut bench = Bench::with(LIMITS, Policy::default());
    bench.put("/", &[], FRESH, &[b'x'; 100_000]);
    // 69 received segments and one for the head, each with its headroom.
    assert_eq!(bench.store.bytes(), 70 * SEGMENT);
    // Heap memory counts a cut segment twice, which packet buffers do not hold twice.
    assert!(bench.heap.in_use() <= 70 + 100_000 / 16_384);
    bench.put("/big", &[], &["Cache-Control: max-age=60", &format!("X: {}", "y".repeat(3000))], b"");
    assert_eq!(bench.store.bytes(), 70 * SEGMENT + 128 + levee_buf::MAX_ROOM);
    bench.store.purge_all();
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
}

#[test]
fn the_budget_is_never_exceeded_by_fills_at_once() {
    let limits = Limits { bytes: 40 * SEGMENT, entry_bytes: 30 * SEGMENT, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    for n in 0..8 {
        bench.put(&format!("/old/{n}"), &[], FRESH, b"x");
    }
    let fills: Vec<_> = (0..3).map(|n| bench.miss(&format!("/{n}"), &[])).collect();
    let (asked, head) = (request("GET /", &[]), response(200, FRESH));
    for &fill in &fills {
        assert_eq!(bench.store.begin(fill, &asked, &head, Length::Chunked, bench.now), Stored::Storing);
    }
    let mut going = fills;
    while !going.is_empty() {
        going.retain(|&fill| bench.store.append(fill, &mut bench.heap.chain(b"part")));
        assert!(bench.store.bytes() <= limits.bytes);
    }
    // Old entries gave way first, and then the fills were too much for each other.
    let counters = bench.store.counters();
    assert_eq!(counters.evictions, 8);
    assert_eq!(counters.not_stored(Reason::Budget) + counters.not_stored(Reason::TooLarge), 3);
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
}

#[test]
fn what_is_pinned_is_evicted_last() {
    let limits = Limits { bytes: 8 * SEGMENT, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    bench.put("/pinned", &[], FRESH, b"pinned");
    let Lookup::Hit(pinned) = bench.get("/pinned", &[]) else { panic!("a hit") };
    for n in 0..10 {
        bench.put(&format!("/{n}"), &[], FRESH, b"x");
        assert!(bench.store.bytes() <= limits.bytes);
    }
    assert_eq!(bench.hit("/pinned", &[]), pinned);
}

#[test]
fn an_evicted_entry_lives_until_released() {
    // So many pinned in a row that one of them goes for the work's sake.
    let limits = Limits { bytes: 202 * SEGMENT, entries: 300, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    let mut pins = Vec::new();
    for n in 0..200 {
        let target = format!("/{n}");
        bench.put(&target, &[], FRESH, b"");
        let Lookup::Hit(entry) = bench.get(&target, &[]) else { panic!("a hit") };
        pins.push(entry);
    }
    bench.put("/free", &[], FRESH, b"");
    bench.put("/more", &[], FRESH, b"");
    assert_eq!((bench.store.counters().evictions, bench.store.bytes()), (2, limits.bytes - SEGMENT));
    let evicted = pins.remove(128);
    let again = bench.get("/128", &[]);
    assert_ne!(again, Lookup::Hit(evicted));
    assert!(bench.store.pin(evicted));
    bench.store.release(evicted);
    assert_eq!(bench.field(evicted, "cache-control").as_deref(), Some("max-age=6000"));
    let held = bench.store.bytes();
    bench.store.release(evicted);
    assert_eq!(bench.store.bytes(), held - SEGMENT);
    // Released more often than pinned: nothing happens.
    bench.store.release(evicted);
    assert!(bench.store.read(evicted, 0, 1).is_none() && !bench.store.pin(evicted));
    for entry in pins {
        bench.store.release(entry);
    }
    bench.store.purge_all();
    assert_eq!(bench.store.entries(), 0);
}

#[test]
fn a_reference_outlives_its_entry() {
    let mut bench = Bench::new();
    let entry = bench.put("/", &[], FRESH, b"body");
    let read = bench.store.read(entry, 0, 100).unwrap();
    bench.store.purge_all();
    assert_eq!((bench.store.bytes(), read.to_vec()), (0, b"body".to_vec()));
    assert!(!read.is_exclusive(0..4));
    drop(read);
    assert_eq!(bench.heap.in_use(), 0);
}

#[test]
fn pinned_memory_is_not_to_be_had() {
    let limits = Limits { bytes: 8 * SEGMENT, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    let mut pins = Vec::new();
    for n in 0..3 {
        let target = format!("/{n}");
        bench.put(&target, &[], FRESH, b"x");
        let Lookup::Hit(entry) = bench.get(&target, &[]) else { panic!("a hit") };
        pins.push(entry);
    }
    bench.put("/free", &[], FRESH, b"");
    let fill = bench.miss("/more", &[]);
    // The head takes the place of what is free; for the body there is none, whatever would be evicted.
    let dropped = bench.answer(fill, &request("GET /", &[]), &response(200, FRESH), b"x");
    assert_eq!(dropped, Err(Stored::Storing));
    assert_eq!((bench.store.counters().evictions, bench.store.counters().not_stored(Reason::Budget)), (1, 1));
    assert_eq!(bench.store.bytes(), 6 * SEGMENT);
    bench.hit("/0", &[]);
    for &entry in &pins {
        assert_eq!(bench.body(entry), b"x");
        bench.store.release(entry);
    }
}

#[test]
fn nothing_is_evicted_where_that_does_not_suffice() {
    let limits = Limits { bytes: 10 * SEGMENT, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    bench.put("/free", &[], FRESH, b"x");
    let fill = bench.miss("/more", &[]);
    bench.store.begin(fill, &request("GET /", &[]), &response(200, FRESH), Length::Chunked, bench.now);
    // Nine more are too many beside the two that the fill holds itself.
    let mut part = bench.heap.chain_of(&[&b"x"[..]; 9]);
    assert!(!bench.store.append(fill, &mut part));
    assert_eq!(bench.store.counters().not_stored(Reason::Budget), 1);
    bench.hit("/free", &[]);
}

#[test]
fn entries_are_bounded_and_reused() {
    let limits = Limits { entries: 4, ..LIMITS };
    let mut bench = Bench::with(limits, Policy::default());
    for n in 0..20 {
        bench.put(&format!("/{n}"), &[], FRESH, b"x");
    }
    assert_eq!((bench.store.entries(), bench.store.counters().evictions), (4, 16));
    let pins: Vec<_> = (16..20)
        .map(|n| match bench.get(&format!("/{n}"), &[]) {
            Lookup::Hit(entry) => entry,
            other => panic!("{other:?}"),
        })
        .collect();
    let fill = bench.miss("/more", &[]);
    let refused = bench.answer(fill, &request("GET /", &[]), &response(200, FRESH), b"x");
    assert_eq!(refused, Err(Stored::NotStorable(Reason::EntriesFull)));
    for entry in pins {
        bench.store.release(entry);
    }
    bench.pass(2);
    bench.put("/more", &[], FRESH, b"x");
    assert_eq!(bench.store.entries(), 4);
}

#[test]
fn shedding_frees_what_was_asked_for() {
    let mut bench = Bench::new();
    for n in 0..10 {
        bench.put(&format!("/{n}"), &[], FRESH, b"x");
    }
    let Lookup::Hit(pinned) = bench.get("/0", &[]) else { panic!("a hit") };
    assert_eq!(bench.store.shed(3 * SEGMENT), 4 * SEGMENT);
    assert_eq!(bench.store.shed(usize::MAX), 14 * SEGMENT);
    assert_eq!(bench.store.bytes(), 2 * SEGMENT);
    assert_eq!(bench.hit("/0", &[]), pinned);
    bench.store.release(pinned);
    assert_eq!(bench.store.shed(1), 2 * SEGMENT);
    assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
}

#[test]
fn all_memory_is_returned_by_dropping_the_store() {
    let mut bench = Bench::new();
    bench.put("/", &[], FRESH, &[1; 50_000]);
    bench.miss("/fill", &[]);
    let storing = bench.miss("/storing", &[]);
    let (asked, head) = (request("GET /", &[]), response(200, FRESH));
    bench.store.begin(storing, &asked, &head, Length::Chunked, bench.now);
    bench.store.append(storing, &mut bench.heap.chain(b"part"));
    bench.get("/", &[]);
    let heap = bench.heap.clone();
    drop(bench);
    assert_eq!(heap.in_use(), 0);
}

//! An entry that is read while it grows: by the client whose request fetches it, at whatever pace that reads.

use levee_buf::{Chain, Heap, Pieces};
use levee_http::Length;

use crate::testing::{Bench, LIMITS, request, response};
use crate::{EntryId, FillId, Limits, Lookup, Policy, Reason, Store, Stored};

const FRESH: &[&str] = &["Cache-Control: max-age=60"];

fn begin(bench: &mut Bench, length: Length) -> (FillId, EntryId) {
    let fill = bench.miss("/", &[]);
    assert_eq!(bench.store.growing(fill), None, "nothing is stored before the head came");
    let begun = bench.store.begin(fill, &request("GET /", &[]), &response(200, FRESH), length, bench.now);
    assert_eq!(begun, Stored::Storing);
    (fill, bench.store.growing(fill).unwrap())
}

fn append(bench: &mut Bench, fill: FillId, part: &[u8]) {
    let mut chain = bench.heap.chain(part);
    assert!(bench.store.append(fill, &mut chain) && chain.is_empty());
}

#[test]
fn what_has_come_can_be_read_while_more_comes() {
    let mut bench = Bench::new();
    let (fill, entry) = begin(&mut bench, Length::Exact(8));
    assert!(bench.body(entry).is_empty());
    append(&mut bench, fill, b"one ");
    let first = bench.store.read(entry, 0, 100).unwrap();
    append(&mut bench, fill, b"two ");
    assert_eq!(first.to_vec(), b"one ");
    assert_eq!(bench.store.read(entry, 4, 100).unwrap().to_vec(), b"two ");
    assert_eq!(bench.lookup(&request("GET /", &[]), 1), Lookup::Wait, "others wait for the whole");
    // Who fetches is not done reading when it serves others.
    assert_eq!(bench.store.finish(fill, bench.now), Some(entry));
    assert_eq!(bench.woken(), [1]);
    assert_eq!(bench.hit("/", &[]), entry);
    bench.store.purge_all();
    assert_eq!(bench.body(entry), b"one two ");
    bench.store.release(entry);
    drop(first);
    assert_eq!((bench.store.entries(), bench.store.bytes(), bench.heap.in_use()), (0, 0, 0));
}

#[test]
fn what_is_not_stored_in_the_end_is_there_until_it_is_read() {
    let ends: [fn(&mut Bench, FillId); 3] = [
        |bench, fill| bench.store.abandon(fill),
        |bench, fill| {
            bench.store.purge_all();
            append(bench, fill, b"");
            assert_eq!(bench.store.finish(fill, bench.now), None);
        },
        |bench, fill| assert_eq!(bench.store.finish(fill, bench.now), None, "a part is missing"),
    ];
    for end in ends {
        let mut bench = Bench::new();
        let (fill, entry) = begin(&mut bench, Length::Exact(10));
        append(&mut bench, fill, b"part");
        end(&mut bench, fill);
        assert_eq!(bench.body(entry), b"part");
        assert!(!matches!(bench.get("/", &[]), Lookup::Hit(_)));
        bench.store.release(entry);
        assert_eq!(bench.store.entries(), 0);
    }
}

#[test]
fn what_does_not_fit_stays_with_the_caller() {
    for (limits, reason) in [
        (Limits { entry_bytes: 10_000, ..LIMITS }, Reason::TooLarge),
        (Limits { bytes: 12_000, ..LIMITS }, Reason::Budget),
    ] {
        let mut bench = Bench::with(limits, Policy::default());
        let (fill, entry) = begin(&mut bench, Length::Chunked);
        let mut came = Vec::new();
        let rest = (0..100_u8).find_map(|part| {
            let mut chain = bench.heap.chain(&[part; 500]);
            came.extend([part; 500]);
            (!bench.store.append(fill, &mut chain)).then_some(chain)
        });
        assert_eq!(bench.store.counters().not_stored(reason), 1);
        assert_eq!([bench.body(entry), rest.unwrap().to_vec()].concat(), came);
        assert!(bench.store.bytes() <= limits.bytes);
        bench.store.release(entry);
        assert_eq!((bench.store.bytes(), bench.heap.in_use()), (0, 0));
    }
}

/// Where memory runs out in the middle of a part, what went before it is in the entry.
#[test]
fn no_byte_is_lost_where_memory_runs_out() {
    let content: Vec<u8> = (0..=250_u8).cycle().take(60_000).collect();
    let mut split = 0;
    for segments in 2..14 {
        let mut bench = Bench::new();
        let heap = Heap::new(segments);
        bench.store = Store::new(LIMITS, [7; 16], heap.clone());
        let (fill, entry) = begin(&mut bench, Length::Chunked);
        let mut rest = Heap::new(1).chain(&content);
        let fits = bench.store.append(fill, &mut rest);
        assert_eq!(fits, rest.is_empty());
        let mut whole = Vec::new();
        while let Some(piece) = bench.store.read(entry, whole.len() as u64, 1000).filter(|it| !it.is_empty())
        {
            whole.extend(piece.to_vec());
        }
        let taken = usize::try_from(bench.store.body_len(entry)).unwrap();
        split += usize::from(taken > 0 && !fits);
        assert_eq!(whole, content[..whole.len()]);
        assert_eq!(rest.to_vec(), content[taken..], "{segments}");
        bench.store.abandon(fill);
        bench.store.release(entry);
        drop(rest);
        assert_eq!((bench.store.entries(), heap.in_use()), (0, 0));
    }
    assert!(split > 0, "some of these ran out in the middle");
}

//! Two keys of one hash, which no test finds by chance: the whole key decides.

use levee_buf::{Chain, Memory, Writer};

use crate::fill::Fill;
use crate::key::Key;
use crate::testing::Bench;
use crate::{Lookup, Now};

fn key(path: &'static str) -> Key<'static> {
    Key::new(true, b"example.com", path.as_bytes(), None).unwrap()
}

#[test]
fn a_stored_response_is_not_that_of_another_key_with_its_hash() {
    let mut bench = Bench::new();
    let entry = bench.put("/a", &[], &["Cache-Control: max-age=60"], b"a");
    let hash = key("/b").hash(&[7; 16]);
    bench.store.index.remove(entry.0.slot);
    bench.store.index.insert(entry.0.slot, hash);
    bench.store.entries[entry.0.slot].hash = hash;
    bench.put("/b", &[], &["Cache-Control: max-age=60"], b"b");
    let served = bench.hit("/b", &[]);
    assert_eq!(bench.body(served), b"b");
    // Neither replaces the other, nor is purged for it.
    assert_eq!((bench.store.entries(), bench.store.purge(true, b"example.com", b"/b", None)), (2, 1));
}

#[test]
fn nobody_waits_for_another_key_with_its_hash() {
    let mut bench = Bench::new();
    let mut text = bench.heap.alloc(100).unwrap();
    key("/a").write(&mut Writer::new(text.extend(key("/a").len()).unwrap())).unwrap();
    let hash = key("/b").hash(&[7; 16]);
    let other = Fill { key: text, hash, request_time: Now(0), shared: true, ..Fill::default() };
    let other = bench.store.fills.begin(other).unwrap();
    bench.miss("/b", &[]);
    assert_eq!(bench.get("/b", &[]), Lookup::Wait);
    bench.store.purge(true, b"example.com", b"/b", None);
    assert!(!bench.store.fills.at(other.slot).doomed);
}

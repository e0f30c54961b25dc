//! After [`Store::new`] the store never calls the allocator: a life of lookups, fills, hits, evictions and
//! validations, over packet memory that does not either.

use std::ops::Range;

use allocation_counter::measure;
use levee_buf::{Chain, Memory, Pieces};
use levee_http::{FieldTable, Length, RequestHead, ResponseHead};

use crate::testing::{LIMITS, START, request, response};
use crate::{Limits, Lookup, Now, Reason, Store, Stored};

/// Packet memory without memory: a chain knows its length and keeps the first bytes.
#[derive(Clone, Debug)]
struct Flat;

const KEPT: usize = 512;

#[derive(Debug)]
struct FlatChain {
    bytes: [u8; KEPT],
    len: usize,
}

impl Default for FlatChain {
    fn default() -> Self {
        Self { bytes: [0; KEPT], len: 0 }
    }
}

impl Memory for Flat {
    type Chain = FlatChain;

    fn alloc(&self, room: usize) -> Option<FlatChain> {
        (room <= KEPT).then(FlatChain::default)
    }

    fn split_to(&self, chain: &mut FlatChain, at: usize) -> Option<FlatChain> {
        let front = at.min(chain.len);
        chain.len -= front;
        Some(FlatChain { len: front, ..FlatChain::default() })
    }

    fn reference(&self, chain: &mut FlatChain, range: Range<usize>) -> Option<FlatChain> {
        let len = range.end.min(chain.len).saturating_sub(range.start);
        Some(FlatChain { len, ..FlatChain::default() })
    }
}

impl Pieces for FlatChain {
    fn len(&self) -> usize {
        self.len
    }

    fn segments(&self) -> usize {
        self.len.div_ceil(levee_buf::ROOM)
    }

    fn chunk(&self, at: usize) -> &[u8] {
        self.bytes.get(at..self.len.min(KEPT)).unwrap_or_default()
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(at..self.len)
    }

    fn is_exclusive(&self, _: Range<usize>) -> bool {
        true
    }
}

impl Chain for FlatChain {
    fn append(&mut self, tail: Self) {
        self.len += tail.len;
    }

    fn trim_front(&mut self, n: usize) {
        self.len -= n.min(self.len);
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn headroom(&self) -> usize {
        0
    }

    fn tailroom(&self) -> usize {
        KEPT.saturating_sub(self.len)
    }

    fn prepend(&mut self, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn extend(&mut self, n: usize) -> Option<&mut [u8]> {
        let from = self.len;
        self.len += n;
        self.bytes.get_mut(from..self.len)
    }
}

/// One key's life, `n` seconds after the start.
fn life(store: &mut Store<Flat>, asked: &RequestHead<'_>, answers: &[ResponseHead<'_>; 3], n: u64) {
    let [fresh, validated, private] = answers;
    let at = |seconds: u64| Now(START.0 + (n + seconds) * 1000);
    let lookup = |store: &mut Store<Flat>, now, waiter| {
        store.lookup(asked, asked.authority.as_bytes(), true, now, waiter)
    };
    let Lookup::Fill(fill) = lookup(store, at(0), 1) else { panic!("a miss") };
    assert_eq!(lookup(store, at(0), 2), Lookup::Wait);
    assert_eq!(lookup(store, at(0), 3), Lookup::Wait);
    assert!(store.forget(3));
    assert_eq!(store.begin(fill, asked, fresh, Length::Chunked, at(0)), Stored::Storing);
    for _ in 0..30 {
        assert!(store.append(fill, &mut FlatChain { len: 10_000, ..FlatChain::default() }));
    }
    let entry = store.finish(fill, at(0)).unwrap();
    assert_eq!(store.woken(), Some(2));
    assert_eq!(lookup(store, at(0), 2), Lookup::Hit(entry));
    let mut table = FieldTable::new();
    assert_eq!(store.head(entry, &mut table).map(|head| head.status), Some(200));
    let _ = (store.conditional(entry, asked), store.age(entry, at(1)), store.body_len(entry));
    assert_eq!(store.read(entry, 100_000, 50_000).map(|chain| chain.len()), Some(50_000));
    store.release(entry);
    let Lookup::Revalidate { fill, .. } = lookup(store, at(60), 1) else { panic!("a validation") };
    assert!(store.validators(entry).etag.is_some());
    assert_eq!(store.not_modified(fill, validated, at(60)), Some(entry));
    store.release(entry);
    let post = RequestHead { method: levee_http::Method::Post, ..*asked };
    if n.is_multiple_of(3) {
        assert_eq!(store.invalidate(&post, asked.authority.as_bytes(), true, fresh), 1);
        let Lookup::Fill(fill) = lookup(store, at(60), 1) else { panic!("a miss") };
        let refused = store.begin(fill, asked, private, Length::None, at(60));
        assert_eq!(refused, Stored::NotStorable(Reason::Private));
        assert_eq!(lookup(store, at(60), 1), Lookup::Bypass(Reason::HitForMiss));
    }
}

#[test]
fn a_whole_life_allocates_nothing() {
    let mut store = Store::new(Limits { entries: 20, ..LIMITS }, [1; 16], Flat);
    let fields = &["Accept-Encoding: gzip", "If-None-Match: \"2\""];
    let asked: Vec<_> = (0..100).map(|n| request(&format!("GET /{n}"), fields)).collect();
    let answers = [
        response(200, &["Cache-Control: max-age=60", "ETag: \"1\"", "Vary: Accept-Encoding"]),
        response(304, &["ETag: \"1\"", "X: new"]),
        response(200, &["Cache-Control: private"]),
    ];
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1, "allocations are counted");
    let counted = measure(|| {
        for (asked, n) in asked.iter().zip(0..) {
            life(&mut store, asked, &answers, n);
        }
        store.shed(1 << 20);
        store.purge_all();
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(store.counters().evictions > 40);
    assert_eq!(store.bytes(), 0);
}

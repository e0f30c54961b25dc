//! What the tests share: heads from text, and a store with a clock and a backend in a line.

use levee_buf::{Chain, Heap};
use levee_http::{FieldTable, Length, Limits as HeadLimits, RequestHead, ResponseHead, h1};

use crate::{EntryId, FillId, Limits, Lookup, Now, Policy, Store, Stored};

/// The start of test time: 2023-11-14 22:13:20 UTC.
pub(crate) const START: Now = Now(1_700_000_000_000);

/// A head of a request, whose target may come with other fields behind it: `GET /path` and lines.
pub(crate) fn request(line: &str, fields: &[&str]) -> RequestHead<'static> {
    let text = format!("{line} HTTP/1.1\r\nHost: example.com\r\n{}\r\n", lines(fields));
    h1::parse_request(text.leak().as_bytes(), Box::leak(Box::default()), &HeadLimits::default()).unwrap()
}

/// A head of a response.
pub(crate) fn response(status: u16, fields: &[&str]) -> ResponseHead<'static> {
    let text = format!("HTTP/1.1 {status} Reason\r\n{}\r\n", lines(fields));
    h1::parse_response(text.leak().as_bytes(), Box::leak(Box::default()), &HeadLimits::default()).unwrap()
}

fn lines(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("{field}\r\n")).collect()
}

/// A store, its memory, and the time.
pub(crate) struct Bench {
    pub(crate) heap: Heap,
    pub(crate) store: Store<Heap>,
    pub(crate) now: Now,
}

pub(crate) const LIMITS: Limits =
    Limits { bytes: 4 << 20, entry_bytes: 1 << 20, entries: 64, fills: 8, waiters: 16 };

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(LIMITS, Policy::default())
    }

    pub(crate) fn with(limits: Limits, policy: Policy) -> Self {
        let heap = Heap::new(100_000);
        let store = Store::new(limits, [7; 16], heap.clone()).with_policy(policy);
        Self { heap, store, now: START }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = Now(self.now.0 + seconds * 1000);
    }

    pub(crate) fn lookup(&mut self, request: &RequestHead<'_>, waiter: u64) -> Lookup {
        self.store.lookup(request, request.authority.as_bytes(), true, self.now, waiter)
    }

    pub(crate) fn get(&mut self, target: &str, fields: &[&str]) -> Lookup {
        self.lookup(&request(&format!("GET {target}"), fields), 0)
    }

    /// A lookup that has to begin a fetch without a condition.
    pub(crate) fn miss(&mut self, target: &str, fields: &[&str]) -> FillId {
        match self.get(target, fields) {
            Lookup::Fill(fill) => fill,
            other => panic!("{target} {fields:?}: {other:?}"),
        }
    }

    /// A lookup that has to be served; its pin is given back.
    pub(crate) fn hit(&mut self, target: &str, fields: &[&str]) -> EntryId {
        match self.get(target, fields) {
            Lookup::Hit(entry) => {
                self.store.release(entry);
                entry
            }
            other => panic!("{target} {fields:?}: {other:?}"),
        }
    }

    /// A lookup that has to validate.
    pub(crate) fn revalidate(&mut self, target: &str, fields: &[&str]) -> (FillId, EntryId) {
        match self.get(target, fields) {
            Lookup::Revalidate { fill, entry } => (fill, entry),
            other => panic!("{target} {fields:?}: {other:?}"),
        }
    }

    /// Gives a fill its response, body and all. `Err(Storing)` is a fill that was dropped on the way.
    pub(crate) fn answer(
        &mut self,
        fill: FillId,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        body: &[u8],
    ) -> Result<EntryId, Stored> {
        match self.store.begin(fill, request, response, Length::Exact(body.len() as u64), self.now) {
            Stored::Storing => {}
            refused @ Stored::NotStorable(_) => return Err(refused),
        }
        for part in body.chunks(1460) {
            self.store.append(fill, &mut self.heap.chain(part));
        }
        self.store.finish(fill, self.now).ok_or(Stored::Storing)
    }

    /// Misses and stores.
    pub(crate) fn put(&mut self, target: &str, fields: &[&str], answer: &[&str], body: &[u8]) -> EntryId {
        let fill = self.miss(target, fields);
        self.answer(fill, &request(&format!("GET {target}"), fields), &response(200, answer), body).unwrap()
    }

    pub(crate) fn body(&mut self, entry: EntryId) -> Vec<u8> {
        let len = self.store.body_len(entry);
        self.store.read(entry, 0, usize::try_from(len).unwrap()).unwrap().to_vec()
    }

    pub(crate) fn field(&self, entry: EntryId, name: &str) -> Option<String> {
        let mut table = FieldTable::new();
        let head = self.store.head(entry, &mut table).unwrap();
        let values: Vec<_> = head
            .fields
            .all(name.as_bytes())
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    pub(crate) fn woken(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.store.woken()).collect()
    }
}

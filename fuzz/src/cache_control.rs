//! A store that is given any heads, in any order, at any time: no panic, memory bounded and given back, ages and
//! conditions without overflow, and never a body of another address or variant.

use std::collections::HashMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use levee_buf::{Chain as _, Heap};
use levee_cache::{EntryId, FillId, Limits, Lookup, Now, Policy, Store, Stored};
use levee_http::{FieldTable, Length, RequestHead, ResponseHead, h1};

const LIMITS: Limits = Limits { bytes: 1 << 20, entry_bytes: 1 << 18, entries: 16, fills: 4, waiters: 4 };

/// The fields that mean something to a cache.
const REQUEST: [&str; 14] = [
    "Cache-Control",
    "Pragma",
    "If-None-Match",
    "If-Modified-Since",
    "If-Match",
    "If-Unmodified-Since",
    "Range",
    "If-Range",
    "Authorization",
    "Accept",
    "Accept-Language",
    "Cookie",
    "Connection",
    "Content-Length",
];
const RESPONSE: [&str; 13] = [
    "Cache-Control",
    "Expires",
    "Date",
    "Age",
    "Last-Modified",
    "ETag",
    "Vary",
    "Set-Cookie",
    "Pragma",
    "Connection",
    "Content-Location",
    "Location",
    "Warning",
];

/// Words that have a meaning in their values.
const WORDS: [&str; 40] = [
    "max-age=",
    "s-maxage=",
    "no-cache",
    "no-store",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "proxy-revalidate",
    "max-stale",
    "min-fresh=",
    "only-if-cached",
    "stale-while-revalidate=",
    "stale-if-error=",
    "immutable",
    "0",
    "1",
    "60",
    "4294967295",
    "18446744073709551615",
    "99999999999999999999",
    "-1",
    ",",
    ", ",
    "=",
    "\"",
    "\"a\"",
    "W/\"a\"",
    "*",
    "Accept",
    "Accept-Language",
    "Cookie",
    "close",
    "en",
    "/0",
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Get {
        path: u8,
        head: bool,
    },
    /// A response to the oldest fetch, of so many bytes, of which so many are announced.
    Answer {
        status: u8,
        length: u16,
        announced: Option<u16>,
    },
    NotModified,
    Abandon,
    Post {
        path: u8,
        status: u8,
    },
    Pass {
        milliseconds: u64,
    },
    Purge,
}

/// A fetch under way.
struct Fetch {
    fill: FillId,
    request: String,
    path: u8,
}

/// Runs `input` as a program.
pub fn run(input: &[u8]) {
    let _ = program(&mut Unstructured::new(input));
}

fn program(input: &mut Unstructured<'_>) -> Result<()> {
    let heap = Heap::new(10_000);
    let mut store = Store::new(LIMITS, [7; 16], heap.clone()).with_policy(Policy {
        store_set_cookie: input.arbitrary()?,
        hit_for_miss_ms: input.int_in_range(0..=3000)?,
        ..Policy::default()
    });
    let mut now = Now(1_700_000_000_000);
    let mut fetches: Vec<Fetch> = Vec::new();
    let mut served = HashMap::new();
    let mut number = 0_u32;
    while !input.is_empty() {
        match input.arbitrary()? {
            Step::Get { path, head } => {
                let path = path % 3;
                let method = if head { "HEAD" } else { "GET" };
                let text =
                    format!("{method} /{path} HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(input, &REQUEST)?);
                let mut table = FieldTable::new();
                let Some(request) = request(&text, &mut table) else { continue };
                match store.lookup(&request, b"a", true, now, 1) {
                    Lookup::Hit(entry) => hit(&mut store, entry, &request, now, path, &served),
                    Lookup::Fill(fill) => fetches.push(Fetch { fill, request: text, path }),
                    Lookup::Revalidate { fill, entry } => {
                        let _ = store.validators(entry);
                        fetches.push(Fetch { fill, request: text, path });
                    }
                    Lookup::Wait => _ = store.forget(1),
                    Lookup::Bypass(_) | Lookup::OnlyIfCached504 => {}
                }
            }
            Step::Answer { status, length, announced } if !fetches.is_empty() => {
                let fetch = fetches.remove(0);
                let status =
                    [200, 203, 204, 206, 301, 302, 304, 404, 410, 500, 503][usize::from(status) % 11];
                let text = format!("HTTP/1.1 {status} x\r\n{}\r\n", fields(input, &RESPONSE)?);
                let (mut one, mut other) = (FieldTable::new(), FieldTable::new());
                let (Some(request), Some(response)) =
                    (request(&fetch.request, &mut one), response(&text, &mut other))
                else {
                    store.abandon(fetch.fill);
                    continue;
                };
                number += 1;
                let body =
                    [&[fetch.path][..], &number.to_be_bytes()].concat().repeat(usize::from(length / 5) + 1);
                let announced = announced.map_or(Length::Chunked, |length| Length::Exact(u64::from(length)));
                let exact = if length % 2 == 0 { Length::Exact(body.len() as u64) } else { announced };
                if store.begin(fetch.fill, &request, &response, exact, now) == Stored::Storing {
                    append(&mut store, &heap, fetch.fill, &body);
                    if store.finish(fetch.fill, now).is_some() {
                        served.insert(number, body);
                    }
                }
            }
            Step::NotModified if !fetches.is_empty() => {
                let fetch = fetches.remove(0);
                let text = format!("HTTP/1.1 304 x\r\n{}\r\n", fields(input, &RESPONSE)?);
                let (mut one, mut other) = (FieldTable::new(), FieldTable::new());
                let (Some(request), Some(response)) =
                    (request(&fetch.request, &mut one), response(&text, &mut other))
                else {
                    store.abandon(fetch.fill);
                    continue;
                };
                match store.not_modified(fetch.fill, &response, now) {
                    Some(entry) => hit(&mut store, entry, &request, now, fetch.path, &served),
                    None => store.abandon(fetch.fill),
                }
            }
            Step::Abandon if !fetches.is_empty() => store.abandon(fetches.remove(0).fill),
            Step::Post { path, status } => {
                let text = format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", path % 3);
                let answer = format!("HTTP/1.1 {}00 x\r\n{}\r\n", 2 + status % 4, fields(input, &RESPONSE)?);
                let (mut one, mut other) = (FieldTable::new(), FieldTable::new());
                if let (Some(request), Some(response)) =
                    (request(&text, &mut one), response(&answer, &mut other))
                {
                    store.invalidate(&request, b"a", true, &response);
                }
            }
            // A clock that goes back too.
            Step::Pass { milliseconds } => now = Now(now.0.wrapping_add(milliseconds) >> 1 << 1),
            Step::Purge => store.purge_all(),
            _ => {}
        }
        while store.woken().is_some() {}
        assert!(store.entries() <= LIMITS.entries);
    }
    for fetch in fetches {
        store.abandon(fetch.fill);
    }
    drop(store);
    assert_eq!(heap.in_use(), 0, "segments are left");
    Ok(())
}

/// Stores `body` as far as it fits; who fetches it gets all of it, out of the entry and behind that.
fn append(store: &mut Store<Heap>, heap: &Heap, fill: FillId, body: &[u8]) {
    let entry = store.growing(fill).expect("an entry grows");
    let mut rest = Vec::new();
    for part in body.chunks(1000) {
        let mut chain = heap.chain(part);
        if !store.append(fill, &mut chain) {
            rest.extend(chain.to_vec());
        }
    }
    let length = usize::try_from(store.body_len(entry)).expect("a length in memory");
    let stored = store.read(entry, 0, length).expect("memory for it");
    assert_eq!([stored.to_vec(), rest].concat(), body);
    store.release(entry);
}

/// An entry that is served, and given back.
fn hit(
    store: &mut Store<Heap>,
    entry: EntryId,
    request: &RequestHead<'_>,
    now: Now,
    path: u8,
    served: &HashMap<u32, Vec<u8>>,
) {
    let length = store.body_len(entry);
    let body = store.read(entry, 0, LIMITS.entry_bytes).expect("memory is enough").to_vec();
    assert_eq!(body.len() as u64, length);
    assert_eq!(body[0], path, "the body of another address");
    let number = u32::from_be_bytes([body[1], body[2], body[3], body[4]]);
    assert_eq!(served.get(&number), Some(&body), "a body that was not stored whole");
    // RFC 9111 section 1.2.2: what overflows is 2^31 or the greatest number that can be told.
    assert!(store.age(entry, now) <= u64::MAX / 1000);
    let _ = store.conditional(entry, request);
    let mut table = FieldTable::new();
    let head = store.head(entry, &mut table).expect("the entry is there");
    assert!(!head.fields.contains(b"connection") && !head.fields.contains(b"age"));
    store.release(entry);
}

fn request<'a>(text: &'a str, table: &'a mut FieldTable) -> Option<RequestHead<'a>> {
    h1::parse_request(text.as_bytes(), table, &levee_http::Limits::default()).ok()
}

fn response<'a>(text: &'a str, table: &'a mut FieldTable) -> Option<ResponseHead<'a>> {
    h1::parse_response(text.as_bytes(), table, &levee_http::Limits::default()).ok()
}

/// A few field lines of these names.
fn fields(input: &mut Unstructured<'_>, names: &[&str]) -> Result<String> {
    let mut lines = String::new();
    for _ in 0..input.int_in_range(0..=4)? {
        lines.push_str(input.choose(names)?);
        lines.push_str(": ");
        for _ in 0..input.int_in_range(0..=5)? {
            if input.ratio(1, 8)? {
                lines.push(char::from(input.int_in_range(b' '..=b'~')?));
            } else {
                lines.push_str(input.choose(&WORDS)?);
            }
        }
        lines.push_str("\r\n");
    }
    Ok(lines)
}

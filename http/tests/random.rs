//! Random streams: nothing panics, every cut reads the same, a naive reading agrees on where messages
//! end, and what is encoded is read as it was decided.

mod support;

use std::net::IpAddr;

use levee_buf::{Chain, Heap, Writer};
use levee_http::h1::encode::{self, RequestRewrite, ResponseRewrite};
use levee_http::h1::{Body, BodyRead, parse_request, parse_response};
use levee_http::{FieldTable, Length, Limits, Method, Version, framing, parse_http_date};
use proptest::prelude::*;
use support::{Connection, Side, reference, whole};

/// Pieces that streams are made of, so that random ones come close to what has a meaning.
const WORDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "POST /x?y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "GET ",
    "OPTIONS * ",
    "/",
    "http://b",
    " HTTP/1.1",
    " HTTP/1.0",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: ",
    "Connection: close\r\n",
    "Connection: keep-alive, x\r\n",
    "Connection: ",
    "Expect: 100-continue\r\n",
    "Upgrade: websocket\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
    "chunked",
    "close",
    "A: b\r\n",
    ":",
    " ",
    "\t",
    ",",
    ";",
    ";a=b",
    ";a=\"",
    "\"",
    "\\",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "0",
    "5",
    "a",
    "ff",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "1\r\nx\r\n",
    "0\r\nA: b\r\n\r\n",
    "\0",
    "\u{7f}",
    "hello",
];

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        20 => prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

/// A stream that starts as a request, so that it gets further.
fn request_stream() -> impl Strategy<Value = Vec<u8>> {
    let starts = prop::sample::select(&WORDS[..5]);
    (starts, stream()).prop_map(|(start, rest)| [start.as_bytes(), &rest].concat())
}

/// Good requests with one byte changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let all = include_str!("data/requests.txt");
    let file = [all, include_str!("data/smuggling.txt")].concat();
    let streams: Vec<Vec<u8>> = support::cases::parse(&file, true)
        .into_iter()
        .map(|case| case.stream)
        .filter(|s| s.len() < 400)
        .collect();
    (prop::sample::select(streams), any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(
        |(mut stream, at, byte, kind)| {
            if !stream.is_empty() {
                let at = at.index(stream.len());
                match kind {
                    0 => stream[at] = byte,
                    1 => stream.insert(at, byte),
                    _ => drop(stream.remove(at)),
                }
            }
            stream
        },
    )
}

/// Asserts that all segmentations read the same, and returns what they read.
fn check(side: Side, stream: &[u8], cuts: &[prop::sample::Index], eof: bool) -> support::Transcript {
    let expected = whole(side, Limits::default(), stream, eof);
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
    let mut one_by_one = Connection::new(side, Limits::default());
    pieces.iter().for_each(|piece| one_by_one.arrive(&[piece]));
    assert_eq!(one_by_one.finish(eof), expected);
    let mut at_once = Connection::new(side, Limits::default());
    at_once.arrive(&pieces);
    assert_eq!(at_once.finish(eof), expected);
    expected
}

fn check_against_the_naive_reading(stream: &[u8], cuts: &[prop::sample::Index]) {
    let transcript = check(Side::Requests, stream, cuts, false);
    let (ends, refused) = reference::requests(stream);
    assert_eq!((transcript.ends, transcript.rejection.is_some()), (ends, refused));
}

/// Asserts that the head for the backend is read by a strict reader as it was meant.
fn check_forwarded(stream: &[u8], host: Option<&[u8]>) {
    let (mut table, mut again) = (FieldTable::new(), FieldTable::new());
    let limits = Limits::default();
    let Some(end) = stream.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let Ok(head) = parse_request(&stream[..end + 4], &mut table, &limits) else { return };
    let Ok(decided) = framing::request(&head) else { return };
    let rewrite = RequestRewrite {
        client: IpAddr::from([192, 0, 2, 7]),
        https: true,
        length: decided.length,
        keep_alive: true,
        upgrade: decided.upgrade,
        expect_continue: decided.expect_continue,
        host,
        fetch: None,
    };
    let mut room = vec![0; encode::request_room(&head, &rewrite)];
    let mut out = Writer::new(&mut room);
    encode::request(&head, &rewrite, &mut out).unwrap();
    if head.authority.is_empty() && host.is_none() {
        return;
    }
    let sent = parse_request(out.written(), &mut again, &limits).unwrap();
    let redecided = framing::request(&sent).unwrap();
    assert_eq!(redecided.length, decided.length);
    assert!(redecided.keep_alive);
    assert_eq!((redecided.upgrade, redecided.websocket), (decided.upgrade, decided.websocket));
    assert_eq!(redecided.expect_continue, decided.expect_continue);
    assert_eq!(sent.method_name, head.method_name);
    assert_eq!((sent.target.path(), sent.target.query()), (head.target.path(), head.target.query()));
    assert_eq!(sent.authority.as_bytes(), host.unwrap_or(head.authority.as_bytes()));
    for name in [&b"te"[..], b"trailer", b"keep-alive", b"proxy-connection"] {
        assert!(!sent.fields.contains(name));
    }
    for name in
        [&b"host"[..], b"content-length", b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto"]
    {
        assert!(sent.fields.all(name).count() <= 1);
    }
    assert!(sent.fields.get(b"x-forwarded-for").unwrap().ends_with(b"192.0.2.7"));
    assert_eq!(sent.fields.get(b"x-forwarded-proto"), Some(&b"https"[..]));
}

fn check_answered(stream: &[u8], method: Method) {
    let (mut table, mut again) = (FieldTable::new(), FieldTable::new());
    let limits = Limits::default();
    let Some(end) = stream.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let Ok(head) = parse_response(&stream[..end + 4], &mut table, &limits) else { return };
    let Ok(decided) = framing::response(&head, method, true) else { return };
    let (length, keep_alive) = framing::to_client(decided.length, Version::Http11);
    let rewrite = ResponseRewrite {
        client: Version::Http11,
        length,
        content_length: decided.content_length,
        keep_alive,
        upgrade: decided.upgrade,
        only: None,
        age: Some(3),
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    };
    let mut room = vec![0; encode::response_room(&head)];
    let mut out = Writer::new(&mut room);
    encode::response(&head, &rewrite, &mut out).unwrap();
    let sent = parse_response(out.written(), &mut again, &limits).unwrap();
    let redecided = framing::response(&sent, method, true).unwrap();
    assert_eq!((sent.status, redecided.length), (head.status, length));
    assert_eq!(redecided.content_length.is_some(), decided.content_length.is_some());
    assert_eq!((redecided.interim, redecided.upgrade), (decided.interim, decided.upgrade));
    assert_eq!(sent.fields.get(b"age"), Some(&b"3"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(stream in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        check_against_the_naive_reading(&stream, &cuts);
        check(Side::Responses(Method::Get, true), &stream, &cuts, true);
        let _ = parse_http_date(&stream);
    }

    #[test]
    fn likely_requests(stream in request_stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        check_against_the_naive_reading(&stream, &cuts);
        check(Side::Requests, &stream, &cuts, true);
    }

    #[test]
    fn good_requests_with_a_byte_changed(stream in mutated(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        check_against_the_naive_reading(&stream, &cuts);
    }

    #[test]
    fn likely_responses(words in stream(), head in any::<bool>(), eof in any::<bool>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let stream = [b"HTTP/1.1 200 OK\r\n", words.as_slice()].concat();
        let method = if head { Method::Head } else { Method::Get };
        check(Side::Responses(method, head), &stream, &cuts, eof);
        check_answered(&stream, method);
    }

    #[test]
    fn forwarded_heads_say_what_was_decided(stream in request_stream(), changed in mutated(), host in any::<bool>()) {
        let host = host.then_some(&b"inner:8080"[..]);
        check_forwarded(&stream, host);
        check_forwarded(&changed, host);
    }

    #[test]
    fn any_chunked_content(control in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check_against_the_naive_reading(&[head, control.as_slice()].concat(), &cuts);
    }

    #[test]
    fn chunks_come_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10), size in 1..40_usize) {
        let heap = Heap::new(10_000);
        let mut wire = Vec::new();
        for part in &parts {
            wire.extend(encode::chunk(&heap, heap.chain(part)).unwrap().to_vec());
        }
        let mut end = levee_buf::HeapChain::default();
        encode::last_chunk(&heap, &mut end).unwrap();
        wire.extend(end.to_vec());
        wire.extend(b"next");
        let (mut body, mut back) = (Body::new(Length::Chunked), Vec::new());
        let mut input = levee_buf::HeapChain::default();
        for piece in wire.chunks(size) {
            input.append(heap.chain(piece));
            while let BodyRead::Data(data) = body.read(&heap, &mut input).unwrap() {
                back.extend(data.to_vec());
            }
        }
        prop_assert!(body.is_complete());
        prop_assert_eq!(back, parts.concat());
        prop_assert_eq!(input.to_vec(), b"next");
    }
}

/// With memory for only so many segments, a read either goes on later or loses nothing.
#[test]
fn content_without_memory_goes_on_later() {
    let wire = b"5\r\nhello\r\n6\r\n world\r\n1\r\n!\r\n0\r\n\r\n";
    for segments in 2..8 {
        let heap = Heap::new(segments);
        let mut input = heap.chain(wire);
        let mut body = Body::new(Length::Chunked);
        let mut content = Vec::new();
        let mut held = Vec::new();
        for _ in 0..40 {
            match body.read(&heap, &mut input) {
                Ok(BodyRead::Data(data)) => {
                    content.extend(data.to_vec());
                    held.push(data);
                }
                Ok(BodyRead::More) => unreachable!("all is there"),
                Ok(BodyRead::End) => break,
                Err(rejection) => {
                    assert_eq!(rejection.status, 503);
                    held.clear();
                }
            }
        }
        assert_eq!(content, b"hello world!", "{segments}");
        assert!(body.is_complete());
    }
}

//! What is written: exact bytes, and that the other side reads what was decided here.

use levee_buf::{Chain, Full, HEADROOM, Heap, Memory, Pieces, Writer};
use levee_http::h1::encode::{
    Conditions, PAGE_ROOM, Page, RequestRewrite, ResponseRewrite, chunk, interim_continue, last_chunk,
    options, redirect, redirect_room, request, request_room, response, response_room, status_page,
};
use levee_http::h1::{Body, BodyRead, parse_request, parse_response};
use levee_http::{FieldTable, Length, Limits, Method, Version, format_http_date, framing};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn rewrite() -> RequestRewrite<'static> {
    RequestRewrite {
        client: "192.0.2.7".parse().unwrap(),
        https: true,
        length: Length::None,
        keep_alive: true,
        upgrade: false,
        expect_continue: false,
        host: None,
        fetch: None,
    }
}

/// The head that goes to the backend for a head of a client.
fn forwarded(head: &str, change: impl FnOnce(&mut RequestRewrite<'_>)) -> String {
    let mut table = FieldTable::new();
    let head = parse_request(head.as_bytes(), &mut table, &Limits::default()).unwrap();
    let mut rewrite = rewrite();
    rewrite.length = framing::request(&head).unwrap().length;
    change(&mut rewrite);
    let mut room = vec![0; request_room(&head, &rewrite)];
    let mut out = Writer::new(&mut room);
    request(&head, &rewrite, &mut out).unwrap();
    String::from_utf8(out.written().to_vec()).unwrap()
}

#[test]
fn a_request_is_rebuilt() {
    let head =
        "GET http://b:81/c?d HTTP/1.0\r\nHost: a\r\nUser-Agent: x\r\nVia: 1.1 front\r\nCookie: y\r\n\r\n";
    assert_eq!(
        forwarded(head, |_| {}),
        "GET /c?d HTTP/1.1\r\nHost: b:81\r\nUser-Agent: x\r\nVia: 1.1 front\r\nCookie: y\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nVia: 1.0 levee\r\n\r\n"
    );
}

#[test]
fn a_fetch_asks_for_the_whole_under_its_own_conditions() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nIf-None-Match: \"old\"\r\nIf-Range: \"x\"\r\n\
        If-Modified-Since: x\r\nIf-Match: *\r\nIf-Unmodified-Since: y\r\nAccept: z\r\n\r\n";
    let conditions = Conditions { if_none_match: Some(b"\"new\""), if_modified_since: Some(DATE) };
    assert_eq!(
        forwarded(head, |rewrite| rewrite.fetch = Some(conditions)),
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: z\r\nIf-None-Match: \"new\"\r\n\
         If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\nVia: 1.1 levee\r\n\r\n"
    );
    let whole = forwarded(head, |rewrite| rewrite.fetch = Some(Conditions::default()));
    assert!(!whole.contains("If-") && !whole.contains("Range"), "{whole}");
    assert!(forwarded(head, |_| {}).contains("Range: bytes=0-1\r\nIf-None-Match: \"old\"\r\n"));
}

#[test]
fn what_belongs_to_the_connection_stays_there() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\nConnection: close, X-One , host\r\nConnection: content-length\r\n\
        X-One: 1\r\nx-one: 2\r\nX-Two: 3\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: trailers\r\n\
        Trailer: X\r\nUpgrade: websocket\r\nProxy-Authorization: Basic eA==\r\nContent-Length: 4\r\n\
        Expect: 100-continue\r\nTransfer_Encoding: chunked\r\nX_One: 4\r\nAuthorization: z\r\n\r\n";
    assert_eq!(
        forwarded(head, |rewrite| rewrite.keep_alive = false),
        "POST / HTTP/1.1\r\nHost: a\r\nX-Two: 3\r\nAuthorization: z\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\nVia: 1.1 levee\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn what_the_client_says_about_itself_is_appended_to_or_replaced() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n\
        x-forwarded-host: evil\r\nX_Forwarded_For: evil\r\nX-Forwarded-For: 10.0.0.3\r\nX-Forwarded-For:\r\n\r\n";
    let out = forwarded(head, |rewrite| {
        rewrite.https = false;
        rewrite.client = "2001:db8::1".parse().unwrap();
        rewrite.host = Some(b"inner");
    });
    assert_eq!(
        out,
        "GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3, 2001:db8::1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 levee\r\n\r\n"
    );
}

#[test]
fn framing_is_our_own() {
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cHuNkEd\r\nExpect: 100-continue\r\n\r\n";
    assert!(
        forwarded(chunked, |rewrite| rewrite.expect_continue = true)
            .ends_with("Via: 1.1 levee\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    );
    let long = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0018446744073709551615\r\n\r\n";
    assert!(forwarded(long, |_| {}).ends_with("\r\nContent-Length: 18446744073709551615\r\n\r\n"));
    let zero = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert!(forwarded(zero, |_| {}).ends_with("\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn an_upgrade_goes_with_its_fields() {
    let head = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let out = forwarded(head, |rewrite| rewrite.upgrade = true);
    assert!(out.contains("\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"));
    assert!(out.ends_with("\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"));
    let out = forwarded(head, |_| {});
    assert!(!out.contains("Upgrade:") && !out.contains("Connection:"));
}

#[test]
fn max_forwards_is_counted_down_for_options_only() {
    let head = |method| format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n");
    assert!(forwarded(&head("OPTIONS"), |_| {}).contains("\r\nMax-Forwards: 9\r\n"));
    assert!(forwarded(&head("GET"), |_| {}).contains("\r\nMax-Forwards: 10\r\n"));
    let odd = "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: many\r\n\r\n";
    assert!(forwarded(odd, |_| {}).contains("\r\nMax-Forwards: many\r\n"));
}

#[test]
fn a_place_without_room_is_full_and_room_is_never_exceeded() {
    let head = format!(
        "{} /{} HTTP/1.1\r\nHost: {}\r\nUpgrade: {}\r\nConnection: upgrade\r\n\r\n",
        "M".repeat(32),
        "p".repeat(500),
        "h".repeat(300),
        "u".repeat(200)
    );
    let mut table = FieldTable::new();
    let head = parse_request(head.as_bytes(), &mut table, &Limits::default()).unwrap();
    let most = RequestRewrite {
        client: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".parse().unwrap(),
        length: Length::Exact(u64::MAX),
        expect_continue: true,
        upgrade: true,
        host: Some(&[b'i'; 255]),
        fetch: Some(Conditions { if_none_match: Some(&[b't'; 99]), if_modified_since: Some(DATE) }),
        ..rewrite()
    };
    let mut room = vec![0; request_room(&head, &most)];
    let mut out = Writer::new(&mut room);
    assert_eq!(request(&head, &most, &mut out), Ok(()));
    let used = out.len();
    for short in 0..used {
        assert_eq!(request(&head, &most, &mut Writer::new(&mut room[..short])), Err(Full));
    }
}

/// The head that goes to the client for a head of a backend.
fn answered(head: &str, method: Method, change: impl FnOnce(&mut ResponseRewrite<'_>)) -> String {
    let mut table = FieldTable::new();
    let head = parse_response(head.as_bytes(), &mut table, &Limits::default()).unwrap();
    let framing = framing::response(&head, method, true).unwrap();
    let (length, lives) = framing::to_client(framing.length, Version::Http11);
    let mut rewrite = ResponseRewrite {
        client: Version::Http11,
        length,
        content_length: framing.content_length,
        keep_alive: lives,
        upgrade: framing.upgrade,
        only: None,
        age: None,
        date: DATE,
    };
    change(&mut rewrite);
    let mut room = vec![0; response_room(&head)];
    let mut out = Writer::new(&mut room);
    response(&head, &rewrite, &mut out).unwrap();
    String::from_utf8(out.written().to_vec()).unwrap()
}

#[test]
fn a_response_is_rebuilt() {
    let head = "HTTP/1.0 200 Fine\r\nServer: s\r\nConnection: close, x\r\nX: 1\r\nKeep-Alive: 5\r\nSet-Cookie: a\r\n\
        Set-Cookie: b\r\nContent-Length: 5\r\nUpgrade: h2c\r\nAge: 7\r\n\r\n";
    assert_eq!(
        answered(head, Method::Get, |_| {}),
        "HTTP/1.1 200 Fine\r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nAge: 7\r\nVia: 1.0 levee\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\n"
    );
}

#[test]
fn a_stored_response_has_its_age() {
    let head =
        "HTTP/1.1 200 OK\r\nAge: 7\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(
        answered(head, Method::Get, |rewrite| rewrite.age = Some(90)),
        "HTTP/1.1 200 OK\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\nVia: 1.1 levee\r\nAge: 90\r\nContent-Length: 5\r\n\r\n"
    );
}

#[test]
fn a_not_modified_response_can_be_told_which_fields_go() {
    let head = "HTTP/1.1 304 Not Modified\r\nDate: x\r\nServer: s\r\nETag: \"a\"\r\n\r\n";
    assert_eq!(
        answered(head, Method::Get, |rewrite| rewrite.only =
            Some(|name| !name.eq_ignore_ascii_case(b"server"))),
        "HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: \"a\"\r\nVia: 1.1 levee\r\n\r\n"
    );
}

#[test]
fn content_without_a_length_is_chunked_or_ends_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n";
    let start = "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 levee\r\n";
    assert_eq!(answered(head, Method::Get, |_| {}), format!("{start}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(framing::to_client(Length::Chunked, Version::Http10), (Length::UntilClose, false));
    assert_eq!(framing::to_client(Length::UntilClose, Version::Http10), (Length::UntilClose, false));
    assert_eq!(framing::to_client(Length::Exact(1), Version::Http10), (Length::Exact(1), true));
    let old = answered(head, Method::Get, |rewrite| {
        rewrite.client = Version::Http10;
        rewrite.length = Length::UntilClose;
    });
    assert_eq!(old, format!("{start}Connection: close\r\n\r\n"));
}

#[test]
fn the_connection_is_told_by_the_clients_version() {
    let head = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\n\r\n";
    for (client, keep_alive, says) in [
        (Version::Http11, true, ""),
        (Version::Http11, false, "Connection: close\r\n"),
        (Version::Http10, true, "Connection: keep-alive\r\n"),
        (Version::Http10, false, "Connection: close\r\n"),
    ] {
        let out = answered(head, Method::Get, |rewrite| {
            (rewrite.client, rewrite.keep_alive) = (client, keep_alive);
        });
        assert!(out.ends_with(&format!("\r\nContent-Length: 1\r\n{says}\r\n")), "{out}");
    }
}

#[test]
fn responses_without_content() {
    let via = "Via: 1.1 levee\r\n";
    for (head, method, expected) in [
        ("200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n", Method::Head, "Content-Length: 5\r\n\r\n"),
        ("200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n", Method::Head, "\r\n"),
        (
            "304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n",
            Method::Get,
            "Content-Length: 5\r\n\r\n",
        ),
        ("204 No Content\r\nDate: x\r\nContent-Length: 0\r\n\r\n", Method::Get, "\r\n"),
        ("100 Continue\r\nContent-Length: 0\r\n\r\n", Method::Get, "\r\n"),
        ("103 Early Hints\r\n\r\n", Method::Get, "\r\n"),
    ] {
        let out = answered(&format!("HTTP/1.1 {head}"), method, |_| {});
        assert!(out.ends_with(&format!("{via}{expected}")), "{out}");
    }
    for (status, length) in
        [("204 x", Length::Exact(0)), ("204 x", Length::Chunked), ("103 x", Length::Exact(0))]
    {
        let out =
            answered(&format!("HTTP/1.1 {status}\r\n\r\n"), Method::Get, |rewrite| rewrite.length = length);
        assert!(!out.contains("Content-Length") && !out.contains("Transfer-Encoding"), "{out}");
    }
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let expected =
        format!("HTTP/1.1 101 Switching Protocols\r\n{via}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(answered(switch, Method::Get, |_| {}), expected);
}

#[test]
fn pages_are_responses_with_the_length_they_say() {
    let table = &mut FieldTable::new();
    for status in (300..600).chain([0, 999]) {
        for head_only in [false, true] {
            let page = Page { client: Version::Http11, keep_alive: false, head_only, date: DATE };
            let mut room = [0; PAGE_ROOM];
            let mut out = Writer::new(&mut room);
            status_page(status, &page, &mut out).unwrap();
            if !(100..600).contains(&status) {
                continue;
            }
            let written = out.written();
            let end = written.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            let head = parse_response(&written[..end], table, &Limits::default()).unwrap();
            assert_eq!(head.status, status);
            let method = if head_only { Method::Head } else { Method::Get };
            let framing = framing::response(&head, method, false).unwrap();
            assert!(!framing.keep_alive);
            let content = &written[end..];
            if head_only {
                assert!(content.is_empty() && framing.content_length > Some(0));
            } else if status != 304 {
                assert_eq!(framing.length, Length::Exact(content.len() as u64));
                assert!(content.starts_with(b"<!doctype html>") && content.ends_with(b"</p>\n"));
            }
        }
    }
    for known in [400, 403, 404, 408, 413, 414, 417, 421, 429, 431, 501, 502, 503, 504, 505] {
        let mut room = [0; PAGE_ROOM];
        let mut out = Writer::new(&mut room);
        let page = Page { client: Version::Http10, keep_alive: true, head_only: false, date: DATE };
        status_page(known, &page, &mut out).unwrap();
        assert!(!out.written().windows(8).any(|window| window == b"Internal"));
        assert!(out.written().windows(22).any(|window| window == b"Connection: keep-alive"));
    }
}

#[test]
fn a_redirect_names_the_same_resource() {
    let page = Page { client: Version::Http11, keep_alive: true, head_only: false, date: DATE };
    for (head, port, expected) in [
        (
            "GET /a?b=\"<c> HTTP/1.1\r\nHost: x:80\r\n\r\n",
            443,
            "301 Moved Permanently\r\nLocation: https://x/a?b=\"<c>\r\n",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            8443,
            "301 Moved Permanently\r\nLocation: https://[::1]:8443/\r\n",
        ),
        ("POST /a HTTP/1.1\r\nHost: x\r\n\r\n", 443, "308 Permanent Redirect\r\nLocation: https://x/a\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 443, "308 Permanent Redirect\r\nLocation: https://x/\r\n"),
        (
            "GET http://y//z HTTP/1.1\r\nHost: x\r\n\r\n",
            443,
            "301 Moved Permanently\r\nLocation: https://y//z\r\n",
        ),
        ("GET / HTTP/1.0\r\n\r\n", 443, "400 Bad Request\r\nDate"),
    ] {
        let table = &mut FieldTable::new();
        let head = parse_request(head.as_bytes(), table, &Limits::default()).unwrap();
        let mut room = vec![0; redirect_room(&head)];
        let mut out = Writer::new(&mut room);
        redirect(&head, port, &page, &mut out).unwrap();
        let out = String::from_utf8(out.written().to_vec()).unwrap();
        assert!(out.starts_with(&format!("HTTP/1.1 {expected}")), "{out}");
    }
}

#[test]
fn small_answers() {
    let mut room = [0; PAGE_ROOM];
    let mut out = Writer::new(&mut room);
    interim_continue(&mut out).unwrap();
    assert_eq!(out.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut out = Writer::new(&mut room);
    let date = format_http_date(784_111_777);
    let page = Page { client: Version::Http11, keep_alive: true, head_only: false, date: &date };
    options(&page, &mut out).unwrap();
    assert_eq!(
        out.written(),
        b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n\
          Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
    );
}

#[test]
fn a_chunk_grows_in_place_when_its_bytes_are_ours() {
    let heap = Heap::new(16);
    let mut data = heap.alloc(100).unwrap();
    data.extend(26).unwrap().copy_from_slice(b"abcdefghijklmnopqrstuvwxyz");
    let out = chunk(&heap, data).unwrap();
    assert_eq!((out.to_vec().as_slice(), out.segments()), (&b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n"[..], 1));
}

#[test]
fn a_chunk_of_shared_bytes_is_linked_between_fresh_ones() {
    let heap = Heap::new(16);
    let mut stored = heap.chain(b"hello");
    let data = heap.reference(&mut stored, 0..5).unwrap();
    let out = chunk(&heap, data).unwrap();
    assert_eq!((out.to_vec().as_slice(), out.segments()), (&b"5\r\nhello\r\n"[..], 3));
    assert_eq!(stored.to_vec(), b"hello");
}

#[test]
fn no_data_is_no_chunk() {
    let heap = Heap::new(16);
    assert!(chunk(&heap, heap.chain(b"")).unwrap().is_empty());
    let mut end = chunk(&heap, heap.chain(b"x")).unwrap();
    last_chunk(&heap, &mut end).unwrap();
    assert_eq!(end.to_vec(), b"1\r\nx\r\n0\r\n\r\n");
    assert!(end.headroom() < HEADROOM);
}

#[test]
fn chunks_without_memory() {
    let heap = Heap::new(2);
    let mut stored = heap.chain(b"hello");
    let data = heap.reference(&mut stored, 0..5).unwrap();
    assert!(chunk(&heap, data).is_err());
    drop(stored);
    assert_eq!(heap.in_use(), 0);
}

#[test]
fn chunks_of_every_length_come_back() {
    let heap = Heap::new(4096);
    for length in (0..600).chain([4095, 4096, 65_535, 65_536, 1 << 20]) {
        let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut wire = chunk(&heap, heap.chain(&content)).unwrap();
        last_chunk(&heap, &mut wire).unwrap();
        wire.append(heap.chain(b"next"));
        let mut body = Body::new(Length::Chunked);
        let mut back = Vec::new();
        while let BodyRead::Data(data) = body.read(&heap, &mut wire).unwrap() {
            back.extend(data.to_vec());
        }
        assert!(body.is_complete());
        assert_eq!((back, wire.to_vec().as_slice()), (content, &b"next"[..]));
    }
    assert_eq!(heap.in_use(), 0);
}

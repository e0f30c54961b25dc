use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use super::*;
use crate::pattern;

/// Starts an origin on a port of its own, and connects.
fn connect() -> TcpStream {
    let options =
        Options { listen: (Ipv4Addr::LOCALHOST, 0).into(), name: "under-test".into(), connections: 8 };
    let origin = Origin::bind(options).unwrap();
    let address = origin.address();
    thread::spawn(move || origin.serve());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Sends `request` with `Connection: close` and returns all that comes back.
fn exchange(head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = connect();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    response
}

/// Splits a response behind its first head.
fn split(response: &[u8]) -> (String, &[u8]) {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8(response[..end].to_vec()).unwrap(), &response[end..])
}

fn pattern(length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    pattern::write(&mut bytes, length).unwrap();
    bytes
}

/// Takes chunks apart.
fn chunks(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n").expect("a size line");
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            assert_eq!(&body[line..], b"\r\n\r\n");
            return data;
        }
        data.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 2 + size + 2..];
    }
}

#[test]
fn lengths_of_bodies() {
    for length in [0, 1, 16_384, pattern::PERIOD as u64 + 1] {
        let response = exchange(&format!("GET /bytes/{length}"), b"\r\n");
        let (head, body) = split(&response);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {length}\r\n")), "{head}");
        assert!(head.contains("X-Origin: under-test\r\n"), "{head}");
        assert_eq!(body, pattern(length));

        let response = exchange(&format!("GET /chunked/{length}"), b"\r\n");
        assert_eq!(chunks(split(&response).1), pattern(length));

        let response = exchange(&format!("GET /close/{length}"), b"\r\n");
        let (head, body) = split(&response);
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
        assert_eq!(body, pattern(length));
    }
}

#[test]
fn head_and_statuses_have_no_body() {
    for (request, status, length) in [
        ("HEAD /bytes/7", "200", "Content-Length: 7\r\n"),
        ("GET /status/204", "204", ""),
        ("GET /status/304", "304", ""),
        ("GET /status/503", "503", "Content-Length: 0\r\n"),
        ("HEAD /chunked/7", "200", "Transfer-Encoding: chunked\r\n"),
    ] {
        let response = exchange(request, b"\r\n");
        let (head, body) = split(&response);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains(length),
            "{request}: {head}"
        );
        assert_eq!(body, b"", "{request}");
    }
}

#[test]
fn bodies_come_back_as_framed() {
    let response = exchange("POST /echo", b"Content-Length: 5\r\n\r\nabcde");
    let (head, body) = split(&response);
    assert!(head.contains("Content-Length: 5\r\n"), "{head}");
    assert_eq!(body, b"abcde");

    let response = exchange(
        "POST /echo",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
    );
    assert_eq!(chunks(split(&response).1), b"abcde");

    let response = exchange("POST /hash", b"Content-Length: 3\r\n\r\nabc");
    // FIPS 180-2 appendix B.1.
    assert_eq!(split(&response).1, b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
}

#[test]
fn interim_responses() {
    let response = exchange("POST /hash", b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\nx");
    assert!(response.starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
    let response = exchange("GET /early-hints", b"\r\n");
    assert!(response.starts_with(b"HTTP/1.1 103 Early Hints\r\nLink: "));
}

#[test]
fn cached_counts_and_revalidates() {
    let mut stream = connect();
    stream
        .write_all(
            b"GET /cached/5 HTTP/1.1\r\nHost: o\r\n\r\n\
              GET /cached/5?max-age=1 HTTP/1.1\r\nHost: o\r\nIf-None-Match: \"cached-5\"\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let (first, rest) = split(&response);
    assert!(first.contains("X-Origin-Requests: 1\r\n") && first.contains("max-age=60\r\n"), "{first}");
    assert_eq!(rest[..5], pattern(5));
    let (second, rest) = split(&rest[5..]);
    assert!(second.starts_with("HTTP/1.1 304 ") && second.contains("X-Origin-Requests: 2\r\n"), "{second}");
    assert!(second.contains("max-age=1\r\n"), "{second}");
    assert_eq!(rest, b"");
}

#[test]
fn broken_off() {
    let response = exchange("GET /drop/10", b"\r\n");
    let (head, body) = split(&response);
    assert!(head.contains("Content-Length: 21\r\n"), "{head}");
    assert_eq!(body, pattern(10));
}

#[test]
fn upgraded() {
    let mut stream = connect();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let (head, body) = split(&response);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: echo\r\n"), "{head}");
    assert_eq!(body, b"hello");
}

#[test]
fn nonsense_ends_the_connection() {
    for request in ["nonsense\r\n\r\n", "POST /hash HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
        let mut stream = connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        // A reset is an end as well: unread bytes make the kernel send one.
        let _ = stream.read_to_end(&mut response);
        assert_eq!(response, b"", "{request}");
    }
}

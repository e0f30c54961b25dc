//! Requests that two parsers could read differently: refused, and never shown to a backend.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use levee_tests::{Backend, Client, NAME, Site, Tls};

/// Everything that a backend was sent.
type Record = Arc<Mutex<Vec<u8>>>;

/// Ambiguous or malformed requests; `{HOST}` becomes the Host field with its line end.
const ATTACKS: [(&str, &str); 25] = [
    // RFC 9112 section 6.3: what the length of the body is.
    (
        "CL and TE",
        "POST {T} HTTP/1.1\r\n{HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE and CL",
        "POST {T} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    ("two CLs", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    ("CLs in a list", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: 4, 5\r\n\r\nabcde"),
    ("signed CL", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: +4\r\n\r\nabcd"),
    ("negative CL", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: -4\r\n\r\nabcd"),
    ("hexadecimal CL", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: 0x4\r\n\r\nabcd"),
    ("CL out of range", "POST {T} HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999\r\n\r\nabcd"),
    ("chunked not last", "POST {T} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "POST {T} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("hidden chunked", "POST {T} HTTP/1.1\r\n{HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("TE in HTTP/1.0", "POST {T} HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // RFC 9112 section 5: what a field is.
    ("space before the colon", "GET {T} HTTP/1.1\r\n{HOST}X-A : b\r\n\r\n"),
    ("space before CL's colon", "POST {T} HTTP/1.1\r\n{HOST}Content-Length : 4\r\n\r\nabcd"),
    ("folded field", "GET {T} HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n"),
    ("folded first field", "GET {T} HTTP/1.1\r\n X-A: b\r\n{HOST}\r\n"),
    ("bare CR", "GET {T} HTTP/1.1\r\n{HOST}X-A: b\rc: d\r\n\r\n"),
    ("bare LF", "GET {T} HTTP/1.1\n{HOST}X-A: b\n\r\n\r\n"),
    ("zero byte", "GET {T} HTTP/1.1\r\n{HOST}X-A: b\0c\r\n\r\n"),
    ("no colon", "GET {T} HTTP/1.1\r\n{HOST}X-A\r\n\r\n"),
    // RFC 9112 section 3.2: whose request it is.
    ("no Host", "GET {T} HTTP/1.1\r\n\r\n"),
    ("two Hosts", "GET {T} HTTP/1.1\r\n{HOST}Host: other.test\r\n\r\n"),
    ("bad Host", "GET {T} HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("Host with a path", "GET {T} HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("space in the target", "GET {T} x HTTP/1.1\r\n{HOST}\r\n"),
];

#[test]
fn ambiguous_requests_never_reach_a_backend() {
    let site = Site::new();
    let (record, _backend) = recorder(&site);

    let mut control = Client::connect(&site, Tls::default());
    assert_eq!(control.get("/scripted/control").unwrap().status, 200);
    drop(control);

    let mut wrong = Vec::new();
    for (index, (name, attack)) in ATTACKS.iter().enumerate() {
        let target = format!("/scripted/attack-{index}");
        let text = attack.replace("{T}", &target).replace("{HOST}", &format!("Host: {NAME}\r\n"));
        // A second request behind the first: whoever ends the first elsewhere takes it for one.
        let text = format!("{text}GET /scripted/attack-{index}-hidden HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        if let Err(why) = refused(&site, &text) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let record = String::from_utf8_lossy(&record.lock().unwrap()).into_owned();
    assert!(record.contains("/scripted/control"), "the recorder records");
    assert!(!record.contains("attack"), "{record}");
    site.finish();
}

/// RFC 9112 section 7.1: a chunk that is none ends the exchange; the backend never sees a whole request,
/// and nothing behind the chunk.
#[test]
fn bad_chunks_end_the_connection() {
    let bodies = [
        ("not a number", "xyz\r\nabc\r\n0\r\n\r\n"),
        ("negative", "-3\r\nabc\r\n0\r\n\r\n"),
        ("prefixed", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("out of range", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("longer than it says", "3\r\nabcdef\r\n0\r\n\r\n"),
        ("ended by LF", "3\nabc\n0\n\n"),
        ("space in the size", "3 3\r\nabc\r\n0\r\n\r\n"),
        ("empty size", "\r\nabc\r\n0\r\n\r\n"),
    ];
    let site = Site::new();
    let (record, _backend) = recorder(&site);
    let mut wrong = Vec::new();
    for (name, body) in bodies {
        let text = format!(
            "POST /scripted/chunks HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n{body}\
             GET /scripted/hidden HTTP/1.1\r\nHost: {NAME}\r\n\r\n"
        );
        if let Err(why) = refused(&site, &text) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let record = String::from_utf8_lossy(&record.lock().unwrap()).into_owned();
    assert!(!record.contains("hidden"), "{record}");
    site.finish();
}

/// A response that could end in two places ends the exchange, and its connection is not used again.
#[test]
fn ambiguous_responses_are_not_forwarded() {
    let responses = [
        ("CL and TE", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two CLs", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc"),
        ("signed CL", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"),
        ("folded", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n c\r\n\r\nabc"),
        ("no status", "HTTP/1.1 OK\r\nContent-Length: 3\r\n\r\nabc"),
        ("nonsense", "\x16\x03\x01 nonsense\r\n\r\n"),
    ];
    let site = Site::new();
    let count = Arc::new(Mutex::new(0));
    let _backend = site.scripted({
        let count = Arc::clone(&count);
        move |mut stream| {
            while Backend::read_head(&mut stream).is_some() {
                let index = *count.lock().unwrap();
                let _ = stream.write_all(responses[index % responses.len()].1.as_bytes());
            }
        }
    });
    for (index, (name, _)) in responses.iter().enumerate() {
        *count.lock().unwrap() = index;
        let mut client = Client::connect(&site, Tls::default());
        assert_eq!(client.get("/scripted/x").unwrap().status, 502, "{name}");
    }
    site.finish();
}

/// Sends `text`, and sees to it that the answer is one 400, or its like, and then the end.
fn refused(site: &Site, text: &str) -> Result<(), String> {
    let mut client = Client::connect(site, Tls::default());
    client.send(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    // The connection may end by reset: there were bytes that nobody read.
    let _ = client.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let statuses: Vec<_> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    match statuses.as_slice() {
        ["400" | "501"] => Ok(()),
        _ => Err(format!("answers {statuses:?}")),
    }
}

/// A backend that keeps what it is sent and answers 200 to each head.
fn recorder(site: &Site) -> (Record, Backend) {
    let record = Record::default();
    let keep = Arc::clone(&record);
    let backend = site.scripted(move |mut stream| {
        let mut buffer = [0; 4096];
        let mut unanswered = Vec::new();
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            keep.lock().unwrap().extend_from_slice(&buffer[..read]);
            unanswered.extend_from_slice(&buffer[..read]);
            while let Some(end) = unanswered.windows(4).position(|window| window == b"\r\n\r\n") {
                unanswered.drain(..end + 4);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (record, backend)
}

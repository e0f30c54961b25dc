//! Streams of bytes and what is made of them, from the files in `data`, however they are cut.

mod support;

use levee_http::{Limits, Method};
use support::cases::{Case, parse};
use support::corpus::cases;
use support::{Side, check_cuts};

/// Piece sizes that are tried beside every single cut.
const SIZES: [usize; 6] = [1, 2, 3, 5, 16, 64];

fn check(file: &str, requests: bool, at_least: usize, in_front: &[u8]) {
    let cases = parse(file, requests);
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let mut failures = Vec::new();
    for Case { name, stream, expected, side, eof, limits } in cases {
        let stream = [in_front, &stream].concat();
        let short = stream.len() < 400;
        let transcript = if short {
            check_cuts(side, limits, &stream, eof, &SIZES)
        } else {
            let sizes = [13, 64, 1000];
            let transcript = support::whole(side, limits, &stream, eof);
            for size in sizes {
                let mut connection = support::Connection::new(side, limits);
                stream.chunks(size).for_each(|piece| connection.arrive(&[piece]));
                assert_eq!(connection.finish(eof), transcript, "{name}, pieces of {size}");
            }
            transcript
        };
        if transcript.lines != expected {
            failures.push(format!("{name}\n  is     {:?}\n  wanted {expected:?}", transcript.lines));
        }
        if let Side::Requests = side {
            let (ends, refused) = support::reference::requests(&stream);
            let limited = limits != levee_http::Limits::default() || expected.concat().contains("_too_");
            if !limited {
                let ours = (transcript.ends.as_slice(), transcript.rejection.is_some() && !eof);
                assert_eq!(ours, (ends.as_slice(), refused), "{name}, read naively");
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn requests() {
    check(include_str!("data/requests.txt"), true, 140, b"");
}

#[test]
fn responses() {
    check(include_str!("data/responses.txt"), false, 55, b"");
}

#[test]
fn chunked_content() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(include_str!("data/chunked.txt"), true, 55, head);
}

#[test]
fn smuggling() {
    check(include_str!("data/smuggling.txt"), true, 90, b"");
}

/// What runs through the whole proxy is read the same however it is cut here too, and is what a naive reading
/// finds in it.
#[test]
fn requests_of_the_whole_proxy() {
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (file, head) in [
        (include_str!("../../tests/corpus/http/framing.txt"), ""),
        (include_str!("../../tests/corpus/http/chunks.txt"), chunked),
        (include_str!("../../tests/corpus/http/lines.txt"), ""),
        (include_str!("../../tests/corpus/http/hops.txt"), ""),
    ] {
        for case in cases(file) {
            let stream = [head.as_bytes(), &case.bytes].concat();
            if stream.len() > 1000 {
                continue;
            }
            let transcript = check_cuts(Side::Requests, Limits::default(), &stream, false, &SIZES);
            let read = (transcript.ends, transcript.rejection.is_some());
            assert_eq!(read, support::reference::requests(&stream), "{}, read naively", case.name);
        }
    }
}

#[test]
fn responses_of_the_whole_proxy() {
    for case in cases(include_str!("../../tests/corpus/http/responses.txt")) {
        if case.bytes.len() > 1000 {
            continue;
        }
        let method = if case.is("HEAD") { Method::Head } else { Method::Get };
        let side = Side::Responses(method, case.is("upgrade"));
        check_cuts(side, Limits::default(), &case.bytes, case.is("ends"), &SIZES);
    }
}

//! Every byte in every place, and every small thing that has a rule.

mod support;

use levee_http::{FieldTable, Limits, List, MAX_FIELDS, Reason, framing, h1};
use support::{Side, whole};

/// Whether a stream of one request is accepted, and its transcript.
fn accepted(stream: &[u8]) -> bool {
    let transcript = whole(Side::Requests, Limits::default(), stream, false);
    assert_ne!(transcript.lines.last().map(String::as_str), Some("more"), "{}", stream.escape_ascii());
    transcript.rejection.is_none()
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Asserts that exactly the bytes of a class are accepted between two parts of a request.
fn check_class(before: &[u8], after: &[u8], class: impl Fn(u8) -> bool) {
    for byte in 0..=255 {
        let stream = [before, &[byte], after].concat();
        assert_eq!(accepted(&stream), class(byte), "{}", stream.escape_ascii());
    }
}

#[test]
fn every_byte_in_a_method() {
    check_class(b"M", b"M / HTTP/1.1\r\nHost: a\r\n\r\n", is_tchar);
    check_class(b"", b"M / HTTP/1.1\r\nHost: a\r\n\r\n", is_tchar);
    check_class(b"M", b" / HTTP/1.1\r\nHost: a\r\n\r\n", is_tchar);
}

#[test]
fn every_byte_in_a_target() {
    let class = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    check_class(b"GET /", b" HTTP/1.1\r\nHost: a\r\n\r\n", class);
    check_class(b"GET /?", b"x HTTP/1.1\r\nHost: a\r\n\r\n", class);
    check_class(b"GET ", b" HTTP/1.1\r\nHost: a\r\n\r\n", |byte| byte == b'/');
}

#[test]
fn every_byte_in_a_version() {
    let full = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for at in 6..14 {
        let (before, after) = (&full[..at], &full[at + 1..]);
        check_class(before, after, |byte| byte == full[at] || (at == 13 && byte == b'0'));
    }
    check_class(b"GET / HTTP/1.1", b"\r\nHost: a\r\n\r\n", |_| false);
}

#[test]
fn every_byte_in_a_name() {
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\nA", b"B: c\r\n\r\n", |byte| is_tchar(byte) || byte == b':');
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\n", b"B: c\r\n\r\n", is_tchar);
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\nA", b": c\r\n\r\n", |byte| is_tchar(byte) || byte == b':');
}

#[test]
fn every_byte_in_a_value() {
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\nA: b", b"c\r\n\r\n", is_value);
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\nA:", b"\r\n\r\n", is_value);
    check_class(b"GET / HTTP/1.1\r\nHost: a\r\nA: b", b"\r\n\r\n", is_value);
}

#[test]
fn every_byte_in_a_host() {
    let class = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    check_class(b"GET / HTTP/1.1\r\nHost: a", b"b\r\n\r\n", class);
    check_class(b"GET / HTTP/1.1\r\nHost: a:1", b"1\r\n\r\n", |byte| byte.is_ascii_digit());
    check_class(b"GET http://a", b"b/ HTTP/1.1\r\nHost: a\r\n\r\n", |byte| {
        class(byte) || b"/?".contains(&byte)
    });
}

#[test]
fn every_byte_in_a_content_length() {
    let blank = |byte: u8| b" \t".contains(&byte);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ";
    // Content that is longer than any length tried, so that none is left incomplete.
    let content = [b"\r\n\r\n", [b'x'; 100].as_slice()].concat();
    check_class(head, &[b"1", content.as_slice()].concat(), |byte| byte.is_ascii_digit() || blank(byte));
    check_class(&[head.as_slice(), b"1"].concat(), &content, |byte| byte.is_ascii_digit() || blank(byte));
    check_class(&[head.as_slice(), b"0"].concat(), &[b"1", content.as_slice()].concat(), |byte| {
        byte.is_ascii_digit()
    });
}

#[test]
fn every_byte_in_chunked_content() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let check = |before: &[u8], after: &[u8], class: &dyn Fn(u8) -> bool| {
        check_class(&[head, before].concat(), after, class);
    };
    check(b"0;a", b"b\r\n\r\n", &|byte| is_tchar(byte) || b";=".contains(&byte));
    check(b"0;a=b", b"c\r\n\r\n", &|byte| is_tchar(byte) || byte == b';');
    check(b"0;a=\"b", b"\"\r\n\r\n", &|byte| is_value(byte) && byte != b'"' && byte != b'\\');
    check(b"0;a=\"\\", b"\"\r\n\r\n", &is_value);
    check(b"0;a=\"b\"", b"\r\n\r\n", &|_| false);
    check(b"0\r", b"\r\n", &|byte| byte == b'\n');
    check(b"1\r\nx", b"\n0\r\n\r\n", &|byte| byte == b'\r');
    check(b"1\r\nx\r", b"0\r\n\r\n", &|byte| byte == b'\n');
    check(b"1\r\n", b"\r\n0\r\n\r\n", &|_| true);
    check(b"0\r\nA", b"b:\r\n\r\n", &|byte| is_tchar(byte) || byte == b':');
    check(b"0\r\nA: b", b"\r\n\r\n", &is_value);
}

#[test]
fn every_reason_has_its_own_name() {
    let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Reason::ALL.len());
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
        assert!((400..=599).contains(&reason.status()));
        assert!(
            reason
                .name()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        );
    }
}

#[test]
fn every_reason_has_a_case() {
    let files = [
        include_str!("data/requests.txt"),
        include_str!("data/responses.txt"),
        include_str!("data/chunked.txt"),
        include_str!("data/smuggling.txt"),
    ];
    for reason in Reason::ALL {
        let ending = format!(" {}", reason.name());
        let met = files
            .iter()
            .any(|file| file.lines().any(|line| line.starts_with("-> ") && line.ends_with(&ending)));
        let elsewhere = matches!(reason, Reason::HeadEnd | Reason::MemoryExhausted);
        assert!(met || elsewhere, "{}", reason.name());
    }
}

#[test]
fn a_head_that_is_not_all_of_the_bytes_is_refused() {
    let table = &mut FieldTable::new();
    let limits = &Limits::default();
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..head.len() {
        assert!(h1::parse_request(&head[..end], table, limits).is_err(), "{end}");
    }
    let more = [head.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
    assert_eq!(h1::parse_request(&more, table, limits).map(|_| ()), Err(Reason::HeadEnd.into()));
    let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(
            h1::parse_response(&head[..end], table, limits).map(|_| 0).map_err(|fault| fault.status),
            Err(502)
        );
    }
    let long = vec![b'x'; levee_buf::MAX_ROOM + 1];
    let unbounded = &Limits { head_bytes: usize::MAX, request_line: usize::MAX, fields: usize::MAX };
    assert_eq!(h1::parse_request(&long, table, unbounded).map(|_| ()), Err(Reason::HeadTooLong.into()));
}

#[test]
fn fields_are_found_in_any_case_and_order() {
    let table = &mut FieldTable::new();
    let head = b"HTTP/1.1 200 OK\r\nA: 1, 2,, \"3,\\\",4\" ,\r\nB:\t \r\na:5\r\nC:x \r\nA: \r\n\r\n";
    let fields = h1::parse_response(head, table, &Limits::default()).unwrap().fields;
    assert_eq!((fields.len(), fields.is_empty()), (5, false));
    assert_eq!(fields.get(b"a"), Some(&b"1, 2,, \"3,\\\",4\" ,"[..]));
    assert_eq!(fields.get(b"b"), Some(&b""[..]));
    assert_eq!(fields.get(b"d"), None);
    assert_eq!(fields.all(b"A").count(), 3);
    let members: Vec<&[u8]> = fields.list(b"A").collect();
    assert_eq!(members, [&b"1"[..], b"2", b"\"3,\\\",4\"", b"5"]);
    assert!(fields.has_member(b"c", b"X") && !fields.has_member(b"c", b"y"));
    let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"A", b"B", b"a", b"C", b"A"]);
    assert_eq!(List::new(b" , ,a , b\t,\"").collect::<Vec<_>>(), [&b"a"[..], b"b", b"\""]);
    assert_eq!(List::new(b"").count(), 0);
}

#[test]
fn sizes_per_stranger() {
    assert_eq!(size_of::<h1::HeadScanner>(), 24);
    assert_eq!(size_of::<h1::Body>(), 16);
    assert_eq!(size_of::<FieldTable>(), 8 * MAX_FIELDS + 8);
    assert_eq!(size_of::<levee_http::Rejection>(), 4);
    assert_eq!(size_of::<framing::RequestFraming>(), 24);
    assert_eq!(size_of::<framing::ResponseFraming>(), 40);
    assert_eq!(size_of::<levee_http::RequestHead<'_>>(), 136);
    assert_eq!(size_of::<levee_http::ResponseHead<'_>>(), 56);
}

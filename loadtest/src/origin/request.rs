//! Request heads and bodies, read from a buffered stream.

use std::io::{self, BufRead, Read};

/// Longest head taken, in bytes.
const HEAD: u64 = 64 << 10;

/// Longest line of a chunked body's framing, in bytes.
const LINE: u64 = 256;

/// One request head.
#[derive(Debug)]
pub(super) struct Request {
    /// The head as it arrived, with the blank line.
    pub(super) head: Vec<u8>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
    /// The protocol that an Upgrade field names.
    pub(super) upgrade: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) body: Body,
}

/// What of a request's body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Exact(u64),
    /// `left` bytes of the chunk at hand; none is at hand before the first and between two.
    Chunked {
        left: Option<u64>,
    },
    Ended,
}

/// Reads the next head; `None` when the peer closed between requests.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = Vec::with_capacity(512);
    let mut limited = input.take(HEAD);
    loop {
        let before = head.len();
        limited.read_until(b'\n', &mut head)?;
        match &head[before..] {
            b"\r\n" | b"\n" if before == 0 => head.clear(),
            b"\r\n" | b"\n" => return parse(head).map(Some),
            line if line.ends_with(b"\n") => {}
            _ if head.is_empty() => return Ok(None),
            _ => return Err(invalid("the head ends early or is too long")),
        }
    }
}

fn parse(head: Vec<u8>) -> io::Result<Request> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(&head).map_err(|error| invalid(&error.to_string()))?;
    let field = |name: &str| {
        let found = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let says = |name: &str, token: &str| {
        let members = field(name).unwrap_or_default().split(',');
        members.map(str::trim).any(|member| member.eq_ignore_ascii_case(token))
    };

    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = if says("transfer-encoding", "chunked") {
        Body::Chunked { left: None }
    } else {
        match field("content-length").map(str::parse) {
            None | Some(Ok(0)) => Body::Ended,
            Some(Ok(length)) => Body::Exact(length),
            Some(Err(_)) => return Err(invalid("Content-Length is no number")),
        }
    };
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: parsed.version == Some(1) && !says("connection", "close"),
        expect_continue: says("expect", "100-continue"),
        upgrade: field("upgrade").filter(|_| says("connection", "upgrade")).map(str::to_owned),
        if_none_match: field("if-none-match").map(str::to_owned),
        body,
        head,
    })
}

impl Body {
    /// Reads what comes next of the body; 0 at its end.
    pub(super) fn read(&mut self, input: &mut impl BufRead, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match *self {
                Body::Ended => return Ok(0),
                Body::Exact(left) => {
                    let read = read_some(input, left, out)?;
                    let left = left - read as u64;
                    *self = if left == 0 { Body::Ended } else { Body::Exact(left) };
                    return Ok(read);
                }
                Body::Chunked { left: Some(left) } => {
                    let read = read_some(input, left, out)?;
                    let left = left - read as u64;
                    if left == 0 && !line(input)?.is_empty() {
                        return Err(invalid("a chunk is longer than it says"));
                    }
                    *self = Body::Chunked { left: Some(left).filter(|&left| left > 0) };
                    return Ok(read);
                }
                Body::Chunked { left: None } => *self = next_chunk(input)?,
            }
        }
    }
}

/// Reads a chunk's size line, and the trailers behind the last one.
fn next_chunk(input: &mut impl BufRead) -> io::Result<Body> {
    let size = line(input)?;
    let digits = size.split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk's size is no number"))? {
        0 => {
            while !line(input)?.is_empty() {}
            Ok(Body::Ended)
        }
        size => Ok(Body::Chunked { left: Some(size) }),
    }
}

fn read_some(input: &mut impl BufRead, limit: u64, out: &mut [u8]) -> io::Result<usize> {
    match input.take(limit).read(out)? {
        0 => Err(invalid("the body ends early")),
        read => Ok(read),
    }
}

/// One line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(LINE).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.strip_suffix('\r').unwrap_or(line).to_owned()),
        None => Err(invalid("a line ends early or is too long")),
    }
}

pub(super) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

//! What the tests share: a connection that runs scanner, parser, framing and body over arrivals, and
//! cases from text files.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub(crate) mod cases;
#[path = "../../../tests/support/corpus.rs"]
pub(crate) mod corpus;
pub(crate) mod reference;

use std::fmt::Write;

use levee_buf::{Chain, Heap, HeapChain, Pieces};
use levee_http::h1::{Body, BodyRead, HeadScanner, compact, gather, parse_request, parse_response};
use levee_http::{FieldTable, Length, Limits, Method, Rejection, RequestHead, ResponseHead, framing};

/// What the stream is and what is known from the other side of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// Requests of a client.
    Requests,
    /// Responses of a backend to requests of a method, and whether they asked for an upgrade.
    Responses(Method, bool),
}

/// What was read from a stream, one line a message: heads with their decisions, content, and how it
/// ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) lines: Vec<String>,
    /// Offsets in the stream where messages ended.
    pub(crate) ends: Vec<usize>,
    pub(crate) rejection: Option<Rejection>,
}

/// One connection: bytes in, transcript out.
pub(crate) struct Connection {
    side: Side,
    limits: Limits,
    memory: Heap,
    input: HeapChain,
    arrived: usize,
    scanner: HeadScanner,
    body: Option<Body>,
    line: String,
    content: Vec<u8>,
    /// Whether the connection lives on after the present message.
    lives: bool,
    closing: bool,
    table: FieldTable,
    transcript: Transcript,
}

impl Connection {
    pub(crate) fn new(side: Side, limits: Limits) -> Self {
        Self {
            side,
            limits,
            memory: Heap::new(200_000),
            input: HeapChain::default(),
            arrived: 0,
            scanner: HeadScanner::default(),
            body: None,
            line: String::new(),
            content: Vec::new(),
            lives: true,
            closing: false,
            table: FieldTable::new(),
            transcript: Transcript::default(),
        }
    }

    /// Bytes arrive in segments, and everything that can be read is read.
    pub(crate) fn arrive(&mut self, segments: &[&[u8]]) {
        for segment in segments.iter().filter(|segment| !segment.is_empty()) {
            self.input.append(self.memory.chain(segment));
            self.arrived += segment.len();
        }
        while self.transcript.rejection.is_none() && !self.closing {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(rejection) => {
                    self.end_message();
                    self.transcript.rejection = Some(rejection);
                }
            }
        }
    }

    /// The connection ends, or, without `eof`, nothing more arrives.
    pub(crate) fn finish(mut self, eof: bool) -> Transcript {
        if eof
            && self.transcript.rejection.is_none()
            && let Some(mut body) = self.body.take()
        {
            let finished = body.finish();
            self.end_message();
            match finished {
                Ok(()) => self.transcript.ends.push(self.arrived),
                Err(rejection) => self.transcript.rejection = Some(self.blame(rejection)),
            }
        }
        let left = self.input.len();
        let last = match self.transcript.rejection {
            Some(Rejection { status, reason }) => format!("{status} {}", reason.name()),
            None if self.body.is_some() || (!self.closing && left > 0) => {
                self.end_message();
                "more".to_owned()
            }
            None => "end".to_owned(),
        };
        self.transcript.lines.push(last);
        drop(self.input);
        assert_eq!(self.memory.in_use(), 0, "segments leaked");
        self.transcript
    }

    /// One head or one read of content; false when more bytes are needed.
    fn step(&mut self) -> Result<bool, Rejection> {
        if let Some(body) = &mut self.body {
            let read = body.read(&self.memory, &mut self.input);
            let complete = body.is_complete();
            return match read.map_err(|rejection| self.blame(rejection))? {
                BodyRead::Data(data) => {
                    assert!(!data.is_empty(), "Data is not empty");
                    self.content.extend(data.to_vec());
                    Ok(true)
                }
                BodyRead::More => {
                    assert!(self.input.is_empty(), "More takes all input");
                    Ok(false)
                }
                BodyRead::End => {
                    assert!(complete);
                    self.body = None;
                    self.closing = !self.lives;
                    self.transcript.ends.push(self.arrived - self.input.len());
                    self.end_message();
                    Ok(true)
                }
            };
        }
        let scanned = self.scanner.scan(&self.input, &self.limits);
        let Some(length) = scanned.map_err(|rejection| self.blame(rejection))? else {
            compact(&self.memory, &mut self.input).expect("memory");
            assert!(self.input.segments() <= 16);
            return Ok(false);
        };
        self.scanner = HeadScanner::default();
        let crosses = self.input.chunk(0).len() < length;
        assert_eq!(gather(&self.memory, &mut self.input, length), Ok(crosses));
        let head = self.input.chunk(0).get(..length).expect("gathered");
        let (line, length_of_content, lives) = match self.side {
            Side::Requests => request_line(&parse_request(head, &mut self.table, &self.limits)?)?,
            Side::Responses(method, upgrade) => {
                response_line(&parse_response(head, &mut self.table, &self.limits)?, method, upgrade)?
            }
        };
        self.input.trim_front(length);
        self.line = line;
        self.lives = lives;
        self.body = Some(Body::new(length_of_content));
        Ok(true)
    }

    fn end_message(&mut self) {
        if !self.line.is_empty() {
            let mut line = std::mem::take(&mut self.line);
            if !self.content.is_empty() {
                let content = self.content.escape_ascii().to_string();
                if content.len() > 80 {
                    write!(line, " {} bytes {:08x}", self.content.len(), checksum(&self.content)).unwrap();
                } else {
                    write!(line, " \"{content}\"").unwrap();
                }
            }
            self.transcript.lines.push(line);
        }
        self.content.clear();
    }

    fn blame(&self, rejection: Rejection) -> Rejection {
        match self.side {
            Side::Requests => rejection,
            Side::Responses(..) => rejection.of_upstream(),
        }
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn length_name(length: Length) -> String {
    match length {
        Length::None => "none".to_owned(),
        Length::Exact(length) => format!("exact:{length}"),
        Length::Chunked => "chunked".to_owned(),
        Length::UntilClose => "until-close".to_owned(),
    }
}

/// The head and what was decided about it as one line.
pub(crate) fn request_line(head: &RequestHead<'_>) -> Result<(String, Length, bool), Rejection> {
    let decided = framing::request(head)?;
    let mut line = format!("{} {}", text(head.method_name), text(head.target.path()));
    if let Some(query) = head.target.query() {
        write!(line, "?{}", text(query)).unwrap();
    }
    let authority = if head.authority.is_empty() { "-".to_owned() } else { text(head.authority.as_bytes()) };
    write!(line, " {authority} {:?} {}", head.version, length_name(decided.length)).unwrap();
    for (set, name) in [
        (decided.keep_alive, " keep"),
        (!decided.keep_alive, " close"),
        (decided.expect_continue, " continue"),
        (decided.upgrade, " upgrade"),
        (decided.websocket, " websocket"),
        (decided.last_hop, " last-hop"),
        (decided.alone, " alone"),
    ] {
        line.push_str(if set { name } else { "" });
    }
    Ok((line, decided.length, decided.keep_alive))
}

/// The head and what was decided about it as one line.
pub(crate) fn response_line(
    head: &ResponseHead<'_>,
    method: Method,
    upgrade: bool,
) -> Result<(String, Length, bool), Rejection> {
    let decided = framing::response(head, method, upgrade)?;
    let mut line = format!("{} {:?} {}", head.status, head.version, length_name(decided.length));
    if let Some(length) = decided.content_length.filter(|_| decided.length == Length::None) {
        write!(line, " of:{length}").unwrap();
    }
    for (set, name) in [
        (decided.keep_alive, " keep"),
        (!decided.keep_alive, " close"),
        (decided.upgrade, " upgrade"),
        (decided.interim, " interim"),
    ] {
        line.push_str(if set { name } else { "" });
    }
    Ok((line, decided.length, decided.keep_alive || decided.interim))
}

/// The transcript of a stream that arrives in one segment.
pub(crate) fn whole(side: Side, limits: Limits, stream: &[u8], eof: bool) -> Transcript {
    let mut connection = Connection::new(side, limits);
    connection.arrive(&[stream]);
    connection.finish(eof)
}

/// Asserts that `stream` is read the same however it is cut: at every byte, and in pieces of `sizes`,
/// arriving one by one or at once.
pub(crate) fn check_cuts(
    side: Side,
    limits: Limits,
    stream: &[u8],
    eof: bool,
    sizes: &[usize],
) -> Transcript {
    let expected = whole(side, limits, stream, eof);
    for at in 0..=stream.len() {
        let (front, back) = stream.split_at(at);
        let mut connection = Connection::new(side, limits);
        connection.arrive(&[front]);
        connection.arrive(&[back]);
        assert_eq!(connection.finish(eof), expected, "cut at {at} of {}", text(stream));
        let mut connection = Connection::new(side, limits);
        connection.arrive(&[front, back]);
        assert_eq!(connection.finish(eof), expected, "two segments, {at} of {}", text(stream));
    }
    for &size in sizes {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let mut connection = Connection::new(side, limits);
        for piece in &pieces {
            connection.arrive(&[piece]);
        }
        assert_eq!(connection.finish(eof), expected, "pieces of {size} of {}", text(stream));
        let mut connection = Connection::new(side, limits);
        connection.arrive(&pieces);
        assert_eq!(connection.finish(eof), expected, "segments of {size} of {}", text(stream));
    }
    expected
}

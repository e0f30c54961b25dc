//! Reading responses and holding them against what was expected: `Responses`.

use levee_buf::{Chain, Memory, Pieces};
use levee_http::h1::{Body, BodyRead, HeadScanner, compact, gather, parse_response};
use levee_http::{FieldTable, Limits, framing};
use sha2::{Digest, Sha256};

use super::request::Request;

/// Where the reading of one connection's responses stands.
pub(super) struct Responses<M: Memory> {
    inbound: M::Chain,
    scanner: HeadScanner,
    content: Option<Box<Content>>,
    /// Content of a known length without a wanted hash is counted, not looked at.
    left: u64,
    length: u64,
    kept: bool,
}

/// Content that is looked at.
struct Content {
    body: Body,
    length: u64,
    hash: Option<Sha256>,
}

/// What a call of [`Responses::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The response is complete and as expected; its content had so many bytes.
    Response {
        /// Bytes of content.
        length: u64,
        /// Whether the connection can be used again.
        keep_alive: bool,
    },
    /// More must come.
    More,
}

impl<M: Memory> Default for Responses<M> {
    fn default() -> Self {
        let inbound = M::Chain::default();
        Self { inbound, scanner: HeadScanner::default(), content: None, left: 0, length: 0, kept: false }
    }
}

impl<M: Memory> Responses<M> {
    pub(super) fn push(&mut self, bytes: M::Chain) {
        self.inbound.append(bytes);
    }

    /// Whether bytes wait to be read.
    pub(super) fn has_bytes(&self) -> bool {
        !self.inbound.is_empty()
    }

    /// Reads on in the response to `request`.
    ///
    /// # Errors
    /// Why it is not what was expected.
    pub(super) fn next(
        &mut self,
        request: &Request,
        memory: &M,
        fields: &mut FieldTable,
    ) -> Result<Next, &'static str> {
        loop {
            if self.left > 0 {
                return Ok(self.skip());
            }
            if let Some(content) = &mut self.content {
                match content.read(&mut self.inbound, memory)? {
                    false => return Ok(Next::More),
                    true => return self.finish(request),
                }
            }
            if self.inbound.is_empty() || !self.head(request, memory, fields)? {
                return Ok(Next::More);
            }
            if self.left == 0 && self.content.is_none() {
                return Ok(Next::Response { length: 0, keep_alive: self.kept });
            }
        }
    }

    /// The peer will send no more: whether that completes the response.
    pub(super) fn end(&mut self, request: &Request) -> Result<Next, &'static str> {
        match &mut self.content {
            Some(content) => match content.body.finish() {
                Ok(()) => self.finish(request),
                Err(_) => Err("closed_early"),
            },
            None => Err("closed_early"),
        }
    }

    /// Reads a head; false when more of it must come. An interim response leaves nothing behind.
    fn head(&mut self, request: &Request, memory: &M, fields: &mut FieldTable) -> Result<bool, &'static str> {
        let limits = Limits::default();
        loop {
            let Some(length) = self.scanner.scan(&self.inbound, &limits).map_err(|_| "bad_head")? else {
                compact(memory, &mut self.inbound).map_err(|_| "out_of_memory")?;
                return Ok(false);
            };
            gather(memory, &mut self.inbound, length).map_err(|_| "out_of_memory")?;
            let head = self.inbound.chunk(0).get(..length).ok_or("bad_head")?;
            let response = parse_response(head, fields, &limits).map_err(|_| "bad_head")?;
            let framing = framing::response(&response, request.method, false).map_err(|_| "bad_framing")?;
            let status = response.status;
            self.inbound.trim_front(length);
            self.scanner = HeadScanner::default();
            if framing.interim {
                continue;
            }
            if status != request.expect.status {
                return Err("wrong_status");
            }
            self.kept = framing.keep_alive;
            let expected = request.expect.length;
            match (framing.length, request.expect.sha256) {
                (levee_http::Length::Exact(length), None) => {
                    if expected.is_some_and(|expected| expected != length) {
                        return Err("wrong_length");
                    }
                    (self.left, self.length) = (length, length);
                }
                (levee_http::Length::None, None) if expected.is_none_or(|expected| expected == 0) => {}
                (length, hash) => {
                    let hash = hash.map(|_| Sha256::new());
                    self.content = Some(Box::new(Content { body: Body::new(length), length: 0, hash }));
                }
            }
            return Ok(true);
        }
    }

    /// Counts content off.
    fn skip(&mut self) -> Next {
        let here = self.left.min(self.inbound.len() as u64);
        self.inbound.trim_front(usize::try_from(here).unwrap_or(usize::MAX));
        self.left -= here;
        match self.left {
            0 => Next::Response { length: self.length, keep_alive: self.kept },
            _ => Next::More,
        }
    }

    fn finish(&mut self, request: &Request) -> Result<Next, &'static str> {
        let Some(content) = self.content.take() else { return Err("bad_framing") };
        if request.expect.length.is_some_and(|expected| expected != content.length) {
            return Err("wrong_length");
        }
        if let (Some(expected), Some(hash)) = (request.expect.sha256, content.hash)
            && hash.finalize()[..] != expected
        {
            return Err("wrong_content");
        }
        Ok(Next::Response { length: content.length, keep_alive: self.kept })
    }
}

impl Content {
    /// Takes what is there; whether the content is complete.
    fn read<M: Memory>(&mut self, inbound: &mut M::Chain, memory: &M) -> Result<bool, &'static str> {
        loop {
            match self.body.read(memory, inbound).map_err(|_| "bad_content")? {
                BodyRead::Data(data) => {
                    self.length += data.len() as u64;
                    if let Some(hash) = &mut self.hash {
                        data.for_each(0..data.len(), &mut |piece| hash.update(piece));
                    }
                }
                BodyRead::More => return Ok(false),
                BodyRead::End => return Ok(true),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use levee_buf::Heap;
    use levee_http::Method;

    use super::super::request::Expect;
    use super::*;

    fn request(status: u16, length: Option<u64>, content: Option<&[u8]>) -> Request {
        let sha256 = content.map(|content| Sha256::digest(content).into());
        let expect = Expect { status, length, sha256 };
        Request { head: Vec::new(), upload: 0, method: Method::Get, expect }
    }

    /// What reading `bytes` piece by piece comes to.
    fn read(bytes: &[u8], piece: usize, request: &Request) -> Result<Next, &'static str> {
        let memory = Heap::new(64);
        let mut responses = Responses::<Heap>::default();
        let mut last = Ok(Next::More);
        for piece in bytes.chunks(piece) {
            responses.push(memory.chain(piece));
            last = responses.next(request, &memory, &mut FieldTable::new());
            if last != Ok(Next::More) {
                return last;
            }
        }
        if last == Ok(Next::More) { responses.end(request) } else { last }
    }

    #[test]
    fn responses_are_held_against_what_was_expected() {
        let exact = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let close = b"HTTP/1.1 200 OK\r\n\r\nhello";
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let kept = Ok(Next::Response { length: 5, keep_alive: true });
        let closed = Ok(Next::Response { length: 5, keep_alive: false });
        for (bytes, expected) in
            [(&exact[..], kept), (&chunked[..], kept), (&close[..], closed), (&interim[..], kept)]
        {
            for piece in [1, 2, 7, 1000] {
                assert_eq!(read(bytes, piece, &request(200, None, None)), expected);
                assert_eq!(read(bytes, piece, &request(200, Some(5), Some(b"hello"))), expected);
                assert_eq!(read(bytes, piece, &request(200, Some(6), None)), Err("wrong_length"));
                assert_eq!(read(bytes, piece, &request(200, None, Some(b"hellO"))), Err("wrong_content"));
                assert_eq!(read(bytes, piece, &request(404, None, None)), Err("wrong_status"));
            }
        }
        let short = &exact[..exact.len() - 1];
        assert_eq!(read(short, 9, &request(200, None, None)), Err("closed_early"));
        assert_eq!(read(short, 9, &request(200, None, Some(b"hello"))), Err("closed_early"));
        assert_eq!(read(b"SSH-2.0-server\r\n\r\n", 100, &request(200, None, None)), Err("bad_head"));
        let nothing = b"HTTP/1.1 204 No Content\r\n\r\n";
        let none = Ok(Next::Response { length: 0, keep_alive: true });
        assert_eq!(read(nothing, 3, &request(204, None, None)), none);
    }
}

//! Finding the end of a head: `HeadScanner`.
//!
//! Resumable at any byte, each byte looked at once, bounded by the limits. What it accepts has only
//! CR LF as line ends, so that it and the parser see the same lines.

use levee_buf::{MAX_ROOM, Pieces};

use crate::error::{Reason, Rejection};
use crate::head::Limits;

/// Empty lines that are ignored before a request line.
///
/// RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore
/// at least one empty line (CRLF) received prior to the request-line."
const LEADING_EMPTY_LINES: u8 = 4;

/// Where the search for the end of one head stands: 24 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScanner {
    /// Bytes looked at.
    at: usize,
    /// Where the present line starts.
    line: usize,
    leading: u8,
    in_fields: bool,
    after_cr: bool,
}

const _: () = assert!(size_of::<HeadScanner>() <= 24);

impl HeadScanner {
    /// The length of the head, its empty lines in front and behind included, once it is all there.
    ///
    /// `pieces` are the unread bytes of the connection: the same as at the call before, and more. Call
    /// again when more arrived; use a fresh scanner for the next head, after this one's bytes were
    /// taken away.
    ///
    /// # Errors
    /// The reason for which what arrived can be no head.
    pub fn scan(&mut self, pieces: &dyn Pieces, limits: &Limits) -> Result<Option<usize>, Rejection> {
        loop {
            let (bound, too_long) = self.bound(limits);
            let chunk = pieces.chunk(self.at);
            let room = bound.saturating_sub(self.at);
            if room == 0 {
                return Err(too_long.into());
            }
            let Some(chunk) = chunk.get(..room.min(chunk.len())).filter(|chunk| !chunk.is_empty()) else {
                return Ok(None);
            };
            if let Some(length) = self.lines(chunk)? {
                return Ok(Some(length));
            }
        }
    }

    /// How far the present line may reach, and what it is when it reaches further.
    fn bound(&self, limits: &Limits) -> (usize, Reason) {
        let head = limits.head_bytes.min(MAX_ROOM);
        let line = self.line.saturating_add(limits.request_line).saturating_add(2);
        if self.in_fields || head < line {
            (head, Reason::HeadTooLong)
        } else {
            (line, Reason::RequestLineTooLong)
        }
    }

    /// Takes `chunk` up to its end, or to the end of the line that it ends first.
    fn lines(&mut self, chunk: &[u8]) -> Result<Option<usize>, Reason> {
        if !self.after_cr {
            let plain = plain_length(chunk);
            self.at = self.at.saturating_add(plain);
            match chunk.get(plain) {
                None => return Ok(None),
                Some(b'\n') => return Err(Reason::BareLf),
                Some(_) => {}
            }
            self.after_cr = true;
            self.at = self.at.saturating_add(1);
            return Ok(None);
        }
        if chunk.first() != Some(&b'\n') {
            return Err(Reason::BareCr);
        }
        let empty = self.at == self.line.saturating_add(1);
        self.at = self.at.saturating_add(1);
        self.after_cr = false;
        self.line = self.at;
        match (empty, self.in_fields) {
            (true, true) => return Ok(Some(self.at)),
            (true, false) if self.leading == LEADING_EMPTY_LINES => return Err(Reason::LeadingEmptyLines),
            (true, false) => self.leading = self.leading.saturating_add(1),
            (false, _) => self.in_fields = true,
        }
        Ok(None)
    }
}

/// Bytes before the first CR or LF. Blocks are judged whole, which compilers turn into vector code.
fn plain_length(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let ends_line = |byte: u8| byte == b'\r' || byte == b'\n';
    let blocks = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |found, &byte| found | ends_line(byte)))
        .count();
    let plain = blocks.saturating_mul(BLOCK);
    let rest = bytes.get(plain..).unwrap_or_default();
    plain.saturating_add(rest.iter().position(|&byte| ends_line(byte)).unwrap_or(rest.len()))
}

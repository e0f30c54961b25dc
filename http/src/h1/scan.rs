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

    /// Takes all of `chunk`, or less: up to the end of the head, and of a line before the fields, since the
    /// bound of the next line is another.
    fn lines(&mut self, mut chunk: &[u8]) -> Result<Option<usize>, Reason> {
        while let Some((&first, rest)) = chunk.split_first() {
            if self.after_cr {
                if first != b'\n' {
                    return Err(Reason::BareCr);
                }
                chunk = rest;
                let in_fields = self.in_fields;
                if self.line_end()? {
                    return Ok(Some(self.at));
                }
                if !in_fields {
                    return Ok(None);
                }
            }
            let plain = plain_length(chunk);
            self.at = self.at.saturating_add(plain);
            match chunk.get(plain..).and_then(<[u8]>::split_first) {
                None => return Ok(None),
                Some((b'\r', rest)) => chunk = rest,
                Some(_) => return Err(Reason::BareLf),
            }
            self.at = self.at.saturating_add(1);
            self.after_cr = true;
        }
        Ok(None)
    }

    /// Takes the LF of a line end; whether it ends the head.
    fn line_end(&mut self) -> Result<bool, Reason> {
        let empty = self.at == self.line.saturating_add(1);
        self.at = self.at.saturating_add(1);
        self.after_cr = false;
        self.line = self.at;
        match (empty, self.in_fields) {
            (true, true) => return Ok(true),
            (true, false) if self.leading == LEADING_EMPTY_LINES => return Err(Reason::LeadingEmptyLines),
            (true, false) => self.leading = self.leading.saturating_add(1),
            (false, _) => self.in_fields = true,
        }
        Ok(false)
    }
}

/// Bytes before the first CR or LF.
///
/// Blocks are judged whole, which compilers turn into vector code; the block that has one is searched by
/// words.
fn plain_length(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut plain = 0_usize;
    for block in blocks {
        if block.iter().fold(false, |found, &byte| found | (byte == b'\r') | (byte == b'\n')) {
            return plain.saturating_add(first_line_end(block));
        }
        plain = plain.saturating_add(block.len());
    }
    plain.saturating_add(first_line_end(rest))
}

/// The offset of the first CR or LF in `block`; its length when there is none.
fn first_line_end(block: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = block.as_chunks::<8>();
    let mut at = 0_usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The lowest high bit set is that of the first byte that is zero.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
        let found = zero(word ^ (ONES * 0x0d)) | zero(word ^ (ONES * 0x0a));
        if found != 0 {
            return at.saturating_add(usize::try_from(found.trailing_zeros() / 8).unwrap_or(0));
        }
        at = at.saturating_add(8);
    }
    let line_end = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n');
    at.saturating_add(line_end.unwrap_or(rest.len()))
}

//! Taking content out of the stream: `Body`.
//!
//! Resumable at any byte. Data leaves by splitting; only the control bytes of the chunked coding are
//! looked at, one by one. Holds nothing.

use levee_buf::{Chain, Memory, Pieces};

use super::chunked::{Chunked, Step};
use crate::error::{Reason, Rejection};
use crate::head::Length;

/// The most chunks whose data one call links together.
///
/// A peer that sends chunks of one byte costs a segment for each; so many are held at a time.
const CHUNKS: usize = 64;

/// What one call of [`Body::read`] brought.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyRead<C> {
    /// Content, without its transfer coding; not empty. Call again.
    Data(C),
    /// All input is taken and the content goes on.
    More,
    /// The content is complete; the rest of the input belongs to the next message.
    End,
}

/// Where the reading of one message's content stands: 16 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    state: State,
}

const _: () = assert!(size_of::<Body>() <= 16);

#[derive(Clone, Copy, Debug)]
enum State {
    Exact(u64),
    Chunked(Chunked),
    UntilClose,
    Ended,
    Failed(Reason),
}

impl Body {
    /// The start of content of `length`.
    #[must_use]
    pub fn new(length: Length) -> Self {
        let state = match length {
            Length::None | Length::Exact(0) => State::Ended,
            Length::Exact(left) => State::Exact(left),
            Length::Chunked => State::Chunked(Chunked::default()),
            Length::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether all content was read.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes what belongs to this content from the front of `input`.
    ///
    /// # Errors
    /// The reason for which the content is faulty, again at every later call; data before the fault was
    /// returned before. [`Reason::MemoryExhausted`] when packet memory ran out: nothing was lost, and
    /// the same call may succeed later.
    pub fn read<M: Memory>(
        &mut self,
        memory: &M,
        input: &mut M::Chain,
    ) -> Result<BodyRead<M::Chain>, Rejection> {
        match self.state {
            State::Ended => Ok(BodyRead::End),
            State::Failed(reason) => Err(reason.into()),
            _ if input.is_empty() => Ok(BodyRead::More),
            State::UntilClose => Ok(BodyRead::Data(input.take())),
            State::Exact(left) => {
                let (data, left) = take(memory, input, left)?;
                self.state = if left == 0 { State::Ended } else { State::Exact(left) };
                Ok(BodyRead::Data(data))
            }
            State::Chunked(chunked) => self.read_chunked(memory, input, chunked),
        }
    }

    /// Says that the connection ended.
    ///
    /// # Errors
    /// RFC 9112 section 8: "A message body that uses the chunked transfer coding is incomplete if the
    /// zero-sized chunk that terminates the encoding has not been received. A message that uses a valid
    /// Content-Length is incomplete if the size of the message body received (in octets) is less than
    /// the value given by Content-Length."
    pub fn finish(&mut self) -> Result<(), Rejection> {
        match self.state {
            State::Ended => Ok(()),
            State::UntilClose => {
                self.state = State::Ended;
                Ok(())
            }
            State::Failed(reason) => Err(reason.into()),
            State::Exact(_) | State::Chunked(_) => {
                self.state = State::Failed(Reason::ContentTruncated);
                Err(Reason::ContentTruncated.into())
            }
        }
    }

    fn read_chunked<M: Memory>(
        &mut self,
        memory: &M,
        input: &mut M::Chain,
        mut chunked: Chunked,
    ) -> Result<BodyRead<M::Chain>, Rejection> {
        let mut content = M::Chain::default();
        let mut chunks = 0_usize;
        let outcome = loop {
            let (used, step) = chunked.control(input.chunk(0));
            input.trim_front(used);
            match step {
                Step::More if input.is_empty() => break BodyRead::More,
                Step::More => {}
                Step::Data(_) if input.is_empty() || chunks == CHUNKS => break BodyRead::More,
                Step::Data(left) => match take(memory, input, left) {
                    Ok((data, left)) => {
                        chunked.took(left);
                        content.append(data);
                        chunks = chunks.saturating_add(1);
                    }
                    Err(reason) if content.is_empty() => {
                        self.state = State::Chunked(chunked);
                        return Err(reason.into());
                    }
                    Err(_) => break BodyRead::More,
                },
                Step::End => break BodyRead::End,
                Step::Fault(reason) => {
                    self.state = State::Failed(reason);
                    return if content.is_empty() { Err(reason.into()) } else { Ok(BodyRead::Data(content)) };
                }
            }
        };
        self.state = match outcome {
            BodyRead::End => State::Ended,
            _ => State::Chunked(chunked),
        };
        Ok(if content.is_empty() { outcome } else { BodyRead::Data(content) })
    }
}

/// Up to `left` bytes from the front of `input`, and what is left after them.
fn take<M: Memory>(memory: &M, input: &mut M::Chain, left: u64) -> Result<(M::Chain, u64), Reason> {
    let data = match usize::try_from(left) {
        Ok(left) if left < input.len() => memory.split_to(input, left).ok_or(Reason::MemoryExhausted)?,
        _ => input.take(),
    };
    let taken = u64::try_from(data.len()).unwrap_or(left);
    Ok((data, left.saturating_sub(taken)))
}

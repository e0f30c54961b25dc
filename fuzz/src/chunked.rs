//! The chunked transfer coding, cut anywhere: a cut changes nothing, and what was read is what was sent.

use arbitrary::Unstructured;
use levee_buf::{Chain as _, Heap, Pieces as _};
use levee_http::h1::{Body, BodyRead};
use levee_http::{Length, Rejection};

/// Bytes of a stream that are worth cutting.
const LONGEST: usize = 4096;

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    content: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The content is complete; so many bytes of the next message follow.
    Complete {
        left: usize,
    },
    /// The content goes on.
    Open,
    Refused(Rejection),
}

/// Reads `input`'s stream whole, then cut.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(cuts) = input.arbitrary::<[u8; 4]>() else { return };
    let stream = input.take_rest();
    let stream = &stream[..stream.len().min(LONGEST)];
    let whole = read(&[stream]);
    let mut rest = stream;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(read(&pieces), whole, "cut into {pieces:?}");
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&bytes), whole, "byte by byte");
    assert!(whole.content.len() <= stream.len());
}

/// Reads a stream whose pieces arrive one after another.
fn read(pieces: &[&[u8]]) -> Outcome {
    let memory = Heap::new(1 << 16);
    let mut body = Body::new(Length::Chunked);
    let mut content = Vec::new();
    let mut waiting = <Heap as levee_buf::Memory>::Chain::default();
    for (number, piece) in pieces.iter().enumerate() {
        if !piece.is_empty() {
            waiting.append(memory.chain(piece));
        }
        loop {
            match body.read(&memory, &mut waiting) {
                Ok(BodyRead::Data(data)) => content.extend(data.to_vec()),
                Ok(BodyRead::More) if waiting.is_empty() => break,
                Ok(BodyRead::More) => {}
                Ok(BodyRead::End) => {
                    let behind: usize = pieces[number + 1..].iter().map(|piece| piece.len()).sum();
                    return Outcome { content, end: End::Complete { left: waiting.len() + behind } };
                }
                Err(rejection) => return Outcome { content, end: End::Refused(rejection) },
            }
        }
    }
    Outcome { content, end: End::Open }
}

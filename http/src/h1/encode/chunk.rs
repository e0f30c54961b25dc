//! The chunked coding around content that leaves (RFC 9112 section 7.1).

use levee_buf::{Chain, Exhausted, Memory, Pieces};

/// The longest size line: sixteen digits, CR, LF.
const SIZE_LINE: usize = 18;

/// `data` as one chunk; without data, nothing, since an empty chunk would end the content.
///
/// The size line goes into headroom and CR LF into tailroom where the bytes are ours alone, and into
/// fresh segments where they are shared. The data is not touched.
///
/// # Errors
/// [`Exhausted`] when there is no segment; `data` is lost and the connection cannot go on.
pub fn chunk<M: Memory>(memory: &M, mut data: M::Chain) -> Result<M::Chain, Exhausted> {
    if data.is_empty() {
        return Ok(data);
    }
    let mut line = [0; SIZE_LINE];
    let line = size_line(data.len(), &mut line);
    memory.push(&mut data, b"\r\n")?;
    if let Some(place) = data.prepend(line.len()) {
        place.copy_from_slice(line);
        return Ok(data);
    }
    let mut whole = memory.alloc(line.len()).ok_or(Exhausted)?;
    whole.extend(line.len()).ok_or(Exhausted)?.copy_from_slice(line);
    whole.append(data);
    Ok(whole)
}

/// Ends chunked content behind `onto`, which may be empty: the last chunk and no trailers.
///
/// # Errors
/// [`Exhausted`] when there is no segment.
pub fn last_chunk<M: Memory>(memory: &M, onto: &mut M::Chain) -> Result<(), Exhausted> {
    memory.push(onto, b"0\r\n\r\n")
}

/// Writes `size` in hexadecimal and CR LF to the end of `line`, and returns that.
fn size_line(size: usize, line: &mut [u8; SIZE_LINE]) -> &[u8] {
    let digits = (usize::BITS.saturating_sub(size.leading_zeros())).div_ceil(4).max(1);
    let start = SIZE_LINE.saturating_sub(2).saturating_sub(usize::try_from(digits).unwrap_or(16));
    let mut rest = size;
    for (at, place) in line.iter_mut().enumerate().rev() {
        *place = match at {
            17 => b'\n',
            16 => b'\r',
            _ => {
                let digit = b"0123456789abcdef".get(rest & 15).copied().unwrap_or(b'0');
                rest >>= 4;
                digit
            }
        };
    }
    line.get(start..).unwrap_or_default()
}

//! Writing messages: heads from parsed heads, chunks around content, and our own answers.
//!
//! A head is written into one contiguous place that the caller made; the `*_room` functions say how
//! large. Content is never touched. Every name and value that is written comes from a parsed head or is
//! a constant or a number, so that none can hold CR, LF or NUL.

mod chunk;
mod page;
mod request;
mod response;

use core::fmt;

use levee_buf::{Full, Writer};

pub use chunk::{chunk, last_chunk};
pub use page::{Page, interim_continue, options, redirect, redirect_room, status_page};
pub use request::{Conditions, RequestRewrite, request, request_room};
pub use response::{ResponseRewrite, response, response_room};

use crate::field::Fields;
use crate::head::Version;

/// Bytes of a status page, with its head.
pub const PAGE_ROOM: usize = 1024;

/// Writes `name: value`.
fn field(out: &mut Writer<'_>, name: &[u8], value: &[u8]) -> Result<(), Full> {
    out.bytes(name)?;
    out.bytes(b": ")?;
    out.bytes(value)?;
    out.bytes(b"\r\n")
}

/// Writes `name: value`.
fn number_field(out: &mut Writer<'_>, name: &[u8], value: u64) -> Result<(), Full> {
    out.bytes(name)?;
    out.bytes(b": ")?;
    number(out, value)?;
    out.bytes(b"\r\n")
}

/// Writes `value` in decimal digits.
fn number(out: &mut Writer<'_>, mut value: u64) -> Result<(), Full> {
    let mut digits = [b'0'; MAX_DIGITS];
    let mut first = MAX_DIGITS;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' | u8::try_from(value % 10).unwrap_or_default();
        first = at;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.bytes(digits.get(first..).unwrap_or_default())
}

/// Decimal digits of the largest number.
const MAX_DIGITS: usize = 20;

/// Writes what `arguments` display, without a string between.
fn display(out: &mut Writer<'_>, arguments: fmt::Arguments<'_>) -> Result<(), Full> {
    struct Adapter<'w, 'b>(&'w mut Writer<'b>);
    impl fmt::Write for Adapter<'_, '_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.bytes(text.as_bytes()).map_err(|Full| fmt::Error)
        }
    }
    fmt::write(&mut Adapter(out), arguments).map_err(|fmt::Error| Full)
}

/// Writes our Via behind those that were there, with the version of the message that was received.
///
/// RFC 9110 section 7.6.3: "Each intermediary appends its own information about how the message was
/// received".
fn via(out: &mut Writer<'_>, received: Version) -> Result<(), Full> {
    out.bytes(match received {
        Version::Http10 => b"Via: 1.0 levee\r\n",
        Version::Http11 => b"Via: 1.1 levee\r\n",
    })
}

/// Bytes that all field lines take.
fn fields_room(fields: &Fields<'_>) -> usize {
    fields.iter().fold(0, |room: usize, (name, value)| {
        room.saturating_add(name.len()).saturating_add(value.len()).saturating_add(4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for (value, text) in
            [(0, "0"), (7, "7"), (10, "10"), (1024, "1024"), (u64::MAX, "18446744073709551615")]
        {
            let mut place = [0; MAX_DIGITS];
            let mut out = Writer::new(&mut place);
            assert!(number(&mut out, value).is_ok());
            assert_eq!(out.written(), text.as_bytes());
        }
    }
}

//! The chunked transfer coding (RFC 9112 section 7.1) byte by byte: `Chunked`.
//!
//! Sizes, extensions and trailers only; the data between is counted, not seen. Extensions and trailers
//! are checked, bounded and dropped.

use crate::chars::{hex_digit, is_tchar, is_value};
use crate::error::Reason;

/// Digits that 64 bits have; more are refused even when they are zeros.
///
/// RFC 9112 section 7.1: "recipients MUST anticipate potentially large hexadecimal numerals and prevent
/// parsing errors due to integer conversion overflows".
const SIZE_DIGITS: u8 = 16;

/// Bytes of chunk extensions in one message.
///
/// RFC 9112 section 7.1.1: "A server ought to limit the total length of chunk extensions received in a
/// request to an amount reasonable for the services provided".
const EXTENSION_BYTES: u16 = 4096;

/// Bytes of trailers in one message.
const TRAILER_BYTES: u16 = 8192;

/// Where the control bytes of one chunked content stand: 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunked {
    /// The size that is being read, then the bytes of data left.
    size: u64,
    /// Bytes of extensions, then of trailers.
    dropped: u16,
    digits: u8,
    state: State,
}

const _: () = assert!(size_of::<Chunked>() <= 16);

/// What came behind some control bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More control bytes are needed.
    More,
    /// So many bytes of data follow.
    Data(u64),
    /// The content is complete.
    End,
    /// The content is faulty.
    Fault(Reason),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// White space before the semicolon of an extension.
    ExtensionGap,
    ExtensionNameStart,
    ExtensionName,
    ExtensionNameEnd,
    ExtensionValueStart,
    ExtensionValue,
    ExtensionQuoted,
    ExtensionEscape,
    ExtensionValueEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    End,
}

impl Chunked {
    /// Takes control bytes from the front of `bytes`; returns how many, and what follows them.
    pub(super) fn control(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut used = 0_usize;
        for &byte in bytes {
            if matches!(self.state, State::Data | State::End) {
                break;
            }
            used = used.saturating_add(1);
            match self.step(byte) {
                Ok(state) => self.state = state,
                Err(reason) => return (used, Step::Fault(reason)),
            }
        }
        let step = match self.state {
            State::Data => Step::Data(self.size),
            State::End => Step::End,
            _ => Step::More,
        };
        (used, step)
    }

    /// Says that data was taken and `left` bytes of it are to come.
    pub(super) fn took(&mut self, left: u64) {
        self.size = left;
        if left == 0 {
            self.state = State::DataCr;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, Reason> {
        match self.state {
            State::Size => self.size(byte),
            State::SizeLf if byte == b'\n' => Ok(self.size_line_end()),
            State::SizeLf => Err(Reason::ChunkLineEnd),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => {
                (self.size, self.digits) = (0, 0);
                Ok(State::Size)
            }
            State::DataCr | State::DataLf => Err(Reason::ChunkDataEnd),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::LastLf => self.trailer(byte),
            State::Data | State::End => Ok(self.state),
            _ => self.extension(byte),
        }
    }

    /// `chunk-size = 1*HEXDIG`.
    fn size(&mut self, byte: u8) -> Result<State, Reason> {
        if let Some(digit) = hex_digit(byte) {
            if self.digits == SIZE_DIGITS {
                return Err(Reason::ChunkSizeTooLong);
            }
            self.digits = self.digits.saturating_add(1);
            self.size = (self.size << 4) | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(Reason::ChunkSize),
            b'\r' => Ok(State::SizeLf),
            b'\n' => Err(Reason::ChunkLineEnd),
            b';' | b' ' | b'\t' => self.extension(byte),
            _ => Err(Reason::ChunkSize),
        }
    }

    const fn size_line_end(&mut self) -> State {
        if self.size > 0 {
            return State::Data;
        }
        self.dropped = 0;
        State::TrailerStart
    }

    /// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
    fn extension(&mut self, byte: u8) -> Result<State, Reason> {
        use State::{
            ExtensionEscape, ExtensionGap, ExtensionName, ExtensionNameEnd, ExtensionNameStart,
            ExtensionQuoted, ExtensionValue, ExtensionValueEnd, ExtensionValueStart, Size, SizeLf,
        };
        if self.dropped == EXTENSION_BYTES {
            return Err(Reason::ChunkExtensionsTooLong);
        }
        self.dropped = self.dropped.saturating_add(1);
        let space = matches!(byte, b' ' | b'\t');
        match (self.state, byte) {
            (ExtensionQuoted, b'"') => Ok(ExtensionValueEnd),
            (ExtensionQuoted, b'\\') => Ok(ExtensionEscape),
            (ExtensionQuoted | ExtensionEscape, _) if is_value(byte) => Ok(ExtensionQuoted),
            (_, b'\n') => Err(Reason::ChunkLineEnd),
            (Size | ExtensionGap, _) if space => Ok(ExtensionGap),
            (ExtensionNameStart | ExtensionValueStart, _) if space => Ok(self.state),
            (ExtensionName | ExtensionNameEnd, _) if space => Ok(ExtensionNameEnd),
            (ExtensionValue | ExtensionValueEnd, _) if space => Ok(ExtensionGap),
            (
                Size | ExtensionGap | ExtensionName | ExtensionNameEnd | ExtensionValue | ExtensionValueEnd,
                b';',
            ) => Ok(ExtensionNameStart),
            (ExtensionName | ExtensionValue | ExtensionValueEnd, b'\r') => Ok(SizeLf),
            (ExtensionName | ExtensionNameEnd, b'=') => Ok(ExtensionValueStart),
            (ExtensionValueStart, b'"') => Ok(ExtensionQuoted),
            (ExtensionNameStart | ExtensionName, _) if is_tchar(byte) => Ok(ExtensionName),
            (ExtensionValueStart | ExtensionValue, _) if is_tchar(byte) => Ok(ExtensionValue),
            _ => Err(Reason::ChunkExtension),
        }
    }

    /// `trailer-section = *( field-line CRLF )` and the empty line behind it.
    fn trailer(&mut self, byte: u8) -> Result<State, Reason> {
        if self.dropped == TRAILER_BYTES {
            return Err(Reason::TrailersTooLong);
        }
        self.dropped = self.dropped.saturating_add(1);
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart | State::TrailerName, _) if is_tchar(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_value(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::End),
            _ => Err(Reason::Trailer),
        }
    }
}

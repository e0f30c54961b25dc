//! TCP headers and options (RFC 9293 section 3.1, RFC 7323).

use std::fmt;
use std::ops::BitOr;

use levee_buf::{Full, Reader, Truncated, Writer};

use crate::reason::Reason;
use crate::seq::Seq;

/// Bytes of a header without options.
pub(crate) const LENGTH: usize = 20;

/// Bytes of the timestamps option with its padding.
pub(crate) const TIMESTAMPS_LENGTH: usize = 12;

/// The control bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const FIN: Self = Self(1);
    pub(crate) const SYN: Self = Self(2);
    pub(crate) const RST: Self = Self(4);
    pub(crate) const PSH: Self = Self(8);
    pub(crate) const ACK: Self = Self(16);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(Self::SYN, "S"), (Self::FIN, "F"), (Self::RST, "R"), (Self::PSH, "P"), (Self::ACK, ".")];
        names.iter().filter(|(flag, _)| self.has(*flag)).try_for_each(|(_, name)| out.write_str(name))
    }
}

/// A TCP header with the options that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: Options,
}

/// TCP options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Maximum segment size, of SYNs.
    pub(crate) mss: Option<u16>,
    /// Window scale shift, of SYNs.
    pub(crate) scale: Option<u8>,
    /// Timestamp value and echo reply.
    pub(crate) timestamps: Option<Timestamps>,
}

/// The timestamps option (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamps {
    pub(crate) value: u32,
    pub(crate) echo: u32,
}

impl Tcp {
    /// Reads a header of at most `available` bytes and returns it with its length.
    pub(crate) fn parse(reader: &mut Reader<'_>, available: usize) -> Result<(Self, usize), Reason> {
        Self::fields(reader, available).map_err(|_| Reason::TcpMalformed)?
    }

    fn fields(reader: &mut Reader<'_>, available: usize) -> Result<Result<(Self, usize), Reason>, Truncated> {
        let source = reader.u16()?;
        let destination = reader.u16()?;
        let seq = Seq(reader.u32()?);
        let ack = Seq(reader.u32()?);
        let header = usize::from(reader.u8()? >> 4).wrapping_mul(4);
        let flags = Flags(reader.u8()?);
        let window = reader.u16()?;
        reader.u32()?;
        let Some(options) = header.checked_sub(LENGTH) else { return Ok(Err(Reason::TcpMalformed)) };
        if header > available || source == 0 || destination == 0 {
            return Ok(Err(Reason::TcpMalformed));
        }
        let options = Options::parse(reader.bytes(options)?);
        Ok(Ok((Self { source, destination, seq, ack, flags, window, options }, header)))
    }

    /// Bytes of the header with its options.
    pub(crate) fn length(&self) -> usize {
        let Options { mss, scale, timestamps } = self.options;
        let mss = if mss.is_some() { 4 } else { 0 };
        let scale = if scale.is_some() { 4 } else { 0_usize };
        let timestamps = if timestamps.is_some() { TIMESTAMPS_LENGTH } else { 0 };
        LENGTH.saturating_add(mss).saturating_add(scale).saturating_add(timestamps)
    }

    /// Writes the header; the checksum field is left zero.
    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.u16(self.source)?;
        out.u16(self.destination)?;
        out.u32(self.seq.0)?;
        out.u32(self.ack.0)?;
        let words = u8::try_from(self.length().wrapping_div(4)).map_err(|_| Full)?;
        out.u8(words.wrapping_shl(4))?;
        out.u8(self.flags.0)?;
        out.u16(self.window)?;
        out.u32(0)?;
        if let Some(mss) = self.options.mss {
            out.bytes(&[2, 4])?;
            out.u16(mss)?;
        }
        if let Some(timestamps) = self.options.timestamps {
            out.bytes(&[1, 1, 8, 10])?;
            out.u32(timestamps.value)?;
            out.u32(timestamps.echo)?;
        }
        if let Some(scale) = self.options.scale {
            out.bytes(&[1, 3, 3, scale])?;
        }
        Ok(())
    }
}

impl Options {
    /// RFC 9293 section 3.1: unknown options are skipped by their length; a length that cannot be ends
    /// the list, and what stood before it counts (MUST-7).
    fn parse(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut rest = bytes;
        loop {
            rest = match rest {
                [1, rest @ ..] => rest,
                [kind, length, ..] if *kind >= 2 && *length >= 2 => {
                    let Some((option, behind)) = rest.split_at_checked(usize::from(*length)) else {
                        return options;
                    };
                    options.take(*kind, option.get(2..).unwrap_or_default());
                    behind
                }
                _ => return options,
            };
        }
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            // RFC 7323 section 2.3: a shift over 14 is taken as 14.
            (3, &[shift]) => self.scale = Some(shift.min(14)),
            (8, &[a, b, c, d, e, f, g, h]) => {
                let (value, echo) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                self.timestamps = Some(Timestamps { value, echo });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(options: Options) -> Tcp {
        Tcp {
            source: 1,
            destination: 2,
            seq: Seq(3),
            ack: Seq(4),
            flags: Flags::SYN | Flags::ACK,
            window: 5,
            options,
        }
    }

    #[test]
    fn writes_what_it_parses() {
        for bits in 0..8 {
            let options = Options {
                mss: (bits & 1 != 0).then_some(1460),
                scale: (bits & 2 != 0).then_some(7),
                timestamps: (bits & 4 != 0).then_some(Timestamps { value: 9, echo: 8 }),
            };
            let tcp = header(options);
            let mut room = [0; 60];
            let mut out = Writer::new(&mut room);
            tcp.write(&mut out).unwrap();
            assert_eq!(out.len(), tcp.length());
            let bytes = out.written();
            assert_eq!(Tcp::parse(&mut Reader::new(bytes), bytes.len()), Ok((tcp, bytes.len())));
            for cut in 0..bytes.len() {
                assert_eq!(Tcp::parse(&mut Reader::new(&bytes[..cut]), cut), Err(Reason::TcpMalformed));
            }
        }
    }

    #[test]
    fn odd_options_are_skipped() {
        let cases: &[(&[u8], Options)] = &[
            (&[2, 4, 5, 180], Options { mss: Some(1460), ..Options::default() }),
            (&[1, 1, 99, 3, 0, 3, 3, 15], Options { scale: Some(14), ..Options::default() }),
            (&[0, 2, 4, 5], Options::default()),
            (&[3, 3, 4, 2, 0, 5, 1, 1], Options { scale: Some(4), ..Options::default() }),
            (&[2, 5, 1, 1, 1], Options::default()),
            (&[2, 200, 1], Options::default()),
            (&[8], Options::default()),
        ];
        for (bytes, options) in cases {
            assert_eq!(Options::parse(bytes), *options, "{bytes:?}");
        }
    }

    #[test]
    fn a_wrong_offset_or_port_is_malformed() {
        let mut room = [0; 20];
        header(Options::default()).write(&mut Writer::new(&mut room)).unwrap();
        for (at, value) in [(12, 0x40), (12, 0x60), (1, 0), (3, 0)] {
            let mut bytes = room;
            bytes[at] = value;
            assert_eq!(Tcp::parse(&mut Reader::new(&bytes), 20), Err(Reason::TcpMalformed));
        }
    }
}

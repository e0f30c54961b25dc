//! ICMP (RFC 792): echo requests, and the errors that concern TCP.

use std::net::Ipv4Addr;

use levee_buf::{Reader, Truncated};

use super::ipv4::Ipv4;
use crate::reason::Reason;
use crate::seq::Seq;

/// What is understood of an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icmp {
    /// To be answered with the same bytes.
    EchoRequest,
    /// One of our TCP segments went wrong.
    Error(IcmpError),
}

/// An error about a TCP segment of ours, as far as it is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IcmpError {
    pub(crate) kind: ErrorKind,
    pub(crate) local: (Ipv4Addr, u16),
    pub(crate) remote: (Ipv4Addr, u16),
    pub(crate) seq: Seq,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The datagram was larger than the next hop's MTU (RFC 1191).
    TooBig { mtu: u16 },
    /// Protocol or port cannot be reached. That a network or host cannot at this time is no reason to give up
    /// (RFC 9293 section 3.9.2.2, MUST-56).
    Unreachable,
}

impl Icmp {
    /// Reads a message whose checksum was verified.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        Self::fields(reader).map_err(|_| Reason::IcmpMalformed)?
    }

    fn fields(reader: &mut Reader<'_>) -> Result<Result<Self, Reason>, Truncated> {
        let (kind, code) = (reader.u8()?, reader.u8()?);
        reader.bytes(4)?;
        let mtu = reader.u16()?;
        let kind = match (kind, code) {
            (8, 0) => return Ok(Ok(Self::EchoRequest)),
            (3, 4) => ErrorKind::TooBig { mtu },
            (3, 2 | 3) => ErrorKind::Unreachable,
            _ => return Ok(Err(Reason::IcmpIgnored)),
        };
        let quoted = match Ipv4::parse_quoted(reader) {
            Ok(quoted) if quoted.protocol == Ipv4::TCP => quoted,
            Ok(_) => return Ok(Err(Reason::IcmpIgnored)),
            Err(reason) => return Ok(Err(reason)),
        };
        let local = (quoted.source, reader.u16()?);
        let remote = (quoted.destination, reader.u16()?);
        let seq = Seq(reader.u32()?);
        Ok(Ok(Self::Error(IcmpError { kind, local, remote, seq })))
    }
}

#[cfg(test)]
mod tests {
    use levee_buf::Writer;

    use super::*;

    #[test]
    fn reads_errors_about_tcp() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut message = vec![3, 4, 0, 0, 0, 0, 2, 68];
        let mut quoted = [0; 28];
        let mut out = Writer::new(&mut quoted);
        Ipv4::write(6, a, b, 1400, false, &mut out).unwrap();
        out.u16(80).unwrap();
        out.u16(81).unwrap();
        out.u32(7).unwrap();
        message.extend(quoted);
        let error =
            IcmpError { kind: ErrorKind::TooBig { mtu: 580 }, local: (a, 80), remote: (b, 81), seq: Seq(7) };
        assert_eq!(Icmp::parse(&mut Reader::new(&message)), Ok(Icmp::Error(error)));
        for cut in 0..message.len() {
            assert_eq!(Icmp::parse(&mut Reader::new(&message[..cut])), Err(Reason::IcmpMalformed));
        }
        for soft in [0, 1, 5] {
            message[1] = soft;
            assert_eq!(Icmp::parse(&mut Reader::new(&message)), Err(Reason::IcmpIgnored));
        }
        message[1] = 3;
        let unreachable = IcmpError { kind: ErrorKind::Unreachable, ..error };
        assert_eq!(Icmp::parse(&mut Reader::new(&message)), Ok(Icmp::Error(unreachable)));
        message[0] = 5;
        assert_eq!(Icmp::parse(&mut Reader::new(&message)), Err(Reason::IcmpIgnored));
        assert_eq!(Icmp::parse(&mut Reader::new(&[8, 0, 0, 0, 1, 2, 3, 4])), Ok(Icmp::EchoRequest));
    }
}

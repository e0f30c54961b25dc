//! IPv4 headers (RFC 791). Fragments are reported, options are skipped but for source routes.

use std::net::Ipv4Addr;

use levee_buf::{Full, Reader, Truncated, Writer};

use super::checksum;
use crate::reason::Reason;

/// Bytes of a header without options, the only kind written here.
pub(crate) const LENGTH: usize = 20;

/// What an IPv4 header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv4 {
    /// Bytes of the header with its options.
    pub(crate) header: usize,
    /// Bytes behind the header.
    pub(crate) payload: usize,
    pub(crate) protocol: u8,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
}

impl Ipv4 {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;

    /// Reads the header; `available` are the bytes of the frame from the IP header on. The header's
    /// checksum is verified unless `trusted`.
    pub(crate) fn parse(reader: &mut Reader<'_>, available: usize, trusted: bool) -> Result<Self, Reason> {
        let whole = reader.rest();
        let ip = Self::fields(reader).map_err(|_| Reason::Truncated)??;
        if ip.header.saturating_add(ip.payload) > available {
            return Err(Reason::Truncated);
        }
        let header = whole.get(..ip.header).ok_or(Reason::Truncated)?;
        if !trusted && checksum::of(header) != [0, 0] {
            return Err(Reason::IpChecksum);
        }
        let fragment = whole.get(6..8).is_none_or(|field| field != [0, 0] && field != [0x40, 0]);
        if fragment {
            return Err(Reason::IpFragment);
        }
        Ok(ip)
    }

    /// Reads the header inside an ICMP error, which may be cut short behind it.
    pub(crate) fn parse_quoted(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        Self::fields(reader).map_err(|_| Reason::IcmpMalformed)?.map_err(|_| Reason::IcmpMalformed)
    }

    fn fields(reader: &mut Reader<'_>) -> Result<Result<Self, Reason>, Truncated> {
        let first = reader.u8()?;
        reader.u8()?;
        let total = usize::from(reader.u16()?);
        reader.bytes(5)?;
        let protocol = reader.u8()?;
        reader.u16()?;
        let source = Ipv4Addr::from_bits(reader.u32()?);
        let destination = Ipv4Addr::from_bits(reader.u32()?);
        let header = usize::from(first & 15).wrapping_mul(4);
        let (Some(options), Some(payload)) = (header.checked_sub(LENGTH), total.checked_sub(header)) else {
            return Ok(Err(Reason::IpMalformed));
        };
        if first >> 4 != 4 {
            return Ok(Err(Reason::IpMalformed));
        }
        let options = reader.bytes(options)?;
        if !are_harmless(options) {
            return Ok(Err(Reason::IpOptions));
        }
        Ok(Ok(Self { header, payload, protocol, source, destination }))
    }

    /// Writes a header for `payload` bytes; the checksum stays zero when the device fills it in.
    pub(crate) fn write(
        protocol: u8,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: usize,
        device_checksum: bool,
        out: &mut Writer<'_>,
    ) -> Result<(), Full> {
        let total = u16::try_from(payload.saturating_add(LENGTH)).map_err(|_| Full)?;
        let [total_high, total_low] = total.to_be_bytes();
        // RFC 6864 section 4.1: the identification of an atomic datagram (DF set) may be any value.
        let mut header =
            [0x45, 0, total_high, total_low, 0, 0, 0x40, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some((_, addresses)) = header.split_first_chunk_mut::<12>() {
            let (from, to) = addresses.split_at_mut(4);
            from.copy_from_slice(&source.octets());
            to.copy_from_slice(&destination.octets());
        }
        if !device_checksum {
            let sum = checksum::of(&header);
            if let Some(field) = header.get_mut(10..12) {
                field.copy_from_slice(&sum);
            }
        }
        out.bytes(&header)
    }
}

/// RFC 6274 section 3.13.2.3: datagrams with source routes should be dropped.
fn are_harmless(mut options: &[u8]) -> bool {
    loop {
        match options {
            [] | [0, ..] => return true,
            [1, rest @ ..] => options = rest,
            [131 | 137, ..] => return false,
            [_, length, ..] => match options.get(usize::from(*length)..) {
                Some(rest) if *length >= 2 => options = rest,
                _ => return false,
            },
            [_] => return false,
        }
    }
}

/// Whether a datagram can have come from `address`: neither "this network", nor loopback, multicast,
/// reserved or broadcast (RFC 1122 section 3.2.1.3).
pub(crate) fn is_possible_source(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn packet(options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; LENGTH + 8];
        Ipv4::write(6, FROM, TO, 8, true, &mut Writer::new(&mut packet)).unwrap();
        packet.splice(20..20, options.iter().copied());
        packet[0] += u8::try_from(options.len() / 4).unwrap();
        packet[3] += u8::try_from(options.len()).unwrap();
        packet
    }

    fn seal(packet: &mut [u8]) {
        packet[10..12].fill(0);
        let header = usize::from(packet[0] & 15) * 4;
        let sum = checksum::of(&packet[..header.min(packet.len())]);
        packet[10..12].copy_from_slice(&sum);
    }

    fn parse(packet: &[u8]) -> Result<Ipv4, Reason> {
        Ipv4::parse(&mut Reader::new(packet), packet.len(), false)
    }

    #[test]
    fn reads_headers_with_and_without_options() {
        for options in [&[][..], &[1, 1, 1, 0], &[148, 4, 0, 0]] {
            let mut packet = packet(options);
            seal(&mut packet);
            let header = 20 + options.len();
            let ip = Ipv4 { header, payload: 8, protocol: 6, source: FROM, destination: TO };
            assert_eq!(parse(&packet), Ok(ip));
            packet.push(0);
            assert_eq!(parse(&packet), Ok(ip), "padding is not payload");
            assert_eq!(parse(&packet[..header + 7]), Err(Reason::Truncated));
            assert_eq!(parse(&packet[..header - 1]), Err(Reason::Truncated));
        }
    }

    #[test]
    fn refuses_what_is_wrong() {
        let cases: &[(&[u8], usize, u8, Reason)] = &[
            (&[], 0, 0x65, Reason::IpMalformed),
            (&[], 0, 0x44, Reason::IpMalformed),
            (&[], 3, 19, Reason::IpMalformed),
            (&[], 6, 0x20, Reason::IpFragment),
            (&[], 7, 1, Reason::IpFragment),
            (&[131, 4, 4, 0], 8, 64, Reason::IpOptions),
            (&[137, 4, 4, 0], 8, 64, Reason::IpOptions),
            (&[7, 1, 0, 0], 8, 64, Reason::IpOptions),
            (&[7, 9, 0, 0], 8, 64, Reason::IpOptions),
        ];
        for &(options, at, value, reason) in cases {
            let mut packet = packet(options);
            packet[at] = value;
            seal(&mut packet);
            assert_eq!(parse(&packet), Err(reason), "{at} {value}");
        }
        let mut packet = packet(&[]);
        seal(&mut packet);
        packet[8] ^= 1;
        assert_eq!(parse(&packet), Err(Reason::IpChecksum));
        assert!(Ipv4::parse(&mut Reader::new(&packet), packet.len(), true).is_ok());
    }

    #[test]
    fn lifetimes_are_for_routers() {
        // RFC 1122 section 3.2.1.7: a host does not discard a datagram for a TTL under two.
        for ttl in [0, 1, 255] {
            let mut packet = packet(&[]);
            packet[8] = ttl;
            seal(&mut packet);
            assert!(parse(&packet).is_ok());
        }
    }

    #[test]
    fn sources() {
        for bad in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
            assert!(!is_possible_source(bad.into()));
        }
        assert!(is_possible_source(FROM));
    }
}

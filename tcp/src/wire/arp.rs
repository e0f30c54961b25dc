//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use levee_buf::{Full, Reader, Truncated, Writer};

use super::ether::Mac;
use crate::reason::Reason;

/// Bytes of a packet.
pub(crate) const LENGTH: usize = 28;

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) is_request: bool,
    pub(crate) sender_mac: Mac,
    pub(crate) sender: Ipv4Addr,
    pub(crate) target_mac: Mac,
    pub(crate) target: Ipv4Addr,
}

impl Arp {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        let head = reader.bytes(6).map_err(|_| Reason::ArpMalformed)?;
        // RFC 826: hardware type Ethernet, protocol IPv4, lengths 6 and 4.
        if head != [0, 1, 8, 0, 6, 4] {
            return Err(Reason::ArpMalformed);
        }
        let mut fields =
            || Ok((reader.u16()?, reader.array()?, reader.u32()?, reader.array()?, reader.u32()?));
        let (operation, sender_mac, sender, target_mac, target) =
            fields().map_err(|_: Truncated| Reason::ArpMalformed)?;
        let is_request = match operation {
            1 => true,
            2 => false,
            _ => return Err(Reason::ArpMalformed),
        };
        if !super::ether::is_unicast(sender_mac) {
            return Err(Reason::ArpMalformed);
        }
        let (sender, target) = (Ipv4Addr::from_bits(sender), Ipv4Addr::from_bits(target));
        Ok(Self { is_request, sender_mac, sender, target_mac, target })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.bytes(&[0, 1, 8, 0, 6, 4])?;
        out.u16(if self.is_request { 1 } else { 2 })?;
        out.bytes(&self.sender_mac)?;
        out.bytes(&self.sender.octets())?;
        out.bytes(&self.target_mac)?;
        out.bytes(&self.target.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_parses() {
        let arp = Arp {
            is_request: true,
            sender_mac: [2, 0, 0, 0, 0, 1],
            sender: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: [0; 6],
            target: Ipv4Addr::new(10, 0, 0, 2),
        };
        let mut room = [0; LENGTH];
        arp.write(&mut Writer::new(&mut room)).unwrap();
        assert_eq!(Arp::parse(&mut Reader::new(&room)), Ok(arp));
        for cut in 0..LENGTH {
            assert_eq!(Arp::parse(&mut Reader::new(&room[..cut])), Err(Reason::ArpMalformed));
        }
        room[7] = 3;
        assert_eq!(Arp::parse(&mut Reader::new(&room)), Err(Reason::ArpMalformed));
    }
}

//! Ethernet II headers.

use levee_buf::{Full, Reader, Writer};

use crate::reason::Reason;

/// A station address.
pub(crate) type Mac = [u8; 6];

/// All stations.
pub(crate) const BROADCAST: Mac = [0xff; 6];

/// Bytes of the header.
pub(crate) const LENGTH: usize = 14;

/// What an Ethernet header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ether {
    pub(crate) destination: Mac,
    pub(crate) source: Mac,
    pub(crate) kind: u16,
}

impl Ether {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        let mut fields =
            || Ok(Self { destination: reader.array()?, source: reader.array()?, kind: reader.u16()? });
        fields().map_err(|_: levee_buf::Truncated| Reason::Truncated)
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.bytes(&self.destination)?;
        out.bytes(&self.source)?;
        out.u16(self.kind)
    }
}

/// Whether `mac` is one station: neither multicast nor zero.
pub(crate) fn is_unicast(mac: Mac) -> bool {
    mac != [0; 6] && mac.first().is_some_and(|first| first & 1 == 0)
}

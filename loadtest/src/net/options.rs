//! Where load comes from, as the command line says: `Place`.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use miette::miette;

use crate::device::Memory;
use crate::target::{TargetError, is_laboratory};

/// Where load comes from: a port that DPDK drives, or the kernel's sockets.
#[derive(clap::Args, Clone, Debug)]
pub struct Place {
    /// The virtual device to send from (`net_af_packet0,iface=c0`), which needs --address; without it the
    /// kernel's sockets.
    #[arg(long, value_name = "VDEV", requires = "address")]
    pub device: Option<String>,
    /// The first source address with the length of its prefix.
    #[arg(long, value_name = "A.B.C.D/PREFIX", requires = "device")]
    pub address: Option<Prefix>,
    /// Source addresses, from the first upwards; each has 64,000 ports.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub sources: u32,
    /// Next hop for targets outside the prefix.
    #[arg(long, value_name = "A.B.C.D", requires = "device")]
    pub gateway: Option<Ipv4Addr>,
    /// Largest IP packet in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..))]
    pub mtu: u16,
    /// The CPU to run on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cpu: usize,
    /// Be the plain HTTP origin too, on a port of its own: answers /bytes/N and /cached/N.
    #[arg(long, value_name = "VDEV@A.B.C.D/PREFIX:PORT", requires = "device")]
    pub origin: Option<OriginPlace>,
    /// Packet memory.
    #[command(flatten)]
    pub memory: Memory,
}

impl Place {
    /// The addresses to send from.
    ///
    /// # Errors
    /// They do not fit into the prefix.
    pub fn source_addresses(&self) -> miette::Result<Vec<(IpAddr, u8)>> {
        let Some(first) = self.address else { return Ok(Vec::new()) };
        (0..self.sources)
            .map(|number| first.plus(number))
            .collect::<Option<_>>()
            .ok_or_else(|| miette!("{} sources from {first} do not fit into its prefix", self.sources))
    }
}

/// An address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of its network.
    pub length: u8,
}

impl Prefix {
    /// The address `number` above, if it is in the same network and not its broadcast address.
    fn plus(self, number: u32) -> Option<(IpAddr, u8)> {
        let hosts = u32::MAX.checked_shr(self.length.into()).unwrap_or(0);
        let address = self.address.to_bits().checked_add(number)?;
        let is_inside = (address ^ self.address.to_bits()) & !hosts == 0 && address & hosts != hosts;
        is_inside.then(|| (IpAddr::V4(Ipv4Addr::from_bits(address)), self.length))
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(address, length)| Some((address.parse().ok()?, length.parse().ok()?)));
        match parsed {
            Some((address, _)) if !is_laboratory(address) => Err(TargetError::NotOurs(address).to_string()),
            Some((address, length @ 8..=30)) => Ok(Self { address, length }),
            _ => Err("must be an IPv4 address and a prefix of 8 to 30 bits, as 10.9.1.100/24".into()),
        }
    }
}

/// Where the origin of a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPlace {
    /// The virtual device.
    pub device: String,
    /// Its address.
    pub prefix: Prefix,
    /// The port it listens on.
    pub port: u16,
}

impl OriginPlace {
    /// Address and port.
    #[must_use]
    pub const fn listen(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.prefix.address, self.port)
    }
}

impl FromStr for OriginPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (device, place) = text.split_once('@')?;
            let (prefix, port) = place.rsplit_once(':')?;
            Some(Self { device: device.to_owned(), prefix: prefix.parse().ok()?, port: port.parse().ok()? })
        };
        parse().ok_or_else(|| {
            "must be a virtual device, an address with its prefix and a port, as \
             net_af_packet1,iface=o0@10.9.2.2/24:8080"
                .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_stay_within_their_prefix() {
        let prefix: Prefix = "10.9.1.100/24".parse().unwrap();
        assert_eq!(prefix.plus(3), Some(([10, 9, 1, 103].into(), 24)));
        assert_eq!(prefix.plus(154), Some(([10, 9, 1, 254].into(), 24)));
        assert_eq!(prefix.plus(155), None, "the broadcast address");
        assert_eq!(prefix.plus(200), None);
        for bad in ["10.9.1.1", "10.9.1.1/31", "10.9.1.1/7", "x/24", "10.9.1.1/", "8.8.8.8/24"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_has_a_device_an_address_and_a_port() {
        let place: OriginPlace = "net_af_packet1,iface=o0@10.9.2.2/24:8080".parse().unwrap();
        assert_eq!(place.device, "net_af_packet1,iface=o0");
        assert_eq!(place.listen().to_string(), "10.9.2.2:8080");
        for bad in ["net_ring0", "net_ring0@10.9.2.2/24", "net_ring0@10.9.2.2:80", "net_ring0@10.9.2.2/24:x"]
        {
            assert!(bad.parse::<OriginPlace>().is_err(), "{bad}");
        }
    }
}

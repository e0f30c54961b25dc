//! `Link`: an interface as the stack sees it.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::{ConfigError, InterfaceConfig};
use crate::wire::ether::Mac;
use crate::wire::{ipv4, tcp};

/// An interface: addresses, routes, offloads.
pub(crate) struct Link {
    pub(crate) mac: Mac,
    pub(crate) mtu: u16,
    pub(crate) addresses: Vec<(Ipv4Addr, u8)>,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) tx_checksum: bool,
    pub(crate) rx_checksum: bool,
    pub(crate) tso: Option<usize>,
}

impl Link {
    pub(crate) fn new(config: &InterfaceConfig) -> Result<Self, ConfigError> {
        if config.mtu < 576 {
            return Err(ConfigError::Mtu);
        }
        let addresses: Vec<(Ipv4Addr, u8)> = config
            .addresses
            .iter()
            .map(|&(address, prefix)| unicast(address, prefix))
            .collect::<Result<_, _>>()?;
        let gateway = match config.gateway {
            None => None,
            Some(IpAddr::V4(gateway)) if addresses.iter().any(|&local| is_in(local, gateway)) => {
                Some(gateway)
            }
            Some(_) => return Err(ConfigError::Gateway),
        };
        if config.tso.is_some_and(|tso| !config.tx_checksum || tso < usize::from(config.mtu)) {
            return Err(ConfigError::Tso);
        }
        let InterfaceConfig { mac, mtu, tx_checksum, rx_checksum, tso, .. } = *config;
        Ok(Self { mac, mtu, addresses, gateway, tx_checksum, rx_checksum, tso })
    }

    /// Whether `address` is one of ours here.
    pub(crate) fn owns(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|&(own, _)| own == address)
    }

    /// Whether `address` means all hosts of one of our networks (RFC 1122 section 3.2.1.3): no host is called
    /// so. Networks of two addresses have none (RFC 3021).
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|&(own, prefix)| {
            let host = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            let part = address.to_bits() & host;
            prefix < 31 && is_in((own, prefix), address) && (part == 0 || part == host)
        })
    }

    /// Where a datagram to `remote` goes on the link.
    pub(crate) fn next_hop(&self, remote: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.addresses.iter().any(|&local| is_in(local, remote)) { Some(remote) } else { self.gateway }
    }

    /// Our address that a neighbour is asked from.
    pub(crate) fn address_towards(&self, neighbour: Ipv4Addr) -> Option<Ipv4Addr> {
        let on_link = self.addresses.iter().find(|&&local| is_in(local, neighbour));
        on_link.or(self.addresses.first()).map(|&(address, _)| address)
    }

    /// RFC 9293 section 3.7.1: the MTU less the fixed headers.
    pub(crate) fn mss(&self) -> u16 {
        self.mtu - u16::try_from(ipv4::LENGTH + tcp::LENGTH).unwrap_or(40)
    }

    /// Payload bytes of the largest segment given to the device, a multiple of `mss`.
    pub(crate) fn super_segment(&self, mss: usize) -> usize {
        // The total length of the IP header has 16 bits.
        let most = self.tso.unwrap_or(mss).min(usize::from(u16::MAX) - 120);
        (most / mss * mss).max(mss)
    }
}

fn unicast(address: IpAddr, prefix: u8) -> Result<(Ipv4Addr, u8), ConfigError> {
    match address {
        IpAddr::V4(address) if ipv4::is_possible_source(address) && prefix <= 32 => Ok((address, prefix)),
        _ => Err(ConfigError::Address),
    }
}

fn is_in((network, prefix): (Ipv4Addr, u8), address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    (network.to_bits() ^ address.to_bits()) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> InterfaceConfig {
        InterfaceConfig {
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            addresses: vec![([10, 0, 0, 1].into(), 24), ([10, 1, 0, 1].into(), 16)],
            gateway: Some([10, 0, 0, 254].into()),
            tx_checksum: false,
            rx_checksum: false,
            tso: None,
        }
    }

    #[test]
    fn routes() {
        let link = Link::new(&config()).unwrap();
        let hop = |address: [u8; 4]| link.next_hop(address.into());
        assert_eq!(hop([10, 0, 0, 9]), Some([10, 0, 0, 9].into()));
        assert_eq!(hop([10, 1, 200, 9]), Some([10, 1, 200, 9].into()));
        assert_eq!(hop([10, 0, 1, 9]), Some([10, 0, 0, 254].into()));
        assert_eq!(link.address_towards([10, 1, 9, 9].into()), Some([10, 1, 0, 1].into()));
        assert_eq!((link.mss(), link.super_segment(1448)), (1460, 1448));
    }

    #[test]
    fn refuses_what_cannot_work() {
        let refused = |change: &dyn Fn(&mut InterfaceConfig)| {
            let mut config = config();
            change(&mut config);
            Link::new(&config).err()
        };
        assert_eq!(refused(&|config| config.mtu = 500), Some(ConfigError::Mtu));
        assert_eq!(
            refused(&|config| config.gateway = Some([11, 0, 0, 1].into())),
            Some(ConfigError::Gateway)
        );
        assert_eq!(refused(&|config| config.addresses[0].1 = 33), Some(ConfigError::Address));
        let v6 = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(refused(&|config| config.addresses[0].0 = v6), Some(ConfigError::Address));
        assert_eq!(refused(&|config| config.tso = Some(60_000)), Some(ConfigError::Tso));
    }
}

//! Where load may be sent: a laboratory's addresses, and no others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

/// An address and port of one's own laboratory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(SocketAddrV4);

/// Why an address is not a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an address and a port.
    #[error("`{0}` is not an IPv4 address and a port, as 10.9.1.1:443")]
    NotAnAddress(String),
    /// Somebody else's.
    #[error(
        "{0} is not loopback, private, link-local or for documentation: load goes to one's own laboratory only"
    )]
    NotOurs(Ipv4Addr),
}

impl Target {
    /// `address`, if it is in a range for laboratories.
    ///
    /// # Errors
    /// It is not, or of IPv6.
    pub fn new(address: SocketAddr) -> Result<Self, TargetError> {
        match address {
            SocketAddr::V4(address) if is_laboratory(*address.ip()) => Ok(Self(address)),
            SocketAddr::V4(address) => Err(TargetError::NotOurs(*address.ip())),
            SocketAddr::V6(_) => Err(TargetError::NotAnAddress(address.to_string())),
        }
    }

    /// The address and port.
    #[must_use]
    pub const fn address(self) -> SocketAddrV4 {
        self.0
    }

    /// The address and port, as sockets take them.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        SocketAddr::V4(self.0)
    }

    /// The address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        IpAddr::V4(*self.0.ip())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let address = text.parse().map_err(|_| TargetError::NotAnAddress(text.to_owned()))?;
        Self::new(address)
    }
}

/// Loopback (RFC 1122), private (RFC 1918), link-local (RFC 3927), documentation (RFC 5737) and
/// benchmarking (RFC 2544) addresses.
#[must_use]
pub fn is_laboratory(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let is_benchmarking = a == 198 && (b == 18 || b == 19);
    // Where machines of a cloud ask about themselves: link-local, but nobody's laboratory.
    let is_metadata = address == Ipv4Addr::new(169, 254, 169, 254);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local() && !is_metadata
        || address.is_documentation()
        || is_benchmarking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_laboratory_is_a_target() {
        for good in ["127.0.0.1:443", "10.9.1.1:443", "172.16.0.1:1", "192.168.1.1:80", "169.254.0.9:80"] {
            assert!(good.parse::<Target>().is_ok(), "{good}");
        }
        for good in ["192.0.2.1:443", "198.51.100.7:443", "203.0.113.1:443", "198.18.0.1:443"] {
            assert!(good.parse::<Target>().is_ok(), "{good}");
        }
        for bad in [
            "8.8.8.8:443",
            "172.32.0.1:443",
            "1.1.1.1:80",
            "0.0.0.0:80",
            "224.0.0.1:80",
            "198.20.0.1:1",
            "169.254.169.254:80",
        ] {
            assert!(matches!(bad.parse::<Target>(), Err(TargetError::NotOurs(_))), "{bad}");
        }
        for bad in ["example.test:443", "10.0.0.1", "[::1]:443", ""] {
            assert!(matches!(bad.parse::<Target>(), Err(TargetError::NotAnAddress(_))), "{bad}");
        }
    }
}

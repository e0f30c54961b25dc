//! The words of the configuration: names, addresses, devices, hosts and paths, as [`Kind`]s.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kind::{Kind, number, text};
use super::model::{Device, Host};

const NO_IPV6: &str = "IPv6 is not served yet";

/// An address with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    /// The address.
    pub(super) address: Ipv4Addr,
    /// 1 to 32.
    pub(super) prefix: u8,
}

impl Subnet {
    /// Whether `address` is in the subnet.
    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ address.to_bits()) & self.mask() == 0
    }

    /// Whether `address`, which the subnet contains, names the subnet or all of its hosts. Prefixes of
    /// 31 and 32 bits have hosts alone (RFC 3021).
    pub(super) fn reserves(self, address: Ipv4Addr) -> bool {
        let host = address.to_bits() & !self.mask();
        self.prefix < 31 && (host == 0 || host == !self.mask())
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

/// Milliseconds.
pub(super) fn millis(least: u32, most: u32) -> Kind<'static, Duration> {
    number(least..=most).map(|n| Duration::from_millis(n.into()))
}

/// A name for use within the file, in logs and in metrics.
pub(super) fn name() -> Kind<'static, String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    text("1 to 32 letters a to z, digits, - and _", move |text| {
        let good = (1..=32).contains(&text.len()) && text.chars().all(letter);
        good.then(|| text.to_owned()).ok_or("")
    })
}

/// A path; a relative one starts at `directory`.
pub(super) fn file(directory: &Path) -> Kind<'_, PathBuf> {
    text("a path, relative to the directory of this file", |text| match text {
        "" => Err(""),
        text if text.contains('\0') => Err("it contains a zero byte"),
        text => Ok(directory.join(text)),
    })
}

/// An address of ours with its prefix.
pub(super) fn subnet() -> Kind<'static, Subnet> {
    text("an IPv4 address with its prefix length, such as \"10.9.1.1/24\"", |text| {
        let Some((address, prefix)) = text.split_once('/') else { return Err("it has no prefix length") };
        if address.parse::<Ipv6Addr>().is_ok() {
            return Err(NO_IPV6);
        }
        let address = unicast(address.parse().map_err(|_| "")?)?;
        let prefix = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix));
        let subnet = Subnet { address, prefix: prefix.ok_or("the prefix length is 1 to 32")? };
        if subnet.reserves(address) {
            return Err("it names the subnet or all of its hosts, not one host");
        }
        Ok(subnet)
    })
}

/// An address of a host.
pub(super) fn address() -> Kind<'static, Ipv4Addr> {
    text("an IPv4 address, such as \"10.9.1.254\"", |text| {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(NO_IPV6);
        }
        unicast(text.parse().map_err(|_| "")?)
    })
}

/// An address and a TCP port.
pub(super) fn socket() -> Kind<'static, SocketAddrV4> {
    text("an IPv4 address and a port, such as \"10.9.1.1:443\"", |text| {
        if text.parse::<SocketAddrV6>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
            return Err(NO_IPV6);
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return Err("it has no port");
        }
        let socket: SocketAddrV4 = text.parse().map_err(|_| match text.rsplit_once(':') {
            Some((host, _)) if host.contains(char::is_alphabetic) => "names are not looked up",
            _ => "",
        })?;
        if socket.port() == 0 {
            return Err("port 0 cannot be connected to");
        }
        if socket.ip().is_unspecified() {
            return Err("name one address, not all of them");
        }
        unicast(*socket.ip()).map(|_| socket)
    })
}

/// A network device.
pub(super) fn network_device() -> Kind<'static, Device> {
    device(
        "a virtual device with its arguments, such as \"net_af_packet0,iface=eth1\", \
         or a PCI address, such as \"0000:3b:00.0\"",
        &["net_", "eth_"],
    )
}

/// A crypto device.
pub(super) fn crypto_device() -> Kind<'static, Device> {
    device(
        "a virtual device, such as \"crypto_aesni_gcm0\", or a PCI address, such as \"0000:3d:01.0\"",
        &["crypto_"],
    )
}

/// A crypto device for public-key work.
pub(super) fn public_key_device() -> Kind<'static, Device> {
    device(
        "a virtual device, such as \"crypto_openssl0\", or a PCI address, such as \"0000:3d:01.0\"",
        &["crypto_"],
    )
}

fn device(expects: &'static str, drivers: &'static [&'static str]) -> Kind<'static, Device> {
    text(expects, |text| {
        if let Some(address) = pci(text) {
            return Ok(Device::Pci(address));
        }
        let name = text.split_once(',').map_or(text, |(name, _)| name);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !drivers.iter().any(|driver| name.strip_prefix(driver).is_some_and(|rest| !rest.is_empty())) {
            return Err("");
        }
        if !name.chars().all(word) || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("DPDK takes no such name: no spaces, arguments after a comma");
        }
        // RTE_DEV_NAME_MAX_LEN, with the zero at its end.
        if name.len() > 63 {
            Err("the name has more than 63 letters")
        } else {
            Ok(Device::Virtual(text.to_owned()))
        }
    })
}

/// `text` as a full, lower-case PCI address: domain, bus, device, function.
fn pci(text: &str) -> Option<String> {
    let full = if text.matches(':').count() == 1 { format!("0000:{text}") } else { text.to_owned() };
    let (domain, rest) = full.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |digits: &str, len| digits.len() == len && digits.chars().all(|c| c.is_ascii_hexdigit());
    let good =
        hex(domain, 4) && hex(bus, 2) && hex(device, 2) && matches!(function.as_bytes(), [b'0'..=b'7']);
    good.then(|| full.to_ascii_lowercase())
}

/// A pattern for hosts.
pub(super) fn host() -> Kind<'static, Host> {
    text("a host such as \"example.test\", \"*.example.test\" or \"*\"", |text| {
        if text == "*" {
            return Ok(Host::Any);
        }
        if !text.is_ascii() {
            return Err("write it in its xn-- form (RFC 5891)");
        }
        if text.contains(':') {
            return Err("a host stands without port");
        }
        let lower = text.to_ascii_lowercase();
        let (suffix, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        if name.contains('*') {
            return Err("the only wildcard is a leading \"*.\"");
        }
        if !is_host_name(name) {
            return Err("");
        }
        Ok(if suffix { Host::Suffix(format!(".{name}")) } else { Host::Exact(lower) })
    })
}

/// The start of a request's path.
pub(super) fn path_prefix() -> Kind<'static, String> {
    text("the start of a path, such as \"/\" or \"/images\"", |text| {
        if !text.starts_with('/') {
            return Err("it does not start with /");
        }
        if text.len() > 1024 {
            return Err("it has more than 1024 bytes");
        }
        if text.contains(['?', '#']) {
            return Err("a query is no part of a path");
        }
        // RFC 3986 section 3.3: pchar, without percent-encoding, which would match one spelling of several.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@".contains(c);
        if !text.chars().all(plain) {
            return Err("it has a character that a path has not, or that may also be percent-encoded");
        }
        let mut segments = text.split('/').skip(1);
        if text.contains("//") || segments.any(|segment| segment == "." || segment == "..") {
            return Err("a path in normal form has no empty segments, no . and no ..");
        }
        Ok(text.to_owned())
    })
}

/// Letters, digits, hyphens and underscores in labels (RFC 1123 section 2.1).
fn is_host_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(letter);
    name.len() <= 253 && name.split('.').all(label)
}

fn unicast(address: Ipv4Addr) -> Result<Ipv4Addr, &'static str> {
    if address.is_unspecified() || address.octets()[0] == 0 {
        Err("it is not the address of a host")
    } else if address.is_loopback() {
        Err("loopback is the kernel's, and packets to it never reach a port")
    } else if address.is_multicast() || address.is_broadcast() || address.octets()[0] >= 240 {
        Err("it is not the address of one host")
    } else {
        Ok(address)
    }
}

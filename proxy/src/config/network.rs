//! Ports and what hangs on them: subnets, gateways, and from which address a server is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Range;

use toml::Spanned;

use super::model::{Device, Port, Server};
use super::names::{Names, list};
use super::reader::Findings;
use super::sections;
use super::surroundings::Surroundings;
use super::values::Subnet;

/// The ports, checked against each other, the machine and the number of workers, if that is known.
pub(super) fn ports(
    ports: &[sections::Port],
    workers: Option<usize>,
    surroundings: &Surroundings,
    findings: &Findings,
) -> Vec<Port> {
    Names::new("port", ports.iter().map(|port| port.name.as_ref()), findings);
    for (index, port) in ports.iter().enumerate() {
        let earlier = ports.get(..index).unwrap_or_default();
        device_is_distinct(port, earlier, findings);
        subnets_are_apart(port, earlier, findings);
        gateway_is_near(port, findings);
        if let Some(device) = &port.device {
            pci_exists(device.get_ref(), "port.device", device.span(), surroundings, findings);
        }
        if let (Some(queues), Some(workers)) = (&port.queues, workers)
            && queues.get_ref().is_some_and(|queues| usize::from(queues) > workers)
        {
            let label = format!("must be at most the number of workers, {workers}, or \"auto\"");
            findings.error("`port.queues` is more than there are workers", |error| {
                error.at(queues.span(), label)
            });
        }
    }
    ports.iter().filter_map(port).collect()
}

fn port(port: &sections::Port) -> Option<Port> {
    let address = |subnet: &Spanned<Subnet>| (IpAddr::V4(subnet.get_ref().address), subnet.get_ref().prefix);
    Some(Port {
        name: port.name.as_ref()?.get_ref().clone(),
        device: port.device.as_ref()?.get_ref().clone(),
        addresses: port.addresses.as_ref()?.iter().map(address).collect(),
        gateway: port.gateway.as_ref().map(|gateway| IpAddr::V4(*gateway.get_ref())),
        mtu: port.mtu,
        rx_descriptors: port.rx_descriptors,
        tx_descriptors: port.tx_descriptors,
        queues: port.queues.as_ref().and_then(|queues| *queues.get_ref()),
        offloads: port.offloads,
    })
}

fn device_is_distinct(port: &sections::Port, earlier: &[sections::Port], findings: &Findings) {
    let Some(device) = &port.device else { return };
    let same = |other: &&Spanned<Device>| other.get_ref().name() == device.get_ref().name();
    if let Some(other) = earlier.iter().filter_map(|port| port.device.as_ref()).find(same) {
        let title = format!("`port.device`: {} is on two ports", device.get_ref().name());
        findings.error(title, |error| {
            error.at(device.span(), "must be another device").at(other.span(), "first used here")
        });
    }
}

/// Two ports with one subnet would leave open which of them reaches a host of it.
fn subnets_are_apart(port: &sections::Port, earlier: &[sections::Port], findings: &Findings) {
    for subnet in port.addresses.iter().flatten() {
        let overlaps = |other: &&Spanned<Subnet>| {
            let (one, two) = (*subnet.get_ref(), *other.get_ref());
            one.contains(two.address) || two.contains(one.address)
        };
        if let Some(other) = earlier.iter().flat_map(|port| port.addresses.iter().flatten()).find(overlaps) {
            findings.error("`port.address`: a subnet is on two ports", |error| {
                error
                    .at(subnet.span(), "must be in another subnet")
                    .at(other.span(), "which overlaps this one")
            });
        }
    }
}

fn gateway_is_near(port: &sections::Port, findings: &Findings) {
    let (Some(gateway), Some(addresses)) = (&port.gateway, &port.addresses) else { return };
    let address = *gateway.get_ref();
    let subnets = || addresses.iter().map(Spanned::get_ref);
    let wrong = if subnets().any(|subnet| subnet.address == address) {
        "is this port's own address"
    } else if !subnets().any(|subnet| subnet.contains(address) && !subnet.reserves(address)) {
        "cannot be reached by this port"
    } else {
        return;
    };
    let within = list(subnets().map(|subnet| format!("{}/{}", subnet.address, subnet.prefix)));
    let title = format!("`port.gateway` {wrong}");
    let label = format!("must be another host in a subnet of the port, {within}");
    findings.error(title, |error| error.at(gateway.span(), label));
}

/// Notes an error when `device` is a PCI device that this machine lacks.
pub(super) fn pci_exists(
    device: &Device,
    key: &str,
    at: Range<usize>,
    surroundings: &Surroundings,
    findings: &Findings,
) {
    let Device::Pci(address) = device else { return };
    if !surroundings.pci.contains(address) {
        let label = "must be a PCI device of this machine";
        let title = format!("`{key}`: there is no device {address}");
        findings
            .error(title, |error| error.at(at, label).help("`dpdk-devbind.py --status` lists the devices"));
    }
}

/// The port that has `address`; an error under `key` when there is none. `None` for `ports` when they
/// are not all known: then nothing is said.
pub(super) fn port_of(
    address: &Spanned<Ipv4Addr>,
    key: &str,
    ports: Option<&[Port]>,
    findings: &Findings,
) -> Option<usize> {
    let ports = ports?;
    let wanted = IpAddr::V4(*address.get_ref());
    let has = |port: &Port| port.addresses.iter().any(|&(address, _)| address == wanted);
    let found = ports.iter().position(has);
    if found.is_none() {
        let ours =
            list(ports.iter().flat_map(|port| &port.addresses).map(|(address, _)| address.to_string()));
        let title = format!("`{key}`: no port has the address {wanted}");
        findings
            .error(title, |error| error.at(address.span(), format!("must be an address of a port: {ours}")));
    }
    found
}

/// How a server is reached: from `source` when that is given, else over the port in whose subnet it
/// is, else over the one port with a gateway. `None` for `ports` as in [`port_of`].
pub(super) fn server(
    server: &Spanned<SocketAddrV4>,
    source: Option<(Ipv4Addr, usize)>,
    ports: Option<&[Port]>,
    findings: &Findings,
) -> Option<Server> {
    let ports = ports?;
    let ip = *server.get_ref().ip();
    let wrong = |is: &str, label: String| {
        findings.error(format!("`backend.servers`: {is}"), |error| error.at(server.span(), label));
        None
    };
    if ports.iter().flat_map(|port| &port.addresses).any(|&(address, _)| address == IpAddr::V4(ip)) {
        return wrong(&format!("{ip} is Levee's own address"), "must be another host".to_owned());
    }
    let reached =
        |source: IpAddr, port| Some(Server { address: SocketAddr::V4(*server.get_ref()), source, port });
    if let Some((source, port)) = source {
        let from = ports.get(port)?;
        return match from.gateway.is_some() || subnet_of(from, ip).is_some() {
            true => reached(IpAddr::V4(source), port),
            false => wrong(
                &format!("{ip} is not reached from {source}"),
                format!("must be in a subnet of port {:?}, or the port needs a gateway", from.name),
            ),
        };
    }
    if let Some((port, source)) =
        ports.iter().enumerate().find_map(|(i, port)| Some((i, subnet_of(port, ip)?)))
    {
        return reached(source, port);
    }
    let mut gateways = ports.iter().enumerate().filter(|(_, port)| port.gateway.is_some());
    match (gateways.next(), gateways.next()) {
        (Some((index, port)), None) => reached(beside_gateway(port)?, index),
        (None, _) => wrong(
            &format!("no port reaches {ip}"),
            "must be in the subnet of a port, or a port needs a gateway".to_owned(),
        ),
        (Some(_), Some(_)) => wrong(
            &format!("several ports have a gateway that may reach {ip}"),
            "say with `source` which of Levee's addresses to use".to_owned(),
        ),
    }
}

/// Our address in the subnet of `port` that has `host`.
fn subnet_of(port: &Port, host: Ipv4Addr) -> Option<IpAddr> {
    port.addresses.iter().find_map(|&(address, prefix)| match address {
        IpAddr::V4(ours) if (Subnet { address: ours, prefix }).contains(host) => Some(address),
        _ => None,
    })
}

/// Our address in the subnet of the port's gateway.
fn beside_gateway(port: &Port) -> Option<IpAddr> {
    match port.gateway? {
        IpAddr::V4(gateway) => subnet_of(port, gateway),
        IpAddr::V6(_) => None,
    }
}

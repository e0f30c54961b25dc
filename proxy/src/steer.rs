//! Which lcore owns a flow: `Steering`.
//!
//! Every TCP segment of a flow belongs to one worker, chosen by a hash of its addresses and ports that
//! every worker computes alike: the device's own, where it tells how it chooses a receive queue, else one
//! of ours. A worker that receives a frame of another hands it over; a worker that opens a connection to a
//! backend picks a source port whose replies come to itself.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use levee_buf::Pieces;
use levee_dpdk::Rss;

/// The workers of the process and the place of this one among them.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    own: u16,
    /// By port.
    rules: Vec<Rss>,
}

/// Who is to see a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This worker.
    Own,
    /// Another.
    Worker(u16),
    /// All of them: address resolution.
    Everyone,
}

impl Steering {
    /// Worker `own`, where `rules` say for each port which worker a flow belongs to. No rules: it is the
    /// only one.
    #[must_use]
    pub(crate) const fn new(own: u16, rules: Vec<Rss>) -> Self {
        Self { own, rules }
    }

    /// Whether there is no other worker.
    #[must_use]
    pub(crate) const fn is_alone(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether segments from `remote` to `local` that come in by `port` are this worker's.
    #[must_use]
    pub(crate) fn owns(&self, port: usize, local: SocketAddr, remote: SocketAddr) -> bool {
        self.rules.get(port).is_none_or(|rule| rule.queue(remote, local) == self.own)
    }

    /// The owner of an Ethernet frame that `port` received, with the device's hash of it if there is one.
    #[must_use]
    pub(crate) fn owner(&self, port: usize, frame: &dyn Pieces, hash: Option<u32>) -> Owner {
        let Some(rule) = self.rules.get(port) else { return Owner::Own };
        let worker = match (hash, read(frame.chunk(0))) {
            (_, Read::Resolution) => return Owner::Everyone,
            (Some(hash), Read::Segment(..)) => rule.queue_of(hash),
            (_, Read::Segment(source, destination) | Read::Quoted(source, destination)) => {
                rule.queue(source.into(), destination.into())
            }
            (_, Read::Other) => 0,
        };
        if worker == self.own { Owner::Own } else { Owner::Worker(worker) }
    }
}

/// What a frame is, as far as it decides who owns it.
enum Read {
    /// ARP.
    Resolution,
    /// A TCP segment: source and destination.
    Segment(SocketAddrV4, SocketAddrV4),
    /// An ICMP error about a segment of ours: the flow's remote and local end.
    Quoted(SocketAddrV4, SocketAddrV4),
    Other,
}

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;

fn read(frame: &[u8]) -> Read {
    match frame.get(12..14) {
        Some(kind) if kind == ETHERTYPE_ARP => Read::Resolution,
        Some(kind) if kind == ETHERTYPE_IPV4 => {
            packet(frame.get(14..).unwrap_or_default()).unwrap_or(Read::Other)
        }
        _ => Read::Other,
    }
}

fn packet(bytes: &[u8]) -> Option<Read> {
    let (protocol, source, destination, rest) = ipv4(bytes)?;
    match protocol {
        PROTOCOL_TCP => {
            let (from, to) = ports(rest)?;
            Some(Read::Segment(SocketAddrV4::new(source, from), SocketAddrV4::new(destination, to)))
        }
        // Destination unreachable, time exceeded and parameter problem quote the packet they are about.
        PROTOCOL_ICMP if matches!(rest.first(), Some(3 | 11 | 12)) => {
            let (PROTOCOL_TCP, ours, theirs, rest) = ipv4(rest.get(8..)?)? else { return None };
            let (from, to) = ports(rest)?;
            Some(Read::Quoted(SocketAddrV4::new(theirs, to), SocketAddrV4::new(ours, from)))
        }
        _ => None,
    }
}

/// Protocol, source, destination and what follows the header.
fn ipv4(packet: &[u8]) -> Option<(u8, Ipv4Addr, Ipv4Addr, &[u8])> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address = |at: usize| packet.get(at..at + 4)?.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes));
    Some((*packet.get(9)?, address(12)?, address(16)?, packet.get(header..)?))
}

fn ports(segment: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *segment.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use levee_buf::Heap;

    use super::*;

    fn tcp_frame(source: [u8; 4], source_port: u16, destination: [u8; 4], destination_port: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend(ETHERTYPE_IPV4);
        frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, PROTOCOL_TCP, 0, 0]);
        frame.extend(source.into_iter().chain(destination));
        frame.extend(source_port.to_be_bytes().into_iter().chain(destination_port.to_be_bytes()));
        frame.extend([0; 16]);
        frame
    }

    fn worker(own: u16, workers: u16) -> Steering {
        Steering::new(own, vec![Rss::software(workers)])
    }

    #[test]
    fn a_frame_and_the_connection_it_belongs_to_have_one_owner() {
        let heap = Heap::new(4);
        let mut seen = [0_u32; 3];
        for client_port in 1024..2048 {
            let frame = heap.chain(&tcp_frame([10, 0, 0, 2], client_port, [10, 0, 0, 1], 443));
            let local = SocketAddr::from(([10, 0, 0, 1], 443));
            let remote = SocketAddr::from(([10, 0, 0, 2], client_port));
            let owners: Vec<_> =
                (0..3).filter(|&own| worker(own, 3).owner(0, &frame, None) == Owner::Own).collect();
            assert_eq!(owners.len(), 1);
            seen[usize::from(owners[0])] += 1;
            for own in 0..3 {
                assert_eq!(worker(own, 3).owns(0, local, remote), own == owners[0]);
            }
        }
        assert!(seen.iter().all(|&flows| flows > 250), "{seen:?}");
    }

    #[test]
    fn an_icmp_error_goes_to_the_owner_of_the_packet_it_quotes() {
        let heap = Heap::new(4);
        let mut frame = tcp_frame([10, 0, 0, 9], 0, [10, 0, 0, 1], 0);
        frame.truncate(34);
        frame[23] = PROTOCOL_ICMP;
        frame.extend([3, 4, 0, 0, 0, 0, 0, 0]);
        frame.extend(&tcp_frame([10, 0, 0, 1], 443, [10, 0, 0, 2], 5555)[14..42]);
        let frame = heap.chain(&frame);
        let (local, remote) =
            (SocketAddr::from(([10, 0, 0, 1], 443)), SocketAddr::from(([10, 0, 0, 2], 5555)));
        for own in 0..7 {
            let owned = worker(own, 7).owns(0, local, remote);
            assert_eq!(worker(own, 7).owner(0, &frame, None) == Owner::Own, owned);
        }
    }

    #[test]
    fn address_resolution_is_everyones() {
        let heap = Heap::new(4);
        let mut frame = vec![0; 42];
        frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
        assert_eq!(worker(1, 2).owner(0, &heap.chain(&frame), None), Owner::Everyone);
        assert_eq!(worker(1, 2).owner(0, &heap.chain(&[1, 2, 3]), None), Owner::Worker(0));
        assert_eq!(Steering::new(0, Vec::new()).owner(0, &heap.chain(&frame), None), Owner::Own);
    }
}

//! `Egress`: from a TCP header and a payload to an Ethernet frame in a queue.

use std::collections::VecDeque;

use levee_buf::{Chain, Full, Memory, Pieces, Writer};

use super::Peer;
use super::link::Link;
use crate::conn::Env;
use crate::neigh::{Neighbours, Way};
use crate::output::{Frame, TxOffload};
use crate::reason::Reason;
use crate::wire::arp::{self, Arp};
use crate::wire::checksum::Sum;
use crate::wire::ether::{self, BROADCAST, Ether, Mac};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::tcp::Tcp;

/// Frames on their way into a bounded queue.
pub(crate) struct Egress<'a, M: Memory> {
    pub(crate) links: &'a [Link],
    pub(crate) neighbours: &'a mut Neighbours<M::Chain>,
    pub(crate) queue: &'a mut VecDeque<Frame<M::Chain>>,
    pub(crate) limit: usize,
}

/// A segment to be sent.
pub(crate) struct Segment<'a, C> {
    pub(crate) peer: &'a Peer,
    pub(crate) tcp: Tcp,
    pub(crate) payload: C,
    /// The device cuts it into segments of so many bytes.
    pub(crate) tso_mss: Option<u16>,
}

/// Why a segment could not leave at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The queue is full.
    Full,
    /// Packet memory is exhausted.
    NoMemory,
}

impl<M: Memory> Egress<'_, M> {
    /// Frames that still fit.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.queue.len())
    }

    /// The MSS option for an interface.
    pub(crate) fn link_mss(&self, interface: u16) -> u16 {
        self.links[usize::from(interface)].mss()
    }

    /// Payload bytes of the largest segment that an interface takes.
    pub(crate) fn super_segment(&self, interface: u16, mss: usize) -> usize {
        self.links[usize::from(interface)].super_segment(mss)
    }

    /// Sends a segment, or lets it wait for ARP. What no neighbour takes is dropped and counted: TCP sends
    /// it again.
    pub(crate) fn tcp(
        &mut self,
        hint: &mut u16,
        segment: Segment<'_, M::Chain>,
        env: &mut Env<'_, M>,
    ) -> Result<(), Blocked> {
        if self.room() == 0 {
            return Err(Blocked::Full);
        }
        let (interface, remote) = (segment.peer.interface, segment.peer.tuple.remote);
        let Some(hop) = self.links[usize::from(interface)].next_hop(remote) else {
            env.counters.count(Reason::NoRoute);
            return Ok(());
        };
        let way = self.neighbours.way(interface, hop, hint, env.now);
        let mac = match way {
            Way::Known(mac) => mac,
            Way::Wait(_) => BROADCAST,
            Way::Full => {
                env.counters.count(Reason::NeighbourCacheFull);
                return Ok(());
            }
        };
        let frame = self.frame(mac, segment, env.memory)?;
        match way {
            Way::Wait(id) => {
                if self.neighbours.wait(id, frame).is_err() {
                    env.counters.count(Reason::NeighbourQueueFull);
                }
            }
            _ => self.queue.push_back(frame),
        }
        Ok(())
    }

    fn frame(
        &self,
        mac: Mac,
        segment: Segment<'_, M::Chain>,
        memory: &M,
    ) -> Result<Frame<M::Chain>, Blocked> {
        let Segment { peer, tcp, payload, tso_mss } = segment;
        let link = &self.links[usize::from(peer.interface)];
        let l4_len = tcp.length();
        let length = ether::LENGTH + ipv4::LENGTH + l4_len;
        let mut chain = memory.alloc(length).ok_or(Blocked::NoMemory)?;
        let room = chain.extend(length).ok_or(Blocked::NoMemory)?;
        let ether = Ether { destination: mac, source: link.mac, kind: Ether::IPV4 };
        let (local, remote) = (peer.tuple.local, peer.tuple.remote);
        let mut out = Writer::new(room);
        let written = ether.write(&mut out).and_then(|()| {
            Ipv4::write(Ipv4::TCP, local, remote, l4_len + payload.len(), link.tx_checksum, &mut out)?;
            tcp.write(&mut out)
        });
        written.map_err(|Full| Blocked::NoMemory)?;
        let tcp_length = u16::try_from(l4_len + payload.len()).map_err(|_| Blocked::NoMemory)?;
        let header = &mut room[ether::LENGTH + ipv4::LENGTH..];
        let field = if link.tx_checksum {
            let length = if tso_mss.is_some() { 0 } else { tcp_length };
            Sum::pseudo(local, remote, Ipv4::TCP, length).raw()
        } else {
            let mut sum = Sum::pseudo(local, remote, Ipv4::TCP, tcp_length);
            sum.bytes(header);
            sum.pieces(&payload, 0..payload.len());
            sum.finish()
        };
        header[16..18].copy_from_slice(&field);
        chain.append(payload);
        let small = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
        let offload = TxOffload {
            l2_len: small(ether::LENGTH),
            l3_len: small(ipv4::LENGTH),
            l4_len: small(l4_len),
            checksum: link.tx_checksum,
            tso_mss,
        };
        Ok(Frame { interface: peer.interface, chain, offload })
    }

    /// Sends an ARP packet.
    pub(crate) fn arp(
        &mut self,
        interface: u16,
        destination: Mac,
        arp: &Arp,
        memory: &M,
    ) -> Result<(), Blocked> {
        if self.room() == 0 {
            return Err(Blocked::Full);
        }
        let length = ether::LENGTH + arp::LENGTH;
        let mut chain = memory.alloc(length).ok_or(Blocked::NoMemory)?;
        let mut out = Writer::new(chain.extend(length).ok_or(Blocked::NoMemory)?);
        let ether = Ether { destination, source: arp.sender_mac, kind: Ether::ARP };
        ether.write(&mut out).and_then(|()| arp.write(&mut out)).map_err(|Full| Blocked::NoMemory)?;
        self.queue.push_back(Frame { interface, chain, offload: TxOffload::default() });
        Ok(())
    }
}

//! From a frame to whose it is.

use std::net::Ipv4Addr;

use levee_buf::{Chain, Memory, Pieces, Reader};

use super::link::Link;
use super::{Checksums, Owner, Stack};
use crate::conn::Verdict;
use crate::output::{Frame, TxOffload};
use crate::reason::Reason;
use crate::table::Tuple;
use crate::time::Instant;
use crate::wire::arp::Arp;
use crate::wire::checksum::Sum;
use crate::wire::ether::{self, BROADCAST, Ether, Mac};
use crate::wire::icmp::{ErrorKind, Icmp, IcmpError};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::tcp::{Flags, Tcp};
use crate::wire::{MAX_HEADERS, checksum};

/// What a frame turned out to be.
enum Packet {
    Arp(Arp),
    Icmp { ip: Ipv4, message: Icmp, from: Mac },
    Tcp { ip: Ipv4, tcp: Tcp, header: usize },
}

impl<M: Memory> Stack<M> {
    /// Takes in one Ethernet frame of an interface. What is wrong with it is counted, and it is dropped.
    pub fn input(&mut self, interface: u16, frame: M::Chain, checksums: Checksums, now: Instant) {
        self.now = now;
        self.core.counters.frames_in += 1;
        if let Err(reason) = self.on_frame(interface, frame, checksums, now) {
            self.core.counters.count(reason);
        }
    }

    fn on_frame(
        &mut self,
        interface: u16,
        frame: M::Chain,
        checksums: Checksums,
        now: Instant,
    ) -> Result<(), Reason> {
        let link = self.links.get(usize::from(interface)).ok_or(Reason::NoInterface)?;
        match parse(link, &frame, checksums)? {
            Packet::Arp(arp) => self.on_arp(interface, &arp, now),
            Packet::Icmp { message: Icmp::EchoRequest, ip, from } => {
                self.on_echo(interface, frame, &ip, from, now)
            }
            Packet::Icmp { message: Icmp::Error(error), .. } => self.on_icmp_error(&error, now),
            Packet::Tcp { ip, tcp, header } => self.on_tcp(interface, &ip, &tcp, header, frame, now),
        }
    }

    fn on_tcp(
        &mut self,
        interface: u16,
        ip: &Ipv4,
        tcp: &Tcp,
        header: usize,
        mut frame: M::Chain,
        now: Instant,
    ) -> Result<(), Reason> {
        self.core.counters.segments_in += 1;
        let length = ip.payload - header;
        let payload = if length == 0 {
            M::Chain::default()
        } else {
            let start = ether::LENGTH + ip.header + header;
            frame.truncate(start + length);
            frame.trim_front(start);
            frame
        };
        let tuple = Tuple {
            local: ip.destination,
            remote: ip.source,
            local_port: tcp.destination,
            remote_port: tcp.source,
        };
        let mut after = None;
        match self.owner(&tuple) {
            Some(Owner::Conn(slot)) => {
                let verdict = self.conns[slot as usize].on_segment(tcp, payload, &mut self.core.env(now));
                if matches!(verdict, Verdict::Refuse(_)) {
                    self.refuse(interface, &tuple, tcp, length, now);
                }
                self.apply(slot, verdict);
                return Ok(());
            }
            Some(Owner::HalfOpen(id)) => return self.on_half_open(id, tuple, tcp, payload, now),
            Some(Owner::Other(id)) => {
                let ended_at = self.wait.waiting(id).snd_nxt;
                if !self.on_waiting(id, &tuple, tcp, length, now) {
                    return Ok(());
                }
                after = Some(ended_at);
            }
            None => {}
        }
        if tcp.flags.has(Flags::RST) {
            return Err(Reason::StrayReset);
        }
        let Some(listener) = self.listeners.find(tuple.local, tuple.local_port) else {
            self.refuse(interface, &tuple, tcp, length, now);
            return Err(Reason::NoSocket);
        };
        // RFC 9293 section 3.10.7.2: first RST, second ACK, third SYN.
        if tcp.flags.has(Flags::ACK) {
            if tcp.flags.has(Flags::SYN) {
                self.refuse(interface, &tuple, tcp, length, now);
                return Err(Reason::BadHandshakeAck);
            }
            return self.on_stray_ack(interface, listener, tuple, tcp, payload, now);
        }
        if !tcp.flags.has(Flags::SYN) {
            return Err(Reason::NoAck);
        }
        self.on_syn(interface, listener, tuple, tcp, after, now);
        Ok(())
    }

    fn on_arp(&mut self, interface: u16, arp: &Arp, now: Instant) -> Result<(), Reason> {
        let link = &self.links[usize::from(interface)];
        if link.owns(arp.sender) {
            return Err(Reason::ArpUnsolicited);
        }
        let (own_mac, is_for_us) = (link.mac, link.owns(arp.target));
        let learned = self.neighbours.learn(interface, arp.sender, arp.sender_mac, !arp.is_request, now);
        if let Some(id) = learned {
            self.on_neighbour_found(id);
        }
        if arp.is_request && is_for_us {
            let reply = Arp {
                is_request: false,
                sender_mac: own_mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            let is_queued = self.answer_arp(interface, arp.sender_mac, &reply);
            return if is_queued { Ok(()) } else { Err(Reason::AnswerQueueFull) };
        }
        if learned.is_some() { Ok(()) } else { Err(Reason::ArpUnsolicited) }
    }

    /// Turns an echo request around where it lies.
    fn on_echo(
        &mut self,
        interface: u16,
        mut frame: M::Chain,
        ip: &Ipv4,
        from: Mac,
        now: Instant,
    ) -> Result<(), Reason> {
        if !self.echoes.allows(now) {
            return Err(Reason::IcmpLimited);
        }
        frame.truncate(ether::LENGTH + ip.header + ip.payload);
        let own_mac = self.links[usize::from(interface)].mac;
        let header = frame.chunk_mut(0).ok_or(Reason::NoMemory)?;
        turn_echo(header, ip, own_mac, from).ok_or(Reason::IcmpMalformed)?;
        self.core.counters.echoes += 1;
        self.queue_answer(Frame { interface, chain: frame, offload: TxOffload::default() });
        Ok(())
    }

    /// RFC 5927: an error counts when it is about something that is in flight.
    fn on_icmp_error(&mut self, error: &IcmpError, now: Instant) -> Result<(), Reason> {
        let tuple = Tuple {
            local: error.local.0,
            remote: error.remote.0,
            local_port: error.local.1,
            remote_port: error.remote.1,
        };
        let Some(Owner::Conn(slot)) = self.owner(&tuple) else { return Err(Reason::IcmpStale) };
        let conn = &mut self.conns[slot as usize];
        match error.kind {
            ErrorKind::TooBig { mtu } => {
                if !conn.on_too_big(error.seq, mtu, &mut self.core.env(now)) {
                    return Err(Reason::IcmpStale);
                }
                self.schedule(slot);
            }
            ErrorKind::Unreachable => {
                let verdict = conn.on_unreachable(error.seq).ok_or(Reason::IcmpStale)?;
                self.apply(slot, verdict);
            }
        }
        Ok(())
    }
}

/// Checks everything about a frame that needs no connection.
fn parse(link: &Link, frame: &impl Pieces, checksums: Checksums) -> Result<Packet, Reason> {
    let mut room = [0; MAX_HEADERS];
    let mut headers = frame.chunk(0);
    if headers.len() < MAX_HEADERS.min(frame.len()) {
        // Headers in pieces: these few bytes alone are copied to be read.
        let n = frame.copy_to(0, &mut room);
        headers = &room[..n];
    }
    let mut reader = Reader::new(headers);
    let ether = Ether::parse(&mut reader)?;
    if (ether.destination != link.mac && ether.destination != BROADCAST) || !ether::is_unicast(ether.source) {
        return Err(Reason::NotOurStation);
    }
    match ether.kind {
        Ether::ARP => Arp::parse(&mut reader).map(Packet::Arp),
        Ether::IPV4 if ether.destination == link.mac => {
            parse_ip(link, frame, &mut reader, checksums, ether.source)
        }
        Ether::IPV4 => Err(Reason::NotOurStation),
        _ => Err(Reason::EtherType),
    }
}

fn parse_ip(
    link: &Link,
    frame: &impl Pieces,
    reader: &mut Reader<'_>,
    checksums: Checksums,
    from: Mac,
) -> Result<Packet, Reason> {
    let is_trusted = link.rx_checksum && checksums == Checksums::Good;
    let ip = Ipv4::parse(reader, frame.len() - ether::LENGTH, is_trusted)?;
    if !link.owns(ip.destination) {
        return Err(Reason::NotOurAddress);
    }
    if !ipv4::is_possible_source(ip.source) || link.owns(ip.source) || link.is_broadcast(ip.source) {
        return Err(Reason::Martian);
    }
    let start = ether::LENGTH + ip.header;
    match ip.protocol {
        Ipv4::TCP => {
            if !is_trusted {
                let length = u16::try_from(ip.payload).map_err(|_| Reason::IpMalformed)?;
                let mut sum = Sum::pseudo(ip.source, ip.destination, Ipv4::TCP, length);
                sum.pieces(frame, start..start + ip.payload);
                if checksums == Checksums::Bad || !sum.is_intact() {
                    return Err(Reason::TcpChecksum);
                }
            }
            let (tcp, header) = Tcp::parse(reader, ip.payload)?;
            let is_nonsense = match (tcp.flags.has(Flags::SYN), tcp.flags.has(Flags::RST)) {
                (true, true) => true,
                (true, false) => tcp.flags.has(Flags::FIN),
                (false, _) => false,
            };
            if is_nonsense {
                return Err(Reason::TcpFlags);
            }
            Ok(Packet::Tcp { ip, tcp, header })
        }
        Ipv4::ICMP => {
            let mut sum = Sum::default();
            sum.pieces(frame, start..start + ip.payload);
            if !sum.is_intact() {
                return Err(Reason::IcmpMalformed);
            }
            // Padding of the frame is no part of the message.
            let message = reader.rest().get(..ip.payload).unwrap_or(reader.rest());
            Ok(Packet::Icmp { ip, message: Icmp::parse(&mut Reader::new(message))?, from })
        }
        _ => Err(Reason::IpProtocol),
    }
}

/// Makes the answer of an echo request in place; `None` when its headers do not lie in one piece.
fn turn_echo(header: &mut [u8], ip: &Ipv4, own_mac: Mac, from: Mac) -> Option<()> {
    let (mac, rest) = header.split_at_mut_checked(ether::LENGTH)?;
    mac.get_mut(..6)?.copy_from_slice(&from);
    mac.get_mut(6..12)?.copy_from_slice(&own_mac);
    let (packet, message) = rest.split_at_mut_checked(ip.header)?;
    let addresses: [Ipv4Addr; 2] = [ip.destination, ip.source];
    packet.get_mut(12..16)?.copy_from_slice(&addresses[0].octets());
    packet.get_mut(16..20)?.copy_from_slice(&addresses[1].octets());
    *packet.get_mut(8)? = 64;
    packet.get_mut(10..12)?.fill(0);
    let sum = checksum::of(packet);
    packet.get_mut(10..12)?.copy_from_slice(&sum);
    *message.first_mut()? = 0;
    // RFC 1624: the type went from 8 to 0, so the checksum gains 8 in its high byte.
    let field = message.get_mut(2..4)?;
    let old = u32::from(u16::from_be_bytes([field[0], field[1]])) + 0x0800;
    let folded = u16::try_from((old & 0xffff) + (old >> 16)).ok()?;
    field.copy_from_slice(&folded.to_be_bytes());
    Some(())
}

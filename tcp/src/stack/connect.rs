//! Active opens: local ports, sequence numbers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use levee_buf::Memory;

use super::{ConnId, Stack, v4};
use crate::config::ConnectError;
use crate::conn::Start;
use crate::seq::Seq;
use crate::table::Tuple;
use crate::time::Instant;
use crate::wire::ipv4;

/// Ports tried in one call.
const PORT_TRIES: u32 = 4096;

impl<M: Memory> Stack<M> {
    /// Opens a connection from `local`, one of our addresses, to `remote`. [`Ready::connected`] or
    /// [`Ready::closed`] will say what became of it.
    ///
    /// `owns` says whether replies to a local address and port reach this lcore; ports are tried in an
    /// order of RFC 6056's kind, which strangers cannot guess.
    ///
    /// # Errors
    /// [`ConnectError`] when nothing was sent.
    ///
    /// [`Ready::connected`]: crate::Ready::connected
    /// [`Ready::closed`]: crate::Ready::closed
    pub fn connect(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        now: Instant,
        owns: &mut dyn FnMut(SocketAddr) -> bool,
    ) -> Result<ConnId, ConnectError> {
        self.now = now;
        let (local, address) = v4(local, remote.ip()).ok_or(ConnectError::Unsupported)?;
        if remote.port() == 0 || !ipv4::is_possible_source(address) {
            return Err(ConnectError::Unsupported);
        }
        let at = self.links.iter().position(|link| link.owns(local)).ok_or(ConnectError::NotLocal)?;
        let link = &self.links[at];
        link.next_hop(address).ok_or(ConnectError::NoRoute)?;
        if self.links.iter().any(|link| link.owns(address)) {
            return Err(ConnectError::NoRoute);
        }
        let link_mss = link.mss();
        let slot = *self.free.last().ok_or(ConnectError::Full)?;
        let tuple = self.free_tuple(local, address, remote.port(), owns).ok_or(ConnectError::NoPort)?;
        self.free.pop();
        self.table.insert(tuple, slot);
        let start = Start {
            interface: u16::try_from(at).unwrap_or(u16::MAX),
            tag: 0,
            iss: self.initial_seq(&tuple, now),
            ts_offset: self.ts_offset(&tuple),
            link_mss,
        };
        let conn = &mut self.conns[slot as usize];
        conn.open(&start, &mut self.core.env(now));
        let id = ConnId { slot, generation: conn.generation };
        self.core.counters.connects += 1;
        self.schedule(slot);
        Ok(id)
    }

    /// RFC 6056 section 3.3.3: a keyed offset for each destination, and a counter.
    fn free_tuple(
        &mut self,
        local: Ipv4Addr,
        remote: Ipv4Addr,
        remote_port: u16,
        owns: &mut dyn FnMut(SocketAddr) -> bool,
    ) -> Option<Tuple> {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let count = u64::from(last - first) + 1;
        let destination = Tuple { local, remote, local_port: 0, remote_port };
        let offset = destination.hash(self.keys.port, 0) % count;
        for _ in 0..PORT_TRIES.min(u32::from(last - first) + 1) {
            self.port_counter += 1;
            let port = first + u16::try_from((offset + self.port_counter) % count).ok()?;
            let tuple = Tuple { local_port: port, ..destination };
            let is_taken = self.table.find(&tuple).is_some() || self.listeners.find(local, port).is_some();
            if !is_taken && owns(SocketAddr::from((local, port))) {
                return Some(tuple);
            }
        }
        None
    }

    /// RFC 6528 section 3: a clock of four microseconds and a keyed hash of the connection.
    #[allow(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
    pub(super) fn initial_seq(&self, tuple: &Tuple, now: Instant) -> Seq {
        Seq((now.micros() / 4).wrapping_add(tuple.hash(self.keys.sequence, 0)) as u32)
    }

    /// RFC 7323 section 5.4: timestamps begin at an offset of the connection's own.
    #[allow(clippy::cast_possible_truncation, reason = "timestamps are modulo 2^32")]
    pub(super) fn ts_offset(&self, tuple: &Tuple) -> u32 {
        tuple.hash(self.keys.timestamp, 0) as u32
    }
}

//! Listeners and half-open connections: `Listeners`, `HalfOpen`.
//!
//! A SYN costs one entry of fixed size, without packet memory. When the entries or a listener's backlog
//! are used up, the SYN is answered with a [cookie] and nothing is remembered, but that it was [spent] once.

pub(crate) mod cookie;
pub(crate) mod spent;

use std::net::Ipv4Addr;

use crate::seq::Seq;
use crate::wire::tcp::{Options, Tcp};

/// The listeners and their half-open connections.
pub(crate) struct Listeners {
    listeners: Vec<Listener>,
    entries: Vec<HalfOpen>,
    free: Vec<u32>,
}

/// One listening port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    /// Unspecified for all addresses.
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) tag: u16,
    backlog: usize,
    half_open: usize,
}

/// A SYN that was answered and whose ACK is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfOpen {
    pub(crate) iss: Seq,
    pub(crate) irs: Seq,
    pub(crate) offer: Offer,
    pub(crate) listener: u16,
    pub(crate) interface: u16,
    /// SYN-ACKs sent.
    pub(crate) tries: u8,
}

/// What the options of a peer's SYN offered, after RFC 9293 defaults and sanity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The peer's timestamp, when it offered timestamps.
    pub(crate) ts_recent: Option<u32>,
    pub(crate) mss: u16,
    /// Window scale shift, when it offered scaling.
    pub(crate) scale: Option<u8>,
}

const _: () = assert!(size_of::<HalfOpen>() <= 28);

/// The smallest MSS believed: below it headers would cost more than they carry.
const MIN_MSS: u16 = 64;

impl Offer {
    /// What the options say. RFC 9293 section 3.7.1 (MUST-15): without the option, 536.
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            ts_recent: options.timestamps.map(|timestamps| timestamps.value),
            mss: options.mss.unwrap_or(536).max(MIN_MSS),
            scale: options.scale,
        }
    }
}

impl HalfOpen {
    /// Whether `tcp` repeats the SYN.
    pub(crate) fn is_repeated_by(&self, tcp: &Tcp) -> bool {
        tcp.seq == self.irs
    }
}

impl Listeners {
    pub(crate) fn new(capacity: usize) -> Self {
        let offer = Offer { ts_recent: None, mss: 0, scale: None };
        let entry = HalfOpen { iss: Seq(0), irs: Seq(0), offer, listener: 0, interface: 0, tries: 0 };
        let free = (0..u32::try_from(capacity).unwrap_or(u32::MAX)).rev().collect();
        Self { listeners: Vec::new(), entries: vec![entry; capacity], free }
    }

    /// Adds a listener; false when the address and port are taken.
    pub(crate) fn listen(&mut self, address: Ipv4Addr, port: u16, tag: u16, backlog: usize) -> bool {
        let is_taken = self.listeners.iter().any(|other| other.address == address && other.port == port);
        if is_taken || self.listeners.len() > usize::from(u16::MAX) {
            return false;
        }
        self.listeners.push(Listener { address, port, tag, backlog, half_open: 0 });
        true
    }

    /// The listener of an address and port; one for just this address goes before one for all.
    pub(crate) fn find(&self, address: Ipv4Addr, port: u16) -> Option<u16> {
        let find = |wanted: Ipv4Addr| {
            self.listeners.iter().position(|one| one.port == port && one.address == wanted)
        };
        let index = find(address).or_else(|| find(Ipv4Addr::UNSPECIFIED))?;
        u16::try_from(index).ok()
    }

    pub(crate) fn listener(&self, index: u16) -> &Listener {
        &self.listeners[usize::from(index)]
    }

    /// Remembers a SYN; `None` when a cookie has to do.
    pub(crate) fn remember(&mut self, half_open: HalfOpen) -> Option<u32> {
        let listener = &mut self.listeners[usize::from(half_open.listener)];
        if listener.half_open >= listener.backlog {
            return None;
        }
        let id = self.free.pop()?;
        listener.half_open += 1;
        self.entries[id as usize] = half_open;
        Some(id)
    }

    pub(crate) fn half_open(&mut self, id: u32) -> &mut HalfOpen {
        &mut self.entries[id as usize]
    }

    /// Forgets an entry.
    pub(crate) fn forget(&mut self, id: u32) {
        let listener = usize::from(self.entries[id as usize].listener);
        self.listeners[listener].half_open -= 1;
        self.free.push(id);
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_open(listener: u16) -> HalfOpen {
        let offer = Offer::of(&Options { mss: Some(1), ..Options::default() });
        HalfOpen { iss: Seq(1), irs: Seq(2), offer, listener, interface: 0, tries: 1 }
    }

    #[test]
    fn the_closest_listener_is_found() {
        let mut listeners = Listeners::new(2);
        let one = Ipv4Addr::new(10, 0, 0, 1);
        assert!(listeners.listen(Ipv4Addr::UNSPECIFIED, 80, 1, 9));
        assert!(listeners.listen(one, 80, 2, 9));
        assert!(!listeners.listen(one, 80, 3, 9));
        let tag = |address, port| listeners.find(address, port).map(|index| listeners.listener(index).tag);
        assert_eq!(tag(one, 80), Some(2));
        assert_eq!(tag(Ipv4Addr::new(10, 0, 0, 2), 80), Some(1));
        assert_eq!(tag(one, 81), None);
    }

    #[test]
    fn entries_and_backlog_are_bounded() {
        let mut listeners = Listeners::new(2);
        assert!(listeners.listen(Ipv4Addr::UNSPECIFIED, 80, 0, 1));
        assert!(listeners.listen(Ipv4Addr::UNSPECIFIED, 81, 0, 5));
        let first = listeners.remember(half_open(0)).unwrap();
        assert_eq!(listeners.remember(half_open(0)), None, "backlog");
        assert!(listeners.remember(half_open(1)).is_some());
        assert_eq!(listeners.remember(half_open(1)), None, "entries");
        assert_eq!(listeners.half_open(first).offer.mss, MIN_MSS);
        listeners.forget(first);
        assert_eq!(listeners.len(), 1);
        assert!(listeners.remember(half_open(0)).is_some());
    }
}

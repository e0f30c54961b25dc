//! A machine of the world outside: `Machine`, our own TCP with memory and a port of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use levee_buf::{Chain, Heap};
use levee_tcp::{Checksums, Config, Instant, InterfaceConfig, Output, Seal, Stack, Timeouts};

/// Our TCP in the part of a peer.
pub(crate) struct Machine {
    pub(crate) stack: Stack<Heap>,
    pub(crate) memory: Heap,
    output: Output<Heap>,
}

/// Segments: more than any world needs.
const SEGMENTS: usize = 100_000;

impl Machine {
    pub(crate) fn new(addresses: &[Ipv4Addr], mtu: u16) -> Self {
        let last = addresses.first().map_or(0, |address| address.octets()[3]);
        let interface = interface([2, 0, 0, 0, 1, last], addresses, mtu);
        let config = Config {
            timeouts: Timeouts { user: Duration::from_secs(60), ..timeouts() },
            neighbours: 64,
            ..Config::new(vec![interface], 512, [last; 32])
        };
        let memory = Heap::new(SEGMENTS);
        let stack = Stack::new(config, memory.clone()).expect("a good configuration");
        Self { stack, memory, output: Output::new(1024) }
    }

    /// A frame that arrived.
    pub(crate) fn receive(&mut self, frame: &[u8], now_ns: u64) {
        self.stack.input(0, self.memory.chain(frame), Checksums::Unknown, Instant(now_ns));
    }

    /// Frames that leave now; `seal` has what the connections say.
    pub(crate) fn send(&mut self, seal: &mut dyn Seal<Heap>, now_ns: u64, each: &mut dyn FnMut(Vec<u8>)) {
        self.stack.emit(Instant(now_ns), seal, &mut self.output);
        while let Some(frame) = self.output.pop() {
            each(frame.chain.to_vec());
        }
    }

    /// When there is something to do though nothing arrives.
    pub(crate) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        if self.stack.wants_emit() {
            return Some(now_ns);
        }
        self.stack.deadline().map(|deadline| deadline.0)
    }
}

/// Times such that a world does not last for ever.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts { time_wait: Duration::from_secs(5), fin: Duration::from_secs(20), ..Timeouts::default() }
}

/// A port without offloads.
pub(crate) fn interface(mac: [u8; 6], addresses: &[Ipv4Addr], mtu: u16) -> InterfaceConfig {
    InterfaceConfig {
        mac,
        mtu,
        addresses: addresses.iter().map(|&address| (IpAddr::V4(address), 24)).collect(),
        gateway: None,
        tx_checksum: false,
        rx_checksum: false,
        tso: None,
    }
}

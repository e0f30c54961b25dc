//! `Config`: everything that bounds the stack, and the errors of asking it for something.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a [`Stack`](crate::Stack) is made of. Sizes are allocated by `Stack::new`, once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Interfaces, in the order of the `interface` numbers of frames.
    pub interfaces: Vec<InterfaceConfig>,
    /// Connections alive at a time, from the handshake's last ACK to the close.
    pub connections: usize,
    /// Half-open connections of listeners; beyond them SYN cookies answer.
    pub syn_entries: usize,
    /// Connections in TIME-WAIT, and SYN cookies that made a connection and are still believed; beyond them the
    /// oldest is forgotten.
    pub time_wait_entries: usize,
    /// Neighbours (ARP) remembered.
    pub neighbours: usize,
    /// Segments of out-of-order bytes held by all connections together, and stretches they lie in.
    pub out_of_order: usize,
    /// Bytes received and not yet given back by `consumed`, per connection: the receive window, up to 1 GiB.
    pub recv_buffer: usize,
    /// Bytes taken from [`Seal`](crate::Seal) and not yet acknowledged, per connection.
    pub send_buffer: usize,
    /// Local ports of `connect` (RFC 6056).
    pub ports: RangeInclusive<u16>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Key of the connection table, of sequence numbers, timestamps, ports and SYN cookies. The same one
    /// may serve several stacks of one host.
    pub secret: [u8; 32],
}

impl Config {
    /// A configuration for `connections` connections with usual values for the rest.
    #[must_use]
    pub fn new(interfaces: Vec<InterfaceConfig>, connections: usize, secret: [u8; 32]) -> Self {
        Self {
            interfaces,
            connections,
            syn_entries: connections.clamp(64, 1 << 16),
            time_wait_entries: connections.clamp(64, 1 << 16),
            neighbours: 1024,
            out_of_order: connections.clamp(1024, 1 << 16),
            recv_buffer: 256 << 10,
            send_buffer: 1 << 20,
            ports: 32768..=60999,
            timeouts: Timeouts::default(),
            secret,
        }
    }
}

/// One interface.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes, 576 to 65535.
    pub mtu: u16,
    /// Its addresses with the length of their prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Next hop for destinations outside the prefixes; lies in one of them.
    pub gateway: Option<IpAddr>,
    /// The device fills in IPv4 and TCP checksums.
    pub tx_checksum: bool,
    /// Believe [`Checksums::Good`](crate::Checksums::Good) of received frames.
    pub rx_checksum: bool,
    /// Payload bytes of a TCP super-segment that the device can cut; needs `tx_checksum`.
    pub tso: Option<usize>,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// SYNs sent again before `connect` fails.
    pub syn_retries: u8,
    /// SYN-ACKs sent again before a half-open connection is forgotten.
    pub syn_ack_retries: u8,
    /// The first retransmission timeout, before there is a measurement (RFC 6298: one second).
    pub initial_rto: Duration,
    /// The least retransmission timeout. RFC 6298 says one second; the widely deployed 200 ms still
    /// covers a peer's delayed ACK.
    pub min_rto: Duration,
    /// The most retransmission timeout, and the most time between zero-window probes.
    pub max_rto: Duration,
    /// R2 of RFC 9293 section 3.8.3: give up when nothing sent was acknowledged for so long.
    pub user: Duration,
    /// Stay in TIME-WAIT for so long: twice the maximum segment lifetime.
    pub time_wait: Duration,
    /// A released connection without progress is forgotten after this (FIN-WAIT-2 included), and one with
    /// progress after ten times this.
    pub fin: Duration,
    /// Delay an acknowledgement at most so long (RFC 1122: under half a second).
    pub delayed_ack: Duration,
    /// Probe a peer that was silent for so long; `None` never does.
    pub keepalive: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            syn_retries: 4,
            syn_ack_retries: 3,
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(60),
            user: Duration::from_secs(100),
            time_wait: Duration::from_secs(60),
            fin: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            keepalive: None,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No interface, or more than 65535.
    Interfaces,
    /// An MTU under 576.
    Mtu,
    /// An address that is not IPv4 unicast, or a prefix over 32.
    Address,
    /// A gateway outside the prefixes of its interface.
    Gateway,
    /// Large segments asked of a device that does not fill in checksums, or under one segment.
    Tso,
    /// Zero connections, or more entries than 2^30 in all.
    Entries,
    /// A receive buffer under 2048 bytes or over 1 GiB, or such a send buffer.
    Buffers,
    /// No port in the range, or port zero.
    Ports,
}

/// Why [`Stack::listen`](crate::Stack::listen) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// IPv6 is not spoken here.
    Unsupported,
    /// Neither an address of an interface nor the unspecified one.
    NotLocal,
    /// The address and port are taken.
    InUse,
}

/// Why [`Stack::connect`](crate::Stack::connect) failed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// IPv6 is not spoken here, or an address or port that cannot be connected to.
    Unsupported,
    /// The local address is of no interface.
    NotLocal,
    /// No prefix holds the remote address and there is no gateway.
    NoRoute,
    /// All connections are in use.
    Full,
    /// No free local port that `owns` agreed to was found in a bounded number of tries.
    NoPort,
}

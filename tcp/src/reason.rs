//! `Reason`: why a frame was dropped or a connection ended, one name per site; `Counters`.

use std::ops::Index;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame was dropped, answered with RST, or a connection ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All reasons, in the order of their indices.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The metric label: snake_case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Closed by both sides in order.
    Finished = "finished",
    /// The peer sent RST.
    Reset = "reset",
    /// The peer answered SYN with RST.
    Refused = "refused",
    /// ICMP said during the handshake that the peer cannot be reached.
    Unreachable = "unreachable",
    /// Retransmission went unanswered for the user timeout, or SYN for its retries.
    TimedOut = "timed_out",
    /// Keep-alive probes went unanswered.
    KeepaliveTimedOut = "keepalive_timed_out",
    /// A released connection made no progress.
    OrphanTimedOut = "orphan_timed_out",
    /// Data came for a connection that the upper layer had released.
    DataAfterRelease = "data_after_release",
    /// The upper layer aborted.
    Aborted = "aborted",
    /// SYN-ACK went unanswered.
    HandshakeTimedOut = "handshake_timed_out",
    /// The peer sent RST instead of the handshake's last ACK.
    HalfOpenReset = "half_open_reset",
    /// The handshake's last ACK met no free connection.
    NoConnection = "no_connection",
    /// A frame shorter than its headers or lengths say.
    Truncated = "truncated",
    /// A number of no interface.
    NoInterface = "no_interface",
    /// Ethernet destination is another station.
    NotOurStation = "not_our_station",
    /// An EtherType without a handler.
    EtherType = "ether_type",
    /// Malformed ARP.
    ArpMalformed = "arp_malformed",
    /// ARP about something we neither asked nor are.
    ArpUnsolicited = "arp_unsolicited",
    /// IP version, header length or total length is wrong.
    IpMalformed = "ip_malformed",
    /// IP header checksum is wrong.
    IpChecksum = "ip_checksum",
    /// An IP fragment.
    IpFragment = "ip_fragment",
    /// A source route in the IP options, or malformed options.
    IpOptions = "ip_options",
    /// A source address that no host can have.
    Martian = "martian",
    /// Destination address is not ours.
    NotOurAddress = "not_our_address",
    /// IP protocol without a handler.
    IpProtocol = "ip_protocol",
    /// Malformed ICMP or a wrong checksum.
    IcmpMalformed = "icmp_malformed",
    /// An ICMP type that is not handled.
    IcmpIgnored = "icmp_ignored",
    /// An ICMP error about nothing that is in flight (RFC 5927).
    IcmpStale = "icmp_stale",
    /// More ICMP echo requests than are answered.
    IcmpLimited = "icmp_limited",
    /// TCP data offset, ports or options are wrong.
    TcpMalformed = "tcp_malformed",
    /// TCP checksum is wrong.
    TcpChecksum = "tcp_checksum",
    /// A combination of TCP flags that means nothing (SYN with FIN or RST, none at all).
    TcpFlags = "tcp_flags",
    /// A segment for no connection and no listener; answered with RST.
    NoSocket = "no_socket",
    /// RST for no connection.
    StrayReset = "stray_reset",
    /// More RSTs due than are sent.
    ResetLimited = "reset_limited",
    /// A segment outside the receive window.
    OutOfWindow = "out_of_window",
    /// An old timestamp (PAWS).
    Paws = "paws",
    /// A segment without timestamp where timestamps were agreed.
    NoTimestamp = "no_timestamp",
    /// A SYN inside a connection (RFC 5961 section 4).
    SynInWindow = "syn_in_window",
    /// A RST that is in the window but not exact (RFC 5961 section 3).
    ResetInexact = "reset_inexact",
    /// An acknowledgement of something never sent, or too old (RFC 5961 section 5).
    AckUnacceptable = "ack_unacceptable",
    /// A segment without ACK where one is due.
    NoAck = "no_ack",
    /// An ACK of a wrong SYN, or a wrong or old SYN cookie.
    BadHandshakeAck = "bad_handshake_ack",
    /// An ACK of a SYN cookie that has made a connection already.
    CookieSpent = "cookie_spent",
    /// Too many SYN cookies made connections: the oldest of them could make another.
    CookieEvicted = "cookie_evicted",
    /// A segment for a half-open entry that fits nothing.
    HalfOpenStray = "half_open_stray",
    /// A segment for a connection in TIME-WAIT.
    TimeWait = "time_wait",
    /// The oldest TIME-WAIT made room.
    TimeWaitEvicted = "time_wait_evicted",
    /// Data beyond the receive window was cut off.
    BeyondWindow = "beyond_window",
    /// Only bytes that were already received.
    Duplicate = "duplicate",
    /// Out-of-order bytes met no free run, too many of this connection, or too many segments in all.
    OutOfOrderFull = "out_of_order_full",
    /// Too many small segments are held for this connection.
    TooManySegments = "too_many_segments",
    /// The upper layer's connection is gone, data has nowhere to go.
    AfterFin = "after_fin",
    /// A neighbour did not answer ARP; what waited was dropped.
    NeighbourUnreachable = "neighbour_unreachable",
    /// The queue of frames waiting for ARP was full.
    NeighbourQueueFull = "neighbour_queue_full",
    /// No room in the neighbour cache.
    NeighbourCacheFull = "neighbour_cache_full",
    /// No prefix and no gateway.
    NoRoute = "no_route",
    /// The queue of answers was full.
    AnswerQueueFull = "answer_queue_full",
    /// Packet memory was exhausted; tried again later where something would be lost.
    NoMemory = "no_memory",
}

/// What happened how often.
#[derive(Clone, Debug)]
pub struct Counters {
    reasons: [u64; Reason::ALL.len()],
    /// Frames given to `input`.
    pub frames_in: u64,
    /// Frames given to `Output`.
    pub frames_out: u64,
    /// TCP segments that passed the checks of IP and the checksum.
    pub segments_in: u64,
    /// Payload bytes received in order.
    pub bytes_in: u64,
    /// Payload bytes sent for the first time.
    pub bytes_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Fast retransmits entered.
    pub fast_retransmits: u64,
    /// Zero-window probes sent.
    pub window_probes: u64,
    /// Challenge ACKs sent (RFC 5961).
    pub challenge_acks: u64,
    /// SYNs answered without a cookie.
    pub syn_acks: u64,
    /// SYNs answered with a cookie.
    pub cookies_sent: u64,
    /// Connections made from a cookie.
    pub cookies_accepted: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections asked for by `connect`.
    pub connects: u64,
    /// RSTs sent.
    pub resets_out: u64,
    /// ARP requests sent.
    pub arp_requests: u64,
    /// ICMP echo requests answered.
    pub echoes: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            reasons: [0; Reason::ALL.len()],
            frames_in: 0,
            frames_out: 0,
            segments_in: 0,
            bytes_in: 0,
            bytes_out: 0,
            retransmits: 0,
            timeouts: 0,
            fast_retransmits: 0,
            window_probes: 0,
            challenge_acks: 0,
            syn_acks: 0,
            cookies_sent: 0,
            cookies_accepted: 0,
            accepted: 0,
            connects: 0,
            resets_out: 0,
            arp_requests: 0,
            echoes: 0,
        }
    }
}

impl Counters {
    pub(crate) fn count(&mut self, reason: Reason) {
        self.reasons[reason as usize] += 1;
    }
}

impl Index<Reason> for Counters {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.reasons[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_in_snake_case() {
        let mut seen = std::collections::HashSet::new();
        for (index, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(index, reason as usize);
            assert!(seen.insert(reason.name()), "{}", reason.name());
            assert!(reason.name().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
        }
    }
}

//! `Offloads`: work that devices can take over, and DPDK's bits for it.

use dpdk_sys as sys;

/// Work that devices can take over: as offered, as asked, as granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Checks IPv4 and TCP checksums of received frames.
    pub rx_checksum: bool,
    /// Receives a frame into several segments.
    pub rx_scatter: bool,
    /// Chooses the receive queue by a Toeplitz hash of addresses and ports.
    pub rss: bool,
    /// Fills in IPv4 and TCP checksums.
    pub tx_checksum: bool,
    /// Sends a frame from several segments. Without it, [`TxQueue`] copies such frames.
    pub tx_segments: bool,
    /// Cuts TCP super-segments; granted with `tx_checksum` and `tx_segments` only.
    pub tso: bool,
}

impl Offloads {
    /// All of them.
    pub const ALL: Self = Self {
        rx_checksum: true,
        rx_scatter: true,
        rss: true,
        tx_checksum: true,
        tx_segments: true,
        tso: true,
    };

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            rx_checksum: self.rx_checksum && other.rx_checksum,
            rx_scatter: self.rx_scatter && other.rx_scatter,
            rss: self.rss && other.rss,
            tx_checksum: self.tx_checksum && other.tx_checksum,
            tx_segments: self.tx_segments && other.tx_segments,
            tso: self.tso && other.tso,
        }
    }

    pub(crate) fn offered(info: &sys::rte_eth_dev_info) -> Self {
        let rx = |wanted: u64| info.rx_offload_capa & wanted == wanted;
        let tx = |wanted: u64| info.tx_offload_capa & wanted == wanted;
        Self {
            rx_checksum: rx(sys::LEVEE_OFFLOAD_RX_CHECKSUM),
            rx_scatter: rx(sys::LEVEE_OFFLOAD_RX_SCATTER),
            rss: info.flow_type_rss_offloads & sys::LEVEE_RSS_TCP != 0 && info.reta_size > 0,
            tx_checksum: tx(sys::LEVEE_OFFLOAD_TX_CHECKSUM),
            tx_segments: tx(sys::LEVEE_OFFLOAD_TX_SEGMENTS),
            tso: tx(sys::LEVEE_OFFLOAD_TX_TSO),
        }
    }

    /// The bits of receive offloads.
    pub(crate) fn rx_bits(self) -> u64 {
        bits(self.rx_checksum, sys::LEVEE_OFFLOAD_RX_CHECKSUM)
            | bits(self.rx_scatter, sys::LEVEE_OFFLOAD_RX_SCATTER)
            | bits(self.rss, sys::LEVEE_OFFLOAD_RX_RSS_HASH)
    }

    /// The bits of transmit offloads. Never `MBUF_FAST_FREE`: it demands mbufs of one segment and one
    /// reference.
    pub(crate) fn tx_bits(self) -> u64 {
        bits(self.tx_checksum, sys::LEVEE_OFFLOAD_TX_CHECKSUM)
            | bits(self.tx_segments, sys::LEVEE_OFFLOAD_TX_SEGMENTS)
            | bits(self.tso, sys::LEVEE_OFFLOAD_TX_TSO)
    }
}

const fn bits(wanted: bool, bits: u64) -> u64 {
    if wanted { bits } else { 0 }
}

//! Which receive queue a flow reaches: the Toeplitz hash of receive-side scaling.
//!
//! The hash and its test values are those of Microsoft's "Verifying the RSS Hash Calculation".

use std::net::{IpAddr, SocketAddr};

/// A key under which both directions of a flow have the same hash (Woo and Park, "Scalable TCP Session
/// Monitoring with Symmetric Receive-side Scaling", 2012).
pub const SYMMETRIC_KEY: [u8; 40] = {
    let mut key = [0x6d; 40];
    let mut at = 1;
    while at < key.len() {
        key[at] = 0x5a;
        at += 2;
    }
    key
};

/// The Toeplitz hash of `input` under `key`, which is at least four bytes longer; what it lacks counts as
/// zero bits.
#[must_use]
pub fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let byte = |at: usize| u64::from(key.get(at).copied().unwrap_or(0));
    let mut hash = 0;
    // The 32 bits of the key at the current bit are the middle of these.
    let mut window = (0..8).fold(0, |window, at| window << 8 | byte(at));
    for (at, &value) in input.iter().enumerate() {
        for bit in 0..8 {
            if value & (0x80 >> bit) != 0 {
                hash ^= u32::try_from((window << bit) >> 32).unwrap_or(0);
            }
        }
        window = window << 8 | byte(at + 8);
    }
    hash
}

/// A hash key and the table from hash to queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    key: Vec<u8>,
    table: Vec<u16>,
}

impl Rss {
    /// A device's key and table; `None` when the table is empty.
    #[must_use]
    pub fn new(key: Vec<u8>, table: Vec<u16>) -> Option<Self> {
        (!table.is_empty()).then_some(Self { key, table })
    }

    /// Spreads flows evenly over `queues` in software, for devices that do not.
    #[must_use]
    pub fn software(queues: u16) -> Self {
        let queues = queues.max(1);
        Self {
            key: SYMMETRIC_KEY.to_vec(),
            table: (0..queues).cycle().take(usize::from(queues) * 64).collect(),
        }
    }

    /// The hash of a TCP segment that was sent from `source` to `destination`.
    #[must_use]
    pub fn hash(&self, source: SocketAddr, destination: SocketAddr) -> u32 {
        let mut input = [0; 36];
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            input[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        for address in [source.ip(), destination.ip()] {
            match address {
                IpAddr::V4(address) => put(&address.octets()),
                IpAddr::V6(address) => put(&address.octets()),
            }
        }
        put(&source.port().to_be_bytes());
        put(&destination.port().to_be_bytes());
        toeplitz(&self.key, &input[..len])
    }

    /// The receive queue that a TCP segment from `source` to `destination` reaches.
    #[must_use]
    pub fn queue(&self, source: SocketAddr, destination: SocketAddr) -> u16 {
        self.queue_of(self.hash(source, destination))
    }

    /// The receive queue of a hash.
    #[must_use]
    pub fn queue_of(&self, hash: u32) -> u16 {
        self.table[hash as usize % self.table.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of Microsoft's verification suite.
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    #[test]
    fn hashes_as_published() {
        let rss = Rss::new(KEY.to_vec(), vec![0, 1, 2, 3]).expect("a table");
        for (source, destination, hash) in [
            ("66.9.149.187:2794", "161.142.100.80:1766", 0x51cc_c178),
            ("199.92.111.2:14230", "65.69.140.83:4739", 0xc626_b0ea),
            ("24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b_394a),
            ("[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x4020_7d3d),
        ] {
            let (source, destination) = (source.parse().expect("valid"), destination.parse().expect("valid"));
            assert_eq!(rss.hash(source, destination), hash);
            assert_eq!(u32::from(rss.queue(source, destination)), hash % 4);
        }
    }

    #[test]
    fn both_directions_reach_one_queue_in_software() {
        let rss = Rss::software(3);
        let server: SocketAddr = "10.0.0.1:443".parse().expect("valid");
        let mut seen = [0; 3];
        for port in 1024..4096 {
            let client = SocketAddr::new("10.0.0.2".parse().expect("valid"), port);
            assert_eq!(rss.queue(client, server), rss.queue(server, client));
            seen[usize::from(rss.queue(client, server))] += 1;
        }
        assert!(seen.iter().all(|&flows| flows > 700), "{seen:?}");
    }
}

//! Headers on the wire: checked views in, representations out.
//!
//! Each `parse` takes contiguous bytes, checks every length against them and returns a `Copy` value, or
//! the reason for the drop. Nothing here panics or keeps a reference.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub(crate) mod arp;
pub(crate) mod checksum;
pub(crate) mod ether;
pub(crate) mod icmp;
pub(crate) mod ipv4;
pub(crate) mod tcp;

/// Bytes of the longest headers that are looked at: Ethernet, IPv4, ICMP and the IPv4 and TCP it quotes.
pub(crate) const MAX_HEADERS: usize = 14 + 60 + 8 + 60 + 8;

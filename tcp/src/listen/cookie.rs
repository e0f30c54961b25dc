//! SYN cookies (RFC 4987 section 3.6): the state of a half-open connection in its sequence number.
//!
//! 5 bits of time in units of 64 seconds, 3 bits of MSS, 24 bits of keyed hash over these, the addresses
//! and the peer's sequence number. A cookie lives for one to two units. The peer's window scale rides in
//! the low 4 bits of our timestamp, when it offered timestamps; without them there is no scaling.

use crate::seq::Seq;
use crate::table::{HashKey, Tuple};
use crate::time::Instant;

/// The MSS values a cookie can say; the largest that is not over the peer's is taken.
const MSS: [u16; 8] = [64, 536, 1200, 1360, 1440, 1452, 1460, 8960];
/// Seconds of one unit of time.
const UNIT_SECS: u64 = 64;
/// A cookie is believed in its own unit of time and in so many after it.
const UNITS_LATER: u64 = 1;
/// No window scaling, in the timestamp's low bits.
const NO_SCALE: u32 = 15;

/// The sequence number that answers a SYN.
pub(crate) fn make(key: HashKey, tuple: &Tuple, irs: Seq, mss: u16, now: Instant) -> Seq {
    let index = MSS.iter().rposition(|&value| value <= mss).unwrap_or(0);
    let units = units(now);
    let head = u32::try_from(((units & 31) << 3) | index as u64).unwrap_or(0);
    Seq((head << 24) | hash(key, tuple, irs, head, units))
}

/// The MSS in a cookie that we made for this peer not long ago.
pub(crate) fn check(key: HashKey, tuple: &Tuple, irs: Seq, cookie: Seq, now: Instant) -> Option<u16> {
    let head = cookie.0 >> 24;
    let made = made(cookie, now);
    let is_ours = is_fresh(made, now) && hash(key, tuple, irs, head, made) == cookie.0 & 0x00ff_ffff;
    is_ours.then(|| MSS.get((head & 7) as usize).copied()).flatten()
}

/// The unit of time in which `cookie` was made, when that was one of the last 32.
pub(crate) fn made(cookie: Seq, now: Instant) -> u64 {
    let units = units(now);
    units.saturating_sub(units.wrapping_sub(u64::from(cookie.0 >> 27)) & 31)
}

/// Whether a cookie that was made in that unit is still believed.
pub(crate) fn is_fresh(made: u64, now: Instant) -> bool {
    units(now).saturating_sub(made) <= UNITS_LATER
}

/// `timestamp`, at most 16 ms earlier, with the peer's window scale in it.
pub(crate) fn put_scale(timestamp: u32, scale: Option<u8>) -> u32 {
    let bits = scale.map_or(NO_SCALE, u32::from);
    let marked = (timestamp & !15) | bits;
    if marked > timestamp { marked.wrapping_sub(16) } else { marked }
}

/// The window scale in an echoed timestamp.
pub(crate) fn scale(echo: u32) -> Option<u8> {
    u8::try_from(echo & 15).ok().filter(|&scale| scale <= 14)
}

/// Units of time since the origin.
fn units(now: Instant) -> u64 {
    now.millis() / 1000 / UNIT_SECS
}

/// Covers the whole count of units, so that a cookie does not come back after 32 of them.
fn hash(key: HashKey, tuple: &Tuple, irs: Seq, head: u32, units: u64) -> u32 {
    let extra = u64::from(irs.0) | (u64::from(head) << 32) | (units << 40);
    u32::try_from(tuple.hash(key, extra) & 0x00ff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUPLE: Tuple = Tuple {
        local: std::net::Ipv4Addr::new(10, 0, 0, 1),
        remote: std::net::Ipv4Addr::new(10, 0, 0, 2),
        local_port: 443,
        remote_port: 50_000,
    };

    #[test]
    fn a_cookie_is_good_for_its_peer_and_time() {
        let key = HashKey::derive(&[3; 32], 5);
        let secs = |secs: u64| Instant::from_millis(secs * 1000);
        let cookie = make(key, &TUPLE, Seq(77), 1459, secs(1000));
        assert_eq!(check(key, &TUPLE, Seq(77), cookie, secs(1000)), Some(1452));
        assert_eq!(check(key, &TUPLE, Seq(77), cookie, secs(1000 + 64)), Some(1452));
        assert_eq!(check(key, &TUPLE, Seq(77), cookie, secs(1000 + 129)), None);
        assert_eq!(check(key, &TUPLE, Seq(77), cookie, secs(1000 + 32 * 64)), None);
        assert_eq!(check(key, &TUPLE, Seq(78), cookie, secs(1000)), None);
        assert_eq!(check(key, &TUPLE, Seq(77), cookie + 1, secs(1000)), None);
        assert_eq!(check(key, &TUPLE, Seq(77), Seq(cookie.0 ^ (1 << 24)), secs(1000)), None);
        let other = Tuple { remote_port: 50_001, ..TUPLE };
        assert_eq!(check(key, &other, Seq(77), cookie, secs(1000)), None);
    }

    #[test]
    fn the_scale_rides_in_the_timestamp() {
        for timestamp in [16, 1000, 1007, 1023, u32::MAX] {
            for shift in [None, Some(0), Some(7), Some(14)] {
                let marked = put_scale(timestamp, shift);
                assert_eq!(scale(marked), shift);
                assert!(timestamp.wrapping_sub(marked) < 16);
            }
        }
    }
}

//! Frames that nobody there has sent: `strange`.

use std::net::Ipv4Addr;

use super::dice::Dice;
use super::link::ETHERNET;
use super::setting::{CLIENT, DOORS, FRONT};

/// A frame for the proxy's front port: a SYN of somebody who will not be there, one of `seen` again, or with other
/// flags and numbers, or noise.
pub(crate) fn strange(dice: &mut Dice, seen: &[Vec<u8>]) -> Vec<u8> {
    let old = if seen.is_empty() { syn(dice) } else { seen[dice.below(seen.len())].clone() };
    match dice.below(6) {
        0 | 1 => syn(dice),
        2 => old,
        3 => forged(dice, old),
        4 => {
            let mut frame = old;
            let at = dice.below(frame.len());
            frame.truncate(at);
            frame
        }
        _ => {
            let mut frame = old;
            for byte in frame.iter_mut().skip(12) {
                *byte = u8::try_from(dice.below(256)).unwrap_or_default();
            }
            frame
        }
    }
}

/// A SYN from an address that does not answer.
fn syn(dice: &mut Dice) -> Vec<u8> {
    let source = Ipv4Addr::new(10, 0, 0, 100 + u8::try_from(dice.below(8)).unwrap_or_default());
    let door = dice.pick(&[DOORS.https, DOORS.http, DOORS.redirect]);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2, source.octets()[3], 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(source.octets().into_iter().chain(FRONT.octets()));
    frame.extend(u16::try_from(1024 + dice.below(60_000)).unwrap_or(1024).to_be_bytes());
    frame.extend(door.port().to_be_bytes());
    frame.extend(u32::try_from(dice.below(1 << 32)).unwrap_or_default().to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    sum(&mut frame);
    frame
}

/// `frame` as one would send it who sees addresses and ports, and no more: a RST, or a SYN.
fn forged(dice: &mut Dice, mut frame: Vec<u8>) -> Vec<u8> {
    let is_segment = frame.get(ETHERNET + 9) == Some(&6) && frame.len() >= ETHERNET + 40;
    if !is_segment || frame[26..30] != CLIENT.octets() {
        return syn(dice);
    }
    frame.truncate(ETHERNET + 40);
    frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&[0, 40]);
    for byte in &mut frame[ETHERNET + 24..ETHERNET + 32] {
        *byte = u8::try_from(dice.below(256)).unwrap_or_default();
    }
    frame[ETHERNET + 32] = 0x50;
    frame[ETHERNET + 33] = dice.pick(&[4, 20, 2, 18]);
    sum(&mut frame);
    frame
}

/// Changes the last byte of what a segment carries, as one would who is on the path.
#[cfg(test)]
pub(crate) fn forge_last(frame: &mut [u8]) {
    let is_segment = frame.get(12..14) == Some(&[8, 0]) && frame.get(ETHERNET + 9) == Some(&6);
    if is_segment && frame.len() > ETHERNET + 200 {
        let last = frame.len() - 1;
        frame[last] ^= 1;
        sum(frame);
    }
}

/// Writes the checksums of an IPv4 packet without options that holds a TCP segment.
fn sum(frame: &mut [u8]) {
    let (header, segment) = (ETHERNET, ETHERNET + 20);
    frame[header + 10..header + 12].fill(0);
    let checksum = fold(&frame[header..segment], 0);
    frame[header + 10..header + 12].copy_from_slice(&checksum);
    frame[segment + 16..segment + 18].fill(0);
    let length = u32::try_from(frame.len() - segment).unwrap_or_default();
    let addresses = add(&frame[header + 12..segment], 6 + length);
    let checksum = fold(&frame[segment..], addresses);
    frame[segment + 16..segment + 18].copy_from_slice(&checksum);
}

fn add(bytes: &[u8], sum: u32) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&byte| u32::from(byte));
    bytes.chunks(2).map(word).fold(sum, u32::wrapping_add)
}

/// RFC 1071.
fn fold(bytes: &[u8], sum: u32) -> [u8; 2] {
    let mut sum = add(bytes, sum);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

//! What the sender of a packet too long for the path is told: ICMP "fragmentation needed" (RFC 1191).

use levee_buf::{Chain as _, Full, Memory, Pieces, Reader, Truncated, Writer};

/// Bytes of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Bytes of an IPv4 header without options, and the most with them.
const IP: usize = 20;
const IP_MAX: usize = 60;
/// Bytes of an ICMP error in front of what it quotes, and of what it quotes behind the IP header (RFC 792).
const ICMP: usize = 8;
const QUOTED: usize = 8;

/// What of a packet the answer to it is made of.
struct Packet<'a> {
    to: [u8; 6],
    from: [u8; 6],
    source: [u8; 4],
    destination: [u8; 4],
    /// Its IP header and the first bytes behind it.
    quoted: &'a [u8],
}

/// The answer to `frame`, towards its sender, which says that only `mtu` bytes pass.
///
/// `None` when there is none to give: it is not IPv4, its sender allows fragmentation (RFC 791's DF is
/// clear), it is no first fragment, it comes from or goes to more than one station (RFC 1122 section
/// 3.2.2); or memory ran out.
pub(super) fn fragmentation_needed<M: Memory>(memory: &M, frame: &impl Pieces, mtu: u16) -> Option<M::Chain> {
    let mut room = [0; ETHERNET + IP_MAX + QUOTED];
    let length = frame.copy_to(0, &mut room);
    let packet = parse(room.get(..length)?).ok()??;
    let total = ETHERNET + IP + ICMP + packet.quoted.len();
    let mut answer = memory.alloc(total)?;
    write(&packet, mtu, answer.extend(total)?).ok()?;
    Some(answer)
}

fn parse(bytes: &[u8]) -> Result<Option<Packet<'_>>, Truncated> {
    let mut reader = Reader::new(bytes);
    let (to, from): ([u8; 6], [u8; 6]) = (reader.array()?, reader.array()?);
    let is_ip = reader.u16()? == 0x0800;
    let header = usize::from(reader.rest().first().ok_or(Truncated)? & 15) * 4;
    let quoted = reader.rest().get(..header + QUOTED).ok_or(Truncated)?;
    let version = reader.u8()? >> 4;
    reader.bytes(5)?;
    // DF set, and at offset zero of the datagram.
    let is_whole = reader.u16()? & 0x7fff == 0x4000;
    reader.bytes(4)?;
    let (source, destination): ([u8; 4], [u8; 4]) = (reader.array()?, reader.array()?);
    let is_unicast = (to[0] | from[0]) & 1 == 0 && source[0] != 0 && source[0] < 224 && destination[0] < 224;
    let is_answered = is_ip && version == 4 && header >= IP && is_whole && is_unicast;
    Ok(is_answered.then_some(Packet { to, from, source, destination, quoted }))
}

/// The wire has no address: it speaks in the name of the packet's destination.
fn write(packet: &Packet<'_>, mtu: u16, out: &mut [u8]) -> Result<(), Full> {
    let total = u16::try_from(IP + ICMP + packet.quoted.len()).map_err(|_| Full)?;
    let (ethernet, rest) = out.split_at_mut_checked(ETHERNET).ok_or(Full)?;
    let (ip, icmp) = rest.split_at_mut_checked(IP).ok_or(Full)?;

    let mut writer = Writer::new(ethernet);
    writer.bytes(&packet.from)?;
    writer.bytes(&packet.to)?;
    writer.u16(0x0800)?;

    let mut writer = Writer::new(&mut *ip);
    // Version 4, five words; then the time to live and ICMP's number.
    writer.u16(0x4500)?;
    writer.u16(total)?;
    writer.u32(0)?;
    writer.u16(64 << 8 | 1)?;
    writer.u16(0)?;
    writer.bytes(&packet.destination)?;
    writer.bytes(&packet.source)?;
    put_checksum(ip, 10);

    let mut writer = Writer::new(&mut *icmp);
    // Destination unreachable, fragmentation needed.
    writer.u16(0x0304)?;
    writer.u32(0)?;
    writer.u16(mtu)?;
    writer.bytes(packet.quoted)?;
    put_checksum(icmp, 2);
    Ok(())
}

/// Writes the checksum of `bytes` (RFC 1071) to its field at `at`, which is zero before.
fn put_checksum(bytes: &mut [u8], at: usize) {
    let sum = checksum(bytes);
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([word[0], low]))
    });
    let mut sum: u32 = words.sum();
    while let (carry @ 1.., low) = (sum >> 16, sum & 0xffff) {
        sum = carry + low;
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use levee_buf::Heap;

    use super::*;

    /// A TCP segment of 1500 bytes with DF set, from 10.9.1.2 to 10.9.1.1.
    fn packet() -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 5, 220, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 9, 1, 2, 10, 9, 1, 1]);
        frame.extend([0xc0, 0, 1, 187, 0, 0, 0, 9]);
        frame.resize(ETHERNET + 1500, 0);
        frame
    }

    fn answer(memory: &Heap, frame: &[u8]) -> Option<Vec<u8>> {
        fragmentation_needed(memory, &memory.chain(frame), 1280).map(|chain| chain.to_vec())
    }

    #[test]
    fn the_sender_is_told() {
        let memory = Heap::new(2);
        let packet = packet();
        let answer = answer(&memory, &packet).unwrap();
        assert_eq!(answer.len(), 14 + 20 + 8 + 28);
        assert_eq!(answer[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        assert_eq!(answer[26..34], [10, 9, 1, 1, 10, 9, 1, 2]);
        assert_eq!((answer[34], answer[35]), (3, 4));
        assert_eq!(answer[40..42], 1280_u16.to_be_bytes());
        assert_eq!(answer[42..], packet[14..42]);
        assert_eq!((checksum(&answer[14..34]), checksum(&answer[34..])), (0, 0));
        assert_eq!(memory.in_use(), 0);
    }

    #[test]
    fn others_are_not() {
        let memory = Heap::new(2);
        // The place of a byte, and what makes the packet one that is not answered.
        for (at, byte) in [
            (20, 0x00), // may be fragmented
            (21, 1),    // not the first fragment
            (14, 0x65), // IPv6
            (14, 0x44), // a header too short
            (12, 0x86), // another protocol
            (0, 0xff),  // to all stations
            (26, 0),    // from no address
            (30, 224),  // to a group
        ] {
            let mut packet = packet();
            packet[at] = byte;
            assert_eq!(answer(&memory, &packet), None, "byte {at} is {byte:#x}");
        }
        for cut in 0..42 {
            assert_eq!(answer(&memory, &packet()[..cut]), None, "cut at {cut}");
        }
        assert_eq!(memory.in_use(), 0);
    }
}

//! Frames from someone who means harm: nothing panics, memory stays bounded, and all of it comes back.

mod net;

use std::time::Duration;

use levee_buf::{Chain, Heap, Pieces};
use levee_tcp::{Checksums, Instant, Reason};
use net::{CLIENT, Host, Net, SEGMENTS, SERVER, Weather, config};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Checksums are taken as good, so that changed frames get past them.
fn trusting(mut config: levee_tcp::Config) -> levee_tcp::Config {
    config.interfaces[0].rx_checksum = true;
    config.out_of_order = 16;
    config.time_wait_entries = 4;
    config
}

#[allow(clippy::cast_possible_truncation, reason = "random bytes")]
fn mutated(rng: &mut ChaCha8Rng, frame: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    let mut pick = |below: usize| rng.next_u32() as usize % below.max(1);
    match pick(8) {
        0 => bytes.truncate(pick(frame.len())),
        1 => bytes.extend((0..pick(100)).map(|n| n as u8)),
        2 => {
            let cut = pick(bytes.len().min(other.len()));
            bytes.truncate(cut);
            bytes.extend(&other[cut..]);
        }
        _ => {
            // Mostly in the headers, where it hurts.
            for _ in 0..=pick(4) {
                let at = if pick(4) == 0 { pick(bytes.len()) } else { 14 + pick(60) };
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = match pick(4) {
                        0 => 0,
                        1 => 0xff,
                        2 => *byte ^ (1 << pick(8)),
                        _ => pick(256) as u8,
                    };
                }
            }
        }
    }
    bytes
}

/// Gives `bytes` to a host, in one segment or cut into some.
fn give(host: &mut Host, rng: &mut ChaCha8Rng, bytes: &[u8], now: Instant) {
    let cut = rng.next_u32() as usize % (bytes.len() + 1);
    let frame = match rng.next_u32() % 3 {
        0 => host.memory.chain_of(&[&bytes[..cut], &bytes[cut..]]),
        _ => host.memory.chain(bytes),
    };
    host.stack.input(0, frame, Checksums::Good, now + host.skew);
}

fn drain(host: &mut Host) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| host.out.pop()).map(|frame| frame.chain.to_vec()).collect()
}

#[test]
fn mutated_frames() {
    for seed in 0..24 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (client, server) = (trusting(config(CLIENT, 1500)), trusting(config(SERVER, 1500)));
        let mut net = Net::new(seed, Weather::FAIR, client, server);
        (net.client.app.to_send, net.server.app.to_send) = (60_000, 60_000);
        let mut seen: Vec<Vec<u8>> = vec![vec![0; 60]];
        for round in 0..400 {
            if round % 40 == 0 && net.client.stack.connections() < 16 {
                net.client.connect(net.now);
            }
            net.client.turn(net.now);
            net.server.turn(net.now);
            for to_server in [true, false] {
                let (from, to) = if to_server {
                    (&mut net.client, &mut net.server)
                } else {
                    (&mut net.server, &mut net.client)
                };
                for frame in drain(from) {
                    let other = &seen[rng.next_u32() as usize % seen.len()];
                    for _ in 0..3 {
                        let bytes = mutated(&mut rng, &frame, other);
                        give(to, &mut rng, &bytes, net.now);
                    }
                    give(to, &mut rng, &frame, net.now);
                    if seen.len() < 64 {
                        seen.push(frame);
                    }
                }
                // What the peer sends is bounded by windows, what strangers make us hold by the tables.
                assert!(to.memory.in_use() < 10_000, "seed {seed}: {}", to.memory.in_use());
                assert!(
                    to.stack.connections() <= 16 && to.stack.half_open() <= 8 && to.stack.time_wait() <= 4
                );
            }
            net.now = net.now + Duration::from_millis(u64::from(rng.next_u32() % 50));
        }
        let counters = net.server.stack.counters();
        assert!(counters.frames_in > 100, "seed {seed}");
        for host in [&mut net.client, &mut net.server] {
            for id in host.app.streams.keys().copied().collect::<Vec<_>>() {
                host.stack.abort(id);
            }
        }
        // Everything ends by its own timers.
        for _ in 0..400 {
            net.now = net.now + Duration::from_secs(1);
            for host in [&mut net.client, &mut net.server] {
                host.turn(net.now);
                for id in host.accepted.split_off(0) {
                    host.stack.abort(id);
                }
                drain(host);
            }
        }
        net.assert_empty();
    }
}

proptest! {
    #[test]
    fn random_frames(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20),
        kind in 0_u8..4,
    ) {
        let memory = Heap::new(64);
        let mut host = Host::new(trusting(config(SERVER, 1500)));
        for (n, mut frame) in frames.into_iter().enumerate() {
            // As far in as they can get: our station, our address, a protocol that is known.
            let head: &[u8] = match kind {
                0 => &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4],
                1 => &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
                2 => &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
                _ => &[],
            };
            for (place, value) in frame.iter_mut().zip(head) {
                *place = *value;
            }
            let now = Instant::from_millis(1000 + n as u64);
            host.stack.input(0, memory.chain(&frame), Checksums::Good, now);
            host.stack.emit(now, &mut host.app, &mut host.out);
        }
        while host.out.pop().is_some() {}
        prop_assert_eq!(memory.in_use(), 0);
    }
}

#[test]
fn a_flood_of_syns_holds_no_memory() {
    let mut config = config(SERVER, 1500);
    config.interfaces[0].gateway = Some([10, 0, 0, 1].into());
    config.syn_entries = 64;
    config.timeouts.syn_ack_retries = 3;
    let mut host = Host::new(config);
    host.stack.listen((SERVER, 443).into(), 1, 1000).expect("a free port");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let now = Instant::from_millis(1_000);
    for round in 0..20_000_u32 {
        let syn = syn_from(rng.next_u32() | 0x0b00_0000, rng.next_u32());
        let frame = host.memory.chain(&syn);
        host.stack.input(0, frame, Checksums::Unknown, now);
        if round % 64 == 0 {
            host.turn(now);
            drain(&mut host);
        }
        assert!(host.memory.in_use() <= 1024);
    }
    assert_eq!(host.stack.half_open(), 64);
    let counters = host.stack.counters();
    assert_eq!((counters.syn_acks, counters.cookies_sent), (64, 20_000 - 64 - counters[Reason::Martian]));
    for second in 0..60 {
        host.turn(now + Duration::from_secs(second));
        drain(&mut host);
    }
    assert_eq!((host.stack.half_open(), host.memory.in_use()), (0, 0));
}

/// A SYN with right checksums from outside.
fn syn_from(address: u32, seq: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    ip.extend(address.to_be_bytes());
    ip.extend(SERVER.octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum);
    let mut tcp = vec![0x30, 0x39, 1, 0xbb];
    tcp.extend(seq.to_be_bytes());
    tcp.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let sum = checksum(&[&ip[12..20], &[0, 6, 0, 20], &tcp]);
    tcp[16..18].copy_from_slice(&sum);
    frame.extend(ip);
    frame.extend(tcp);
    frame
}

/// RFC 1071, the slow way.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let folded = u16::try_from(sum).expect("folded");
    (!folded).to_be_bytes()
}

#[test]
fn exhausted_memory_loses_nothing() {
    let slow = Weather { rate: 10_000_000, ..Weather::FAIR };
    let mut net = Net::new(5, slow, config(CLIENT, 1500), config(SERVER, 1500));
    (net.client.app.to_send, net.server.app.to_send) = (200_000, 100_000);
    let id = net.client.connect(net.now);
    net.run(Duration::from_millis(3));
    for round in 0..200 {
        // Somebody else holds nearly all of the client's memory half of the time.
        let free = SEGMENTS - net.client.memory.in_use();
        let leave = 1 + round % 30;
        let hoard: Vec<_> = (0..free.saturating_sub(leave)).map(|_| net.client.memory.chain(b"")).collect();
        net.run(Duration::from_millis(2));
        drop(hoard);
        net.run(Duration::from_millis(2));
    }
    net.run(Duration::from_secs(600));
    assert!(net.client.stack.counters()[Reason::NoMemory] > 0);
    let peer = net.server.accepted[0];
    assert_eq!(net.server.app.streams[&peer].received, 200_000);
    assert!(net.server.app.streams[&peer].intact);
    assert_eq!(net.client.closed, [(id, Reason::Finished)]);
    net.assert_empty();
}

#[test]
fn a_frame_in_many_pieces_is_read() {
    let mut host = Host::new(config(SERVER, 1500));
    host.stack.listen((SERVER, 443).into(), 1, 10).expect("a free port");
    let syn = syn_from(0x0a00_0001, 7);
    let mut frame = levee_buf::HeapChain::default();
    for piece in syn.chunks(3) {
        frame.append(host.memory.chain(piece));
    }
    assert_eq!((frame.len(), frame.segments()), (54, 18));
    host.stack.input(0, frame, Checksums::Unknown, Instant::from_millis(1));
    assert_eq!(host.stack.half_open(), 1);
}

/// The TCP segment in a frame: its sequence number moved by so much, and a payload.
fn forged(frame: &[u8], by: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame[..54].to_vec();
    frame[46] = 0x50;
    let seq = u32::from_be_bytes([frame[38], frame[39], frame[40], frame[41]]).wrapping_add(by);
    frame[38..42].copy_from_slice(&seq.to_be_bytes());
    frame.extend(payload);
    let total = u16::try_from(frame.len() - 14).expect("small").to_be_bytes();
    frame[16..18].copy_from_slice(&total);
    frame
}

#[test]
fn two_sides_put_at_odds_do_not_storm() {
    // Somebody between them gives each a hundred bytes that the other never sent: from then on each one's
    // acknowledgements are unacceptable to the other.
    let trusting = |mut config: levee_tcp::Config| {
        config.interfaces[0].rx_checksum = true;
        config.timeouts.user = Duration::from_secs(60);
        config
    };
    let (client, server) = (trusting(config(CLIENT, 1500)), trusting(config(SERVER, 1500)));
    let mut net = Net::new(11, Weather::FAIR, client, server);
    (net.client.app.to_send, net.server.app.to_send) = (10, 10);
    (net.client.app.finishes, net.server.app.finishes) = (false, false);
    net.client.connect(net.now);
    // A handshake without timestamps, so that forged segments need none.
    let mut frames = 0;
    let mut last: [Option<Vec<u8>>; 2] = [None, None];
    let step = |net: &mut Net, frames: &mut usize, last: &mut [Option<Vec<u8>>; 2]| {
        for to_server in [true, false] {
            let (from, to) = if to_server {
                (&mut net.client, &mut net.server)
            } else {
                (&mut net.server, &mut net.client)
            };
            from.turn(net.now);
            for mut frame in drain(from) {
                if frame[12..14] == [8, 0] && frame[47] & 2 != 0 {
                    // Timestamps become no-operations.
                    let options = 54..14 + 20 + usize::from(frame[46] >> 4) * 4;
                    let at = frame[options].windows(2).position(|pair| pair == [8, 10]);
                    if let Some(at) = at {
                        frame[54 + at..54 + at + 10].fill(1);
                    }
                }
                if frame[12..14] == [8, 0] {
                    *frames += 1;
                    last[usize::from(to_server)] = Some(frame.clone());
                }
                to.stack.input(0, to.memory.chain(&frame), Checksums::Good, net.now + to.skew);
            }
        }
        net.now = net.now + Duration::from_millis(1);
    };
    for _ in 0..20 {
        step(&mut net, &mut frames, &mut last);
    }
    assert!(net.server.accepted.len() == 1 && frames >= 4, "{frames}");
    for to_server in [true, false] {
        let frame = last[usize::from(to_server)].clone().expect("a segment was sent");
        let bytes = forged(&frame, 0, &[0xee; 100]);
        let to = if to_server { &mut net.server } else { &mut net.client };
        to.stack.input(0, to.memory.chain(&bytes), Checksums::Good, net.now + to.skew);
    }
    frames = 0;
    for _ in 0..120_000 {
        step(&mut net, &mut frames, &mut last);
    }
    for host in [&net.client, &net.server] {
        let counters = host.stack.counters();
        assert!(counters[Reason::OutOfWindow] > 0 && counters.challenge_acks > 0, "{counters:?}");
    }
    assert!(frames < 50, "{frames} frames in two minutes");
    for host in [&mut net.client, &mut net.server] {
        for id in host.app.streams.keys().copied().collect::<Vec<_>>() {
            host.stack.abort(id);
        }
    }
    for _ in 0..200 {
        step(&mut net, &mut frames, &mut last);
        net.now = net.now + Duration::from_secs(1);
    }
    net.assert_empty();
}

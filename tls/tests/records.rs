//! Records and what follows the handshake: sizes, padding, key updates, closing, floods.

mod support;

use levee_buf::{Chain, HeapChain, Memory, Pieces};
use levee_crypto::Group;
use levee_tls::{Error, Filled, Options};
use support::client::split;
use support::hello::{ALERT, DATA, HANDSHAKE, Hello, message, record};
use support::{Peers12, Peers13, Rig, identities, options};

const CLOSE_NOTIFY: [u8; 2] = [1, 0];

fn pattern(n: usize) -> Vec<u8> {
    (0..=250).cycle().take(n).collect()
}

#[test]
fn records_of_every_size_and_padding_come_in() {
    let mut peers = Peers13::new(Rig::new());
    for n in (0..600).chain([1 << 10, 16_000, 16_383, 16_384]) {
        let padding = if n < 600 { n % 7 } else { 16_384 - n };
        let wire = peers.client.seal(DATA, &pattern(n), padding);
        // In three segments, cut at places that move through header, text and tag.
        let (a, b) = (wire.len() * (n % 10) / 10, wire.len() * (10 - n % 3) / 10);
        let chain = peers.rig.heap.chain_of(&[&wire[..a.min(b)], &wire[a.min(b)..b], &wire[b..]]);
        peers.rig.input_chain(&mut peers.server, chain).unwrap();
        assert!(peers.rig.read(&mut peers.server) == pattern(n), "{n}");
    }
    assert_eq!(peers.rig.counters.copied, 0);
    peers.rig.finish(peers.server);
}

/// What is read lies in the segments that came from the wire.
#[test]
fn payload_is_opened_where_it_lies() {
    let mut peers = Peers13::new(Rig::new());
    let wire = peers.client.seal(DATA, &pattern(3000), 0);
    let pieces: Vec<&[u8]> = wire.chunks(1000).collect();
    let chain = peers.rig.heap.chain_of(&pieces);
    let before: Vec<*const u8> = (0..3).map(|i| chain.chunk(i * 1000 + 500).as_ptr()).collect();
    peers.rig.input_chain(&mut peers.server, chain).unwrap();
    let plain = peers.server.read().unwrap();
    assert_eq!(plain.segments(), 4);
    let after: Vec<*const u8> = (0..3).map(|i| plain.chunk(i * 1000 + 495).as_ptr()).collect();
    assert_eq!(before, after);
    assert_eq!(plain.to_vec(), pattern(3000));
}

/// Shared bytes are never written: they are copied first, and counted.
#[test]
fn shared_input_is_copied() {
    let mut peers = Peers13::new(Rig::new());
    let wire = peers.client.seal(DATA, b"request", 0);
    let mut chain = peers.rig.heap.chain(&wire);
    let other = peers.rig.heap.reference(&mut chain, 0..wire.len()).unwrap();
    peers.rig.input_chain(&mut peers.server, chain).unwrap();
    assert_eq!(peers.rig.read(&mut peers.server), b"request");
    assert_eq!(peers.rig.counters.copied, 1);
    assert_eq!(other.to_vec(), wire);
    // The longest record there is.
    let wire = peers.client.seal(DATA, &pattern(16_384), 239);
    assert_eq!(wire.len(), 5 + 16_384 + 256);
    let mut chain = peers.rig.heap.chain(&wire);
    let _other = peers.rig.heap.reference(&mut chain, 0..wire.len()).unwrap();
    peers.rig.input_chain(&mut peers.server, chain).unwrap();
    assert!(peers.rig.read(&mut peers.server) == pattern(16_384));
}

/// A record of one byte a segment does not hold a segment for each byte.
#[test]
fn thin_segments_are_not_kept() {
    let mut peers = Peers13::new(Rig::new());
    let wire = peers.client.seal(DATA, &pattern(16_384), 0);
    let mut most = 0;
    for byte in &wire {
        let chain = peers.rig.heap.chain(&[*byte]);
        peers.rig.call(|out| peers.server.input(chain, out)).unwrap();
        most = most.max(peers.rig.heap.in_use());
    }
    assert!(peers.rig.read(&mut peers.server) == pattern(16_384));
    assert!(most < 70, "{most}");
    // A record in segments of the common size is left as it lies.
    let copied = peers.rig.counters.copied;
    let wire = peers.client.seal(DATA, &pattern(16_384), 0);
    for piece in wire.chunks(300) {
        peers.rig.input(&mut peers.server, piece).unwrap();
    }
    assert_eq!(peers.rig.counters.copied, copied);
}

#[test]
fn records_of_every_size_go_out() {
    let mut peers = Peers13::new(Rig::new());
    let mut peers12 = Peers12::new(Rig::new());
    for n in (1..600).chain([16_383, 16_384, 16_385, 50_000]) {
        let wire = peers.rig.send(&mut peers.server, &pattern(n));
        let got: Vec<u8> = peers.client.open(&wire).into_iter().flat_map(|record| record.1).collect();
        assert!(got == pattern(n), "{n}");
        let wire = peers12.rig.send(&mut peers12.server, &pattern(n));
        let got: Vec<u8> = peers12.client.open(&wire).into_iter().flat_map(|record| record.1).collect();
        assert!(got == pattern(n), "{n}");
    }
}

/// The record is cut to the room, in place: the plaintext stays where it lies.
#[test]
fn a_record_fits_the_room_and_is_sealed_in_place() {
    let mut peers = Peers13::new(Rig::new());
    for room in [600, 1460, 2920, 14_600, 16_406, 16_407] {
        let mut plain = peers.rig.heap.chain(&pattern(20_000));
        let place = plain.chunk(0).as_ptr();
        let Filled::Wire(wire) = peers.rig.call(|out| peers.server.fill(&mut plain, room, out)) else {
            panic!()
        };
        let expected = room.min(16_384 + 22);
        if room <= 16_406 {
            assert_eq!(wire.len(), expected);
            assert_eq!(plain.len(), 20_000 - (expected - 22));
        }
        assert_eq!(wire.chunk(5).as_ptr(), place, "room {room}");
        peers.client.open(&wire.to_vec());
        let rest = peers.rig.output_chains(&mut peers.server, &mut plain);
        rest.iter().for_each(|wire| _ = peers.client.open(&wire.to_vec()));
    }
    // A window of one byte does not make a record of one byte.
    let mut plain = peers.rig.heap.chain(&pattern(3000));
    let Filled::Wire(wire) = peers.rig.call(|out| peers.server.fill(&mut plain, 1, out)) else { panic!() };
    assert_eq!(wire.len(), 512 + 22);
}

/// Shared plaintext is sealed out of place: the other owner's bytes stay.
#[test]
fn shared_plaintext_is_sealed_out_of_place() {
    let mut peers = Peers13::new(Rig::new());
    let mut peers12 = Peers12::new(Rig::new());
    for n in [1, 100, 16_384, 40_000] {
        let kept = peers.rig.heap.chain(&pattern(n));
        let mut kept = kept;
        let mut plain = peers.rig.heap.reference(&mut kept, 0..n).unwrap();
        let wire = peers.rig.output_chains(&mut peers.server, &mut plain);
        let wire: Vec<u8> = wire.iter().flat_map(Chain::to_vec).collect();
        let got: Vec<u8> = peers.client.open(&wire).into_iter().flat_map(|record| record.1).collect();
        assert!(got == pattern(n) && kept.to_vec() == pattern(n));

        let mut plain = peers12.rig.heap.chain(&pattern(n));
        let other = peers12.rig.heap.reference(&mut plain, 0..n).unwrap();
        let wire = peers12.rig.output_chains(&mut peers12.server, &mut plain);
        let wire: Vec<u8> = wire.iter().flat_map(Chain::to_vec).collect();
        let got: Vec<u8> = peers12.client.open(&wire).into_iter().flat_map(|record| record.1).collect();
        assert!(got == pattern(n) && other.to_vec() == pattern(n));
    }
}

/// When memory is short nothing is lost: the plaintext goes later.
#[test]
fn fill_without_memory_loses_nothing() {
    for shared in [false, true] {
        let mut peers = Peers13::new(Rig::new());
        let mut kept = peers.rig.heap.chain(&pattern(30_000));
        let mut other = HeapChain::default();
        if shared {
            other = peers.rig.heap.reference(&mut kept, 0..30_000).unwrap();
        }
        let mut plain = kept;
        let mut hoard = Vec::new();
        while let Some(segment) = peers.rig.heap.alloc(1) {
            hoard.push(segment);
        }
        let mut got = Vec::new();
        for _ in 0..40 {
            match peers.rig.call(|out| peers.server.fill(&mut plain, 20_000, out)) {
                Filled::Wire(wire) => {
                    got.extend(peers.client.open(&wire.to_vec()).into_iter().flat_map(|record| record.1));
                }
                Filled::Later => {
                    assert!(peers.server.wants_resume());
                    peers.rig.call(|out| peers.server.resume(out)).unwrap();
                    hoard.pop();
                }
                Filled::Nothing => break,
            }
        }
        assert!(got == pattern(30_000), "shared {shared}");
        assert_eq!(peers.server.error(), None);
        drop((hoard, other));
    }
}

#[test]
fn key_updates() {
    let mut peers = Peers13::new(Rig::new());
    for round in 0..40_u8 {
        // Asked for, or not.
        let request = round % 2;
        peers.send(HANDSHAKE, &message(24, &[request])).unwrap();
        peers.client.update_write();
        peers.send(DATA, &[round]).unwrap();
        assert_eq!(peers.rig.read(&mut peers.server), [round]);
        let wire = peers.rig.send(&mut peers.server, b"x");
        let records = split(&wire);
        if request == 1 {
            assert_eq!(peers.client.open(&records[0]), [(HANDSHAKE, message(24, &[0]))]);
            peers.client.update_read();
        }
        assert_eq!(peers.client.open(records.last().unwrap()), [(DATA, b"x".to_vec())]);
    }
    assert_eq!((peers.rig.counters.key_updates_in, peers.rig.counters.key_updates_out), (40, 20));
    peers.rig.finish(peers.server);
}

#[test]
fn key_update_rules() {
    let fails = |content: &[u8], expected: Error| {
        let mut peers = Peers13::new(Rig::new());
        assert_eq!(peers.send(HANDSHAKE, content), Err(expected));
    };
    fails(&message(24, &[2]), Error::BadKeyUpdate);
    fails(&message(24, &[]), Error::Malformed);
    fails(&message(24, &[0, 0]), Error::Malformed);
    fails(&[message(24, &[0]), vec![24]].concat(), Error::MessageAcrossKeyChange);
    fails(&[message(24, &[0]), message(24, &[0])].concat(), Error::MessageAcrossKeyChange);
    fails(&message(4, &[0; 20]), Error::UnexpectedMessage);
    fails(&Hello::tls12().without(16).encode(), Error::UnexpectedMessage);
    let mut peers = Peers13::new(Rig::new());
    for _ in 0..16 {
        peers.send(HANDSHAKE, &message(24, &[1])).unwrap();
        peers.client.update_write();
    }
    assert_eq!(peers.send(HANDSHAKE, &message(24, &[1])), Err(Error::KeyUpdateFlood));
    // One answer for all the requests, under the old key, then the alert under the new one.
    let mut peers = Peers13::new(Rig::new());
    for _ in 0..16 {
        peers.send(HANDSHAKE, &message(24, &[1])).unwrap();
        peers.client.update_write();
    }
    assert_eq!(peers.receive(), [(HANDSHAKE, message(24, &[0]))]);
    // A request is not forgotten over a KeyUpdate that asks for nothing.
    let mut peers = Peers13::new(Rig::new());
    for request in [1, 0] {
        peers.send(HANDSHAKE, &message(24, &[request])).unwrap();
        peers.client.update_write();
    }
    assert!(peers.server.wants_write());
    assert_eq!(peers.receive(), [(HANDSHAKE, message(24, &[0]))]);
}

/// RFC 8446 section 5.5: a key is replaced when it protected as much as it may; in TLS 1.2 that ends it.
#[test]
fn worn_out_keys() {
    let worn = || Rig::with(&[&identities().ecdsa], Options { key_limit: 5, ..options() });
    let mut peers = Peers13::new(worn());
    for round in 0..30_u8 {
        let wire = peers.rig.send(&mut peers.server, &[round]);
        let records = split(&wire);
        if records.len() == 2 {
            assert_eq!(peers.client.open(&records[0]), [(HANDSHAKE, message(24, &[0]))]);
            peers.client.update_read();
        }
        assert_eq!(peers.client.open(records.last().unwrap()), [(DATA, vec![round])]);
    }
    assert_eq!(peers.rig.counters.key_updates_out, 5);
    let mut peers = Peers12::new(worn());
    let wire: Vec<u8> = (0..10).flat_map(|_| peers.rig.send(&mut peers.server, b"x")).collect();
    let mut contents = peers.client.open(&wire);
    assert_eq!(contents.pop(), Some((ALERT, CLOSE_NOTIFY.to_vec())));
    // The Finished was the first of the five.
    assert_eq!(contents.len(), 4);
    assert_eq!(peers.server.error(), Some(Error::KeyLimit));
    assert!(peers.server.send_closed());
}

#[test]
fn closing_both_ways() {
    let mut peers = Peers13::new(Rig::new());
    peers.send(DATA, b"last").unwrap();
    peers.send(ALERT, &CLOSE_NOTIFY).unwrap();
    assert!(peers.server.peer_closed() && !peers.server.wants_input());
    assert_eq!(peers.rig.read(&mut peers.server), b"last");
    // What comes behind is not looked at; our side may still send.
    peers.rig.input(&mut peers.server, b"garbage").unwrap();
    assert_eq!(peers.server.buffered(), 0);
    let wire = peers.rig.send(&mut peers.server, b"answer");
    assert_eq!(peers.client.open(&wire), [(DATA, b"answer".to_vec())]);
    assert!(!peers.server.send_closed());
    peers.server.close();
    assert!(peers.server.wants_write());
    // Plaintext behind the close is not taken.
    let mut plain = peers.rig.heap.chain(b"too late");
    let wire = peers.rig.output_chains(&mut peers.server, &mut plain);
    assert_eq!(peers.client.open(&wire[0].to_vec()), [(ALERT, CLOSE_NOTIFY.to_vec())]);
    assert_eq!((wire.len(), plain.len()), (1, 8));
    assert!(peers.server.send_closed());
    drop((plain, wire));
    peers.rig.finish(peers.server);

    let mut peers = Peers12::new(Rig::new());
    peers.send(ALERT, &CLOSE_NOTIFY).unwrap();
    assert!(peers.server.peer_closed());
    peers.server.close();
    assert_eq!(peers.receive(), [(ALERT, CLOSE_NOTIFY.to_vec())]);
    assert!(peers.server.send_closed());
}

#[test]
fn alerts_received() {
    for (level, code) in [(2, 40), (1, 40), (1, 0x70)] {
        let mut peers = Peers13::new(Rig::new());
        assert_eq!(peers.send(ALERT, &[level, code]), Err(Error::AlertReceived));
        assert!(peers.rig.output(&mut peers.server).is_empty());
        assert!(peers.server.send_closed());
        assert_eq!(peers.rig.counters.alerts_received[usize::from(code)], 1);
    }
    let mut peers = Peers13::new(Rig::new());
    for _ in 0..8 {
        peers.send(ALERT, &[1, 90]).unwrap();
    }
    assert_eq!(peers.send(ALERT, &[1, 90]), Err(Error::WarningFlood));
    let mut peers = Peers12::new(Rig::new());
    for _ in 0..8 {
        peers.send(ALERT, &[1, 100]).unwrap();
    }
    assert_eq!(peers.send(ALERT, &[1, 100]), Err(Error::WarningFlood));
    let mut peers = Peers12::new(Rig::new());
    assert_eq!(peers.send(ALERT, &[2, 20]), Err(Error::AlertReceived));
    // Before our keys are in use the client may answer in plaintext.
    let mut rig = Rig::new();
    let mut server = rig.connection();
    let (_, hello) = support::client::Client13::new(&[Group::X25519]);
    rig.input(&mut server, &record(HANDSHAKE, &hello.encode())).unwrap();
    assert_eq!(rig.input(&mut server, &record(ALERT, &[2, 48])), Err(Error::AlertReceived));
}

#[test]
fn renegotiation_is_refused() {
    let mut peers = Peers12::new(Rig::new());
    let hello = Hello::tls12().encode();
    peers.send(HANDSHAKE, &hello).unwrap();
    assert_eq!(peers.receive(), [(ALERT, vec![1, 100])]);
    peers.send(DATA, b"going on").unwrap();
    assert_eq!(peers.rig.read(&mut peers.server), b"going on");
    assert_eq!(peers.rig.counters.renegotiations_refused, 1);
    assert_eq!(peers.send(HANDSHAKE, &hello), Err(Error::RenegotiationFlood));
    assert_eq!(peers.receive(), [(ALERT, vec![2, 40])]);
    let mut peers = Peers12::new(Rig::new());
    assert_eq!(peers.send(HANDSHAKE, &message(16, &[0; 33])), Err(Error::UnexpectedMessage));
}

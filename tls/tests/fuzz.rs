//! Bytes of strangers: random, mutated, cut anywhere. Nothing panics, memory is bounded, all is given back.

mod support;

use levee_crypto::Group;
use levee_tls::Connection;
use proptest::prelude::*;
use support::client::{Client12, Client13};
use support::hello::{CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, codes, message, record};
use support::{Peers12, Peers13, Rig};

/// Gives `bytes` in segments cut at `cuts`, whatever becomes of it, and takes what there is to send.
fn feed(rig: &mut Rig, server: &mut Connection<levee_buf::Heap>, bytes: &[u8], cuts: &[usize]) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let failed = rig.input(server, &bytes[at..cut]).is_err();
        assert!(!failed || server.error().is_some());
        at = cut;
    }
    // A record that is not whole, and a message that is not: never more than came.
    assert!(server.buffered() <= bytes.len());
    let sent = rig.output(server);
    assert!(sent.len() < 20_000);
    rig.read(server);
}

/// Changes `bytes` at a place: a byte, an insertion, a removal.
fn mutate(bytes: &mut Vec<u8>, (place, kind, value): (usize, u8, u8)) {
    let place = place % bytes.len().max(1);
    match kind % 3 {
        0 if place < bytes.len() => bytes[place] ^= value.max(1),
        1 => bytes.insert(place, value),
        _ if place < bytes.len() => _ = bytes.remove(place),
        _ => {}
    }
}

fn mutations() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(any::<usize>(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), cuts in cuts()) {
        let mut rig = Rig::new();
        let mut server = rig.connection();
        feed(&mut rig, &mut server, &bytes, &cuts);
        rig.finish(server);
    }

    /// Random bytes behind a right header of record and message.
    #[test]
    fn random_bodies(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 20_u8..25, cuts in cuts()) {
        let mut rig = Rig::new();
        let mut server = rig.connection();
        feed(&mut rig, &mut server, &record(kind, &message(1, &bytes)), &cuts);
        rig.finish(server);
    }

    #[test]
    fn mutated_hellos(
        version in any::<bool>(),
        group in 0..Group::ALL.len(),
        retry in any::<bool>(),
        changes in mutations(),
        cuts in cuts(),
    ) {
        let hello = if version { Client13::new(&[Group::ALL[group]]).1 } else { Hello::tls12() };
        let hello = if retry && version { hello.set(51, vec![0, 0]).set(10, codes::<2>(&[0x17])) } else { hello };
        let mut bytes = hello.encode();
        changes.iter().for_each(|&change| mutate(&mut bytes, change));
        // The length of the message is right or wrong; both are of interest.
        let mut rig = Rig::new();
        let mut server = rig.connection();
        let right = message(1, bytes.get(4..).unwrap_or_default());
        feed(&mut rig, &mut server, &record(HANDSHAKE, &bytes), &cuts);
        rig.finish(server);
        let mut rig = Rig::new();
        let mut server = rig.connection();
        feed(&mut rig, &mut server, &record(HANDSHAKE, &right), &cuts);
        feed(&mut rig, &mut server, &record(HANDSHAKE, &right), &cuts);
        rig.finish(server);
    }

    /// The client's second flight, mutated in its wire bytes.
    #[test]
    fn mutated_second_flights(tls13 in any::<bool>(), changes in mutations(), cuts in cuts()) {
        let mut rig = Rig::new();
        let mut server = rig.connection();
        let mut wire;
        if tls13 {
            let (mut client, hello) = Client13::new(&[Group::X25519]);
            client.transcript = hello.encode();
            rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
            let flight = rig.output(&mut server);
            let finished = client.server_flight(&flight);
            wire = record(CHANGE_CIPHER_SPEC, &[1]);
            wire.extend(client.seal(HANDSHAKE, &finished, 0));
            client.application_keys();
            wire.extend(client.seal(DATA, b"request", 3));
        } else {
            let mut client = Client12::new(Hello::tls12());
            rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
            let flight = rig.output(&mut server);
            let (exchange, finished) = client.server_flight(&flight);
            wire = record(HANDSHAKE, &exchange);
            wire.extend(record(CHANGE_CIPHER_SPEC, &[1]));
            wire.extend(client.seal(HANDSHAKE, &finished));
            wire.extend(client.seal(DATA, b"request"));
        }
        changes.iter().for_each(|&change| mutate(&mut wire, change));
        feed(&mut rig, &mut server, &wire, &cuts);
        rig.finish(server);
    }

    /// Any content of any type under the right keys.
    #[test]
    fn random_protected_records(
        tls13 in any::<bool>(),
        records in proptest::collection::vec((20_u8..25, proptest::collection::vec(any::<u8>(), 0..40)), 1..6),
        cuts in cuts(),
    ) {
        if tls13 {
            let mut peers = Peers13::new(Rig::new());
            let wire: Vec<u8> =
                records.iter().flat_map(|(kind, content)| peers.client.seal(*kind, content, 2)).collect();
            feed(&mut peers.rig, &mut peers.server, &wire, &cuts);
            peers.rig.finish(peers.server);
        } else {
            let mut peers = Peers12::new(Rig::new());
            let wire: Vec<u8> =
                records.iter().flat_map(|(kind, content)| peers.client.seal(*kind, content)).collect();
            feed(&mut peers.rig, &mut peers.server, &wire, &cuts);
            peers.rig.finish(peers.server);
        }
    }

    /// Memory that runs out at any point ends the connection, not the process.
    #[test]
    fn exhausted_memory(tls13 in any::<bool>(), left in 0_usize..12, cuts in cuts()) {
        let mut rig = Rig::new();
        rig.heap = levee_buf::Heap::new(left + 1);
        let mut server = rig.connection();
        let hello = if tls13 { Client13::new(&[Group::X25519]).1 } else { Hello::tls12() };
        let wire = record(HANDSHAKE, &hello.encode());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % wire.len()).chain([0, wire.len()]).collect();
        at.sort_unstable();
        for pair in at.windows(2) {
            if rig.heap.in_use() <= left {
                let _ = rig.input(&mut server, &wire[pair[0]..pair[1]]);
            }
        }
        if server.error().is_some() {
            rig.output(&mut server);
            prop_assert!(server.send_closed());
        }
        rig.finish(server);
    }
}

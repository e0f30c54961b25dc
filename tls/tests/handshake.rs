//! Handshakes with a scripted client: what is negotiated, how it lies on the wire, at any split.

mod support;

use levee_buf::{Chain, HeapChain, Pieces};
use levee_crypto::{Group, SignatureScheme};
use levee_tls::{Error, Options, Suite, Version};
use support::client::{Client12, Client13, messages, split};
use support::hello::{
    CHANGE_CIPHER_SPEC, DATA, ECDSA, ED25519, HANDSHAKE, Hello, P384, PKCS1, PSS, codes, protocols, record,
    records, server_name, vector,
};
use support::{Peers12, Peers13, Rig, identities, options};

#[test]
fn tls13_every_suite_group_and_certificate() {
    for suite in [0x1301, 0x1302, 0x1303] {
        for &group in Group::ALL {
            for scheme in [ECDSA, P384, ED25519, PSS[0], PSS[1], PSS[2]] {
                let (client, hello) = Client13::new(&[group]);
                let hello = hello.suites(&[suite]).set(13, codes::<2>(&[scheme]));
                let mut peers = Peers13::with(Rig::with_all_kinds(), client, &hello);
                let established = *peers.server.handshake().unwrap();
                assert_eq!(established.suite.code(), suite);
                assert_eq!(established.group, group);
                assert_eq!(established.scheme.code(), scheme);
                assert_eq!(established.protocol, Some(0));
                assert!(established.named);
                peers.send(DATA, b"ping").unwrap();
                assert_eq!(peers.rig.read(&mut peers.server), b"ping");
                let wire = peers.rig.send(&mut peers.server, b"pong");
                assert_eq!(peers.client.open(&wire), [(DATA, b"pong".to_vec())]);
                assert_eq!(peers.rig.counters.handshakes[established.suite as usize], 1);
                peers.rig.finish(peers.server);
            }
        }
    }
}

#[test]
fn tls12_every_suite_group_and_scheme() {
    for suite in [0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8] {
        for groups in [&[0x001d, 0x0017, 0x0018][..], &[0x0017, 0x0018], &[0x0018]] {
            let rsa = [PSS, PKCS1].concat();
            let is_ecdsa = matches!(suite, 0xc02b | 0xc02c | 0xcca9);
            let schemes = if is_ecdsa { &[ECDSA, P384, ED25519][..] } else { &rsa };
            for &scheme in schemes.iter().filter(|&&scheme| scheme != ECDSA || groups.contains(&0x0017)) {
                for extended in [true, false] {
                    let hello = Hello::tls12().suites(&[suite]).set(10, codes::<2>(groups));
                    let hello = hello.set(13, codes::<2>(&[scheme]));
                    let hello = if extended { hello } else { hello.without(23) };
                    let mut peers = Peers12::with(Rig::with_all_kinds(), hello);
                    let established = *peers.server.handshake().unwrap();
                    assert_eq!(established.suite.code(), suite);
                    assert_eq!(established.group.code(), groups[0]);
                    assert_eq!(established.scheme.code(), scheme);
                    let said = peers.client.server_hello.as_ref().unwrap();
                    assert_eq!(said.extension(23).is_some(), extended);
                    assert_eq!(said.extension(0xff01), Some(&[0][..]));
                    assert_eq!(said.extension(11), Some(&[1, 0][..]));
                    assert_eq!(said.extension(0), Some(&[][..]));
                    assert!(said.session_id.is_empty());
                    peers.send(DATA, b"ping").unwrap();
                    assert_eq!(peers.rig.read(&mut peers.server), b"ping");
                    let wire = peers.rig.send(&mut peers.server, b"pong");
                    assert_eq!(peers.client.open(&wire), [(DATA, b"pong".to_vec())]);
                    peers.rig.finish(peers.server);
                }
            }
        }
    }
}

/// RSA in TLS 1.2 prefers PSS when the client offers it.
#[test]
fn tls12_prefers_pss() {
    let hello = Hello::tls12().suites(&[0xc02f]).set(13, codes::<2>(&[PKCS1[0], PSS[0]]));
    let peers = Peers12::with(Rig::new(), hello);
    assert_eq!(peers.server.handshake().unwrap().scheme, SignatureScheme::RsaPssRsaeSha256);
}

/// RFC 8422 sections 4 and 5.3: the curve of the certificate is among the client's groups, and a client
/// without a list leaves the group to us.
#[test]
fn tls12_groups_and_certificates() {
    let peers = Peers12::with(Rig::new(), Hello::tls12().set(10, codes::<2>(&[0x001d])));
    assert_eq!(peers.server.handshake().unwrap().certificate, 1);
    assert_eq!(peers.server.handshake().unwrap().group, Group::X25519);
    // Ed25519 is no curve of the list; P-384 is.
    let with = |schemes: &[u16], groups: &[u16]| {
        let hello = Hello::tls12().set(10, codes::<2>(groups)).set(13, codes::<2>(schemes));
        *Peers12::with(Rig::with_all_kinds(), hello).server.handshake().unwrap()
    };
    let all = [ECDSA, P384, ED25519, PSS[0]];
    assert_eq!(with(&all, &[0x001d]).scheme.code(), ED25519);
    assert_eq!(with(&[P384, PSS[0]], &[0x001d]).scheme.code(), PSS[0]);
    assert_eq!(with(&[P384, PSS[0]], &[0x001d, 0x0018]).scheme.code(), P384);
    // The hybrid is of TLS 1.3 alone.
    assert_eq!(with(&all, &[0x11ec, 0x0018]).group, Group::Secp384r1);
    let peers = Peers12::with(Rig::new(), Hello::tls12().without(10));
    assert_eq!(peers.server.handshake().unwrap().certificate, 0);
    assert_eq!(peers.server.handshake().unwrap().group, Group::Secp256r1);
}

/// RFC 5746 section 3.6: the signal may be a suite; a client without it is not answered.
#[test]
fn secure_renegotiation() {
    let answered = |hello: Hello| {
        let peers = Peers12::with(Rig::new(), hello);
        peers.client.server_hello.unwrap().extension(0xff01).map(<[u8]>::to_vec)
    };
    let hello = Hello::tls12().without(0xff01);
    assert_eq!(answered(hello.clone()), None);
    assert_eq!(answered(hello.suites(&[0xc02b, 0x00ff])), Some(vec![0]));
    // A client without extensions that need an answer gets none.
    let bare = [0, 11, 16, 23, 0xff01].into_iter().fold(Hello::tls12(), Hello::without);
    assert!(Peers12::with(Rig::new(), bare).client.server_hello.unwrap().extensions.is_empty());
}

#[test]
fn a_flight_is_one_chain_in_one_segment() {
    for scheme in [ECDSA, PSS[0]] {
        let (_, hello) = Client13::new(&[Group::X25519]);
        let hello = hello.set(13, codes::<2>(&[scheme]));
        let mut rig = Rig::new();
        let mut server = rig.connection();
        rig.input(&mut server, &record(HANDSHAKE, &hello.encode())).unwrap();
        let chains = rig.output_chains(&mut server, &mut HeapChain::default());
        assert_eq!(chains.len(), 1);
        assert_eq!(chains[0].segments(), 1);
        let kinds: Vec<u8> = split(&chains[0].to_vec()).iter().map(|record| record[0]).collect();
        assert_eq!(kinds, [HANDSHAKE, CHANGE_CIPHER_SPEC, DATA]);

        let mut rig = Rig::new();
        let mut server = rig.connection();
        let hello = Hello::tls12().set(13, codes::<2>(&[scheme]));
        rig.input(&mut server, &record(HANDSHAKE, &hello.encode())).unwrap();
        let chains = rig.output_chains(&mut server, &mut HeapChain::default());
        assert_eq!((chains.len(), chains[0].segments()), (1, 1));
        assert_eq!(split(&chains[0].to_vec()).len(), 1);
    }
}

/// A session id asks for the compatibility change_cipher_spec; without one there is none.
#[test]
fn no_session_id_no_change_cipher_spec() {
    let (mut client, mut hello) = Client13::new(&[Group::X25519]);
    hello.session_id.clear();
    let mut rig = Rig::new();
    let mut server = rig.connection();
    let message = hello.encode();
    rig.input(&mut server, &record(HANDSHAKE, &message)).unwrap();
    let wire = rig.output(&mut server);
    let kinds: Vec<u8> = split(&wire).iter().map(|record| record[0]).collect();
    assert_eq!(kinds, [HANDSHAKE, DATA]);
    client.transcript = message;
    client.server_flight(&wire);
}

/// The whole conversation of a client, cut in two at every byte: the same bytes come back.
#[test]
fn any_split_at_any_byte() {
    let whole = |cut: usize, tls13: bool| -> (Vec<u8>, usize) {
        let mut rig = Rig::new();
        let mut server = rig.connection();
        let mut answer = Vec::new();
        let mut at = 0;
        let mut feed = |rig: &mut Rig, server: &mut _, wire: &[u8]| {
            let middle = cut.saturating_sub(at).min(wire.len());
            at += wire.len();
            for piece in [&wire[..middle], &wire[middle..]] {
                rig.input(server, piece).unwrap();
            }
            let back = rig.output(server);
            answer.extend(&back);
            back
        };
        if tls13 {
            let (mut client, hello) = Client13::new(&[Group::X25519]);
            client.transcript = hello.encode();
            let back = feed(&mut rig, &mut server, &record(HANDSHAKE, &client.transcript));
            let finished = client.server_flight(&back);
            let mut wire = record(CHANGE_CIPHER_SPEC, &[1]);
            wire.extend(client.seal(HANDSHAKE, &finished, 3));
            client.application_keys();
            wire.extend(client.seal(DATA, b"request", 0));
            feed(&mut rig, &mut server, &wire);
        } else {
            let mut client = Client12::new(Hello::tls12());
            let back = feed(&mut rig, &mut server, &record(HANDSHAKE, &client.transcript));
            let (exchange, finished) = client.server_flight(&back);
            let mut wire = record(HANDSHAKE, &exchange);
            wire.extend(record(CHANGE_CIPHER_SPEC, &[1]));
            wire.extend(client.seal(HANDSHAKE, &finished));
            wire.extend(client.seal(DATA, b"request"));
            feed(&mut rig, &mut server, &wire);
        }
        assert_eq!(rig.read(&mut server), b"request");
        rig.finish(server);
        (answer, at)
    };
    for tls13 in [true, false] {
        let (expected, length) = whole(0, tls13);
        for cut in 1..length {
            assert!(whole(cut, tls13).0 == expected, "cut at {cut}, tls13 {tls13}");
        }
    }
}

/// A ClientHello in records of every size, each in its own segment, or one byte a segment.
#[test]
fn a_hello_in_fragments() {
    let (_, hello) = Client13::new(&[Group::X25519]);
    let message = hello.encode();
    let mut expected = None;
    for n in 1..message.len() {
        let wire = records(HANDSHAKE, &message, n);
        let mut rig = Rig::new();
        let mut server = rig.connection();
        let pieces: Vec<&[u8]> = wire.chunks(n + 5).collect();
        let chain = rig.heap.chain_of(&pieces);
        rig.input_chain(&mut server, chain).unwrap();
        let answer = rig.output(&mut server);
        assert!(expected.get_or_insert_with(|| answer.clone()) == &answer, "{n}");
    }
    let wire = record(HANDSHAKE, &message);
    let mut rig = Rig::new();
    let mut server = rig.connection();
    for byte in &wire {
        rig.input(&mut server, &[*byte]).unwrap();
    }
    assert!(expected == Some(rig.output(&mut server)));
    assert!(rig.heap.in_use() <= 1, "segments of one byte are not kept");
    let mut rig = Rig::new();
    let mut server = rig.connection();
    rig.input(&mut server, &wire).unwrap();
    assert_eq!(rig.counters.gathered, 0, "a hello in one segment is read where it lies");
}

/// A message in fragments of one byte does not hold a segment for each.
#[test]
fn fragments_are_not_kept() {
    let (_, hello) = Client13::new(&[Group::X25519]);
    let message = hello.set(21, vec![0; 3000]).encode();
    let mut rig = Rig::new();
    let mut server = rig.connection();
    for byte in &message {
        rig.input(&mut server, &record(HANDSHAKE, &[*byte])).unwrap();
        assert!(rig.heap.in_use() <= 3);
    }
    assert_eq!(rig.server.free_slots(), 15);
    assert_eq!(rig.counters.gathered, 1);
}

/// GREASE (RFC 8701) everywhere, and extensions nobody knows.
#[test]
fn grease() {
    let (client, hello) = Client13::new(&[Group::X25519]);
    let share = hello.extensions.iter().find(|extension| extension.0 == 51).unwrap().1[2..].to_vec();
    let grease = [&[0x4a, 0x4a, 0, 1, 0][..], &share].concat();
    let mut hello = hello
        .suites(&[0x0a0a, 0x1303, 0x1301])
        .set(10, codes::<2>(&[0x1a1a, 0x001d]))
        .set(13, codes::<2>(&[0x2a2a, ECDSA]))
        .set(43, codes::<1>(&[0x3a3a, 0x0304, 0x0303]))
        .set(51, vector::<2>(&grease))
        .set(16, protocols(&["\u{1a}\u{1a}", "http/1.1"]))
        .set(0x5a5a, vec![])
        .set(0x6a6a, vec![0]);
    hello.extensions.rotate_right(1);
    let peers = Peers13::with(Rig::new(), client, &hello);
    assert_eq!(peers.server.handshake().unwrap().suite, Suite::Aes128GcmSha256);
}

fn chosen(hello: &Hello) -> Result<(u16, bool), Error> {
    let mut rig = Rig::new();
    let mut server = rig.connection();
    rig.input(&mut server, &record(HANDSHAKE, &hello.encode()))?;
    let wire = rig.output(&mut server);
    let (mut client, _) = Client13::new(&[Group::X25519]);
    client.transcript = hello.encode();
    client.server_flight(&wire);
    let named = client.flight[0].windows(4).any(|bytes| bytes == [0, 0, 0, 0]);
    let certificate = &client.flight[1];
    let of = |identity: &support::Identity| {
        certificate.windows(identity.chain[0].len()).any(|part| part == identity.chain[0])
    };
    let all = identities();
    let index = [&all.ecdsa, &all.rsa, &all.wild].into_iter().position(of).unwrap();
    Ok((u16::try_from(index).unwrap(), named))
}

#[test]
fn certificate_by_name_and_capability() {
    let (_, hello) = Client13::new(&[Group::X25519]);
    let with = |name: &str, schemes: &[u16]| {
        chosen(&hello.clone().set(0, server_name(name)).set(13, codes::<2>(schemes)))
    };
    assert_eq!(with("levee.test", &[ECDSA, PSS[0]]), Ok((0, true)));
    assert_eq!(with("LEVEE.Test", &[PSS[0], ECDSA]), Ok((0, true)));
    assert_eq!(with("levee.test", &[PSS[0]]), Ok((1, true)));
    assert_eq!(with("a.wild.test", &[ECDSA, PSS[0]]), Ok((2, true)));
    assert_eq!(with("a.b.wild.test", &[ECDSA]), Ok((0, false)));
    assert_eq!(with("unknown.test", &[ECDSA]), Ok((0, false)));
    assert_eq!(with("unknown.test", &[PSS[1]]), Ok((1, false)));
    assert_eq!(with("a.wild.test", &[PSS[0]]), Err(Error::NoCommonSignature));
    assert_eq!(with("levee.test", &[PKCS1[0]]), Err(Error::NoCommonSignature));
    assert_eq!(chosen(&hello.clone().without(0)), Ok((0, false)));
}

/// Without a protocol of ours the offer is ignored when we have none, and fatal when we have.
#[test]
fn application_protocols() {
    let (client, hello) = Client13::new(&[Group::X25519]);
    let peers = Peers13::with(Rig::new(), client, &hello.clone().without(16));
    assert_eq!(peers.server.handshake().unwrap().protocol, None);
    let rig = Rig::with(&[&identities().ecdsa], Options::default());
    let (client, _) = Client13::new(&[Group::X25519]);
    let peers = Peers13::with(rig, client, &hello);
    assert_eq!(peers.server.handshake().unwrap().protocol, None);
}

#[test]
fn a_client_of_both_versions_gets_what_is_enabled() {
    let (_, hello) = Client13::new(&[Group::X25519]);
    let mut hello = hello.set(43, codes::<1>(&[0x0303, 0x0304])).set(23, vec![]);
    hello.suites.extend([0xc02b]);
    let rig = Rig::with(&[&identities().ecdsa], Options { versions: vec![Version::Tls12], ..options() });
    let peers = Peers12::with(rig, hello.clone());
    assert_eq!(peers.server.handshake().unwrap().version, Version::Tls12);
    let (client, _) = Client13::new(&[Group::X25519]);
    let peers = Peers13::with(Rig::new(), client, &hello);
    assert_eq!(peers.server.handshake().unwrap().version, Version::Tls13);
}

/// RFC 8446 section 4.2.10: early data that is not taken is skipped, to a bound.
#[test]
fn early_data_is_skipped() {
    let early = |n: usize| record(DATA, &vec![0xaa; n]);
    let psk =
        [vector::<2>(&[vector::<2>(b"ticket"), vec![0; 4]].concat()), vector::<2>(&vector::<1>(&[0; 32]))];
    let offer = |hello: Hello| hello.set(45, vec![1, 1]).set(42, vec![]).set(41, psk.concat());
    let (mut client, hello) = Client13::new(&[Group::X25519]);
    let hello = offer(hello);
    let mut rig = Rig::new();
    let mut server = rig.connection();
    client.transcript = hello.encode();
    let mut wire = record(HANDSHAKE, &client.transcript);
    wire.extend(early(1000));
    wire.extend(early(3000));
    wire.extend(early(3));
    rig.input(&mut server, &wire).unwrap();
    let wire = rig.output(&mut server);
    let finished = client.server_flight(&wire);
    let wire = client.seal(HANDSHAKE, &finished, 0);
    rig.input(&mut server, &wire).unwrap();
    assert!(server.is_established());
    assert_eq!(rig.counters.early_data_skipped, 3);
    client.application_keys();
    let wire = client.seal(DATA, b"late", 0);
    rig.input(&mut server, &wire).unwrap();
    assert_eq!(rig.read(&mut server), b"late");
    assert_eq!(rig.input(&mut server, &early(100)), Err(Error::BadRecordMac));

    let mut rig = Rig::new();
    let mut server = rig.connection();
    let mut wire = record(HANDSHAKE, &hello.encode());
    wire.extend(early(16_384));
    wire.extend(early(16_380));
    assert_eq!(rig.input(&mut server, &wire), Err(Error::EarlyDataFlood));

    // After a HelloRetryRequest they are plain to see.
    let mut rig = Rig::new();
    let mut server = rig.connection();
    let first = offer(Hello::tls13(&[]));
    let mut wire = record(HANDSHAKE, &first.encode());
    wire.extend(early(1000));
    rig.input(&mut server, &wire).unwrap();
    assert_eq!(rig.counters.early_data_skipped, 1);
    let share = support::client::generate(Group::X25519).1.bytes().to_vec();
    let second = offer(Hello::tls13(&[(Group::X25519, share)])).without(42);
    rig.input(&mut server, &record(HANDSHAKE, &second.encode())).unwrap();
}

#[test]
fn key_log_lines() {
    let peers = Peers13::new(Rig::new());
    let labels: Vec<&str> = peers.rig.keylog.iter().map(|line| line.0.as_str()).collect();
    assert_eq!(
        labels,
        [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "SERVER_TRAFFIC_SECRET_0"
        ]
    );
    assert!(peers.rig.keylog.iter().all(|line| line.1 == [0x11; 32] && line.2.len() == 32));
    let peers = Peers12::new(Rig::new());
    assert_eq!(peers.rig.keylog.len(), 1);
    assert_eq!((peers.rig.keylog[0].0.as_str(), peers.rig.keylog[0].2.len()), ("CLIENT_RANDOM", 48));
}

/// Several messages in a record, and a record in several messages.
#[test]
fn messages_of_the_flight() {
    let mut rig = Rig::new();
    let (mut client, hello) = Client13::new(&[Group::X25519]);
    client.transcript = hello.encode();
    let mut server = rig.connection();
    rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
    let wire = rig.output(&mut server);
    client.server_flight(&wire);
    let kinds: Vec<u8> = client.flight.iter().map(|message| message[0]).collect();
    assert_eq!(kinds, [8, 11, 15, 20]);
    assert_eq!(messages(&client.transcript).len(), 6);
}

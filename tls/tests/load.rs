//! The load generator's client against our own server.

mod support;

use levee_buf::{Heap, HeapChain};
use levee_crypto::{Group, Hash, SignatureScheme};
use levee_tls::load::{ClientOptions, Stage, Verify};
use levee_tls::{Error, Filled, Options, Suite, Version};
use proptest::prelude::*;
use support::engines::LateAead;
use support::hello::{HANDSHAKE, message, record, vector};
use support::load::{Ends, LoadRig};
use support::{Rig, options};

fn only(suite: Suite, group: Group) -> ClientOptions {
    let mut groups = vec![group];
    // RFC 8422 section 5.3: in TLS 1.2 the groups are also those of the certificate's key.
    if suite.name().contains("ECDHE_ECDSA") && group != Group::Secp256r1 {
        groups.push(Group::Secp256r1);
    }
    ClientOptions {
        versions: vec![suite.version()],
        suites: vec![suite],
        groups,
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        server_name: Some("levee.test".to_owned()),
        ..ClientOptions::default()
    }
}

/// The groups that a version has.
fn groups(version: Version) -> impl Iterator<Item = Group> {
    Group::ALL.iter().copied().filter(move |group| version == Version::Tls13 || !group.is_hybrid())
}

#[test]
fn every_suite_and_group() {
    for &suite in Suite::ALL {
        for group in groups(suite.version()) {
            let rig = Rig::with(
                &[&support::identities().ecdsa, &support::identities().rsa],
                Options { groups: vec![group, Group::Secp256r1], ..options() },
            );
            let mut ends = Ends::new(only(suite, group), rig);
            assert_eq!(ends.client.stage(), Stage::Start);
            ends.settle().unwrap();
            assert_eq!(ends.client.stage(), Stage::Established);
            let (ours, theirs) = (*ends.client.handshake().unwrap(), *ends.server.handshake().unwrap());
            assert_eq!((ours.version, ours.suite), (suite.version(), suite));
            assert_eq!((theirs.version, theirs.suite), (suite.version(), suite));
            assert_eq!((ours.group, ours.scheme), (Some(group), Some(theirs.scheme)));
            assert_eq!((ours.resumed, ours.protocol), (false, Some(1)));
            assert!(theirs.named);
            for n in [1, 16_383, 16_384, 16_385, 100_000] {
                ends.transfer(n);
            }
            let (mut a, mut b) = (ends.load.keylog.clone(), ends.rig.keylog.clone());
            a.sort();
            b.sort();
            assert_eq!(a, b, "both ends have the same secrets");
            assert_eq!(ends.load.counters.handshakes[suite as usize], 1);
            ends.finish();
        }
    }
}

/// The schemes on offer choose the certificate.
#[test]
fn certificates_of_all_kinds() {
    for version in [Version::Tls13, Version::Tls12] {
        for scheme in [
            SignatureScheme::EcdsaSecp256r1Sha256,
            SignatureScheme::EcdsaSecp384r1Sha384,
            SignatureScheme::Ed25519,
            SignatureScheme::RsaPssRsaeSha256,
        ] {
            let options = ClientOptions {
                versions: vec![version],
                schemes: vec![scheme],
                groups: vec![Group::X25519, Group::Secp256r1, Group::Secp384r1],
                verify: Verify::Signature,
                ..ClientOptions::default()
            };
            let mut ends = Ends::new(options, Rig::with_all_kinds());
            ends.settle().unwrap();
            assert_eq!(ends.client.handshake().unwrap().scheme, Some(scheme));
            ends.transfer(10);
            ends.finish();
        }
    }
}

#[test]
fn hello_retry_request() {
    let pairs = Group::ALL.iter().flat_map(|first| Group::ALL.iter().map(|second| (*first, *second)));
    for (first, second) in pairs.filter(|(first, second)| first != second) {
        let client = ClientOptions { groups: vec![first, second], ..ClientOptions::default() };
        let server = Options { versions: vec![Version::Tls13], groups: vec![second], ..options() };
        let rig = Rig::with(&[&support::identities().ecdsa], server);
        let mut ends = Ends::new(client, rig);
        ends.settle().unwrap();
        assert_eq!(ends.client.handshake().unwrap().group, Some(second));
        assert_eq!(ends.rig.counters.hello_retries, 1);
        ends.transfer(1000);
        ends.finish();
    }
}

/// Byte by byte, and in chunks of every length up to a few records' headers.
#[test]
fn split_at_every_byte() {
    for suite in [Suite::Aes128GcmSha256, Suite::EcdheEcdsaChaCha20Poly1305, Suite::EcdheRsaAes256GcmSha384] {
        for chunk in (1..24).chain([100, 700]) {
            let mut ends = Ends::new(only(suite, Group::X25519), Rig::new());
            ends.chunk = chunk;
            ends.settle().unwrap();
            assert_eq!(ends.client.stage(), Stage::Established, "{suite:?} in {chunk}");
            ends.transfer(100);
            ends.finish();
        }
    }
}

/// Where a handshake stops when `fill` is not called any more.
#[test]
fn stages() {
    for suite in [Suite::Aes128GcmSha256, Suite::EcdheEcdsaAes128GcmSha256] {
        let mut load = LoadRig::new(only(suite, Group::X25519));
        let mut rig = Rig::new();
        let (mut client, mut server) = (load.client(), rig.connection());
        assert!(client.wants_write());
        let hello = load.call(|out| client.hello(out)).unwrap();
        assert_eq!(client.stage(), Stage::HelloSent);
        assert!(load.call(|out| client.hello(out)).is_none(), "once");
        assert!(!client.wants_write() && load.send(&mut client, &[]).is_empty());
        rig.input(&mut server, &levee_buf::Chain::to_vec(&hello)).unwrap();
        drop(hello);
        let flight = rig.output(&mut server);
        let (front, back) = flight.split_at(200);
        load.input(&mut client, front).unwrap();
        // The flight of TLS 1.2 is one record.
        let tls13 = suite.version() == Version::Tls13;
        assert_eq!(client.stage(), if tls13 { Stage::HelloReceived } else { Stage::HelloSent });
        load.input(&mut client, back).unwrap();
        assert_eq!(client.stage(), Stage::FlightReceived);
        assert!(client.handshake().is_none() && client.wants_write() && !server.is_established());
        let wire = load.send(&mut client, &[]);
        rig.input(&mut server, &wire).unwrap();
        let wire = rig.output(&mut server);
        if !tls13 {
            assert_eq!(client.stage(), Stage::FlightReceived);
            load.input(&mut client, &wire).unwrap();
        }
        assert_eq!(client.stage(), Stage::Established);
        client.close();
        let wire = load.send(&mut client, &[]);
        assert!(client.send_closed());
        rig.input(&mut server, &wire).unwrap();
        assert!(server.peer_closed());
        rig.finish(server);
        load.finish(client);
    }
}

/// No byte of the server's flights may change: either it says so, or the handshake ends all the same.
#[test]
fn a_changed_byte_is_refused() {
    for suite in [Suite::Aes128GcmSha256, Suite::EcdheEcdsaAes128GcmSha256] {
        let mut established = 0;
        for at in 0.. {
            let mut load = LoadRig::new(only(suite, Group::X25519));
            let mut rig = Rig::new();
            let (mut client, mut server) = (load.client(), rig.connection());
            let mut left = Some(at);
            let mut result = Ok(());
            for _ in 0..3 {
                let wire = load.send(&mut client, &[]);
                if rig.input(&mut server, &wire).is_err() {
                    break;
                }
                let mut wire = rig.output(&mut server);
                if let Some(at) = left {
                    match wire.get_mut(at) {
                        Some(byte) => {
                            *byte ^= 1;
                            left = None;
                        }
                        None => left = Some(at - wire.len()),
                    }
                }
                result = result.and(load.input(&mut client, &wire));
            }
            rig.finish(server);
            if left.is_some() {
                assert!(client.handshake().is_some(), "unchanged");
                load.finish(client);
                break;
            }
            if result.is_ok() && client.handshake().is_some() {
                established += 1;
            }
            load.finish(client);
        }
        // The minor byte of a record's version is no part of the message: RFC 8446 section 5.1 says to
        // ignore it. One is in each record in plaintext: two of TLS 1.3, three of TLS 1.2.
        assert!(established <= 3, "{established} changes went unseen");
    }
}

/// Our server refuses by a warning, then ends the connection.
#[test]
fn renegotiation_is_refused() {
    let mut ends = Ends::new(only(Suite::EcdheRsaAes128GcmSha256, Group::X25519), Rig::new());
    assert!(!ends.client.renegotiate());
    ends.settle().unwrap();
    assert!(ends.client.renegotiate());
    assert!(!ends.client.renegotiate(), "one at a time");
    ends.settle().unwrap();
    assert_eq!(ends.client.renegotiations(), (0, 1));
    assert_eq!(ends.rig.counters.renegotiations_refused, 1);
    ends.transfer(1000);
    assert!(ends.client.renegotiate());
    assert_eq!(ends.settle(), Err(Error::RenegotiationFlood));
    let wire = ends.rig.output(&mut ends.server);
    assert_eq!(ends.load.input(&mut ends.client, &wire), Err(Error::AlertReceived));
    assert_eq!(ends.client.renegotiations(), (0, 2));
    ends.finish();

    let mut ends = Ends::new(only(Suite::Aes128GcmSha256, Group::X25519), Rig::new());
    ends.settle().unwrap();
    assert!(!ends.client.renegotiate(), "TLS 1.3 has none");
    ends.finish();
}

/// Nothing in common: the server's alert, and ours.
#[test]
fn nothing_in_common() {
    let server = Options { versions: vec![Version::Tls12], ..options() };
    let rig = || Rig::with(&[&support::identities().ecdsa], server.clone());
    let mut ends = Ends::new(only(Suite::Aes128GcmSha256, Group::X25519), rig());
    assert_eq!(ends.settle(), Err(Error::NoCommonVersion));
    let alert = ends.rig.output(&mut ends.server);
    assert_eq!(ends.load.input(&mut ends.client, &alert), Err(Error::AlertReceived));
    assert_eq!((ends.client.stage(), ends.client.error()), (Stage::Over, Some(Error::AlertReceived)));
    assert!(ends.load.send(&mut ends.client, &[]).is_empty() && ends.client.send_closed());
    ends.finish();

    // A ServerHello of a version that was not offered, as a client of both versions gets it.
    let (mut load, mut rig) = (LoadRig::new(only(Suite::Aes128GcmSha256, Group::X25519)), rig());
    let (mut client, mut server) = (load.client(), rig.connection());
    load.send(&mut client, &[]);
    let mut other = LoadRig::new(ClientOptions::default());
    let mut both = other.client();
    let hello = other.send(&mut both, &[]);
    rig.input(&mut server, &hello).unwrap();
    let wire = rig.output(&mut server);
    assert_eq!(load.input(&mut client, &wire), Err(Error::NoCommonVersion));
    assert_eq!(load.send(&mut client, &[]), [21, 3, 3, 0, 2, 2, 70]);
    rig.finish(server);
    load.finish(client);
    other.finish(both);
}

/// Engines that answer late and are busy, on the way of all handshakes.
#[test]
fn late_engines() {
    for suite in [Suite::ChaCha20Poly1305Sha256, Suite::EcdheEcdsaAes128GcmSha256] {
        for (turns, busy) in [(0, 1), (1, 0), (3, 2)] {
            let mut load = LoadRig::new(only(suite, Group::X25519));
            load.aead = Box::new(LateAead::new(turns, busy));
            let mut ends = Ends::with(load, Rig::new());
            ends.settle().unwrap();
            ends.transfer(40_000);
            ends.client.renegotiate();
            ends.settle().unwrap();
            ends.client.close();
            ends.settle().unwrap();
            assert!(ends.server.peer_closed());
            ends.finish();
        }
    }
}

/// Slots run out for a handshake, not for connections; memory comes back, slots come back.
#[test]
fn slots_and_memory_run_out() {
    let mut load = LoadRig::new(only(Suite::Aes128GcmSha256, Group::X25519));
    let mut clients: Vec<_> = (0..16).map(|_| load.client()).collect();
    for client in &mut clients {
        assert!(!load.send(client, &[]).is_empty());
    }
    let mut late = load.client();
    assert!(load.send(&mut late, &[]).is_empty());
    assert_eq!((late.error(), late.send_closed()), (Some(Error::HandshakesFull), true));
    drop(clients);
    drop(late);
    let heap = std::mem::replace(&mut load.heap, Heap::new(0));
    let mut client = load.client();
    let mut plain = HeapChain::default();
    assert!(matches!(load.call(|out| client.fill(&mut plain, 2000, out)), Filled::Later));
    assert!(client.wants_resume() && client.stage() == Stage::Start);
    assert!(load.call(|out| client.hello(out)).is_none());
    load.heap = heap;
    load.call(|out| client.resume(out)).unwrap();
    assert!(!load.send(&mut client, &[]).is_empty());
    load.finish(client);
}

/// A share that is no point, a group that was not sent, a suite that was not offered: by hand.
#[test]
fn bad_server_hellos() {
    let hello = |suite: u16, session_id: &[u8], extensions: &[(u16, &[u8])]| {
        let list: Vec<u8> = extensions
            .iter()
            .flat_map(|(code, body)| [&code.to_be_bytes()[..], &vector::<2>(body)].concat())
            .collect();
        let body = [
            &[3, 3],
            &[7; 32][..],
            &vector::<1>(session_id),
            &suite.to_be_bytes(),
            &[0],
            &vector::<2>(&list),
        ];
        record(HANDSHAKE, &message(2, &body.concat()))
    };
    let tls13: &[u8] = &[3, 4];
    let x25519 = [&[0, 29, 0, 32][..], &[5; 32]].concat();
    let p256 = [&[0, 23, 0, 65][..], &[5; 65]].concat();
    let both = [Suite::Aes128GcmSha256, Suite::EcdheRsaAes128GcmSha256];
    type Case<'a> = (u16, &'a [(u16, &'a [u8])], bool, Error);
    let cases: &[Case<'_>] = &[
        (0x1302, &[(43, tls13), (51, &x25519)], true, Error::BadServerHello),
        (0xc02f, &[(43, tls13), (51, &x25519)], true, Error::BadServerHello),
        (0x1301, &[(43, tls13), (51, &x25519)], false, Error::BadServerHello),
        (0x1301, &[(43, tls13), (51, &p256)], true, Error::BadKeyShare),
        (0x1301, &[(43, tls13), (51, &x25519[..20])], true, Error::Malformed),
        (0x1301, &[(43, tls13)], true, Error::MissingExtension),
        (0x1301, &[(43, &[3, 5]), (51, &x25519)], true, Error::BadServerHello),
        (0x1301, &[(43, tls13), (51, &x25519), (41, &[0, 0])], true, Error::BadServerHello),
        (0x1301, &[(43, tls13), (43, tls13)], true, Error::DuplicateExtension),
        (0x1301, &[(43, tls13), (99, &[])], true, Error::UnsolicitedExtension),
        (0x1301, &[], false, Error::BadServerHello),
        (0xc02f, &[(0xff01, &[1, 1])], false, Error::BadRenegotiationInfo),
        (0xc02f, &[(35, &[])], false, Error::UnsolicitedExtension),
        (0xc02f, &[(16, &[0, 4, 3, b'f', b'o', b'o'])], false, Error::NoCommonProtocol),
        (0xc02f, &[(51, &x25519)], false, Error::UnsolicitedExtension),
        // With the session id of ours, as though there were a session.
        (0xc02f, &[], true, Error::BadServerHello),
    ];
    for (index, (suite, extensions, echo, error)) in cases.iter().enumerate() {
        let options = ClientOptions {
            versions: vec![Version::Tls13, Version::Tls12],
            suites: both.to_vec(),
            ..ClientOptions::default()
        };
        let mut load = LoadRig::new(options);
        let mut client = load.client();
        let wire = load.send(&mut client, &[]);
        let session_id = if *echo { &wire[44..76] } else { &[][..] };
        let wire = hello(*suite, session_id, extensions);
        assert_eq!(load.input(&mut client, &wire), Err(*error), "case {index}");
        assert_eq!(load.send(&mut client, &[])[5..], [2, error.alert().unwrap().code()]);
        load.finish(client);
    }
}

/// HelloRetryRequests that change nothing, or twice.
#[test]
fn bad_retry_requests() {
    let request = |session_id: &[u8], group: u16| {
        let random = Hash::Sha256.digest(&[b"HelloRetryRequest"]);
        let list = [&[0, 43, 0, 2, 3, 4, 0, 51, 0, 2][..], &group.to_be_bytes()].concat();
        let body =
            [&[3, 3], &random[..], &vector::<1>(session_id), &[0x13, 1, 0], &vector::<2>(&list)].concat();
        record(HANDSHAKE, &message(2, &body))
    };
    for (first, second) in [(29, None), (24, None), (23, Some(29)), (23, Some(23))] {
        let mut load = LoadRig::new(ClientOptions::default());
        let mut client = load.client();
        let wire = load.send(&mut client, &[]);
        let session_id = wire[44..76].to_vec();
        let mut result = load.input(&mut client, &request(&session_id, first));
        if let Some(second) = second {
            assert_eq!(result, Ok(()));
            let wire = load.send(&mut client, &[]);
            assert_eq!(wire[..7], [20, 3, 3, 0, 1, 1, 22]);
            result = load.input(&mut client, &request(&session_id, second));
        }
        assert_eq!(result, Err(Error::BadRetryRequest), "{first} {second:?}");
        load.finish(client);
    }
}

proptest! {
    /// Whatever a server says, at any point of the handshake: no panic, and nothing is left behind.
    #[test]
    fn anything_from_a_server(
        tls13 in any::<bool>(),
        cut in 0..4000_usize,
        kind in prop_oneof![Just(HANDSHAKE), 18..26_u8],
        garbage in proptest::collection::vec(any::<u8>(), 1..200),
        framed in any::<bool>(),
    ) {
        let suite = if tls13 { Suite::Aes128GcmSha256 } else { Suite::EcdheEcdsaAes128GcmSha256 };
        let mut load = LoadRig::new(ClientOptions { resume: true, ..only(suite, Group::X25519) });
        let mut rig = Rig::new();
        let (mut client, mut server) = (load.client(), rig.connection());
        let mut left = cut;
        for _ in 0..3 {
            let wire = load.send(&mut client, &[]);
            rig.input(&mut server, &wire).unwrap();
            let wire = rig.output(&mut server);
            let take = left.min(wire.len());
            left -= take;
            load.input(&mut client, &wire[..take]).unwrap();
            if take < wire.len() {
                break;
            }
        }
        let wire = if framed { record(kind, &garbage) } else { garbage };
        // It may wait for more, or fail; either is the client's to say.
        _ = load.input(&mut client, &wire);
        load.send(&mut client, &[]);
        load.finish(client);
        rig.finish(server);
    }
}

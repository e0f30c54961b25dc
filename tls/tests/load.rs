//! The load generator's client against our own server.

mod support;

use levee_crypto::{Group, SignatureScheme};
use levee_tls::load::{ClientOptions, Stage};
use levee_tls::{Error, Options, Suite, Version};
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

const GROUPS: [Group; 2] = [Group::X25519, Group::Secp256r1];

#[test]
fn every_suite_and_group() {
    for &suite in Suite::ALL {
        for group in GROUPS {
            let mut ends = Ends::new(only(suite, group), Rig::new());
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
fn certificates_of_both_kinds() {
    for version in [Version::Tls13, Version::Tls12] {
        for scheme in [SignatureScheme::EcdsaSecp256r1Sha256, SignatureScheme::RsaPssRsaeSha256] {
            let options =
                ClientOptions { versions: vec![version], schemes: vec![scheme], ..ClientOptions::default() };
            let mut ends = Ends::new(options, Rig::new());
            ends.settle().unwrap();
            assert_eq!(ends.client.handshake().unwrap().scheme, Some(scheme));
            ends.transfer(10);
            ends.finish();
        }
    }
}

#[test]
fn hello_retry_request() {
    for (first, second) in [(GROUPS[0], GROUPS[1]), (GROUPS[1], GROUPS[0])] {
        let client = ClientOptions { groups: vec![first, second], ..ClientOptions::default() };
        let rig = Rig::with(&[&support::identities().ecdsa], Options { groups: vec![second], ..options() });
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

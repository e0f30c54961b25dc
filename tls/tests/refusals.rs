//! Clients that break a rule of the handshake, or have nothing in common with us: the error and the
//! alert of each.

mod support;

use levee_crypto::Group;
use levee_tls::{Alert, Blame, Error, Options, Suite, Version};
use support::client::{Client12, Client13, split};
use support::hello::{
    ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, PKCS1, codes, key_shares, message, protocols, record,
    records, vector,
};
use support::{Peers12, Peers13, Rig, identities, options};

/// The server that is given `wire` first says `expected` and sends its alert in plaintext.
#[track_caller]
fn refuses(mut rig: Rig, wire: &[u8], expected: Error) {
    let mut server = rig.connection();
    assert_eq!(rig.input(&mut server, wire), Err(expected));
    let sent = rig.output(&mut server);
    match expected.alert() {
        Some(alert) => assert_eq!(split(&sent).last(), Some(&record(ALERT, &[2, alert.code()]))),
        None => assert!(sent.is_empty()),
    }
    assert!(server.send_closed() && !server.is_established() && !server.wants_input());
    assert_eq!(rig.counters.errors[expected as usize], 1);
    assert_eq!(rig.counters.errors.iter().sum::<u64>(), 1);
    rig.finish(server);
}

#[track_caller]
fn refuses_hello(hello: &Hello, expected: Error) {
    refuses(Rig::new(), &record(HANDSHAKE, &hello.encode()), expected);
}

fn hello13() -> Hello {
    Client13::new(&[Group::X25519]).1
}

#[test]
fn nothing_in_common() {
    refuses_hello(&hello13().suites(&[0x1304, 0xc02b]), Error::NoCommonSuite);
    refuses_hello(&hello13().set(10, codes::<2>(&[0x0019])).set(51, vec![0, 0]), Error::NoCommonGroup);
    refuses_hello(&hello13().set(13, codes::<2>(&[0x0807])), Error::NoCommonSignature);
    refuses_hello(&hello13().set(13, codes::<2>(&PKCS1)), Error::NoCommonSignature);
    refuses_hello(&hello13().set(16, protocols(&["h2"])), Error::NoCommonProtocol);
    refuses_hello(&hello13().set(43, codes::<1>(&[0x0302, 0x7f1c])), Error::NoCommonVersion);
    refuses_hello(&Hello::tls12().suites(&[0x009c, 0x1301]), Error::NoCommonSuite);
    refuses_hello(&Hello::tls12().set(10, codes::<2>(&[0x0019])), Error::NoCommonGroup);
    refuses_hello(&Hello::tls12().set(10, codes::<2>(&[0x11ec])), Error::NoCommonGroup);
    // RFC 5246 section 7.4.1.4.1: no signature_algorithms means SHA-1.
    refuses_hello(&Hello::tls12().without(13), Error::NoCommonSignature);
    refuses_hello(&Hello::tls12().set(16, protocols(&["h2"])), Error::NoCommonProtocol);
    refuses_hello(&Hello { legacy_version: 0x0302, ..Hello::tls12() }, Error::NoCommonVersion);
    // An ECDSA suite with RSA schemes, and the reverse.
    refuses_hello(&Hello::tls12().suites(&[0xc02b]).set(13, codes::<2>(&PKCS1)), Error::NoCommonSignature);
    refuses_hello(&Hello::tls12().suites(&[0xc02f]).set(13, codes::<2>(&[0x0403])), Error::NoCommonSignature);
    let only = |versions, suites| Options { versions, suites, ..options() };
    let rig = Rig::with(&[&identities().ecdsa], only(vec![Version::Tls13], Suite::ALL.to_vec()));
    refuses(rig, &record(HANDSHAKE, &Hello::tls12().encode()), Error::NoCommonVersion);
    let rig = Rig::with(&[&identities().ecdsa], only(vec![Version::Tls12], Suite::ALL.to_vec()));
    refuses(rig, &record(HANDSHAKE, &hello13().encode()), Error::NoCommonVersion);
}

#[test]
fn rules_of_client_hello() {
    refuses_hello(&Hello { compression: vec![1], ..hello13() }, Error::BadCompression);
    refuses_hello(&Hello { compression: vec![0, 1], ..hello13() }, Error::BadCompression);
    refuses_hello(&Hello { compression: vec![1], ..Hello::tls12() }, Error::BadCompression);
    refuses_hello(&hello13().without(10), Error::MissingExtension);
    refuses_hello(&hello13().without(13), Error::MissingExtension);
    refuses_hello(&hello13().without(51), Error::MissingExtension);
    for code in [0, 10, 13, 16, 23, 43, 51, 0x1234] {
        let mut hello = hello13().set(code, vec![]);
        let body = hello13().extensions.iter().find(|one| one.0 == code).map(|one| one.1.clone());
        hello = hello.set(code, body.clone().unwrap_or_default());
        hello.extensions.push((code, body.unwrap_or_default()));
        refuses_hello(&hello, Error::DuplicateExtension);
    }
    let mut many = hello13();
    many.extensions.extend((0x2000..0x2100).map(|code| (code, vec![])));
    refuses_hello(&many, Error::TooManyExtensions);
    refuses_hello(&Hello::tls12().set(11, vec![1, 1]), Error::BadPointFormats);
    refuses_hello(&Hello::tls12().set(0xff01, vec![1, 0]), Error::BadRenegotiationInfo);
    refuses_hello(&hello13().set(41, vec![0; 40]), Error::MissingExtension);
    refuses_hello(
        &hello13().set(45, vec![1, 1]).set(41, vec![0; 40]).set(77, vec![]),
        Error::BadPreSharedKey,
    );
}

#[test]
fn fallback() {
    let mut hello = Hello::tls12();
    hello.suites.push(0x5600);
    refuses_hello(&hello, Error::InappropriateFallback);
    // Also when it falls below all that there is, and not when it is above.
    refuses_hello(&Hello { legacy_version: 0x0302, ..hello.clone() }, Error::InappropriateFallback);
    refuses_hello(&hello.clone().set(43, codes::<1>(&[0x0305])), Error::NoCommonVersion);
    // Without TLS 1.3 there is nothing higher; and the highest version is no fallback.
    let options = Options { versions: vec![Version::Tls12], ..options() };
    Peers12::with(Rig::with(&[&identities().ecdsa], options), hello);
    let (client, mut hello) = Client13::new(&[Group::X25519]);
    hello.suites.push(0x5600);
    Peers13::with(Rig::new(), client, &hello);
}

/// Wrong lengths, an ML-KEM key that fails the modulus check (FIPS 203 section 7.2), an X25519 half of low order; in
/// the first ClientHello and in the second.
#[test]
fn hybrid_shares_that_are_none() {
    let group = Group::X25519MlKem768;
    let good = support::client::offer(group).1;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let cases = [
        with(&|bytes| bytes.truncate(1215)),
        with(&|bytes| bytes.truncate(1184)),
        with(&|bytes| bytes.truncate(32)),
        with(&|bytes| bytes.truncate(1)),
        with(&|bytes| bytes.push(0)),
        with(&|bytes| bytes.resize(9000, 1)),
        with(&|bytes| bytes[..2].fill(0xff)),
        with(&|bytes| bytes[1149..1152].fill(0xff)),
        with(&|bytes| bytes[1184..].fill(0)),
        with(&|bytes| bytes.fill(0xff)),
    ];
    for share in cases {
        let shares = key_shares(&[(group, share)]);
        let base = hello13().set(10, codes::<2>(&[group.code()]));
        refuses_hello(&base.clone().set(51, shares.clone()), Error::BadKeyShare);
        let mut rig = Rig::new();
        let mut server = rig.connection();
        rig.input(&mut server, &record(HANDSHAKE, &base.clone().set(51, vec![0, 0]).encode())).unwrap();
        rig.output(&mut server);
        let second = record(HANDSHAKE, &base.set(51, shares).encode());
        assert_eq!(rig.input(&mut server, &second), Err(Error::BadKeyShare));
        rig.finish(server);
    }
    // Twice, and without its group in the list.
    let one = (group, good);
    let base = hello13().set(10, codes::<2>(&[group.code()]));
    refuses_hello(&base.set(51, key_shares(&[one.clone(), one.clone()])), Error::BadKeyShare);
    refuses_hello(&hello13().set(51, key_shares(&[one])), Error::BadKeyShare);
}

#[test]
fn key_shares_that_are_none() {
    let share = |group: Group| support::client::generate(group).1.bytes().to_vec();
    let one = |group, bytes: Vec<u8>| hello13().set(51, key_shares(&[(group, bytes)]));
    refuses_hello(&one(Group::X25519, vec![1; 31]), Error::BadKeyShare);
    refuses_hello(&one(Group::X25519, vec![1; 33]), Error::BadKeyShare);
    refuses_hello(&one(Group::X25519, vec![0; 32]), Error::BadKeyShare);
    refuses_hello(&one(Group::Secp256r1, vec![4; 65]), Error::BadKeyShare);
    refuses_hello(&one(Group::Secp256r1, vec![0]), Error::BadKeyShare);
    let mut hybrid = share(Group::Secp256r1);
    hybrid[0] = 6;
    refuses_hello(&one(Group::Secp256r1, hybrid), Error::BadKeyShare);
    refuses_hello(&one(Group::Secp384r1, vec![4; 97]), Error::BadKeyShare);
    refuses_hello(&one(Group::Secp384r1, vec![4; 96]), Error::BadKeyShare);
    refuses_hello(&one(Group::Secp384r1, share(Group::Secp256r1)), Error::BadKeyShare);
    let x = (Group::X25519, share(Group::X25519));
    refuses_hello(&hello13().set(51, key_shares(&[x.clone(), x])), Error::BadKeyShare);
    refuses_hello(&hello13().set(10, codes::<2>(&[0x0017])), Error::BadKeyShare);
}

/// Every extension cut short, with a byte too many, and empty where it may not be.
#[test]
fn malformed() {
    for base in [hello13(), Hello::tls12()] {
        for (code, body) in base.clone().extensions {
            if !body.is_empty() {
                refuses_hello(&base.clone().set(code, body[..body.len() - 1].to_vec()), Error::Malformed);
            }
            if code != 23 {
                refuses_hello(&base.clone().set(code, [&body[..], &[0]].concat()), Error::Malformed);
                refuses_hello(&base.clone().set(code, vec![]), Error::Malformed);
            }
        }
        refuses_hello(&base.clone().set(10, vec![0, 3, 0, 0x1d, 0]), Error::Malformed);
        refuses_hello(&base.clone().set(16, vector::<2>(&[0])), Error::Malformed);
        refuses_hello(&base.clone().set(0, vector::<2>(&[0, 0, 0])), Error::Malformed);
        refuses_hello(&Hello { session_id: vec![0; 33], ..base.clone() }, Error::Malformed);
        refuses_hello(&Hello { suites: vec![], ..base.clone() }, Error::Malformed);
        let body = base.encode()[4..].to_vec();
        for n in 0..body.len() {
            // The end of a ClientHello of TLS 1.2 may be before its extensions.
            let mut rig = Rig::new();
            let mut server = rig.connection();
            let result = rig.input(&mut server, &record(HANDSHAKE, &message(1, &body[..n])));
            assert!(result.is_err(), "{n}");
        }
        refuses(Rig::new(), &record(HANDSHAKE, &message(1, &[&body[..], &[0]].concat())), Error::Malformed);
    }
}

#[test]
fn records_before_the_handshake() {
    refuses(Rig::new(), b"GET / HTTP/1.1\r\n\r\n", Error::UnknownContentType);
    refuses(Rig::new(), &[0x80, 0x2e, 1, 3, 1], Error::UnknownContentType);
    refuses(Rig::new(), &[22, 2, 0, 0, 1, 0], Error::BadRecordVersion);
    refuses(Rig::new(), &[22, 3, 1, 0x40, 1], Error::RecordOverflow);
    refuses(Rig::new(), &record(HANDSHAKE, &[]), Error::EmptyFragment);
    refuses(Rig::new(), &record(DATA, b"data"), Error::UnexpectedRecord);
    refuses(Rig::new(), &record(CHANGE_CIPHER_SPEC, &[1]), Error::UnexpectedRecord);
    refuses(Rig::new(), &record(ALERT, &[2]), Error::BadAlert);
    refuses(Rig::new(), &record(ALERT, &[1, 0]), Error::AlertReceived);
    refuses(Rig::new(), &record(HANDSHAKE, &message(2, &[0; 40])), Error::UnexpectedMessage);
    refuses(Rig::new(), &record(HANDSHAKE, &[1, 0, 0x40, 0x01]), Error::MessageTooLong);
    let wire = [record(HANDSHAKE, &hello13().encode()[..50]), record(ALERT, &[1, 90])].concat();
    refuses(Rig::new(), &wire, Error::InterleavedMessage);
    let warnings: Vec<u8> = (0..9).flat_map(|_| record(ALERT, &[1, 90])).collect();
    refuses(Rig::new(), &warnings, Error::WarningFlood);
    let spans = [hello13().encode(), vec![20]].concat();
    refuses(Rig::new(), &record(HANDSHAKE, &spans), Error::MessageAcrossKeyChange);
}

/// The longest ClientHello is taken, over records; one byte more is not.
#[test]
fn the_longest_hello() {
    let length = hello13().encode().len() + 4;
    let (mut client, hello) = Client13::new(&[Group::X25519]);
    client.transcript = hello.set(21, vec![0; 16_384 - length]).encode();
    assert_eq!(client.transcript.len(), 16_384);
    let mut rig = Rig::new();
    let mut server = rig.connection();
    rig.input(&mut server, &records(HANDSHAKE, &client.transcript, 5_000)).unwrap();
    let wire = rig.output(&mut server);
    client.server_flight(&wire);
    let hello = hello13().set(21, vec![0; 16_385 - length]);
    refuses(Rig::new(), &records(HANDSHAKE, &hello.encode(), 5_000), Error::MessageTooLong);
}

/// TLS 1.3 in the place of the client's Finished; the alert comes under the application keys.
#[test]
fn instead_of_finished_in_tls13() {
    let check = |expected: Error, wire: &dyn Fn(&mut Client13, Vec<u8>) -> Vec<u8>| {
        let (mut client, hello) = Client13::new(&[Group::X25519]);
        let mut rig = Rig::new();
        let mut server = rig.connection();
        client.transcript = hello.encode();
        rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
        let flight = rig.output(&mut server);
        let finished = client.server_flight(&flight);
        let wire = wire(&mut client, finished);
        assert_eq!(rig.input(&mut server, &wire), Err(expected));
        client.application_keys();
        let alert = expected.alert().unwrap().code();
        let sent = rig.output(&mut server);
        assert_eq!(client.open(&sent), [(ALERT, vec![2, alert])], "{expected:?}");
        rig.finish(server);
    };
    check(Error::BadFinished, &|client, mut finished| {
        finished[20] ^= 1;
        client.seal(HANDSHAKE, &finished, 0)
    });
    check(Error::BadFinished, &|client, finished| client.seal(HANDSHAKE, &message(20, &finished[4..30]), 0));
    check(Error::UnexpectedMessage, &|client, _| client.seal(HANDSHAKE, &message(11, &[0; 4]), 0));
    check(Error::UnexpectedMessage, &|client, _| client.seal(HANDSHAKE, &message(24, &[0]), 0));
    check(Error::UnexpectedRecord, &|client, _| client.seal(DATA, b"early", 0));
    check(Error::MessageAcrossKeyChange, &|client, finished| {
        client.seal(HANDSHAKE, &[finished, message(24, &[0])].concat(), 0)
    });
    check(Error::UnprotectedRecord, &|_, finished| record(HANDSHAKE, &finished));
    check(Error::BadChangeCipherSpec, &|_, _| record(CHANGE_CIPHER_SPEC, &[2]));
    check(Error::BadChangeCipherSpec, &|_, _| record(CHANGE_CIPHER_SPEC, &[1, 1]));
    check(Error::EmptyFragment, &|_, _| record(CHANGE_CIPHER_SPEC, &[]));
    check(Error::EmptyRecordFlood, &|_, _| {
        [1; 3].iter().flat_map(|_| record(CHANGE_CIPHER_SPEC, &[1])).collect()
    });
    check(Error::BadRecordMac, &|_, _| record(DATA, &[7; 40]));
}

/// RFC 5246 section 7.3: a TLS 1.2 client says nothing more before the server's flight.
#[test]
fn behind_the_hello_of_tls12() {
    let exchange = message(16, &vector::<1>(&[9; 32]));
    for n in [1, 4, exchange.len()] {
        let early = [&Hello::tls12().encode()[..], &exchange[..n]].concat();
        refuses(Rig::new(), &record(HANDSHAKE, &early), Error::EarlyMessage);
    }
}

/// RFC 8446 section 5.1: early data that is skipped may not lie inside the second ClientHello.
#[test]
fn early_data_inside_the_second_hello() {
    let mut rig = Rig::new();
    let mut server = rig.connection();
    let first = Hello::tls13(&[]).set(42, vec![]);
    rig.input(&mut server, &record(HANDSHAKE, &first.encode())).unwrap();
    rig.output(&mut server);
    rig.input(&mut server, &record(DATA, &[7; 40])).unwrap();
    let second = hello13().encode();
    rig.input(&mut server, &record(HANDSHAKE, &second[..50])).unwrap();
    assert_eq!(rig.input(&mut server, &record(DATA, &[7; 40])), Err(Error::InterleavedMessage));
}

/// Wire bytes made of ClientKeyExchange and Finished.
type Second<'a> = dyn Fn(&mut Client12, Vec<u8>, Vec<u8>) -> Vec<u8> + 'a;

/// TLS 1.2 between the server's flight and its Finished.
#[test]
fn between_the_flights_of_tls12() {
    let check = |expected: Error, wire: &Second<'_>| {
        let mut rig = Rig::new();
        let mut server = rig.connection();
        let mut client = Client12::new(Hello::tls12());
        rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
        let flight = rig.output(&mut server);
        let (exchange, finished) = client.server_flight(&flight);
        let wire = wire(&mut client, exchange, finished);
        assert_eq!(rig.input(&mut server, &wire), Err(expected), "{expected:?}");
        // The server's own keys come into use with its Finished, which was not sent.
        let alert = expected.alert().unwrap().code();
        assert_eq!(rig.output(&mut server), record(ALERT, &[2, alert]));
        rig.finish(server);
    };
    let change = || record(CHANGE_CIPHER_SPEC, &[1]);
    check(Error::UnexpectedRecord, &|_, _, _| change());
    check(Error::UnexpectedMessage, &|_, _, finished| record(HANDSHAKE, &finished));
    check(Error::UnexpectedMessage, &|_, exchange, finished| {
        [record(HANDSHAKE, &exchange), record(HANDSHAKE, &finished)].concat()
    });
    check(Error::BadKeyShare, &|_, _, _| record(HANDSHAKE, &message(16, &vector::<1>(&[1; 31]))));
    check(Error::BadKeyShare, &|_, _, _| record(HANDSHAKE, &message(16, &vector::<1>(&[0; 32]))));
    check(Error::Malformed, &|_, _, _| record(HANDSHAKE, &message(16, &[33; 33])));
    check(Error::Malformed, &|_, _, _| record(HANDSHAKE, &message(16, &[])));
    check(Error::BadChangeCipherSpec, &|_, exchange, _| {
        [record(HANDSHAKE, &exchange), record(CHANGE_CIPHER_SPEC, &[2])].concat()
    });
    check(Error::InterleavedMessage, &|_, exchange, _| {
        [record(HANDSHAKE, &[&exchange[..], &[20]].concat()), change()].concat()
    });
    check(Error::BadRecordMac, &|client, exchange, mut finished| {
        finished[0] = 20;
        let mut sealed = client.seal(HANDSHAKE, &finished);
        *sealed.last_mut().unwrap() ^= 1;
        [record(HANDSHAKE, &exchange), change(), sealed].concat()
    });
    check(Error::BadFinished, &|client, exchange, mut finished| {
        finished[8] ^= 1;
        [record(HANDSHAKE, &exchange), change(), client.seal(HANDSHAKE, &finished)].concat()
    });
    check(Error::BadRecordMac, &|_, exchange, finished| {
        [record(HANDSHAKE, &exchange), change(), record(HANDSHAKE, &finished)].concat()
    });
    check(Error::UnexpectedRecord, &|client, exchange, _| {
        [record(HANDSHAKE, &exchange), change(), client.seal(DATA, b"early")].concat()
    });
    check(Error::UnexpectedRecord, &|client, exchange, _| {
        [record(HANDSHAKE, &exchange), change(), client.seal(CHANGE_CIPHER_SPEC, &[1])].concat()
    });
}

/// Each error has its own name, and an alert unless the peer sent one.
#[test]
fn the_table_of_errors() {
    let mut names: Vec<&str> = Error::ALL.iter().map(|error| error.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Error::ALL.len());
    for (index, error) in Error::ALL.iter().enumerate() {
        assert_eq!(*error as usize, index);
        assert_eq!(error.alert().is_none(), error.blame() == Blame::Ended, "{error:?}");
        if error.blame() == Blame::Local {
            assert!(matches!(error.alert(), Some(Alert::InternalError | Alert::CloseNotify)));
        }
    }
}

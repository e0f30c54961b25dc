//! Connections that wait for engines: late answers, full queues, the same bytes on the wire.

mod support;

use std::rc::Rc;

use levee_crypto::{Group, PrivateKey};
use levee_tls::{Connection, Error, Filled};
use support::client::{Client12, Client13};
use support::engines::{LateAead, LateEngine, seeded};
use support::hello::{CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, message, record};
use support::{Peers12, Peers13, Rig, identities};

/// A rig whose engines answer late and are busy first.
fn late(job_turns: usize, aead_turns: usize, busy: usize) -> Rig {
    let mut rig = Rig::new();
    let keys: Vec<PrivateKey> = [&identities().ecdsa, &identities().rsa, &identities().wild]
        .iter()
        .map(|identity| PrivateKey::from_der(&identity.key).unwrap())
        .collect();
    rig.engine = Box::new(LateEngine::new(seeded(&keys), job_turns, busy));
    rig.aead = Box::new(LateAead::new(aead_turns, busy));
    rig
}

/// A conversation in which the client sends as early as it can: all that the server sent.
fn conversation(mut rig: Rig, tls13: bool) -> Vec<u8> {
    let mut server = rig.connection();
    let mut sent = Vec::new();
    if tls13 {
        let (mut client, hello) = Client13::new(&[Group::X25519]);
        client.transcript = hello.encode();
        rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
        let wire = rig.output(&mut server);
        let finished = client.server_flight(&wire);
        sent.extend(wire);
        let mut wire = record(CHANGE_CIPHER_SPEC, &[1]);
        wire.extend(client.seal(HANDSHAKE, &finished, 0));
        client.application_keys();
        wire.extend(client.seal(DATA, b"one", 0));
        wire.extend(client.seal(HANDSHAKE, &message(24, &[1]), 0));
        client.update_write();
        wire.extend(client.seal(DATA, b"two", 0));
        let chain = rig.heap.chain(&wire);
        rig.call(|out| server.input(chain, out)).unwrap();
    } else {
        let mut client = Client12::new(Hello::tls12());
        rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
        let wire = rig.output(&mut server);
        let (exchange, finished) = client.server_flight(&wire);
        sent.extend(wire);
        let mut wire = record(HANDSHAKE, &exchange);
        wire.extend(record(CHANGE_CIPHER_SPEC, &[1]));
        wire.extend(client.seal(HANDSHAKE, &finished));
        wire.extend(client.seal(DATA, b"one"));
        wire.extend(client.seal(DATA, b"two"));
        let chain = rig.heap.chain(&wire);
        rig.call(|out| server.input(chain, out)).unwrap();
    }
    rig.settle(&mut server).unwrap();
    assert_eq!(rig.read(&mut server), b"onetwo");
    // One record each: where a longer text is cut depends on when its records are ready.
    for length in [1, 1000, 16_384] {
        let text: Vec<u8> = (0..=255).cycle().take(length).collect();
        sent.extend(rig.send(&mut server, &text));
    }
    server.close();
    sent.extend(rig.output(&mut server));
    assert!(server.send_closed());
    rig.finish(server);
    sent
}

#[test]
fn the_same_bytes_whenever_engines_answer() {
    for tls13 in [true, false] {
        let expected = conversation(Rig::new(), tls13);
        for (job_turns, aead_turns, busy) in
            [(1, 0, 0), (3, 0, 0), (0, 1, 0), (0, 3, 0), (2, 2, 0), (1, 1, 1), (2, 3, 4)]
        {
            let sent = conversation(late(job_turns, aead_turns, busy), tls13);
            assert!(sent == expected, "{job_turns} {aead_turns} {busy} {tls13}");
        }
    }
}

/// While a job is out, input waits, and the handshake goes on with it afterwards.
#[test]
fn input_waits_while_parked() {
    let mut rig = late(5, 0, 0);
    let mut server: Connection<_> = rig.connection();
    let (_, hello) = Client13::new(&[Group::X25519]);
    assert!(server.wants_input());
    let chain = rig.heap.chain(&record(HANDSHAKE, &hello.encode()));
    rig.call(|out| server.input(chain, out)).unwrap();
    assert!(!server.wants_input() && !server.wants_resume());
    // Garbage is not looked at before the job is done.
    let chain = rig.heap.chain(b"garbage");
    rig.call(|out| server.input(chain, out)).unwrap();
    assert_eq!(server.buffered(), 7);
    let Filled::Nothing = rig.call(|out| server.fill(&mut Default::default(), 1000, out)) else { panic!() };
    assert_eq!(rig.settle(&mut server), Err(Error::UnknownContentType));
    rig.finish(server);
}

#[test]
fn a_full_engine_is_asked_again() {
    let mut rig = late(1, 1, 3);
    let mut server = rig.connection();
    let (_, hello) = Client13::new(&[Group::X25519]);
    let chain = rig.heap.chain(&record(HANDSHAKE, &hello.encode()));
    rig.call(|out| server.input(chain, out)).unwrap();
    for _ in 0..3 {
        assert!(server.wants_resume());
        rig.call(|out| server.resume(out)).unwrap();
    }
    assert!(!server.wants_resume());
    rig.settle(&mut server).unwrap();
    rig.finish(server);
}

/// A connection that is given up with everything under way: late answers find nobody, nothing leaks.
#[test]
fn released_while_parked() {
    for turns in 0..12 {
        let mut rig = late(2, 2, 1);
        let mut server = rig.connection();
        let (_, hello) = Client13::new(&[Group::X25519]);
        let chain = rig.heap.chain(&record(HANDSHAKE, &hello.encode()));
        rig.call(|out| server.input(chain, out)).unwrap();
        for _ in 0..turns {
            rig.turn(&mut server).unwrap();
        }
        rig.finish(server);
    }
}

/// All sessions of a connection are given back, also those of replaced keys that had work under way.
#[test]
fn sessions_are_given_back() {
    for (aead_turns, busy) in [(0, 0), (2, 0), (2, 2), (0, 1)] {
        // 64 sessions; each conversation opens six at least.
        let mut rig = late(1, aead_turns, busy);
        for _ in 0..30 {
            let (mut client, hello) = Client13::new(&[Group::X25519]);
            client.transcript = hello.encode();
            let mut server = rig.connection();
            rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
            let wire = rig.output(&mut server);
            let finished = client.server_flight(&wire);
            let wire = client.seal(HANDSHAKE, &finished, 0);
            client.application_keys();
            rig.input(&mut server, &wire).unwrap();
            let wire = client.seal(HANDSHAKE, &message(24, &[1]), 0);
            rig.input(&mut server, &wire).unwrap();
            rig.output(&mut server);
            rig.finish(server);
        }
    }
}

/// A key has no session before its first record, and once it is replaced, as soon as the work under it is with the
/// engine.
#[test]
fn replaced_keys_hold_no_session() {
    for (aead_turns, busy) in [(0, 0), (2, 0), (1, 2), (0, 1)] {
        let mut rig = late(0, 0, 0);
        let aead = LateAead::new(aead_turns, busy);
        let open = Rc::clone(&aead.open);
        rig.aead = Box::new(aead);
        let mut peers = Peers13::new(rig);
        for _ in 0..3 {
            peers.rig.output(&mut peers.server);
            assert_eq!(open.get(), 0, "{aead_turns} {busy}");
            peers.send(DATA, b"request").unwrap();
            peers.rig.send(&mut peers.server, b"response");
            assert_eq!(open.get(), 2, "{aead_turns} {busy}");
            peers.send(HANDSHAKE, &message(24, &[1])).unwrap();
            peers.client.update_write();
        }
        peers.rig.finish(peers.server);
        assert_eq!(open.get(), 0);
    }
}

/// An error while the close_notify is being sealed does not take it back.
#[test]
fn an_error_behind_a_close() {
    let mut peers = Peers13::new(late(0, 3, 0));
    peers.rig.output(&mut peers.server);
    peers.server.close();
    let Filled::Later = peers.rig.call(|out| peers.server.fill(&mut Default::default(), 1000, out)) else {
        panic!()
    };
    let chain = peers.rig.heap.chain(b"garbage");
    assert_eq!(peers.rig.call(|out| peers.server.input(chain, out)), Err(Error::UnknownContentType));
    assert!(!peers.server.send_closed());
    assert_eq!(peers.receive(), [(21, vec![1, 0])]);
    assert!(peers.server.send_closed());
}

/// The keys of application data are derived with the first record, here one of ours before the client's Finished: what
/// the client sends behind that is still understood.
#[test]
fn a_close_before_the_clients_finished() {
    let mut rig = Rig::new();
    let (mut client, hello) = Client13::new(&[Group::X25519]);
    client.transcript = hello.encode();
    let mut server = rig.connection();
    rig.input(&mut server, &record(HANDSHAKE, &client.transcript)).unwrap();
    let wire = rig.output(&mut server);
    let finished = client.server_flight(&wire);
    server.close();
    let close = rig.output(&mut server);
    let wire = client.seal(HANDSHAKE, &finished, 0);
    client.application_keys();
    assert_eq!(client.open(&close), [(21, vec![1, 0])]);
    rig.input(&mut server, &wire).unwrap();
    rig.input(&mut server, &client.seal(DATA, b"late", 0)).unwrap();
    assert_eq!(rig.read(&mut server), b"late");
    rig.finish(server);
}

/// When every slot is taken the next handshake is refused, and a finished one makes room.
#[test]
fn handshake_slots_are_bounded() {
    let mut rig = Rig::new();
    let (_, hello) = Client13::new(&[Group::X25519]);
    let wire = record(HANDSHAKE, &hello.encode());
    let mut others: Vec<_> = (0..16).map(|_| rig.connection()).collect();
    for other in &mut others {
        rig.input(other, &wire).unwrap();
    }
    assert_eq!(rig.server.free_slots(), 0);
    let mut late = rig.connection();
    assert_eq!(rig.input(&mut late, &wire), Err(Error::HandshakesFull));
    drop(others.pop());
    let mut next = rig.connection();
    rig.input(&mut next, &wire).unwrap();
    let peers = Peers13::new(Rig::new());
    assert_eq!(peers.rig.server.free_slots(), 16, "an established connection holds no slot");
}

/// An answer that nothing waits for is an error of ours, not a panic.
#[test]
fn completions_without_a_job() {
    let mut peers = Peers13::new(Rig::new());
    let (_, share) = support::client::generate(Group::X25519);
    let done = levee_crypto::Done::Exchanged { share, secret: levee_crypto::Secret::new([1; 32]) };
    let result = peers.rig.call(|out| peers.server.on_job(done, out));
    assert_eq!(result, Err(Error::UnexpectedCompletion));
}

/// Engines that fail end the handshake with internal_error.
#[test]
fn failing_engines() {
    for failure in [levee_crypto::Failure::Internal, levee_crypto::Failure::UnsuitableKey] {
        let mut rig = late(100, 0, 0);
        let mut server = rig.connection();
        let (_, hello) = Client13::new(&[Group::X25519]);
        let chain = rig.heap.chain(&record(HANDSHAKE, &hello.encode()));
        rig.call(|out| server.input(chain, out)).unwrap();
        let result = rig.call(|out| server.on_job(levee_crypto::Done::Failed(failure), out));
        assert_eq!(result, Err(Error::EngineFailed));
        assert_eq!(rig.output(&mut server), record(21, &[2, 80]));
    }
}

/// A handshake takes no session of the AEAD engine, in either version; application data does.
#[test]
fn a_handshake_takes_no_session() {
    let without_sessions = || {
        let mut rig = Rig::new();
        rig.aead = Box::new(levee_crypto::SoftwareAead::new(0));
        rig
    };
    let mut peers = Peers13::new(without_sessions());
    assert!(peers.server.is_established());
    assert_eq!(peers.send(DATA, b"request"), Err(Error::SessionsFull));
    let mut peers = Peers12::new(without_sessions());
    assert!(peers.server.is_established());
    assert_eq!(peers.send(DATA, b"request"), Err(Error::SessionsFull));
}

//! Groups and kinds of certificates: what is preferred, what a ClientHello of two segments does, and what happens
//! without room for its share.

mod support;

use levee_crypto::Group;
use levee_tls::Error;
use support::client::{Client13, ServerHello, split};
use support::hello::{
    CHANGE_CIPHER_SPEC, DATA, ECDSA, ED25519, HANDSHAKE, Hello, P384, PSS, codes, message, record,
};
use support::{Peers12, Peers13, Rig};

const HYBRID: Group = Group::X25519MlKem768;

/// Of what a client can verify: ECDSA on P-256, then Ed25519, P-384, RSA.
#[test]
fn the_cheapest_certificate_is_taken() {
    let mut schemes = vec![PSS[0], P384, ED25519, ECDSA];
    while let Some(expected) = schemes.pop() {
        let all: Vec<u16> = schemes.iter().copied().chain([expected]).collect();
        for tls13 in [true, false] {
            let (client, hello) = Client13::new(&[Group::X25519]);
            let set = |hello: Hello| hello.set(13, codes::<2>(&all));
            let established = if tls13 {
                *Peers13::with(Rig::with_all_kinds(), client, &set(hello)).server.handshake().unwrap()
            } else {
                let hello = set(Hello::tls12()).set(10, codes::<2>(&[0x0017, 0x0018]));
                *Peers12::with(Rig::with_all_kinds(), hello).server.handshake().unwrap()
            };
            assert_eq!(established.scheme.code(), expected);
        }
    }
}

/// A ClientHello with a share of the hybrid takes two segments: cut at every byte of it, and it is copied once.
#[test]
fn a_hybrid_hello_in_two_segments_cut_anywhere() {
    let (_, hello) = Client13::new(&[Group::X25519MlKem768, Group::X25519]);
    let message = hello.encode();
    let whole = record(HANDSHAKE, &message);
    assert!(whole.len() > 1300);
    let mut rig = Rig::new();
    for at in 1..whole.len() {
        let mut server = rig.connection();
        let gathered = rig.counters.gathered;
        let (a, b) = whole.split_at(at);
        rig.input(&mut server, a).unwrap();
        rig.input(&mut server, b).unwrap();
        let flight = rig.output(&mut server);
        let said = ServerHello::decode(&split(&flight)[0][5..]);
        assert_eq!(said.extension(51).unwrap()[..4], [0x11, 0xec, 0x04, 0x60], "cut at {at}");
        // The record's header is set aside: the message is whole behind it.
        assert_eq!(rig.counters.gathered - gathered, u64::from(at > 5), "cut at {at}");
        rig.finish(server);
    }
}

/// A client that lists the hybrid and sends a share of another group is not asked again.
#[test]
fn a_share_that_is_there_goes_before_a_better_group() {
    for group in [Group::X25519, Group::Secp256r1, Group::Secp384r1] {
        let (client, hello) = Client13::new(&[group]);
        let hello = hello.set(10, codes::<2>(&[0x11ec, group.code()]));
        let peers = Peers13::with(Rig::new(), client, &hello);
        assert_eq!(peers.server.handshake().unwrap().group, group);
        assert_eq!(peers.rig.counters.hello_retries, 0);
    }
}

/// While all rooms for long shares are taken: another share of the client, another group by HelloRetryRequest, or
/// the end; each counted.
#[test]
fn without_room_for_a_long_share() {
    let mut rig = Rig::new();
    let held: Vec<_> = std::iter::from_fn(|| rig.server.shares().share(HYBRID, &[0; 1216]).ok()).collect();
    assert_eq!(held.len(), 16);

    let (client, hello) = Client13::new(&[HYBRID, Group::Secp256r1]);
    let peers = Peers13::with(rig, client, &hello);
    assert_eq!(peers.server.handshake().unwrap().group, Group::Secp256r1);
    assert_eq!(peers.rig.counters.shares_passed_over, 1);
    rig = peers.rig;

    let (_, hello) = Client13::new(&[HYBRID]);
    let mut server = rig.connection();
    rig.input(&mut server, &record(HANDSHAKE, &hello.encode())).unwrap();
    let said = ServerHello::decode(&split(&rig.output(&mut server))[0][5..]);
    assert_eq!(said.extension(51), Some(&[0, 0x1d][..]), "asks for X25519");
    assert_eq!((rig.counters.shares_passed_over, rig.counters.hello_retries), (2, 1));

    let mut server = rig.connection();
    let only = record(HANDSHAKE, &hello.set(10, codes::<2>(&[HYBRID.code()])).encode());
    assert_eq!(rig.input(&mut server, &only), Err(Error::SharesFull));
    assert_eq!(rig.output(&mut server), record(21, &[2, 80]));
    assert_eq!(rig.counters.errors[Error::SharesFull as usize], 1);

    drop(held);
    let mut server = rig.connection();
    rig.input(&mut server, &only).unwrap();
    assert_eq!(rig.server.shares().free(), 16, "the job is done");
}

fn retried(group: Group, session_id: bool) {
    let mut rig = Rig::new();
    let mut server = rig.connection();
    // A share for a group of nobody, and this one in the list.
    let (mut client, whole) = Client13::new(&[group]);
    let share = whole.extensions.iter().find(|extension| extension.0 == 51).unwrap().1.clone();
    let mut hello = Hello::tls13(&[]).set(10, codes::<2>(&[0x0a0a, group.code()]));
    if !session_id {
        hello.session_id.clear();
    }
    let first = hello.encode();
    rig.input(&mut server, &record(HANDSHAKE, &first)).unwrap();
    let wire = rig.output(&mut server);
    let retry = split(&wire);
    assert_eq!(retry.len(), if session_id { 2 } else { 1 });
    let said = ServerHello::decode(&retry[0][5..]);
    assert_eq!(said.random[..4], [0xcf, 0x21, 0xad, 0x74]);
    assert_eq!(said.extension(51), Some(&group.code().to_be_bytes()[..]));
    assert_eq!(rig.counters.hello_retries, 1);

    let second = hello.set(51, share).encode();
    let digest = levee_crypto::Hash::Sha256.digest(&[&first]);
    client.transcript = message(254, &digest);
    client.transcript.extend(&retry[0][5..]);
    client.transcript.extend(&second);
    let mut wire = record(CHANGE_CIPHER_SPEC, &[1]);
    wire.extend(record(HANDSHAKE, &second));
    rig.input(&mut server, &wire).unwrap();
    let wire = rig.output(&mut server);
    let kinds: Vec<u8> = split(&wire).iter().map(|record| record[0]).collect();
    assert_eq!(kinds, [HANDSHAKE, DATA], "one change_cipher_spec is enough");
    let finished = client.server_flight(&wire);
    let wire = client.seal(HANDSHAKE, &finished, 0);
    rig.input(&mut server, &wire).unwrap();
    assert_eq!(server.handshake().unwrap().group, group);
    rig.finish(server);
}

#[test]
fn hello_retry_request() {
    for &group in Group::ALL {
        retried(group, true);
        retried(group, false);
    }
}

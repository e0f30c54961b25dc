//! ClientHellos of any extensions, good and bad: no panic, bounded memory, the same answer however it is cut, and
//! that is a flight or one alert.

use arbitrary::{Arbitrary, Result, Unstructured};
use levee_crypto::Group;

use crate::rig;
use crate::tls::client::Client13;
use crate::tls::hello::{HANDSHAKE, Hello, codes, records};

#[derive(Arbitrary, Debug)]
enum Change {
    /// An extension of any body; the code is one that is known, or any.
    Set {
        code: u16,
        known: bool,
        body: Vec<u8>,
    },
    /// An extension a second time.
    Again {
        index: u8,
    },
    Without {
        index: u8,
    },
    Move {
        from: u8,
        to: u8,
    },
    Suites(Vec<u16>),
    Groups(Vec<u16>),
    Versions(Vec<u16>),
    Schemes(Vec<u16>),
    SessionId(Vec<u8>),
    Compression(Vec<u8>),
    LegacyVersion(u16),
    /// A byte of the message.
    Byte {
        at: u16,
        with: u8,
    },
    Cut {
        at: u16,
    },
    Longer(Vec<u8>),
}

/// Extensions that the server reads.
const KNOWN: [u16; 17] = [0, 5, 10, 11, 13, 16, 22, 23, 35, 41, 42, 43, 44, 45, 50, 51, 0xff01];

/// Runs `input` as a hello and what is changed in it.
pub fn run(input: &[u8]) {
    let _ = program(&mut Unstructured::new(input));
}

fn program(input: &mut Unstructured<'_>) -> Result<()> {
    let mut hello = match input.int_in_range(0..=3)? {
        0 => Hello::tls12(),
        1 => Client13::new(&[Group::X25519]).1,
        2 => Client13::new(&[Group::Secp256r1]).1,
        _ => Hello::tls13(&[]),
    };
    let (cut, size) = (input.arbitrary::<u16>()?, input.int_in_range(1..=600)?);
    let mut bytes = Vec::new();
    for change in input.arbitrary_iter()?.take(12) {
        hello = apply(change?, hello, &mut bytes);
    }
    let mut message = hello.encode();
    for (at, with) in bytes {
        let at = at % message.len();
        message[at] ^= with;
    }
    let wire = records(HANDSHAKE, &message, size);
    let whole = answer(&[&wire]);
    let (front, back) = wire.split_at(usize::from(cut) % wire.len());
    assert_eq!(answer(&[front, back]), whole, "cut");
    Ok(())
}

/// What the server says, with its error.
fn answer(pieces: &[&[u8]]) -> (Vec<u8>, Option<levee_tls::Error>) {
    let mut rig = rig();
    let mut server = rig.connection();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let _ = rig.input(&mut server, piece);
        assert!(server.buffered() <= pieces.iter().map(|piece| piece.len()).sum());
    }
    let sent = rig.output(&mut server);
    let error = server.error();
    assert!(!server.is_established() && rig.read(&mut server).is_empty());
    match error {
        // RFC 8446 section 6.2: one fatal alert of two bytes.
        Some(_) => assert!(sent.is_empty() || sent.len() == 7 && sent[0] == 21 && sent[5] == 2, "{sent:?}"),
        None => assert!(sent.is_empty() || sent[0] == HANDSHAKE),
    }
    rig.finish(server);
    // Signatures and shares are drawn anew for each.
    (sent.get(..5).map_or_else(Vec::new, <[u8]>::to_vec), error)
}

fn apply(change: Change, mut hello: Hello, bytes: &mut Vec<(usize, u8)>) -> Hello {
    let count = hello.extensions.len().max(1);
    let place = |index: u8| usize::from(index) % count;
    match change {
        Change::Set { code, known, body } => {
            let code = if known { KNOWN[usize::from(code) % KNOWN.len()] } else { code };
            hello.set(code, body)
        }
        Change::Again { index } => {
            hello.extensions.extend(hello.extensions.get(place(index)).cloned());
            hello
        }
        Change::Without { index } => match hello.extensions.get(place(index)) {
            Some(&(code, _)) => hello.without(code),
            None => hello,
        },
        Change::Move { from, to } => {
            if !hello.extensions.is_empty() {
                hello.extensions.swap(place(from), place(to));
            }
            hello
        }
        Change::Suites(suites) => hello.suites(&suites),
        Change::Groups(groups) => hello.set(10, codes::<2>(&groups)),
        Change::Versions(versions) => hello.set(43, codes::<1>(&versions)),
        Change::Schemes(schemes) => hello.set(13, codes::<2>(&schemes)),
        Change::SessionId(session_id) => Hello { session_id, ..hello },
        Change::Compression(compression) => Hello { compression, ..hello },
        Change::LegacyVersion(legacy_version) => Hello { legacy_version, ..hello },
        Change::Byte { at, with } => {
            bytes.push((usize::from(at), with));
            hello
        }
        Change::Cut { at } => {
            if let Some((_, body)) = hello.extensions.last_mut() {
                body.truncate(usize::from(at));
            }
            hello
        }
        Change::Longer(more) => {
            if let Some((_, body)) = hello.extensions.last_mut() {
                body.extend(more);
            }
            hello
        }
    }
}

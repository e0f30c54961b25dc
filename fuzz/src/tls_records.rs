//! Any bytes for the record layer of the TLS server: on a fresh connection, and under the right keys of either
//! version. No panic, never more held than came, all given back, and nothing is read that was not sealed.

use arbitrary::{Arbitrary, Result, Unstructured};
use levee_buf::Heap;
use levee_tls::Connection;

use crate::rig;
use crate::tls::hello::DATA;
use crate::tls::{Peers12, Peers13, Rig};

/// The most that a connection sends on its own: a flight, an alert, answers to key updates.
const MOST: usize = 20_000;

#[derive(Arbitrary, Debug)]
enum Piece {
    Raw(Vec<u8>),
    Sealed {
        kind: u8,
        content: Vec<u8>,
        padding: u8,
    },
    /// A sealed record, of which a byte is changed.
    Broken {
        content: Vec<u8>,
        at: u16,
        with: u8,
    },
}

/// Runs `input` as a list of records.
pub fn run(input: &[u8]) {
    let _ = program(&mut Unstructured::new(input));
}

fn program(input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0..=2)? {
        0 => {
            let cuts = input.arbitrary::<[u8; 3]>()?;
            let bytes = input.bytes(input.len())?;
            let mut rig = rig();
            let mut server = rig.connection();
            let mut rest = bytes;
            for cut in cuts {
                let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
                feed(&mut rig, &mut server, piece, &mut Vec::new());
                rest = after;
            }
            let mut plain = Vec::new();
            feed(&mut rig, &mut server, rest, &mut plain);
            assert!(plain.is_empty() && !server.is_established());
            rig.finish(server);
        }
        1 => {
            let mut peers = Peers13::new(rig());
            let client = &mut peers.client;
            records(input, &mut peers.rig, &mut peers.server, |kind, content, padding| {
                client.seal(kind, content, padding)
            })?;
            peers.rig.finish(peers.server);
        }
        _ => {
            let mut peers = Peers12::new(rig());
            let client = &mut peers.client;
            records(input, &mut peers.rig, &mut peers.server, |kind, content, _| client.seal(kind, content))?;
            peers.rig.finish(peers.server);
        }
    }
    Ok(())
}

fn records(
    input: &mut Unstructured<'_>,
    rig: &mut Rig,
    server: &mut Connection<Heap>,
    mut seal: impl FnMut(u8, &[u8], usize) -> Vec<u8>,
) -> Result<()> {
    let (mut sent, mut plain) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        let wire = match input.arbitrary()? {
            Piece::Raw(bytes) => bytes,
            Piece::Sealed { kind, content, padding } => {
                // The types that there are, and their neighbours.
                let kind = 19 + kind % 7;
                if kind == DATA {
                    sent.extend(&content);
                }
                seal(kind, &content, usize::from(padding))
            }
            Piece::Broken { content, at, with } => {
                let mut wire = seal(DATA, &content, 0);
                let at = usize::from(at) % wire.len();
                wire[at] ^= with;
                if with == 0 {
                    sent.extend(&content);
                }
                wire
            }
        };
        let cut = usize::from(input.arbitrary::<u8>()?).min(wire.len());
        let (front, back) = wire.split_at(cut);
        feed(rig, server, front, &mut plain);
        feed(rig, server, back, &mut plain);
    }
    assert!(sent.starts_with(&plain), "read, but not sent");
    Ok(())
}

fn feed(rig: &mut Rig, server: &mut Connection<Heap>, bytes: &[u8], plain: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let before = server.buffered();
    let over = server.error().is_some();
    let failed = rig.input(server, bytes).is_err();
    assert!(!failed || server.error().is_some());
    assert!(server.buffered() <= before + bytes.len(), "more is held than came");
    let sent = rig.output(server);
    assert!(sent.len() < MOST);
    assert!(!over || sent.is_empty(), "it speaks after its alert");
    plain.extend(rig.read(server));
}

//! Conformance: what clients do right and wrong at every point of both versions, and what must come of it.
//!
//! The cases are lines of the `.txt` files beside this one, by the sections of the RFCs:
//!
//! ```text
//! 12.exchanged  ccs ; finished flip 8  -> decrypt_error
//! ```
//!
//! - Where the conversation stands: `start`, `retry` (a HelloRetryRequest was sent), `flight` (the server's is there),
//!   in TLS 1.2 `exchanged` (ClientKeyExchange was sent) and `changed` (change_cipher_spec too), `open`. Behind `/` what
//!   the hello had to lead there: a group, a suite, an extension. All up to there is right.
//! - What is sent: steps behind each other, each a message, an alert, data or a record, and what is done to it
//!   (`sending.rs`). It is protected where that is due.
//! - What must come of it: the name of the alert with which the server ends the connection, and where it is another,
//!   the name of the reason that is counted; or `ended` by the
//!   client's alert, `closed` by its close_notify, `waits` for more, `warned` by an alert that ends nothing, `served`:
//!   the rest of the handshake and data go both ways, and the terms that follow hold.
//!
//! Braces stand for several cases. `server` says what is offered from there on.
//!
//! Each case is played with its bytes at once, one by one, ahead of engines that answer late, and by a client that is gone
//! before they do. After an alert of its own the server must be silent, and in the end nothing may be held.

#[path = "../support/mod.rs"]
mod support;

mod names;
mod player;
mod script;
mod sending;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use levee_crypto::PrivateKey;
use levee_tls::{Alert, Blame, Error, Options, Version};
use player::{Delivery, play};
use script::Case;
use support::engines::{LateAead, LateEngine, seeded};
use support::{Rig, identities, options};

/// The tables.
const TABLES: [(&str, &str); 7] = [
    ("versions.txt", include_str!("versions.txt")),
    ("client_hello.txt", include_str!("client_hello.txt")),
    ("extensions.txt", include_str!("extensions.txt")),
    ("key_exchange.txt", include_str!("key_exchange.txt")),
    ("messages.txt", include_str!("messages.txt")),
    ("records.txt", include_str!("records.txt")),
    ("closing.txt", include_str!("closing.txt")),
];

/// The least number of cases.
const CASES: usize = 2_300;

/// With the bytes of a case at once; and when it is played again, no memory is held that was not before.
#[test]
fn each_case() {
    let mut met = Vec::new();
    play_all(Delivery::Whole, |rig, case| {
        met.extend(play(rig, case, Delivery::Whole));
        let grown = allocation_counter::measure(|| _ = play(rig, case, Delivery::Whole));
        assert_eq!((grown.count_current, grown.bytes_current), (0, 0), "allocations stay");
    });
    for error in Error::ALL.iter().filter(|error| error.blame() != Blame::Local) {
        assert!(OF_CLIENTS.contains(error) || met.contains(error), "no case ends by {error:?}");
    }
}

#[test]
fn each_case_byte_by_byte() {
    play_all(Delivery::Bytes, |rig, case| _ = play(rig, case, Delivery::Bytes));
}

#[test]
fn each_case_ahead_of_the_engines() {
    play_all(Delivery::Ahead, |rig, case| _ = play(rig, case, Delivery::Ahead));
}

/// A client that is gone while engines work for it leaves nothing behind.
#[test]
fn each_case_left_at_any_turn() {
    let mut turns = (0..8).cycle();
    play_all(Delivery::Left(0), |rig, case| {
        _ = play(rig, case, Delivery::Left(turns.next().unwrap()));
    });
}

/// Each error has its own name, and an alert unless the peer sent one, or could not open it: a record that was not sealed
/// has taken its number.
#[test]
fn the_table_of_errors() {
    let mut names: Vec<&str> = Error::ALL.iter().map(|error| error.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Error::ALL.len());
    for (index, error) in Error::ALL.iter().enumerate() {
        assert_eq!(*error as usize, index);
        let is_lost = *error == Error::SealFailed;
        assert_eq!(error.alert().is_none(), is_lost || error.blame() == Blame::Ended, "{error:?}");
        if error.blame() == Blame::Local && !is_lost {
            assert!(matches!(error.alert(), Some(Alert::InternalError | Alert::CloseNotify)));
        }
    }
}

/// Errors of the load client, which no server meets.
const OF_CLIENTS: [Error; 5] = [
    Error::BadServerHello,
    Error::BadRetryRequest,
    Error::UnsolicitedExtension,
    Error::BadCertificate,
    Error::BadSignature,
];

fn play_all(delivery: Delivery, mut each: impl FnMut(&mut Rig, &Case)) {
    let cases: Vec<Case> = TABLES.iter().flat_map(|(file, text)| script::read(file, text)).collect();
    let mut titles: Vec<&str> = cases.iter().map(|case| case.title.split_once(": ").unwrap().1).collect();
    titles.sort_unstable();
    titles.dedup();
    let count = titles.len();
    println!("{count} cases");
    assert!(count >= CASES, "a table has lost its cases");
    let mut rigs: HashMap<&str, Rig> = HashMap::new();
    let mut failed = Vec::new();
    for case in &cases {
        let rig = rigs.entry(&case.server).or_insert_with(|| rig(&case.server, delivery));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| each(rig, case))) {
            let text = panic.downcast_ref::<String>().map_or("", String::as_str);
            let text = panic.downcast_ref::<&str>().copied().unwrap_or(text);
            failed.push(format!("{}\n    {text}", case.title));
            rigs.remove(case.server.as_str());
        }
    }
    assert!(failed.is_empty(), "{} of {count} cases:\n{}", failed.len(), failed.join("\n"));
}

/// A server of the tables, by its name.
fn rig(server: &str, delivery: Delivery) -> Rig {
    let all = identities();
    let only = |version| Options { versions: vec![version], ..options() };
    let (certificates, options) = match server {
        "all" => (vec![&all.ecdsa, &all.rsa, &all.wild], options()),
        "kinds" => (vec![&all.rsa, &all.p384, &all.ed25519, &all.ecdsa], options()),
        "ecdsa" => (vec![&all.ecdsa], options()),
        "rsa" => (vec![&all.rsa], options()),
        "1.2" => (vec![&all.ecdsa, &all.rsa], only(Version::Tls12)),
        "1.3" => (vec![&all.ecdsa, &all.rsa], only(Version::Tls13)),
        "no_protocols" => (vec![&all.ecdsa], Options::default()),
        other => panic!("a server: {other}"),
    };
    let mut rig = Rig::with(&certificates, options);
    if matches!(delivery, Delivery::Ahead | Delivery::Left(_)) {
        let keys: Vec<PrivateKey> =
            certificates.iter().map(|one| PrivateKey::from_der(&one.key).unwrap()).collect();
        rig.engine = Box::new(LateEngine::new(seeded(&keys), 2, 1));
        rig.aead = Box::new(LateAead::new(2, 1));
    }
    rig
}

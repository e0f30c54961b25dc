//! Crypto devices: what they do is right, in order, and loses nothing.

mod support;

use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_dpdk::crypto::{
    Algorithm, Answer, Device, DeviceConfig, Direction, Finished, MAX_AAD, Operation, Outcome, Path,
    QueuePair, SessionId, TAG_LEN,
};
use levee_dpdk::{Chain, Eal, Pool};
use support::Numbers;

#[test]
fn devices_do_what_they_are_said_to_support() {
    let names = ["crypto_aesni_gcm", "crypto_aesni_mb", "crypto_openssl", "crypto_chacha20_poly1305"];
    let arguments: Vec<String> = names.iter().map(|name| format!("--vdev={name}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // With hugepages physical addresses are not virtual ones.
    let (eal, _) = support::eal_on_hugepages(&arguments);
    let pool = support::pool(&eal, "crypto");
    assert_eq!(Device::names(&eal).len(), names.len());

    for name in names {
        for now in [true, false] {
            let config = DeviceConfig { queue_pairs: 2, sessions: 300, now, ..DeviceConfig::default() };
            let pools = std::slice::from_ref(&pool);
            let (device, mut pairs) = Device::open(&eal, name, &config, pools).expect("it opens");
            assert!(Device::open(&eal, name, &config, pools).is_err(), "it is held");
            for algorithm in Algorithm::ALL {
                let support = device.support(algorithm);
                println!(
                    "{name} {algorithm:?} {support:?}{}; a session takes {} bytes",
                    if device.lies_about(algorithm) { ", LIES" } else { "" },
                    pairs[1].session_bytes(),
                );
                if support.in_place.is_some() {
                    records_of_all_shapes(&mut pairs[1], &pool, algorithm);
                    sessions_are_bounded_and_come_back(&mut pairs[1], algorithm);
                    full_queue_gives_operations_back(&mut pairs[0], &pool, algorithm);
                    none_overtakes(&mut pairs[0], &pool, algorithm);
                    costs(&mut pairs[1], &pool, algorithm);
                } else {
                    assert_eq!(pairs[0].open_session(algorithm, &vec![1; algorithm.key_len()]), None);
                }
            }
            dropping_a_queue_pair_waits(&pool, pairs);
            assert_eq!(pool.in_use(), 0, "{name}");
        }
    }
    two_lcores(&eal, &pool);
    assert_eq!(pool.in_use(), 0);
}

/// What this machine's DPDK is known to do.
fn expected(eal: &Eal, pool: &Pool) {
    let pools = std::slice::from_ref(pool);
    let (gcm, _) = Device::open(eal, "crypto_aesni_gcm", &DeviceConfig::default(), pools).expect("it opens");
    for algorithm in [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm] {
        assert_eq!(gcm.support(algorithm).in_place, Some(Path::Now));
        assert_eq!(gcm.support(algorithm).out_of_place, Some(Path::Later));
    }
    assert_eq!(gcm.support(Algorithm::ChaCha20Poly1305).in_place, None);
    assert!(!gcm.lies_about(Algorithm::ChaCha20Poly1305), "it does not claim it");
}

fn two_lcores(eal: &Eal, pool: &Pool) {
    expected(eal, pool);
    let config = DeviceConfig { queue_pairs: 2, sessions: 300, ..DeviceConfig::default() };
    let pools = [pool.clone(), pool.clone()];
    let (device, pairs) = Device::open(eal, "crypto_aesni_mb", &config, &pools).expect("it opens");
    let workers: Vec<_> = pairs
        .into_iter()
        .map(|mut pair| {
            let pool = pool.clone();
            let work = move || records_of_all_shapes(&mut pair, &pool, Algorithm::Aes128Gcm);
            eal.launch(eal.cpus()[0], "crypto", work).expect("a worker")
        })
        .collect();
    for worker in workers {
        worker.join().expect("no panic");
    }
    drop(device);
}

/// What the RustCrypto crates make of the same bytes: whichever engine seals, the wire carries the same.
fn software(
    algorithm: Algorithm,
    key: &[u8],
    nonce: &[u8; 12],
    (aad, len): &([u8; MAX_AAD], u8),
    msg: &[u8],
) -> Vec<u8> {
    use aes_gcm::aead::{Aead, KeyInit, Payload};
    let payload = Payload { msg, aad: &aad[..usize::from(*len)] };
    let nonce = nonce.into();
    match algorithm {
        Algorithm::Aes128Gcm => {
            aes_gcm::Aes128Gcm::new_from_slice(key).expect("16 bytes").encrypt(nonce, payload)
        }
        Algorithm::Aes256Gcm => {
            aes_gcm::Aes256Gcm::new_from_slice(key).expect("32 bytes").encrypt(nonce, payload)
        }
        Algorithm::ChaCha20Poly1305 => {
            chacha20poly1305::ChaCha20Poly1305::new_from_slice(key).expect("32 bytes").encrypt(nonce, payload)
        }
    }
    .expect("it seals")
}

/// Seals and opens records cut into segments at random, in place and out of place.
fn records_of_all_shapes(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) {
    let numbers = &mut Numbers::new(algorithm as u64 + 1);
    let key: Vec<u8> = (0..algorithm.key_len()).map(|_| random(numbers)).collect();
    for aad in [&[1_u8; 5][..], &[2; 13]] {
        let seal = pair.open_session(algorithm, &key).expect("room");
        let open = pair.open_session(algorithm, &key).expect("room");
        for (round, length) in
            [1, 16, 17, 100, 1448, 4000, 16384, 16385].into_iter().cycle().take(80).enumerate()
        {
            let plain: Vec<u8> = (0..length).map(|_| random(numbers)).collect();
            let mut bytes = vec![0xaa; 5];
            bytes.extend_from_slice(&plain);
            bytes.extend_from_slice(&[0; TAG_LEN]);
            let at = 5..5 + length + TAG_LEN;
            let text = in_pieces(pool, numbers, &bytes);
            let mut operation = Operation {
                token: round as u64,
                session: seal,
                direction: Direction::Seal,
                nonce: [u8::try_from(round).expect("small"); 12],
                aad: Operation::aad(aad),
                text,
                at: at.clone(),
                into: None,
            };
            let (nonce, aad) = (operation.nonce, operation.aad);
            let mut shared = Chain::default();
            if round % 2 == 1 {
                // Out of place, from bytes that are shared with somebody.
                pool.push(&mut shared, &plain).expect("memory");
                operation.text = pool.reference(&mut shared, 0..length).expect("memory");
                let mut into = pool.alloc(length + TAG_LEN).expect("memory");
                into.prepend(5).expect("headroom").fill(0xaa);
                operation.into = Some(into);
            }
            let sealed = once(pair, operation);
            assert!(sealed.is_done() && sealed.token == round as u64 && sealed.direction == Direction::Seal);
            assert_eq!(shared.to_vec(), if shared.is_empty() { Vec::new() } else { plain.clone() });
            let wire = sealed.text.to_vec();
            assert_eq!((wire.len(), &wire[..5]), (bytes.len(), &[0xaa; 5][..]));
            assert_eq!(wire[5..], software(algorithm, &key, &nonce, &aad, &plain), "length {length}");
            for spoil in [false, true] {
                let mut wire = wire.clone();
                if spoil {
                    wire[5 + numbers.below(length + TAG_LEN)] ^= 1 << numbers.below(8);
                }
                let text = in_pieces(pool, numbers, &wire);
                let opened = once(
                    pair,
                    Operation {
                        token: 1,
                        session: open,
                        direction: Direction::Open,
                        nonce,
                        aad,
                        text,
                        at: at.clone(),
                        into: None,
                    },
                );
                // What a peer forged is no fault of the device's.
                let outcome = if spoil { Outcome::Forged } else { Outcome::Done };
                assert_eq!(opened.outcome, outcome, "length {length}");
                assert!(spoil || opened.text.to_vec()[5..5 + length] == plain[..], "length {length}");
            }
        }
        let wrong_way = Operation {
            token: 1,
            session: seal,
            direction: Direction::Open,
            nonce: [0; 12],
            aad: Operation::aad(aad),
            text: in_pieces(pool, numbers, &[0; 100]),
            at: 0..100,
            into: None,
        };
        assert_eq!(once(pair, wrong_way).outcome, Outcome::Impossible, "a session has one direction");
        pair.close_session(seal);
        pair.close_session(open);
    }
}

/// What must not be written is not written, and what does not fit is refused.
fn sessions_are_bounded_and_come_back(pair: &mut QueuePair, algorithm: Algorithm) {
    let key = vec![7; algorithm.key_len()];
    assert_eq!(pair.open_session(algorithm, &key[1..]), None, "a key of the wrong length");
    for _ in 0..3 {
        let mut open: Vec<SessionId> = Vec::new();
        while let Some(session) = pair.open_session(algorithm, &key) {
            open.push(session);
        }
        assert_eq!(open.len(), 300);
        for session in open {
            pair.close_session(session);
            pair.close_session(session);
        }
    }
}

fn full_queue_gives_operations_back(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) {
    let session = pair.open_session(algorithm, &vec![9; algorithm.key_len()]).expect("room");
    let numbers = &mut Numbers::new(3);
    let make = |token, pool: &Pool, numbers: &mut Numbers| Operation {
        token,
        session,
        direction: Direction::Seal,
        nonce: [3; 12],
        aad: Operation::aad(&[0; 5]),
        text: in_pieces(pool, numbers, &[5; 80]),
        at: 0..80,
        into: None,
    };
    let mut submitted = 0;
    let mut busy = false;
    for token in 0..2000 {
        match pair.submit(make(token, pool, numbers)) {
            Answer::Now(done) => assert!(done.is_done() && done.token == token),
            Answer::Later => submitted += 1,
            Answer::Busy(operation) => {
                assert_eq!((operation.token, operation.text.len()), (token, 80));
                busy = true;
                break;
            }
        }
    }
    // The session ends when the last operation does.
    pair.close_session(session);
    assert_eq!(pair.in_flight(), submitted);
    let mut next = 0;
    let deadline = Instant::now() + Duration::from_secs(5);
    while pair.in_flight() > 0 {
        assert!(Instant::now() < deadline);
        pair.flush();
        while let Some(done) = pair.completed() {
            assert!(done.is_done());
            assert_eq!(done.token, next, "in the order of submission");
            next += 1;
        }
    }
    assert!(busy == (submitted > 0), "a queue is bounded");
    assert!(!once(pair, make(1, pool, numbers)).is_done(), "the session is closed");
    let session = pair.open_session(algorithm, &vec![9; algorithm.key_len()]).expect("room");
    let refused = |change: &dyn Fn(&mut Operation), pair: &mut QueuePair, numbers: &mut Numbers| {
        let mut operation = make(1, pool, numbers);
        operation.session = session;
        change(&mut operation);
        let done = once(pair, operation);
        assert!(!done.is_done() && done.token == 1);
    };
    refused(&|operation| operation.at = 0..TAG_LEN - 1, pair, numbers);
    refused(&|operation| operation.at = 10..81, pair, numbers);
    refused(&|operation| drop(pool.reference(&mut operation.text, 0..1)), pair, numbers);
    refused(&|operation| operation.into = Some(Chain::default()), pair, numbers);
    refused(&|operation| operation.session = SessionId(u32::MAX), pair, numbers);
    pair.close_session(session);
}

/// An operation that could be done at once does not overtake one that could not.
fn none_overtakes(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) {
    let session = pair.open_session(algorithm, &vec![9; algorithm.key_len()]).expect("room");
    let make = |token, into| Operation {
        token,
        session,
        direction: Direction::Seal,
        nonce: [3; 12],
        aad: Operation::aad(&[0; 5]),
        text: in_pieces(pool, &mut Numbers::new(token), &[5; 80]),
        at: 0..80,
        into,
    };
    for flushed in [false, true] {
        let first = pair.submit(make(1, pool.alloc(200)));
        if flushed {
            pair.flush();
        }
        let later = matches!(first, Answer::Later);
        assert_eq!(matches!(pair.submit(make(2, None)), Answer::Later), later);
        pair.flush();
        assert_eq!(matches!(pair.submit(make(3, None)), Answer::Later), later);
        pair.flush();
        let mut tokens = Vec::new();
        while pair.in_flight() > 0 {
            if let Some(done) = pair.completed() {
                assert!(done.is_done());
                tokens.push(done.token);
                if done.token == 1 {
                    // Its followers are answered, perhaps, but not taken.
                    assert!(matches!(pair.submit(make(4, None)), Answer::Later));
                    pair.flush();
                }
            }
        }
        assert_eq!(tokens, if later { vec![1, 2, 3, 4] } else { Vec::new() });
    }
    pair.close_session(session);
}

fn dropping_a_queue_pair_waits(pool: &Pool, pairs: Vec<QueuePair>) {
    for mut pair in pairs {
        let Some(algorithm) =
            Algorithm::ALL.into_iter().find(|&algorithm| pair.support(algorithm).in_place.is_some())
        else {
            continue;
        };
        let session = pair.open_session(algorithm, &vec![9; algorithm.key_len()]).expect("room");
        for token in 0..10 {
            let text = in_pieces(pool, &mut Numbers::new(token), &[5; 800]);
            let (nonce, aad) = ([1; 12], Operation::aad(&[0; 5]));
            pair.submit(Operation {
                token,
                session,
                direction: Direction::Seal,
                nonce,
                aad,
                text,
                at: 0..800,
                into: None,
            });
            if token == 5 {
                pair.flush();
            }
        }
    }
}

/// Prints what a session and a record cost; the numbers are for people.
fn costs(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) {
    const ROUNDS: u32 = 500;
    let key = vec![9; algorithm.key_len()];
    let numbers = &mut Numbers::new(9);
    let mut spent = Duration::ZERO;
    for _ in 0..ROUNDS {
        let text = in_pieces(pool, numbers, &[5; TAG_LEN + 1]);
        let began = Instant::now();
        let session = pair.open_session(algorithm, &key).expect("room");
        let (nonce, aad) = ([1; 12], Operation::aad(&[0; 5]));
        let done = once(
            pair,
            Operation {
                token: 0,
                session,
                direction: Direction::Seal,
                nonce,
                aad,
                text,
                at: 0..TAG_LEN + 1,
                into: None,
            },
        );
        pair.close_session(session);
        spent += began.elapsed();
        assert!(done.is_done());
    }
    println!("  {algorithm:?}: a session with one record of a byte {:?}", spent / ROUNDS);
}

fn once(pair: &mut QueuePair, operation: Operation) -> Finished {
    match pair.submit(operation) {
        Answer::Now(finished) => finished,
        Answer::Later => {
            pair.flush();
            let deadline = Instant::now() + Duration::from_secs(1);
            loop {
                assert!(Instant::now() < deadline, "no answer");
                if let Some(finished) = pair.completed() {
                    return finished;
                }
            }
        }
        Answer::Busy(_) => panic!("nothing is in flight"),
    }
}

/// A chain of `bytes` in segments of random lengths; now and then in a great many.
fn in_pieces(pool: &Pool, numbers: &mut Numbers, bytes: &[u8]) -> Chain {
    let most = [1448, 1448, 3000, 200][numbers.below(4)];
    let mut chain = Chain::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at((1 + numbers.below(most)).min(rest.len()));
        let mut piece = pool.alloc(head.len()).expect("memory");
        piece.extend(head.len()).expect("room").copy_from_slice(head);
        chain.append(piece);
        rest = tail;
    }
    chain
}

fn random(numbers: &mut Numbers) -> u8 {
    u8::try_from(numbers.below(256)).expect("below 256")
}

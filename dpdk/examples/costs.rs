//! Prints what operations on packet memory and cryptodev cost here, in nanoseconds.
//!
//! `cargo run --release -p levee-dpdk --example costs -- [EAL arguments]`; without arguments: no
//! hugepages, and the devices `crypto_aesni_gcm` and `crypto_aesni_mb`.

use std::hint::black_box;

use levee_buf::{Chain as _, Memory};
use levee_dpdk::crypto::{Algorithm, Answer, Device, DeviceConfig, Direction, Operation, QueuePair, TAG_LEN};
use levee_dpdk::{Chain, Clock, Eal, Error, Pool, Sizes};

const ROUNDS: u32 = 20_000;

fn main() -> Result<(), Error> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() {
        let plain = "--no-huge -m 256 --no-shconf --no-pci --vdev=crypto_aesni_gcm --vdev=crypto_aesni_mb";
        args = plain.split(' ').map(str::to_owned).collect();
    }
    let eal = Eal::init(&args)?;
    let sizes = Sizes { segments: 8191, records: 255, references: 8191, cache: 512 };
    let pool = Pool::create(&eal, "costs", sizes, None)?;
    let clock = Clock::new(&eal);
    println!("cycles a nanosecond: {:.2}", clock.hz() as f64 / 1e9);

    memory(&clock, &pool);
    for name in Device::names(&eal) {
        let (device, mut pairs) =
            Device::open(&eal, &name, &DeviceConfig::default(), std::slice::from_ref(&pool))?;
        for algorithm in Algorithm::ALL {
            println!("{name} {algorithm:?}: {:?}", device.support(algorithm));
            if device.support(algorithm).in_place.is_some() {
                aead(&clock, &pool, &mut pairs[0], algorithm);
            }
        }
    }
    Ok(())
}

fn memory(clock: &Clock, pool: &Pool) {
    print(clock, "allocate and free a segment", || drop(black_box(pool.alloc(100))));
    print(clock, "allocate and free 16 KiB", || drop(black_box(pool.alloc(16_384))));
    let mut chain = filled(pool, 16_384);
    print(clock, "reference to 1448 bytes, and free it", || {
        drop(black_box(pool.reference(&mut chain, 0..1448)));
    });
    print(clock, "split off 1448 bytes, and link them again", || {
        if let Some(mut front) = pool.split_to(&mut chain, 1448) {
            front.append(chain.take());
            chain = front;
        }
        if clock.cycles().is_multiple_of(64) {
            chain = filled(pool, 16_384);
        }
    });
    print(clock, "a frame: header, split, reference, free", || {
        let mut whole = filled_fast(pool);
        for _ in 0..8 {
            let Some(mut piece) = pool.split_to(&mut whole, 250) else { return };
            let Some(mut frame) = pool.alloc(66) else { return };
            frame.extend(66);
            if let Some(payload) = pool.reference(&mut piece, 0..250) {
                frame.append(payload);
            }
            black_box(frame);
        }
    });
    println!("  (the last is eight frames and a segment)");
    for length in [700, 3000] {
        let mut certificate = filled(pool, length);
        let bytes = certificate.to_vec();
        print(clock, &format!("a flight with {length} bytes copied into it"), || {
            let Some(mut flight) = pool.alloc(200 + length + 600) else { return };
            for part in [&bytes[..100], &bytes, &bytes[..200]] {
                if let Some(place) = flight.extend(part.len()) {
                    place.copy_from_slice(part);
                }
            }
            black_box(flight);
        });
        print(clock, &format!("a flight with a reference to {length} bytes in it"), || {
            let (Some(mut flight), Some(mut end)) = (pool.alloc(200), pool.alloc(600)) else { return };
            for (chain, part) in [(&mut flight, &bytes[..100]), (&mut end, &bytes[..200])] {
                if let Some(place) = chain.extend(part.len()) {
                    place.copy_from_slice(part);
                }
            }
            if let Some(middle) = pool.reference(&mut certificate, 0..length) {
                flight.append(middle);
                flight.append(end);
            }
            black_box(flight);
        });
    }
}

fn aead(clock: &Clock, pool: &Pool, pair: &mut QueuePair, algorithm: Algorithm) {
    let key = vec![7; algorithm.key_len()];
    println!("  a session takes {} bytes", pair.session_bytes());
    let mut text = filled(pool, 64);
    print(clock, "open a session, seal 48 bytes, close it", || {
        if let Some(session) = pair.open_session(algorithm, &key) {
            text = seal(pair, session, text.take(), 64);
            pair.close_session(session);
        }
    });
    let Some(session) = pair.open_session(algorithm, &key) else { return };
    for length in [64, 1024, 4096, 16_384] {
        let mut text = filled(pool, length + TAG_LEN);
        print(clock, &format!("seal {length} bytes in one segment"), || {
            text = seal(pair, session, text.take(), length + TAG_LEN);
        });
        let mut pieces = Chain::default();
        for at in (0..length + TAG_LEN).step_by(1448) {
            pieces.append(filled(pool, (length + TAG_LEN - at).min(1448)));
        }
        print(clock, &format!("seal {length} bytes in packets"), || {
            pieces = seal(pair, session, pieces.take(), length + TAG_LEN);
        });
    }
    pair.close_session(session);
}

fn seal(pair: &mut QueuePair, session: levee_dpdk::crypto::SessionId, text: Chain, length: usize) -> Chain {
    let aad = Operation::aad(&[23, 3, 3, 0, 0]);
    let (nonce, direction) = ([1; 12], Direction::Seal);
    let operation = Operation { token: 0, session, direction, nonce, aad, text, at: 0..length, into: None };
    match pair.submit(operation) {
        Answer::Now(finished) => finished.text,
        Answer::Later => {
            pair.flush();
            loop {
                if let Some(finished) = pair.completed() {
                    break finished.text;
                }
            }
        }
        Answer::Busy(operation) => operation.text,
    }
}

fn filled(pool: &Pool, length: usize) -> Chain {
    let mut chain = pool.alloc(length).expect("the pool is large enough");
    if let Some(place) = chain.extend(length) {
        place.fill(7);
    }
    chain
}

fn filled_fast(pool: &Pool) -> Chain {
    let mut chain = pool.alloc(2048).expect("the pool is large enough");
    chain.extend(2048);
    chain
}

/// Prints the least time of a round among some runs.
fn print(clock: &Clock, what: &str, mut round: impl FnMut()) {
    let mut best = u64::MAX;
    for _ in 0..10 {
        let start = clock.cycles();
        for _ in 0..ROUNDS / 10 {
            round();
        }
        best = best.min(clock.cycles() - start);
    }
    println!("  {what}: {:.1} ns", clock.nanoseconds(best) as f64 / f64::from(ROUNDS / 10));
}

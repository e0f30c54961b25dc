//! Frames of all shapes from one port to another.

use std::collections::VecDeque;
use std::process::Command;
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_dpdk::{
    Chain, Checksums, Eal, Frame, Pool, Port, PortConfig, Queues, Received, RxQueue, TxOffload, TxQueue,
};

use super::Numbers;

const FRAMES: usize = 3000;

/// Local experimental Ethertype 1 (IEEE 802): the kernel leaves it alone.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Exchanges frames between two ports, also on a second lcore, and closes them.
pub(crate) fn both_ways(eal: &Eal, pool: &Pool, left: &str, right: &str) {
    // The pool is used by both sides, on two lcores.
    let (left_port, mut left) = open(eal, pool, left, &PortConfig::default());
    let (right_port, mut right) = open(eal, pool, right, &PortConfig::default());
    let deadline = Instant::now() + Duration::from_secs(5);
    while !(left_port.link().expect("a link").up && right_port.link().expect("a link").up) {
        assert!(Instant::now() < deadline, "{} has no link", left_port.id());
        std::thread::sleep(Duration::from_millis(5));
    }
    exchange(pool, &mut left.tx[0], &mut right.rx[0], 60..1515);
    exchange(pool, &mut right.tx[0], &mut left.rx[0], 60..1515);
    let (mut tx, mut rx) = (right.tx.remove(0), left.rx.remove(0));
    let worker_pool = pool.clone();
    let worker = eal
        .launch(eal.cpus()[0], "exchange", move || exchange(&worker_pool, &mut tx, &mut rx, 60..1515))
        .expect("a worker");
    worker.join().expect("the frames arrived");
    assert!(left_port.stats().expect("counters").rx_frames >= 2 * FRAMES as u64);
    close(left_port, left);
    close(right_port, right);
}

pub(crate) fn open(eal: &Eal, pool: &Pool, name: &str, config: &PortConfig) -> (Port, Queues) {
    let mut port = Port::by_name(eal, name).expect("the device is there");
    let info = port.info().expect("it knows itself");
    let queues = port.start(config, std::slice::from_ref(pool)).expect("it starts");
    println!("{} by {}: {:?}; granted {:?}", info.name, info.driver, info.offloads, queues.granted);
    (port, queues)
}

pub(crate) fn close(port: Port, queues: Queues) {
    let Err(port) = port.close() else { panic!("a port must not close under its queues") };
    drop(queues);
    assert!(port.close().is_ok());
}

/// Sends frames of all shapes and compares what arrives.
pub(crate) fn exchange(pool: &Pool, tx: &mut TxQueue, rx: &mut RxQueue, lengths: std::ops::Range<usize>) {
    let numbers = &mut Numbers::new(lengths.end as u64);
    let mut waiting = VecDeque::new();
    let mut expected = VecDeque::new();
    let mut received: Vec<Received> = Vec::with_capacity(64);
    let (mut made, mut seen) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while seen < FRAMES {
        assert!(Instant::now() < deadline, "only {seen} of {made} frames arrived");
        // Few enough to fit in every queue on the way.
        while made < FRAMES && made - seen < 128 {
            let length = lengths.start + numbers.below(lengths.end - lengths.start);
            let chain = frame(pool, numbers, length);
            assert_eq!(chain.len(), length);
            expected.push_back(chain.to_vec());
            waiting.push_back(Frame { chain, offload: TxOffload::default() });
            made += 1;
        }
        tx.burst(&mut waiting);
        received.clear();
        rx.burst(&mut received);
        for frame in received.drain(..).filter(|frame| is_ours(&frame.chain)) {
            let mut bytes = frame.chain.to_vec();
            let wanted: Vec<u8> = expected.pop_front().expect("no more than was sent");
            bytes.truncate(wanted.len());
            assert!(bytes == wanted, "frame {seen} of {} bytes", wanted.len());
            assert_ne!(frame.checksums, Checksums::Bad);
            seen += 1;
        }
    }
    assert!(waiting.is_empty() && expected.is_empty());
}

/// A frame in one of the shapes that the stack makes: headers in front, payload split, referenced or not.
pub(crate) fn frame(pool: &Pool, numbers: &mut Numbers, length: usize) -> Chain {
    let mut frame = pool.alloc(0).expect("memory");
    let mut header = [0xff; 14];
    header[12..].copy_from_slice(&ETHERTYPE);
    frame.extend(14).expect("room").copy_from_slice(&header);
    let bytes: Vec<u8> =
        (0..length - 14).map(|at| u8::try_from((at * 7 + length) % 251).expect("small")).collect();
    let mut payload = Chain::default();
    pool.push(&mut payload, &bytes).expect("memory");
    match numbers.below(4) {
        0 => pool.push(&mut frame, &bytes).expect("memory"),
        1 => frame.append(payload),
        2 => {
            let front = pool.split_to(&mut payload, bytes.len() / 2).expect("memory");
            frame.append(front);
            frame.append(payload);
        }
        _ => frame.append(pool.reference(&mut payload, 0..bytes.len()).expect("memory")),
    }
    frame
}

fn is_ours(chain: &Chain) -> bool {
    let mut header = [0; 14];
    chain.copy_to(0, &mut header) == 14 && header[12..] == ETHERTYPE
}
/// Runs a command of words without spaces in them.
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let status = Command::new(words.next().expect("a program")).args(words).status().expect("it runs");
    assert!(status.success(), "{command}");
}

//! Frames through software devices: the same bytes arrive, and no mbuf is lost.

mod support;

use std::collections::VecDeque;
use std::process::Command;
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_dpdk::{
    Chain, Checksums, Clock, Eal, Frame, Offloads, Pool, Port, PortConfig, Queues, Received, RxQueue,
    TxOffload, TxQueue,
};
use support::Numbers;

const FRAMES: usize = 3000;

/// Local experimental Ethertype 1 (IEEE 802): the kernel leaves it alone.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

#[test]
fn frames_arrive_and_no_mbuf_is_lost() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace (as root)");
    run("ip link add left type veth peer name right");
    run("ip link set left up");
    run("ip link set right up");
    let socket = format!("socket=@levee-test-{},socket-abstract=yes", std::process::id());
    let eal = support::eal(&[
        "--vdev=net_null0",
        "--vdev=net_null1",
        "--vdev=net_ring0",
        "--vdev=net_af_packet0,iface=left",
        "--vdev=net_af_packet1,iface=right",
        &format!("--vdev=net_memif0,role=server,{socket}"),
        &format!("--vdev=net_memif1,role=client,{socket}"),
    ]);
    assert_eq!(Port::names(&eal).len(), 7);
    let pool = support::pool(&eal, "ports");
    clock_agrees_with_the_system(&eal);

    refusals_say_what_was_asked(&eal, &pool);
    null_receives_without_end(&eal, &pool);
    assert_eq!(pool.in_use(), 0, "net_null");

    let (port, mut queues) = open(&eal, &pool, "net_ring0", &PortConfig::default());
    exchange(&pool, &mut queues.tx[0], &mut queues.rx[0], 60..5000);
    full_queue_leaves_frames_with_the_caller(&pool, &mut queues.tx[0]);
    close(port, queues);
    assert_eq!(pool.in_use(), 0, "net_ring");

    for (left, right) in [("net_af_packet0", "net_af_packet1"), ("net_memif0", "net_memif1")] {
        // The pool is used by both sides, on two lcores.
        let (left_port, mut left) = open(&eal, &pool, left, &PortConfig::default());
        let (right_port, mut right) = open(&eal, &pool, right, &PortConfig::default());
        let deadline = Instant::now() + Duration::from_secs(5);
        while !(left_port.link().expect("a link").up && right_port.link().expect("a link").up) {
            assert!(Instant::now() < deadline, "{} has no link", left_port.id());
            std::thread::sleep(Duration::from_millis(5));
        }
        exchange(&pool, &mut left.tx[0], &mut right.rx[0], 60..1515);
        exchange(&pool, &mut right.tx[0], &mut left.rx[0], 60..1515);
        let (mut tx, mut rx) = (right.tx.remove(0), left.rx.remove(0));
        let worker_pool = pool.clone();
        let worker = eal
            .launch(eal.cpus()[0], "exchange", move || exchange(&worker_pool, &mut tx, &mut rx, 60..1515))
            .expect("a worker");
        worker.join().expect("the frames arrived");
        assert!(left_port.stats().expect("counters").rx_frames >= 2 * FRAMES as u64);
        close(left_port, left);
        close(right_port, right);
        assert_eq!(pool.in_use(), 0, "{:?}", pool.usage());
    }
}

fn open(eal: &Eal, pool: &Pool, name: &str, config: &PortConfig) -> (Port, Queues) {
    let mut port = Port::by_name(eal, name).expect("the device is there");
    let info = port.info().expect("it knows itself");
    let queues = port.start(config, std::slice::from_ref(pool)).expect("it starts");
    println!("{} by {}: {:?}; granted {:?}", info.name, info.driver, info.offloads, queues.granted);
    (port, queues)
}

fn close(port: Port, queues: Queues) {
    let Err(port) = port.close() else { panic!("a port must not close under its queues") };
    drop(queues);
    assert!(port.close().is_ok());
}

/// Sends frames of all shapes and compares what arrives.
fn exchange(pool: &Pool, tx: &mut TxQueue, rx: &mut RxQueue, lengths: std::ops::Range<usize>) {
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
fn frame(pool: &Pool, numbers: &mut Numbers, length: usize) -> Chain {
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

fn null_receives_without_end(eal: &Eal, pool: &Pool) {
    let config = PortConfig { rx_queues: 2, tx_queues: 3, ..PortConfig::default() };
    let (port, mut queues) = open(eal, pool, "net_null0", &config);
    assert_eq!((queues.rx.len(), queues.tx.len()), (2, 3));
    let mut received = Vec::with_capacity(10);
    assert_eq!(queues.rx[1].burst(&mut received), 10);
    assert_eq!(queues.rx[1].burst(&mut received), 0, "there is no room for more");
    let mut frames: VecDeque<Frame> =
        received.drain(..).map(|frame| Frame { chain: frame.chain, offload: TxOffload::default() }).collect();
    frames.push_front(Frame { chain: Chain::default(), offload: TxOffload::default() });
    assert_eq!(queues.tx[2].burst(&mut frames), 10);
    assert_eq!(queues.tx[2].counters().refused, 1, "a frame without bytes");
    close(port, queues);
}

fn full_queue_leaves_frames_with_the_caller(pool: &Pool, tx: &mut TxQueue) {
    let numbers = &mut Numbers::new(1);
    let mut waiting: VecDeque<Frame> = (0..2000)
        .map(|_| Frame { chain: frame(pool, numbers, 100), offload: TxOffload::default() })
        .collect();
    let mut sent = 0;
    loop {
        let now = tx.burst(&mut waiting);
        sent += now;
        assert_eq!(waiting.len(), 2000 - sent);
        if now == 0 {
            break;
        }
    }
    assert!(sent < 2000, "the ring is smaller");
}

fn refusals_say_what_was_asked(eal: &Eal, pool: &Pool) {
    let Err(error) = Port::by_name(eal, "net_tap7") else { panic!("there is no such port") };
    assert_eq!(error.to_string(), "open the port net_tap7: No such device");
    let Err(error) = Port::probe(eal, "net_af_packet7,iface=nowhere") else { panic!("no such interface") };
    assert!(error.to_string().contains("nowhere"), "{error}");
    let port = Port::by_name(eal, "net_null0").expect("there is");
    let Err(error) = Port::by_name(eal, "net_null0") else { panic!("it is held") };
    assert!(error.to_string().contains("open already"), "{error}");
    drop(port);
    let mut port = Port::by_name(eal, "net_null1").expect("there is");
    let Err(error) = port.start(&PortConfig::default(), &[]) else { panic!("it needs a pool") };
    assert!(error.to_string().contains("no pool"), "{error}");
    let Err(error) = port.start(&PortConfig::default(), &[]) else { panic!("it is spoilt") };
    assert!(error.to_string().contains("before"), "{error}");
    let Err(error) = Eal::init(&[]) else { panic!("once a process") };
    assert!(error.to_string().contains("before"), "{error}");
    let Err(error) = eal.launch(100_000, "nobody", || ()) else { panic!("no such CPU") };
    assert!(error.to_string().contains("100000"), "{error}");
    let sizes = levee_dpdk::Sizes { segments: 1 << 30, records: 1, references: 1, cache: 1 };
    let Err(error) = Pool::create(eal, "huge", sizes, None) else { panic!("there is not so much memory") };
    assert!(error.to_string().contains("huge_seg"), "{error}");
    assert!(Offloads::ALL.and(Offloads::default()) == Offloads::default());
    assert_eq!(pool.exhausted(), 0);
}

fn clock_agrees_with_the_system(eal: &Eal) {
    let clock = Clock::new(eal);
    let (start, began) = (clock.now(), Instant::now());
    std::thread::sleep(Duration::from_millis(50));
    let (ours, theirs) = (clock.now() - start, began.elapsed());
    let ours = Duration::from_nanos(ours);
    assert!(
        ours > Duration::from_millis(49) && ours < theirs + Duration::from_millis(10),
        "{ours:?} {theirs:?}"
    );
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let status = Command::new(words.next().expect("a program")).args(words).status().expect("it runs");
    assert!(status.success(), "{command}");
}

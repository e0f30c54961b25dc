//! Frames through software devices: the same bytes arrive, and no mbuf is lost.

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levee_dpdk::{Chain, Clock, Eal, Frame, Offloads, Pool, Port, PortConfig, TxOffload, TxQueue};
use support::Numbers;
use support::traffic::{both_ways, close, exchange, frame, open, run};

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
        both_ways(&eal, &pool, left, right);
        assert_eq!(pool.in_use(), 0, "{left}: {:?}", pool.usage());
    }
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

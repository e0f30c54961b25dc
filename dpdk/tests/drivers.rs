//! Devices with abilities of their own: checksums checked by `net_tap`, kernel bypass by `net_af_xdp`.

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_dpdk::{Chain, Checksums, Frame, Pool, PortConfig, Received, RxQueue, TxOffload, TxQueue};
use support::traffic::{both_ways, close, open, run};

#[test]
fn drivers_take_over_what_they_grant() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace (as root)");
    run("ip link add left type veth peer name right");
    run("ip link set left up");
    run("ip link set right up");
    let (eal, huge) = support::eal_on_hugepages(&[
        "--vdev=net_tap0,iface=levee0",
        "--vdev=net_af_xdp0,iface=left",
        "--vdev=net_af_xdp1,iface=right",
    ]);
    let pool = support::pool(&eal, "drivers");

    let (tap_port, mut tap) = open(&eal, &pool, "net_tap0", &PortConfig::default());
    run("ip link set levee0 up");
    let granted = tap.granted.offloads;
    assert!(granted.tx_segments && granted.rx_checksum);
    assert!(!granted.tx_checksum && !granted.tso, "its sums over segments of odd length are wrong");
    let kernel_port = levee_dpdk::Port::probe(&eal, "net_af_packet0,iface=levee0").expect("it attaches");
    drop(kernel_port);
    let (kernel_port, mut kernel) = open(&eal, &pool, "net_af_packet0", &PortConfig::default());
    checksums_are_checked(&pool, &mut kernel.tx[0], &mut tap.rx[0]);
    frames_of_several_segments_arrive(&pool, &mut tap.tx[0], &mut kernel.rx[0]);
    close(kernel_port, kernel);
    close(tap_port, tap);
    assert_eq!(pool.in_use(), 0, "{:?}", pool.usage());

    if huge {
        both_ways(&eal, &pool, "net_af_xdp0", "net_af_xdp1");
        assert_eq!(pool.in_use(), 0, "{:?}", pool.usage());
    }
}

fn checksums_are_checked(pool: &Pool, kernel_tx: &mut TxQueue, tap_rx: &mut RxQueue) {
    for length in [0, 1, 2, 999, 1460] {
        for wrong in [false, true] {
            let mut bytes = tcp_frame(pool, length).to_vec();
            bytes[40] ^= u8::from(wrong);
            let mut chain = Chain::default();
            pool.push(&mut chain, &bytes).expect("memory");
            let arrived = send(kernel_tx, tap_rx, chain);
            assert_eq!(arrived.chain.to_vec(), bytes);
            assert_eq!(arrived.checksums, if wrong { Checksums::Bad } else { Checksums::Good }, "{length}");
        }
    }
}

fn frames_of_several_segments_arrive(pool: &Pool, tap_tx: &mut TxQueue, kernel_rx: &mut RxQueue) {
    for length in [1, 999, 1460] {
        let frame = tcp_frame(pool, length);
        let bytes = frame.to_vec();
        assert_eq!(send(tap_tx, kernel_rx, frame).chain.to_vec(), bytes);
    }
}

/// Sends a frame and waits for it.
fn send(tx: &mut TxQueue, rx: &mut RxQueue, chain: Chain) -> Received {
    let mut waiting = VecDeque::from([Frame { chain, offload: TxOffload::default() }]);
    let mut received = Vec::with_capacity(64);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        assert!(Instant::now() < deadline, "the frame did not arrive");
        tx.burst(&mut waiting);
        rx.burst(&mut received);
        let ours = received.drain(..).find(|frame| {
            let mut header = [0; 34];
            frame.chain.copy_to(0, &mut header) == 34 && header[12..14] == [8, 0] && header[23] == 6
        });
        if let Some(frame) = ours {
            return frame;
        }
    }
}

/// A frame as the stack makes it: headers with their checksums, and a payload that is referenced.
fn tcp_frame(pool: &Pool, length: usize) -> Chain {
    let total = u16::try_from(40 + length).expect("it fits in one packet");
    let mut header = [0; 54];
    header[..12].copy_from_slice(&[0x02; 12]);
    header[12..14].copy_from_slice(&[8, 0]);
    header[14] = 0x45;
    header[16..18].copy_from_slice(&total.to_be_bytes());
    (header[22], header[23]) = (64, 6);
    header[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    header[34..38].copy_from_slice(&[1, 187, 16, 0]);
    (header[46], header[47]) = (0x50, 0x10);
    let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 253).expect("small")).collect();
    let pseudo = sum(&header[26..34], 0) + 6 + u32::from(total) - 20;
    let tcp = !fold(sum(&bytes, sum(&header[34..], pseudo)));
    header[50..52].copy_from_slice(&tcp.to_be_bytes());
    let ip = !fold(sum(&header[14..34], 0));
    header[24..26].copy_from_slice(&ip.to_be_bytes());
    let mut frame = pool.alloc(0).expect("memory");
    frame.extend(54).expect("room").copy_from_slice(&header);
    let mut payload = Chain::default();
    pool.push(&mut payload, &bytes).expect("memory");
    frame.append(pool.reference(&mut payload, 0..length).expect("memory"));
    frame
}

/// The sum of RFC 1071, not yet folded.
fn sum(bytes: &[u8], start: u32) -> u32 {
    bytes
        .chunks(2)
        .fold(start, |sum, pair| sum + (u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from)))
}

fn fold(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    u16::try_from((sum >> 16) + (sum & 0xffff)).expect("folded twice")
}

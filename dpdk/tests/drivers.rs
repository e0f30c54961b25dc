//! Devices with abilities of their own: checksums and super-segments by `net_tap`, kernel bypass by
//! `net_af_xdp`.

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_dpdk::{Chain, Checksums, Frame, Pool, PortConfig, Received, RxQueue, TxOffload, TxQueue};
use support::traffic::{both_ways, close, open, run};

const MSS: usize = 1000;

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
    assert!(granted.tx_checksum && granted.tso && granted.tx_segments && granted.rx_checksum);
    let kernel_port = levee_dpdk::Port::probe(&eal, "net_af_packet0,iface=levee0").expect("it attaches");
    drop(kernel_port);
    let (kernel_port, mut kernel) = open(&eal, &pool, "net_af_packet0", &PortConfig::default());
    checksums_are_filled_in_and_checked(
        &pool,
        &mut tap.tx[0],
        &mut kernel.rx[0],
        &mut kernel.tx[0],
        &mut tap.rx[0],
    );
    super_segments_are_cut(&pool, &mut tap.tx[0], &mut kernel.rx[0]);
    close(kernel_port, kernel);
    close(tap_port, tap);
    assert_eq!(pool.in_use(), 0, "{:?}", pool.usage());

    if huge {
        both_ways(&eal, &pool, "net_af_xdp0", "net_af_xdp1");
        assert_eq!(pool.in_use(), 0, "{:?}", pool.usage());
    }
}

fn checksums_are_filled_in_and_checked(
    pool: &Pool,
    tap_tx: &mut TxQueue,
    kernel_rx: &mut RxQueue,
    kernel_tx: &mut TxQueue,
    tap_rx: &mut RxQueue,
) {
    let asked = TxOffload { l2_len: 14, l3_len: 20, l4_len: 20, checksum: true, tso_mss: None };
    let none = TxOffload::default();
    for length in [0, 1, 2, 999, 1460] {
        let arrived = send(tap_tx, kernel_rx, tcp_frame(pool, length), asked, 1).remove(0);
        let bytes = arrived.chain.to_vec();
        assert_right(&bytes, length);
        // Back by the other way, now that its checksums are right; and once more with a wrong one.
        for wrong in [false, true] {
            let mut bytes = bytes.clone();
            bytes[40] ^= u8::from(wrong);
            let mut chain = Chain::default();
            pool.push(&mut chain, &bytes).expect("memory");
            let back = send(kernel_tx, tap_rx, chain, none, 1).remove(0);
            assert_eq!(back.chain.to_vec(), bytes);
            assert_eq!(back.checksums, if wrong { Checksums::Bad } else { Checksums::Good }, "{length}");
        }
    }
}

fn super_segments_are_cut(pool: &Pool, tx: &mut TxQueue, rx: &mut RxQueue) {
    let asked =
        TxOffload { l2_len: 14, l3_len: 20, l4_len: 20, checksum: true, tso_mss: u16::try_from(MSS).ok() };
    let arrived = send(tx, rx, tcp_frame(pool, 4500), asked, 5);
    for (index, segment) in arrived.iter().enumerate() {
        let bytes = segment.chain.to_vec();
        let length = if index == 4 { 500 } else { MSS };
        assert_right(&bytes, length);
        assert_eq!(
            bytes[38..42],
            u32::try_from(index * MSS).expect("small").to_be_bytes(),
            "sequence number"
        );
    }
}

/// Sends a frame and waits for the TCP frames that it becomes.
fn send(
    tx: &mut TxQueue,
    rx: &mut RxQueue,
    chain: Chain,
    offload: TxOffload,
    becomes: usize,
) -> Vec<Received> {
    let mut waiting = VecDeque::from([Frame { chain, offload }]);
    let mut received = Vec::with_capacity(64);
    let mut ours = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while ours.len() < becomes {
        assert!(Instant::now() < deadline, "{} of {becomes} frames arrived", ours.len());
        tx.burst(&mut waiting);
        rx.burst(&mut received);
        ours.extend(received.drain(..).filter(|frame| {
            let mut header = [0; 34];
            frame.chain.copy_to(0, &mut header) == 34 && header[12..14] == [8, 0] && header[23] == 6
        }));
    }
    assert_eq!(ours.len(), becomes);
    ours
}

/// A frame as the stack makes it: headers without an IP checksum and with the pseudo-header's sum in
/// TCP's, and a payload that is referenced.
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
    let pseudo = sum(&header[26..34], 0) + 6 + u32::from(total) - 20;
    header[50..52].copy_from_slice(&fold(pseudo).to_be_bytes());
    let mut frame = pool.alloc(0).expect("memory");
    frame.extend(54).expect("room").copy_from_slice(&header);
    let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 253).expect("small")).collect();
    let mut payload = Chain::default();
    pool.push(&mut payload, &bytes).expect("memory");
    frame.append(pool.reference(&mut payload, 0..length).expect("memory"));
    frame
}

fn assert_right(frame: &[u8], length: usize) {
    let frame = &frame[..54 + length];
    assert_eq!(fold(sum(&frame[14..34], 0)), 0xffff, "IP checksum");
    let pseudo = sum(&frame[26..34], 0) + 6 + u32::try_from(frame.len() - 34).expect("small");
    assert_eq!(fold(sum(&frame[34..], pseudo)), 0xffff, "TCP checksum");
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

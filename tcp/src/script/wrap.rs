//! Sequence numbers that wrap, and the middle of their circle, at every step of a connection's life.

use super::{Player, config};
use crate::seq::Seq;

/// Runs a script with each side's first number in turn before, at and behind each place where something happens.
fn run_around(script: &str) {
    let places = [0, 1, 2, 11, 51, 101, 102, 1001, 1002, 2001, 3002];
    let edges = [0, 1 << 31];
    for edge in edges {
        for place in places {
            // These clocks stand between two milliseconds: timers fire at the next.
            for (ours, peer) in [(place, 7), (7, place), (place, place)] {
                let from = |place: u32| Seq(u32::wrapping_sub(edge, place));
                let mut player = Player::with_numbers(&config(), from(ours), from(peer));
                player.perform(script);
            }
        }
    }
}

#[test]
fn a_whole_life() {
    run_around(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        # Out of order, overlapping, with FIN known before the bytes.
        < F. 101 ack=1
        > . 1 ack=1
        < . 51:101 ack=1
        > . 1 ack=1
        < . 41:61 ack=1
        > . 1 ack=1
        < . 1:51 ack=1
        > . 1 ack=102
        ! readable fin
        read 100
        # Three segments, the first of them lost.
        write 3000
        > . 1:1001
        > . 1001:2001
        > P. 2001:3001
        < . 102 ack=1
        < . 102 ack=1
        < . 102 ack=1
        > . 1:1001
        < . 102 ack=3001
        ! acked
        finish
        > F. 3001 ack=102
        +1001
        > F. 3001 ack=102
        < . 102 ack=3002
        ! closed=finished
        slots 0
        waiting 0
        ",
    );
}

#[test]
fn our_end_first_and_time_wait() {
    run_around(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        write 50
        > P. 1:51
        finish
        > F. 51
        +1001
        > PF. 1:51
        < . 1 ack=52
        ! acked
        < PF. 1:11 ack=52
        > . 52 ack=12
        ! readable fin
        read 10
        ! closed=finished
        waiting 1
        < PF. 1:11 ack=52
        > . 52 ack=12
        < S 3000 mss=1000
        > S. 0 ack=3001
        waiting 0
        < R 3001
        ",
    );
}

#[test]
fn windows_and_blind_segments() {
    run_around(
        "
        < S 0 mss=1000
        > S. 0 ack=1 win=65535
        < . 1 ack=1 win=1
        ! accepted
        # The last number inside our window, and the first outside.
        < R 65535
        > . 1 ack=1
        count reset_inexact 1
        < R 65536
        > nothing
        count stray_reset 1
        +500
        < S 65535
        > . 1 ack=1
        count syn_in_window 1
        # Never sent; older than the largest window was.
        +500
        < . 1 ack=2
        > . 1 ack=1
        +500
        < . 1 ack=-65536
        > . 1 ack=1
        count ack_unacceptable 2
        write 3
        > . 1:2
        < . 1 ack=2 win=0
        +201
        > P. 2:3
        < . 1 ack=2 win=0
        < . 1 ack=2 win=9
        > P. 2:4
        < . 1 ack=4
        ! acked
        < R 1
        ! closed=reset
        ",
    );
}

#[test]
fn both_open_at_once() {
    for peer in [0, 1, u32::MAX, 1 << 31, u32::MAX / 2] {
        let mut player = Player::with_numbers(&config(), Seq(7), Seq(peer));
        player.perform(
            "
            connect
            > S 0
            < S 0 mss=1000
            > S. 0 ack=1
            < S. 0 ack=1
            ! connected
            < P. 1:11 ack=1
            +41
            > . 1 ack=11
            ! readable
            read 10
            ",
        );
    }
}

#[test]
fn timestamps_wrap() {
    super::run(
        "
        < S 0 mss=1000 ts=4294967290:0
        > S. 0 ack=1 ts=0:4294967290
        < . 1 ack=1 ts=4294967295:0
        ! accepted
        < P. 1:11 ack=1 ts=5:0
        +40
        > . 1 ack=11 ts=40:5
        # From before the wrap: old.
        < P. 11:21 ack=1 ts=4294967295:0
        > . 1 ack=11 ts=40:5
        count paws 1
        # Half the circle ahead is half the circle behind (RFC 7323 section 5.3).
        < P. 11:21 ack=1 ts=2147483653:0
        > . 1 ack=11
        count paws 2
        < P. 11:21 ack=1 ts=2147483652:0
        +40
        > . 1 ack=21 ts=80:2147483652
        ! readable
        read 20
        ",
    );
}

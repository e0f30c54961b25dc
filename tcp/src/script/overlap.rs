//! Segments that overlap or contradict each other, FIN in odd places, a window that is shut or full.

use super::{run, run_with};

const OPENED: &str = "
    < S 0 mss=1000
    > S. 0 ack=1
    < . 1 ack=1
    ! accepted
";

fn opened(script: &str) {
    run(&format!("{OPENED}{script}"));
}

#[test]
fn what_came_first_stays() {
    opened(
        "
        < . 101:201 ack=1
        > . 1 ack=1
        # The same numbers with other bytes: all of them, inside, over the left and the right edge.
        < . 101:201 ack=1 fill=170
        > . 1 ack=1
        < . 121:131 ack=1 fill=170
        > . 1 ack=1
        count duplicate 2
        < . 191:201 ack=1 fill=170
        > . 1 ack=1
        runs 1
        < . 1:101 ack=1
        > . 1 ack=201
        # In order and not read yet: nothing changes them any more.
        < . 1:201 ack=1 fill=170
        > . 1 ack=201
        < . 51:201 ack=1 fill=170
        > . 1 ack=201
        ! readable
        read 200
        runs 0
        held 0
        ",
    );
}

#[test]
fn a_segment_that_covers_stretches_takes_their_place() {
    opened(
        "
        < . 101:111 ack=1 fill=170
        > . 1 ack=1
        < . 121:131 ack=1 fill=170
        > . 1 ack=1
        runs 2
        < . 91:141 ack=1
        > . 1 ack=1
        runs 1
        held 1
        < . 1:91 ack=1
        > . 1 ack=141
        ! readable
        read 140
        ",
    );
}

#[test]
fn urgent_bytes_are_ordinary() {
    // RFC 6093 section 6: who sees a use for it is told not to; the bytes keep their place in the stream.
    opened(
        "
        < PU. 1:11 ack=1
        < U. 11:12 ack=1
        < P. 12:21 ack=1
        +40
        > . 1 ack=21
        ! readable
        read 20
        ",
    );
}

#[test]
fn nothing_is_behind_a_fin() {
    // RFC 9293 section 3.10.7.4, seventh: a FIN was received, so this should not occur; ignore the text.
    let ends = "
        < . 1:51 ack=1
        > . 1 ack=102
        ! readable fin
        read 100
        runs 0
        held 0
        < . 102:202 ack=1
        count after_fin 1
        finish
        > F. 1 ack=102
        < . 102 ack=2
        ! closed=finished
    ";
    // FIN first, then bytes that go beyond it, and another FIN further on and further back.
    opened(&format!(
        "
        < F. 101 ack=1
        > . 1 ack=1
        < . 51:151 ack=1
        > . 1 ack=1
        < . 201:301 ack=1
        < F. 301 ack=1
        > . 1 ack=1
        < F. 61:71 ack=1
        > . 1 ack=1
        runs 1
        {ends}"
    ));
    // The bytes first.
    opened(&format!(
        "
        < . 51:151 ack=1
        > . 1 ack=1
        < . 201:301 ack=1
        > . 1 ack=1
        runs 2
        < F. 101 ack=1
        > . 1 ack=1
        runs 1
        {ends}"
    ));
    // In one: the bytes reach over a FIN that is known.
    opened(
        "
        < F. 101 ack=1
        > . 1 ack=1
        < . 1:201 ack=1
        > . 1 ack=102
        ! readable fin
        read 100
        ",
    );
}

#[test]
fn a_fin_behind_the_window_is_cut_off() {
    // RFC 9293 section 3.10.7.4, fourth: what lies outside the window is trimmed off, SYN and FIN included.
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1 win=4000
        < . 1 ack=1
        ! accepted
        < . 1:2001 ack=1
        > . 1 ack=2001 win=2000
        < F. 2001:4001 ack=1
        > . 1 ack=4001 win=0
        count beyond_window 1
        ! readable
        read 4000
        > . 1 ack=4001 win=4000
        < F. 2001:4001 ack=1
        > . 1 ack=4002
        ! fin
        ",
        |config| config.recv_buffer = 4000,
    );
}

#[test]
fn a_shut_window_takes_acks_and_resets() {
    // RFC 9293 section 3.10.7.4, first: special allowance for valid ACKs, URGs and RSTs.
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1 win=4000
        < . 1 ack=1
        ! accepted
        write 10
        > P. 1:11
        < . 1:2001 ack=1
        > . 11 ack=2001
        < . 2001:4001 ack=1
        > . 11 ack=4001 win=0
        # A probe: its ACK counts, its byte does not, nor does a FIN.
        < . 4001:4002 ack=11
        > . 11 ack=4001 win=0
        ! readable acked
        < F. 4001 ack=11
        > . 11 ack=4001 win=0
        ! nothing
        # What is further on is not acceptable at all.
        < . 4002:4003 ack=11
        > . 11 ack=4001 win=0
        count out_of_window 1
        < R 4002
        count stray_reset 1
        < S 4001
        > . 11 ack=4001
        count syn_in_window 1
        < R 4001:4011
        ! closed=reset
        ",
        |config| config.recv_buffer = 4000,
    );
}

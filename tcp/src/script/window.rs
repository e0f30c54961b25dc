//! Windows: ours never moves left and opens in steps; the peer's may be shut, small or shrinking.

use super::{run, run_with};

#[test]
fn the_window_opens_by_what_is_consumed() {
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1 win=4000
        < . 1 ack=1
        ! accepted
        < . 1:1001 ack=1
        < . 1001:2001 ack=1
        > . 1 ack=2001 win=2000
        < . 2001:3001 ack=1
        < . 3001:4001 ack=1
        > . 1 ack=4001 win=0
        # A probe, and then more than fits: answered, not taken.
        < . 4001:4002 ack=1
        > . 1 ack=4001 win=0
        count beyond_window 1
        ! readable
        take 4000
        # Less than the smaller of two segments and half the buffer: not worth telling.
        consume 1999
        > nothing
        consume 1
        > . 1 ack=4001 win=2000
        consume 1000
        > nothing
        # What goes beyond the window is cut off.
        < . 4001:6011 ack=1
        > . 1 ack=6001 win=1000
        count beyond_window 2
        ! readable
        read 2000
        > . 1 ack=6001 win=3000
        consume 9000
        > nothing
        abort
        > R. 1
        ",
        |config| config.recv_buffer = 4000,
    );
}

#[test]
fn the_right_edge_does_not_move_left() {
    run_with(
        "
        < S 0 mss=1000 ws=0
        > S. 0 ack=1 win=65535 ws=7
        < . 1 ack=1
        ! accepted
        # 5000000 / 128, rounded up as all later ones.
        < P. 1:2 ack=1
        +40
        > . 1 ack=2 win=39063
        ! readable
        < P. 2:130 ack=1
        +40
        > . 1 ack=130 win=39062
        < P. 130:131 ack=1
        +40
        > . 1 ack=131 win=39062
        abort
        > R. 1
        ",
        |config| config.recv_buffer = 5_000_000,
    );
}

#[test]
fn a_shut_window_is_probed() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=1000
        ! accepted
        write 3000
        > . 1:1001
        < . 1 ack=1001 win=0
        # All that was asked for is acknowledged; the rest was never pulled.
        ! acked
        +199
        > nothing
        +1
        > P. 1001:1002
        < . 1 ack=1001 win=0
        +399
        > nothing
        +1
        > P. 1001:1002
        # The byte is taken, the window stays shut.
        < . 1 ack=1002 win=0
        +200
        > P. 1002:1003
        < . 1 ack=1002 win=5000
        > . 1002:2002
        > P. 2002:3001
        < . 1 ack=3001 win=5000
        ! acked
        abort
        > R. 3001
    ");
}

#[test]
fn fin_waits_for_the_window_and_probes() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=0
        ! accepted
        finish
        > nothing
        +1000
        > F. 1
        < . 1 ack=1 win=0
        +2000
        > F. 1
        < . 1 ack=2 win=0
        release
        < F. 1 ack=2
        > . 2 ack=2
        waiting 1
    ");
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=0
        ! accepted
        finish
        +1000
        > F. 1
        # Not taken: sent again when the window opens.
        < . 1 ack=1 win=10
        > F. 1
        < . 1 ack=2 win=10
        abort
        > R. 2
    ");
}

#[test]
fn a_shut_window_may_last_as_long_as_the_peer_answers() {
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=0
        ! accepted
        write 10
        +1000
        > P. 1:2
        < . 1 ack=1 win=0
        +2000
        > P. 1:2
        < . 1 ack=1 win=0
        +4000
        > P. 1:2
        +8000
        > nothing
        ! closed=timed_out
        ",
        |config| config.timeouts.user = std::time::Duration::from_secs(5),
    );
}

#[test]
fn a_wake_with_nothing_does_not_probe() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=0
        ! accepted
        write 0
        +60000
        > nothing
        abort
        > R. 1
    ");
}

#[test]
fn silly_windows_are_not_filled() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=4000
        ! accepted
        write 10000
        > . 1:1001
        > . 1001:2001
        > . 2001:3001
        > . 3001:4001
        # 500 bytes are open: less than a segment and than half the largest window.
        < . 1 ack=1001 win=3500
        > nothing
        < . 1 ack=2001 win=3000
        > . 4001:5001
        # A small window is used when nothing is out.
        < . 1 ack=5001 win=300
        ! acked
        > . 5001:5301
        < . 1 ack=5301 win=300
        > . 5301:5601
        abort
        > R. 5601
    ");
}

#[test]
fn half_the_largest_window_is_worth_sending() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=600
        ! accepted
        write 2000
        > . 1:601
        < . 1 ack=301 win=600
        > . 601:901
        < . 1 ack=501 win=600
        > nothing
        abort
        > R. 901
    ");
}

#[test]
fn a_window_that_shrinks_stops_us_and_is_probed() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=4000
        ! accepted
        write 3000
        > . 1:1001
        > . 1001:2001
        > P. 2001:3001
        < . 1 ack=1001 win=0
        > nothing
        # What is out is given up as sent, and asked for one byte at a time.
        +200
        > nothing
        +400
        > P. 1001:1002
        < . 1 ack=1001 win=4000
        > . 1001:2001
        > nothing
        < . 1 ack=3001 win=4000
        ! acked
        abort
        > R. 3001
    ");
}

#[test]
fn an_old_segment_does_not_set_the_window() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=4000
        ! accepted
        < P. 11:21 ack=1 win=0
        > . 1 ack=1
        # Sent before the other, arrived later.
        < P. 1:11 ack=1 win=4000
        > . 1 ack=21
        ! readable
        read 20
        write 10
        > nothing
        < . 21 ack=1 win=1
        > . 1:2
        abort
        > R. 2
    ");
}

#[test]
fn very_many_segments_are_refused_until_they_are_copied_together() {
    let mut script = "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
    "
    .to_owned();
    for at in 1..65 {
        script += &format!("< . {at}:{} ack=1\n+40\n> . 1 ack={}\n", at + 1, at + 1);
    }
    script += "
        < . 65:66 ack=1
        > . 1 ack=65
        count too_many_segments 1
        ! readable
        take 64
        # As many as before.
        repack 64
        < . 65:66 ack=1
        > . 1 ack=65
        count too_many_segments 2
        repack 1
        > nothing
        < . 65:66 ack=1
        +40
        > . 1 ack=66
        ! readable
        read 1
        abort
        > R. 1
    ";
    run_with(&script, |config| config.recv_buffer = 4000);
}

//! Loss: timeouts and their backoff, fast retransmit, NewReno's recovery, limited transmit.

use super::{run, run_with};

/// A connection with ten segments of 1000 bytes out, of 30000 bytes, all fields as wide as they get.
const TEN_OUT: &str = "
    < S 0 mss=1000
    > S. 0 ack=1
    < . 1 ack=1
    ! accepted
    write 30000
    > . 1:1001
    > . 1001:2001
    > . 2001:3001
    > . 3001:4001
    > . 4001:5001
    > . 5001:6001
    > . 6001:7001
    > . 7001:8001
    > . 8001:9001
    > . 9001:10001
";

#[test]
fn the_timeout_doubles_and_goes_back() {
    run(&format!(
        "{TEN_OUT}
        +999
        > nothing
        +1
        > . 1:1001
        > nothing
        +2000
        > . 1:1001
        +4000
        > . 1:1001
        # Everything but the first had arrived: the rest is not sent again, and the window grows anew.
        < . 1 ack=10001
        ! acked
        > . 10001:11001
        > . 11001:12001
        < . 1 ack=12001
        ! acked
        > . 12001:13001
        > . 13001:14001
        > . 14001:15001
        > . 15001:16001
        abort
        > R. 16001
        "
    ));
}

#[test]
fn after_a_timeout_slow_start_sends_the_rest_again() {
    run(&format!(
        "{TEN_OUT}
        +1000
        > . 1:1001
        < . 1 ack=1001
        > . 1001:2001
        > . 2001:3001
        < . 1 ack=3001
        > . 3001:4001
        > . 4001:5001
        > . 5001:6001
        abort
        > R. 10001
        "
    ));
}

#[test]
fn the_user_timeout_gives_up() {
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        write 10
        > P. 1:11
        +1000
        > P. 1:11
        +2000
        > P. 1:11
        +4000
        > nothing
        ! closed=timed_out
        slots 0
        ",
        |config| config.timeouts.user = std::time::Duration::from_secs(5),
    );
}

#[test]
fn three_duplicates_and_a_full_ack() {
    run(&format!(
        "{TEN_OUT}
        # Limited transmit: a new segment for each of the first two.
        < . 1 ack=1
        > . 10001:11001
        < . 1 ack=1
        > . 11001:12001
        < . 1 ack=1
        > . 1:1001
        # Half of ten and three are the window: twelve are out, so it grows until they fit.
        < . 1 ack=1
        < . 1 ack=1
        < . 1 ack=1
        < . 1 ack=1
        > nothing
        < . 1 ack=1
        > . 12001:13001
        < . 1 ack=13001
        ! acked
        # Recovery ends with the window at two segments, as nothing is out.
        > . 13001:14001
        > . 14001:15001
        abort
        > R. 15001
        "
    ));
}

#[test]
fn partial_acks_send_the_next_hole() {
    run(&format!(
        "{TEN_OUT}
        < . 1 ack=1
        > . 10001:11001
        < . 1 ack=1
        > . 11001:12001
        < . 1 ack=1
        > . 1:1001
        # The fourth and the seventh are lost as well.
        < . 1 ack=3001
        > . 3001:4001
        < . 1 ack=6001
        > . 6001:7001
        < . 1 ack=12001
        ! acked
        > . 12001:13001
        > . 13001:14001
        abort
        > R. 14001
        "
    ));
}

#[test]
fn a_second_partial_ack_does_not_put_the_timer_off() {
    run(&format!(
        "{TEN_OUT}
        < . 1 ack=1
        > . 10001:11001
        < . 1 ack=1
        > . 11001:12001
        +500
        < . 1 ack=1
        > . 1:1001
        < . 1 ack=3001
        > . 3001:4001
        # That one started the timer, which is still at its first second; the next one does not.
        +800
        < . 1 ack=6001
        > . 6001:7001
        +199
        > nothing
        +1
        > . 6001:7001
        abort
        > R. 12001
        "
    ));
}

#[test]
fn what_is_no_duplicate_does_not_count() {
    run(&format!(
        "{TEN_OUT}
        # With data, with another window, with FIN: no duplicates.
        < P. 1:11 ack=1
        < P. 11:21 ack=1
        < . 21 ack=1 win=60000
        < . 21 ack=1 win=61000
        +40
        > . 1 ack=21
        > nothing
        ! readable
        read 20
        < F. 21 ack=1 win=61000
        > . 10001 ack=22
        abort
        > R. 10001
        "
    )
    .replace("> . 1 ack=21", "> . 10001 ack=21"));
}

#[test]
fn round_trips_are_measured_by_timestamps_after_loss() {
    run("
        < S 0 mss=1012 ts=500:0
        > S. 0 ack=1
        < . 1 ack=1 ts=500:0
        ! accepted
        write 1000
        > P. 1:1001 ts=0:500
        +1000
        > P. 1:1001 ts=1000:500
        +100
        # 100 ms since the second: three times that is the next timeout.
        < . 1 ack=1001 ts=600:1000
        ! acked
        write 1000
        > P. 1001:2001
        +299
        > nothing
        +1
        > P. 1001:2001
        abort
        > R. 2001
    ");
}

#[test]
fn karn_does_not_measure_what_was_sent_again() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        write 1000
        > P. 1:1001
        +1000
        > P. 1:1001
        +5
        < . 1 ack=1001
        ! acked
        write 1000
        > P. 1001:2001
        # Still the initial second.
        +999
        > nothing
        +1
        > P. 1001:2001
        abort
        > R. 2001
    ");
}

#[test]
fn fin_is_sent_again() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        write 10
        > P. 1:11
        finish
        > F. 11
        +1000
        > PF. 1:11
        < . 1 ack=11
        ! acked
        +1000
        > F. 11
        < . 1 ack=12
        abort
        > R. 12
    ");
}

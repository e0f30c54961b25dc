//! Data in order and out of it: acknowledgements, reassembly, cutting, timestamps.

use super::{run, run_with};

/// An accepted connection without options.
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
fn acknowledgements_are_delayed() {
    opened(
        "
        < P. 1:101 ack=1
        > nothing
        +39
        > nothing
        +2
        > . 1 ack=101
        ! readable
        read 100
        # Every second full segment at once.
        < . 101:1101 ack=1
        > nothing
        < . 1101:2101 ack=1
        > . 1 ack=2101
        # On data, when there is some.
        < . 2101:3101 ack=1
        write 10
        > P. 1:11 ack=3101
        +100
        > nothing
        +900
        > P. 1:11 ack=3101
        abort
        > R. 11 ack=3101
        ",
    );
}

#[test]
fn out_of_order_segments_are_acknowledged_one_by_one() {
    opened(
        "
        < . 101:201 ack=1
        > . 1 ack=1
        < . 301:401 ack=1
        > . 1 ack=1
        < . 201:301 ack=1
        > . 1 ack=1
        ! nothing
        take 0
        # The hole is filled: at once.
        < . 1:101 ack=1
        > . 1 ack=401
        ! readable
        read 400
        abort
        > R. 1 ack=401
        ",
    );
}

#[test]
fn overlaps_are_trimmed() {
    opened(
        "
        < . 51:151 ack=1
        > . 1 ack=1
        < . 101:201 ack=1
        > . 1 ack=1
        < . 121:131 ack=1
        > . 1 ack=1
        count duplicate 1
        < . 1:61 ack=1
        > . 1 ack=201
        < . 101:301 ack=1
        > . 1 ack=301
        ! readable
        read 300
        # All of it known.
        < . 1:301 ack=1
        > . 1 ack=301
        count out_of_window 1
        abort
        > R. 1
        ",
    );
}

#[test]
fn fin_out_of_order_waits_for_the_bytes() {
    opened(
        "
        < F. 101:201 ack=1
        > . 1 ack=1
        ! nothing
        < . 1:101 ack=1
        > . 1 ack=202
        ! readable fin
        read 200
        < F. 101:201 ack=1
        > . 1 ack=202
        finish
        > F. 1 ack=202
        < . 202 ack=2
        ! closed=finished
        slots 0
        ",
    );
}

#[test]
fn the_cut_is_the_segment_and_push_marks_the_end() {
    opened(
        "
        write 2500
        > . 1:1001
        > . 1001:2001
        > P. 2001:2501
        finish
        > F. 2501
        < . 1 ack=2502
        ! acked
        release
        < F. 1 ack=2502
        > . 2502 ack=2
        waiting 1
        ",
    );
}

#[test]
fn fin_rides_on_the_last_data() {
    run("
        connect
        > S 0
        write 1500
        finish
        < S. 0 ack=1 mss=1000
        ! connected
        > . 1:1001
        > PF. 1001:1501
        < . 1 ack=1502
        ! acked
        abort
        > R. 1502
    ");
}

#[test]
fn paws_and_missing_timestamps() {
    run("
        < S 0 mss=1000 ts=5000:0
        > S. 0 ack=1
        < . 1 ack=1 ts=5010:0
        ! accepted
        < P. 1:11 ack=1 ts=4999:0
        > . 1 ack=1 ts=0:5010
        count paws 1
        < P. 1:11 ack=1
        count no_timestamp 1
        > nothing
        # An old timestamp on an old segment does not become the echo.
        < P. 11:21 ack=1 ts=5020:0
        > . 1 ack=1 ts=0:5010
        < P. 1:11 ack=1 ts=5015:0
        > . 1 ack=21 ts=0:5015
        # A RST needs none, and is not compared.
        ! readable
        read 20
        < R 21
        ! closed=reset
    ");
}

#[test]
fn a_timestamp_from_before_a_long_silence_is_not_compared_with() {
    run("
        < S 0 mss=1000 ts=5000:0
        > S. 0 ack=1
        < . 1 ack=1 ts=5010:0
        ! accepted
        +2073600001
        < P. 1:11 ack=1 ts=3:0
        +40
        > . 1 ack=11
        ! readable
        read 10
        abort
        > R. 1
    ");
}

#[test]
fn the_path_takes_smaller_packets() {
    opened(
        "
        write 2000
        > . 1:1001
        > P. 1001:2001
        # About something that is not in flight: not believed.
        icmp 3 4 5000 700
        count icmp_stale 1
        > nothing
        icmp 3 4 1 700
        > . 1:661
        > . 661:1321
        > . 1321:1981
        > P. 1981:2001
        # Not under 576, whatever it says; and no larger again.
        icmp 3 4 1 100
        > . 1:537
        > . 537:1073
        > . 1073:1609
        > P. 1609:2001
        icmp 3 4 1 1500
        count icmp_stale 2
        # A synchronized connection is not given up for ICMP.
        icmp 3 1 1
        count icmp_stale 3
        < . 1 ack=2001
        ! acked
        abort
        > R. 2001
        ",
    );
}

#[test]
fn large_segments_for_devices_that_cut_them() {
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1 win=65000
        ! accepted
        write 9500
        > . 1:4001
        > . 4001:8001
        > P. 8001:9501
        < . 1 ack=9501
        ! acked
        abort
        > R. 9501
        ",
        |config| {
            config.interfaces[0].tx_checksum = true;
            config.interfaces[0].tso = Some(4500);
        },
    );
}

#[test]
fn the_congestion_window_restarts_after_a_pause() {
    opened(
        "
        write 10000
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
        < . 1 ack=4001
        < . 1 ack=8001
        < . 1 ack=10001
        ! acked
        # Grown by two segments for each ACK, and back to ten after a second of silence.
        +2000
        write 12000
        > . 10001:11001
        > . 11001:12001
        > . 12001:13001
        > . 13001:14001
        > . 14001:15001
        > . 15001:16001
        > . 16001:17001
        > . 17001:18001
        > . 18001:19001
        > . 19001:20001
        > nothing
        abort
        > R. 20001
        ",
    );
}

#[test]
fn keepalive_probes_a_silent_peer() {
    run_with(
        "
        < S 0 mss=1000
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
        +10000
        > . 0 ack=1
        < . 1 ack=1
        +9999
        > nothing
        +1
        > . 0 ack=1
        +10000
        > . 0 ack=1
        +10000
        > . 0 ack=1
        +10000
        > . 0 ack=1
        +10000
        > . 0 ack=1
        +10000
        > R. 1
        ! closed=keepalive_timed_out
        ",
        |config| config.timeouts.keepalive = Some(std::time::Duration::from_secs(10)),
    );
}

#[test]
fn keepalive_is_not_for_attempts() {
    run_with(
        "
        connect
        > S 0
        +1000
        > S 0
        +2000
        > S 0
        +4000
        > S 0
        +8000
        > S 0
        +16000
        > nothing
        ! closed=timed_out
        ",
        |config| config.timeouts.keepalive = Some(std::time::Duration::from_secs(1)),
    );
    run_with(
        "
        connect
        > S 0
        +1000
        > S 0
        < S. 0 ack=1
        ! connected
        > . 1 ack=1
        +1000
        > . 0 ack=1
        ",
        |config| config.timeouts.keepalive = Some(std::time::Duration::from_secs(1)),
    );
}

#[test]
fn a_stream_that_never_is_without_a_hole_goes_on() {
    // Many times the segments that the receive buffer may hold, each second one out of order.
    let mut script = String::from(OPENED);
    let segment = |n: u32| format!("< . {}:{} ack=1\n", n * 100 + 1, n * 100 + 101);
    script += &segment(1);
    script += "> . 1 ack=1\n";
    for n in (0..1000).step_by(2) {
        script += &segment(n + 3);
        script += &format!("> . 1 ack={}\n", n * 100 + 1);
        script += &segment(n);
        script += &format!("> . 1 ack={}\n! readable\nread 200\n", n * 100 + 201);
    }
    script += "abort\n> R. 1";
    run(&script);
}

#[test]
fn what_fills_the_hole_is_taken_before_what_is_behind_it() {
    // The limit of segments is reached behind a hole: 127 for this receive buffer.
    let mut script = String::from(OPENED);
    for n in 2..=128 {
        script += &format!("< . {n}:{} ack=1\n> . 1 ack=1\n", n + 1);
    }
    script += "< . 129:130 ack=1\n> . 1 ack=1\ncount too_many_segments 1\n";
    script += "< . 1:2 ack=1\n> . 1 ack=2\n! readable\nread 1\nabort\n> R. 1";
    run(&script);
}

//! Closing: both orders, at once, halves, released and aborted, TIME-WAIT.

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
fn we_close_first() {
    opened(
        "
        finish
        > F. 1 ack=1
        < . 1 ack=2
        # The other half stays open.
        < P. 1:101 ack=2
        +40
        > . 2 ack=101
        ! readable
        read 100
        < F. 101 ack=2
        > . 2 ack=102
        ! fin closed=finished
        slots 0
        waiting 1
        # A repeated FIN is acknowledged and the wait begins again.
        +50000
        < F. 101 ack=2
        > . 2 ack=102
        # Neither RST nor a bare ACK changes anything.
        < R 102
        < . 102 ack=2
        > nothing
        +59999
        waiting 1
        +1
        waiting 0
        ",
    );
}

#[test]
fn the_peer_closes_first() {
    opened(
        "
        < F. 1 ack=1
        > . 1 ack=2
        ! fin
        # The other half stays open.
        write 10
        > P. 1:11 ack=2
        < . 2 ack=11
        ! acked
        # Data behind FIN is ignored.
        < P. 2:12 ack=11
        count after_fin 1
        finish
        > F. 11 ack=2
        < . 2 ack=12
        ! closed=finished
        waiting 0
        slots 0
        ",
    );
}

#[test]
fn both_close_at_once() {
    opened(
        "
        finish
        > F. 1 ack=1
        < F. 1 ack=1
        > . 2 ack=2
        ! fin
        < . 2 ack=2
        > . 2 ack=2
        ! closed=finished
        waiting 1
        ",
    );
    opened(
        "
        finish
        > F. 1 ack=1
        # FIN with the ACK of ours: straight to TIME-WAIT.
        < F. 1 ack=2
        > . 2 ack=2
        ! fin closed=finished
        waiting 1
        ",
    );
}

#[test]
fn an_orderly_end_waits_for_the_bytes_to_be_taken() {
    opened(
        "
        finish
        > F. 1 ack=1
        < PF. 1:101 ack=2
        > . 2 ack=102
        ! readable fin
        ! nothing
        slots 1
        waiting 1
        read 100
        ! closed=finished
        slots 0
        ",
    );
}

#[test]
fn bytes_before_a_reset_are_offered_once() {
    opened(
        "
        < P. 1:101 ack=1
        < R 101
        ! readable
        take 100
        ! closed=reset
        slots 0
        ",
    );
    opened(
        "
        < P. 1:101 ack=1
        < R 101
        ! readable
        ! closed=reset
        take 0
        slots 0
        ",
    );
}

#[test]
fn a_released_connection_ends_by_itself() {
    opened(
        "
        write 500
        > P. 1:501
        release
        > F. 501
        slots 1
        < . 1 ack=502
        ! nothing
        < F. 1 ack=502
        > . 502 ack=2
        slots 0
        waiting 1
        ! nothing
        ",
    );
    opened(
        "
        < F. 1 ack=1
        > . 1 ack=2
        ! fin
        release
        > F. 1 ack=2
        < . 2 ack=2
        slots 0
        waiting 0
        ",
    );
}

#[test]
fn nothing_is_told_of_a_released_connection() {
    opened(
        "
        write 10
        > P. 1:11
        < P. 1:11 ack=11
        < F. 11 ack=11
        > . 11 ack=12
        release
        ! nothing
        > F. 11 ack=12
        < . 12 ack=12
        ! nothing
        slots 0
        ",
    );
}

#[test]
fn data_for_a_released_connection_is_refused() {
    opened(
        "
        release
        > F. 1
        < P. 1:11 ack=2
        > R. 2 ack=1
        count data_after_release 1
        slots 0
        ! nothing
        ",
    );
}

#[test]
fn a_released_connection_is_not_waited_for_without_end() {
    opened(
        "
        release
        > F. 1
        < . 1 ack=2
        +59999
        slots 1
        +2
        slots 0
        > nothing
        count orphan_timed_out 1
        < F. 1 ack=2
        > R 2
        ",
    );
    run_with(
        &format!(
            "{OPENED}
            < . 1 ack=1 win=0
            write 10
            release
            +1000
            > F. 1
            < . 1 ack=1 win=0
            +2000
            > F. 1
            < . 1 ack=1 win=0
            +2000
            > R. 1
            slots 0
            count orphan_timed_out 1
            "
        ),
        |config| config.timeouts.fin = std::time::Duration::from_secs(5),
    );
}

#[test]
fn time_wait_lets_a_newer_connection_in() {
    let ended = "
        finish
        > F. 1 ack=1
        < F. 1 ack=2
        > . 2 ack=2
        ! fin closed=finished
        waiting 1
    ";
    // A sequence number behind all that was received.
    opened(&format!(
        "{ended}
        < S 100000
        waiting 0
        # Our number is beyond all that was sent.
        > S. 0 ack=100001
        "
    ));
    // An older one is acknowledged like anything else.
    opened(&format!(
        "{ended}
        < S 1
        > . 2 ack=2
        waiting 1
        "
    ));
    // Timestamps decide when there are some.
    run("
        < S 0 mss=1000 ts=100:0
        > S. 0 ack=1
        < . 1 ack=1 ts=100:0
        ! accepted
        finish
        > F. 1 ack=1
        < F. 1 ack=2 ts=110:0
        > . 2 ack=2 ts=0:110
        ! fin closed=finished
        < S 0 mss=1000 ts=90:0
        > . 2 ack=2
        < S 0 mss=1000 ts=200:0
        > S. 0 ack=1
        waiting 0
    ");
}

#[test]
fn the_oldest_time_wait_makes_room() {
    run_with(
        &format!(
            "{OPENED}
            finish
            > F. 1 ack=1
            < F. 1 ack=2
            > . 2 ack=2
            ! fin closed=finished
            waiting 0
            count time_wait_evicted 0
            "
        ),
        |config| config.time_wait_entries = 0,
    );
}

#[test]
fn abort_in_every_state() {
    for (steps, seq) in [
        ("", 1),
        ("finish\n> F. 1", 2),
        ("finish\n> F. 1\n< . 1 ack=2", 2),
        ("< F. 1 ack=1\n> . 1\n! fin", 1),
        ("finish\n> F. 1\n< F. 1 ack=1\n> . 2\n! fin", 2),
        ("< F. 1 ack=1\n> . 1\n! fin\nfinish\n> F. 1", 2),
    ] {
        opened(&format!("{steps}\nabort\n> R. {seq}\nslots 0\n! nothing\nabort\n> nothing"));
    }
}

#[test]
fn a_reset_in_every_state() {
    for (steps, seq) in [
        ("", 1),
        ("finish\n> F. 1", 1),
        ("finish\n> F. 1\n< . 1 ack=2", 1),
        ("< F. 1 ack=1\n> . 1\n! fin", 2),
        ("finish\n> F. 1\n< F. 1 ack=1\n> . 2\n! fin", 2),
        ("< F. 1 ack=1\n> . 1\n! fin\nfinish\n> F. 1", 2),
    ] {
        opened(&format!("{steps}\n< R {seq}\n! closed=reset\nslots 0\n> nothing\nwaiting 0"));
    }
}

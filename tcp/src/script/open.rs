//! Opening: both roles, retransmission, options, cookies, simultaneous.

use super::{run, run_with};

#[test]
fn passive() {
    run("
        < S 0 win=1000 mss=1460
        > S. 0 ack=1 win=65535 mss=1460
        ! nothing
        < . 1 ack=1
        ! accepted
        slots 1
        > nothing
        abort
        > R. 1 ack=1
        slots 0
    ");
}

#[test]
fn passive_with_all_options() {
    run_with(
        "
        < S 0 mss=1400 ws=3 ts=700:0
        > S. 0 ack=1 mss=1460 ws=5 ts=0:700
        +10
        < . 1 ack=1 ts=710:0
        ! accepted
        write 3000
        # The options take their share of the segment; the window was scaled.
        > . 1:1389 ts=10:710
        > . 1389:2777
        > P. 2777:3001
        < . 1 ack=3001 win=8 ts=720:10
        ! acked
        write 100
        > . 3001:3065
        > nothing
        < P. 1:101 ack=3065 win=8 ts=730:20
        > P. 3065:3101 ack=101 ts=10:730
        # Beyond the scale's first step the whole buffer is advertised.
        abort
        > R. 3101
        ",
        |config| config.recv_buffer = 2_000_000,
    );
}

#[test]
fn the_last_ack_may_carry_data_and_fin() {
    run("
        < S 0
        > S. 0 ack=1
        < PF. 1:101 ack=1
        ! accepted readable fin
        > . 1 ack=102
        read 100
        finish
        > F. 1 ack=102
        < . 102 ack=2
        ! closed=finished
        slots 0
        waiting 0
    ");
}

#[test]
fn the_last_ack_may_be_lost_and_data_come_out_of_order() {
    run("
        < S 0
        > S. 0 ack=1
        < P. 101:201 ack=1
        ! accepted
        > . 1 ack=1
        < P. 1:101 ack=1
        > . 1 ack=201
        ! readable
        read 200
    ");
}

#[test]
fn syn_ack_is_sent_again_and_given_up() {
    run_with(
        "
        < S 0
        > S. 0 ack=1
        +999
        > nothing
        +2
        > S. 0 ack=1
        < S 0
        > S. 0 ack=1
        +2000
        > S. 0 ack=1
        +4000
        > nothing
        count handshake_timed_out 1
        < . 1 ack=1
        > R 1
        ",
        |config| config.timeouts.syn_ack_retries = 2,
    );
}

#[test]
fn half_open_connections_are_robust() {
    run("
        < S 0
        > S. 0 ack=1
        # An ACK of something else is refused, and the entry stays.
        < . 1 ack=5
        > R 5
        count bad_handshake_ack 1
        # A RST that is not exact does nothing.
        < R 2
        count stray_reset 1
        # Outside the window.
        < . 70000 ack=1
        count half_open_stray 1
        # Another SYN is challenged.
        < S 500
        > S. 0 ack=1
        count syn_in_window 1
        < . 1 ack=1
        ! accepted
        release
        > F. 1 ack=1
        < . 1 ack=2
        < F. 1 ack=2
        > . 2 ack=2
        slots 0
        waiting 1
    ");
    run("
        < S 0
        > S. 0 ack=1
        < R 1
        < . 1 ack=1
        > R 1
        slots 0
    ");
}

#[test]
fn no_listener_and_no_connection() {
    run("
        < S 0 port=81
        > R. 0 ack=1
        < . 10 ack=0 port=81
        > R 0
        < F 10 port=81
        > R. 0 ack=11
        < P 10:20 port=81
        > R. 0 ack=20
        < R 0 port=81
        < R. 0 ack=0 port=81
        count no_socket 4
        count stray_reset 2
        # A listener refuses an ACK, and a SYN with one.
        < . 10 ack=0
        > R 0
        < S. 10 ack=0
        > R 0
        < P 10:20
        count no_ack 1
        < SF 0
        < SR 0
        count tcp_flags 2
    ");
}

#[test]
fn active() {
    run("
        connect
        > S 0 win=65535 mss=1460 ws=0 ts=0:0
        +20
        < S. 0 ack=1 mss=1000 win=5000
        ! connected
        # Neither scaling nor timestamps were agreed.
        > . 1 ack=1
        write 1500
        > . 1:1001
        > P. 1001:1501
        < . 1 ack=1501
        ! acked
        abort
        > R. 1501 ack=1
    ");
}

#[test]
fn active_with_data_and_timestamps() {
    run("
        connect
        > S 0 ts=0:0
        write 10
        > nothing
        +20
        < S. 0 ack=1 mss=1460 ts=900:0
        ! connected
        > P. 1:11 ack=1 ts=20:900
        +20
        < P. 1:5 ack=11 ts=910:20
        ! readable acked
        read 4
        +40
        > . 11 ack=5 ts=80:910
        abort
        > R. 11
    ");
}

#[test]
fn active_refused_unanswered_unreachable() {
    run("
        connect
        > S 0
        < R 0
        < R. 0 ack=7
        ! nothing
        < R. 0 ack=1
        ! closed=refused
        slots 0
        < S. 0 ack=1
        > R 1
    ");
    run_with(
        "
        connect
        > S 0
        +1000
        > S 0
        +2000
        > S 0
        +4000
        > nothing
        ! closed=timed_out
        slots 0
        ",
        |config| config.timeouts.syn_retries = 2,
    );
    run("
        connect
        > S 0
        icmp 3 3 5
        count icmp_stale 1
        icmp 3 1 0
        count icmp_ignored 1
        ! nothing
        icmp 3 3 0
        ! closed=unreachable
    ");
    run("
        connect
        > S 0
        # Neither a RST nor a SYN: ignored, unless its ACK is of something never sent.
        < . 0 ack=1
        < . 0 ack=9
        > R 9
        < . 0 ack=0
        > R 0
        abort
        > nothing
        slots 0
    ");
}

#[test]
fn simultaneous() {
    run("
        connect
        > S 0
        < S 0 mss=1460
        > S. 0 ack=1
        < S. 0 ack=1
        ! connected
        write 5
        > P. 1:6 ack=1
        < . 1 ack=6
        ! acked
        abort
        > R. 6
    ");
    run("
        connect
        > S 0
        < S 0 mss=1460
        > S. 0 ack=1
        +1000
        > S. 0 ack=1
        < . 1 ack=1
        ! connected
        release
        > F. 1
        < R 1
        slots 0
    ");
}

#[test]
fn a_connection_by_cookie() {
    run_with(
        "
        < S 0 mss=1300 ws=4 ts=500:0
        > S. 0 ack=1 mss=1460 ws=5 ts=0:500
        < . 1 ack=1 ts=510:0 win=10
        ! accepted
        # MSS 1200 is the nearest that a cookie can say, less the option; the window is scaled by 16.
        write 2000
        > . 1:161 ack=1
        < . 1 ack=161 win=1000 ts=510:0
        > . 161:1349
        > P. 1349:2001
        abort
        > R. 2001
        count no_connection 0
        ",
        |config| {
            config.syn_entries = 0;
            config.recv_buffer = 2_000_000;
        },
    );
    run_with(
        "
        < S 0 mss=1460 ws=4
        > S. 0 ack=1 mss=1460
        < . 1 ack=2
        > R 2
        +200000
        < . 1 ack=1
        > R 1
        count bad_handshake_ack 2
        slots 0
        ",
        |config| config.syn_entries = 0,
    );
}

#[test]
fn a_cookie_makes_one_connection() {
    // However it ended, an old copy of what began it does not begin it again.
    for end in ["< R 11\n! closed=reset", "abort\n> R. 1"] {
        run_with(
            &format!(
                "
                < S 0 mss=1460
                > S. 0 ack=1 mss=1460
                < P. 1:11 ack=1
                ! accepted readable
                read 10
                {end}
                < P. 1:11 ack=1
                > R 1
                count cookie_spent 1
                +64000
                < P. 1:11 ack=1
                > R 1
                count cookie_spent 2
                slots 0
                "
            ),
            |config| config.syn_entries = 0,
        );
    }
}

#[test]
fn no_free_connection() {
    run_with(
        "
        connect
        > S 0
        < S 0 port=80
        > S. 0 ack=1
        < . 1 ack=1 port=80
        > R 1
        count no_connection 1
        ",
        |config| config.connections = 1,
    );
}

//! Blind attacks (RFC 5961) and floods: challenged, limited, counted.

use super::{run, run_quietly, run_with};

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
fn an_inexact_reset_is_challenged() {
    opened(
        "
        < R 2
        > . 1 ack=1
        count reset_inexact 1
        # Not again within half a second.
        < R 3
        > nothing
        +500
        < R 3
        > . 1 ack=1
        # Outside the window: dropped.
        +500
        < R 70000
        > nothing
        count stray_reset 1
        # The peer answers a challenge with the exact one.
        < R 1
        ! closed=reset
        ",
    );
}

#[test]
fn a_syn_is_challenged() {
    opened(
        "
        < S 1
        > . 1 ack=1
        count syn_in_window 1
        +500
        < S 0
        > . 1 ack=1
        count out_of_window 1
        +500
        < S. 5 ack=1
        > . 1 ack=1
        slots 1
        abort
        > R. 1
        ",
    );
}

#[test]
fn an_ack_out_of_range_is_challenged() {
    opened(
        "
        # Never sent.
        < P. 1:11 ack=2
        > . 1 ack=1
        count ack_unacceptable 1
        ! nothing
        +500
        # Older than the largest window.
        < P. 1:11 ack=-65600
        > . 1 ack=1
        count ack_unacceptable 2
        # Old, but not that old: its data counts.
        < P. 1:11 ack=-1000
        +40
        > . 1 ack=11
        ! readable
        read 10
        # Without ACK nothing counts.
        < P 11:21
        count no_ack 1
        +500
        > nothing
        abort
        > R. 1
        ",
    );
}

#[test]
fn two_sides_that_disagree_do_not_answer_each_other_for_ever() {
    opened(
        "
        < . 100000 ack=1
        > . 1 ack=1
        < . 100000 ack=1
        < . 100000 ack=1
        > nothing
        count out_of_window 3
        # Data is answered each time: it may be a probe.
        < . 100000:100001 ack=1
        > . 1 ack=1
        < . 100000:100001 ack=1
        > . 1 ack=1
        abort
        > R. 1
        ",
    );
}

#[test]
fn tiny_segments_are_bounded() {
    // A byte a segment pins a packet buffer a byte: 127 of them for this receive buffer.
    let mut script = String::from(OPENED);
    for n in 1..=127 {
        script += &format!("< . {n}:{} ack=1\n", n + 1);
    }
    script += "
        < . 128:129 ack=1
        count too_many_segments 1
        +40
    ";
    let mut player = script.clone();
    player += "! readable\ntake 127\n";
    let held = "
        < . 128:129 ack=1
        count too_many_segments 2
    ";
    player += held;
    // The window is not advertised further while they are held, and it opens when they are consumed.
    run_quietly(&format!("{player}\nconsume 127\n< . 128:129 ack=1\n! readable\nread 1\nabort"));
}

#[test]
fn resets_to_strangers_are_limited() {
    let mut script = String::new();
    for n in 0..1100 {
        script += &format!("< S {n} port=81\n");
    }
    script += "count reset_limited 100\n";
    run_quietly(&script);
}

/// How to get into each synchronized state, our next number there and the peer's.
const STATES: [(&str, i64, i64); 6] = [
    ("", 1, 1),
    ("finish\n> F. 1", 2, 1),
    ("finish\n> F. 1\n< . 1 ack=2", 2, 1),
    ("< F. 1 ack=1\n> . 1\n! fin", 1, 2),
    ("finish\n> F. 1\n< F. 1 ack=1\n> . 2\n! fin", 2, 2),
    ("< F. 1 ack=1\n> . 1\n! fin\nfinish\n> F. 1", 2, 2),
];

#[test]
fn blind_segments_change_no_state() {
    // RFC 5961 sections 3.2, 4.2 and 5.2 in every synchronized state: a challenge at most, two a second.
    for (steps, ours, peer) in STATES {
        let ack = format!("> . {ours} ack={peer}");
        let script = format!(
            "{OPENED}{steps}
            < R {}
            {ack}
            < S {}
            < . {peer} ack={}
            > nothing
            +500
            < S {peer}
            {ack}
            +500
            < . {peer} ack={}
            {ack}
            +500
            < . {peer} ack=-65600
            {ack}
            count reset_inexact 1
            count syn_in_window 2
            count ack_unacceptable 3
            # Outside the window a RST is nothing, and bytes are answered each time.
            < R {}
            < R {}
            count stray_reset 2
            < P. {}:{peer} ack=1
            {ack}
            < P. 100000:100010 ack=1
            {ack}
            slots 1
            waiting 0
            ! nothing
            ",
            peer + 10,
            peer + 20,
            ours + 1,
            ours + 1,
            peer - 1,
            peer + 65_535,
            peer - 1,
        );
        run_with(&script, |config| config.timeouts.initial_rto = std::time::Duration::from_secs(60));
    }
}

#[test]
fn blind_segments_in_a_simultaneous_open() {
    // RFC 9293 section 3.10.7.4, SYN-RECEIVED: what is not acceptable is acknowledged, a wrong ACK refused.
    run("
        connect
        > S 0
        < S 0 mss=1000
        > S. 0 ack=1
        < R 10
        > . 1 ack=1
        count reset_inexact 1
        +500
        # Its SYN again: ours was lost.
        < S 0 mss=1000
        > . 1 ack=1
        < . 1 ack=9
        > R 9
        < P. 100000:100010 ack=1
        > . 1 ack=1
        slots 1
        ! nothing
        < . 1 ack=1
        ! connected
        < R 1
        ! closed=reset
    ");
    run("connect\n> S 0\n< S 0\n> S. 0 ack=1\n< R 1\n! closed=refused\nslots 0");
}

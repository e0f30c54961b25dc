//! Blind attacks (RFC 5961) and floods: challenged, limited, counted.

use super::run;

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

/// Runs a script without looking at what was sent.
fn run_quietly(script: &str) {
    let mut player = super::Player::new(super::config());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        player.at = line.into();
        if !line.starts_with('>') {
            player.play(line);
        }
    }
    let memory = player.memory.clone();
    drop(player);
    assert_eq!(memory.in_use(), 0);
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

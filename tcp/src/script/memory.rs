//! Memory that a peer makes us hold: behind holes, behind shut windows, for connections nobody waits for.

use std::fmt::Write as _;

use super::{Player, config, run, run_with};
use crate::{Config, Reason};

const OPENED: &str = "
    < S 0 mss=1000
    > S. 0 ack=1
    < . 1 ack=1
    ! accepted
";

/// A player who has played a script without looking at what was sent.
fn quiet(config: Config, script: &str) -> Player {
    let mut player = Player::new(config);
    player.is_quiet = true;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('>')) {
        player.play(line);
    }
    player
}

/// For how long the connection lives while the peer sends `lines` each second.
fn seconds_alive(player: &mut Player, lines: &[&str]) -> usize {
    let mut seconds = 0;
    while player.stack.connections() > 0 {
        lines.iter().for_each(|line| player.play(line));
        player.play("+1000");
        seconds += 1;
    }
    assert_eq!(player.stack.counters()[Reason::OrphanTimedOut], 1);
    seconds
}

#[test]
fn holes_are_bounded() {
    // A byte behind every other: 32 stretches of one connection, whatever comes behind.
    let mut script = String::from(OPENED);
    for n in 0..100 {
        let at = 3 + 2 * n;
        let _ = writeln!(script, "< . {at}:{} ack=1\n> . 1 ack=1\nruns {}", at + 1, (n + 1).min(32));
    }
    script += "held 32\ncount out_of_order_full 68\n";
    // In front of what is held there is no room either; what fills a hole needs none.
    script += "< . 1:3 ack=1\n> . 1 ack=4\nruns 31\n! readable\nread 3\nheld 31\n";
    // A reset frees all of it.
    script += "< R 4\n! closed=reset\nheld 0\nruns 0\n";
    run(&script);
}

#[test]
fn segments_behind_holes_are_bounded_for_all_together() {
    // One stretch that grows byte by byte pins a buffer a byte; two connections have sixteen of them.
    let mut script = String::from(OPENED);
    for n in 0..100 {
        let at = 102 + n;
        let _ = writeln!(script, "< . {at}:{} ack=1\n> . 1 ack=1\nheld {}", at + 1, (n + 1).min(16));
    }
    script += "
        runs 1
        count out_of_order_full 84
        # What comes in order needs no room there, and goes on.
        < . 1:102 ack=1
        > . 1 ack=118
        ! readable
        read 117
        held 0
        runs 0
        # What was refused is sent again in order.
        < . 118:202 ack=1
        +40
        > . 1 ack=202
        ! readable
        read 84
    ";
    run_with(&script, |config| config.out_of_order = 16);
}

#[test]
fn the_bound_holds_whatever_comes() {
    let mut config = config();
    config.out_of_order = 40;
    let mut player = quiet(config, OPENED);
    let mut number = 12_345_u32;
    for _ in 0..3000 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (at, length) = (2 + (number >> 8) % 600, 1 + (number >> 24) % 40);
        player.play(&format!("< . {at}:{} ack=1", at + length));
        let held = player.stack.held();
        assert!(held.runs <= 32 && held.run_segments <= 40 && player.memory.in_use() == held.run_segments);
    }
    assert!(player.stack.counters()[Reason::OutOfOrderFull] > 100);
    player.settle();
}

#[test]
fn a_window_shut_for_ever() {
    // RFC 9293 section 3.8.6.1 (MUST-37): the connection stays open as long as the probes are answered. What is held
    // is what was asked for, and the upper layer ends it when it no longer waits.
    let mut script = String::from(OPENED);
    script += "< . 1 ack=1 win=1000\nwrite 5000\n> . 1:1001\n< . 1 ack=1001 win=0\n! acked\n";
    let answered = |script: &mut String, times: usize| {
        for n in 0..times {
            let wait = (200 << n.min(9)).min(60_000);
            let _ = writeln!(script, "+{wait}\n> P. 1001:1002\n< . 1 ack=1001 win=0\nslots 1\nheld 1");
        }
    };
    // Two hours; then the peer is gone, and the user timeout of 100 seconds ends it.
    answered(&mut script, 130);
    run(&format!(
        "{script}
        +60000
        > P. 1001:1002
        +60000
        ! closed=timed_out
        slots 0
        held 0
        "
    ));
    // Or we are: then the peer's answers count for nothing.
    let mut player = quiet(config(), &format!("{script}\nrelease"));
    assert_eq!(seconds_alive(&mut player, &["< . 1 ack=1001 win=0"]), 60);
    assert_eq!(player.memory.in_use(), 0);
}

#[test]
fn what_waited_for_a_window_is_not_late() {
    // RFC 9293 section 3.8.3: R2 is about what was sent and not acknowledged.
    let mut script = String::from(OPENED);
    script += "< . 1 ack=1 win=0\nwrite 1000\n";
    for n in 0..9 {
        let _ = writeln!(script, "+{}\n> P. 1:2\n< . 1 ack=1 win=0", (1000 << n).min(60_000));
    }
    script += "
        < . 1 ack=1 win=5000
        > P. 1:1001
        # Lost: sent again, as anything else.
        +1000
        > P. 1:1001
        +2000
        > P. 1:1001
        < . 1 ack=1001
        ! acked
    ";
    run(&script);
}

#[test]
fn nobody_waits_for_slow_readers() {
    // A byte every thirty seconds is progress, but not for more than ten times the limit of those without.
    let mut script = String::from(OPENED);
    script += "< . 1 ack=1 win=1000\nwrite 1000\n> . 1:1001\nrelease\n";
    let mut player = quiet(config(), &script);
    let mut seconds = 0;
    for acked in 2.. {
        if player.stack.connections() == 0 {
            break;
        }
        player.play(&format!("< . 1 ack={acked} win=1000"));
        assert!(player.memory.in_use() <= 2);
        player.play("+30000");
        seconds += 30;
    }
    assert!((600..=660).contains(&seconds), "{seconds}");
    assert_eq!(player.stack.counters()[Reason::OrphanTimedOut], 1);
    player.settle();
    // A window that opens and shuts is none.
    let mut player = quiet(config(), &format!("{OPENED}< . 1 ack=1 win=0\nwrite 10\n+1000\nrelease"));
    assert_eq!(seconds_alive(&mut player, &["< . 1 ack=1 win=100", "< . 1 ack=1 win=0"]), 60);
    player.settle();
}

#[test]
fn acks_ahead_of_time_and_in_pieces() {
    // RFC 9293 section 3.10.7.4: an ACK of what was sent is an ACK, whether it arrived or not. It lets out no more
    // than windows allow: twice what it acknowledges, two segments at most (RFC 3465 section 2.2).
    let mut config = config();
    config.send_buffer = 64 << 10;
    let opened = "< S 0 mss=1000 ws=14\n< . 1 ack=1 win=65535\n! accepted\nwrite 10000000";
    let mut player = quiet(config, opened);
    let sent = |player: &Player| player.segments.iter().map(|(_, length)| *length).sum::<usize>();
    assert_eq!(sent(&player), 10_000);
    // A segment acknowledged byte by byte is worth a segment, not a thousand.
    for acked in 2..=1001 {
        player.play(&format!("< . 1 ack={acked} win=65535"));
    }
    assert!(sent(&player) <= 12_000, "{}", sent(&player));
    // Everything at once, again and again: the send buffer is what is out.
    for _ in 0..100 {
        let acked = 1 + sent(&player);
        player.play(&format!("< . 1 ack={acked} win=65535"));
        let out = sent(&player) + 1 - acked;
        assert!(out <= 64 << 10, "{out}");
        assert!(player.memory.in_use() <= 200, "{}", player.memory.in_use());
    }
    // What was never sent.
    let before = sent(&player);
    player.play(&format!("< . 1 ack={} win=65535", before + 2));
    assert_eq!((sent(&player), player.stack.counters().challenge_acks), (before, 1));
    // Duplicates without end inflate the window in recovery, and fill no more than the buffer.
    let acked = 1 + before - 60_000;
    for _ in 0..10_000 {
        player.play(&format!("< . 1 ack={acked} win=65535"));
    }
    assert!(player.memory.in_use() <= 200, "{}", player.memory.in_use());
    assert!(sent(&player) - before <= 70_000, "{}", sent(&player) - before);
    player.settle();
}

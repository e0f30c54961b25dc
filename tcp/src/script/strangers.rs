//! Segments and errors from those who are not the peer, or are not any more: forged, replayed, impossible.

use std::fmt::Write as _;

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
fn sources_that_cannot_be() {
    // RFC 9293 section 3.9.2.3 (MUST-63) and RFC 1122 section 3.2.1.3. The first is the land attack: a SYN from the
    // very address and port it goes to.
    for from in [
        "10.0.0.1 from_port=80",
        "10.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        // Everybody on our network, in both spellings.
        "10.0.0.255",
        "10.0.0.0",
    ] {
        run(&format!(
            "
            < S 0 from={from}
            < . 1 ack=1 from={from}
            < R 1 from={from}
            > nothing
            count martian 3
            half_open 0
            "
        ));
    }
}

#[test]
fn a_wrong_bit_anywhere() {
    let mut script = String::from(OPENED);
    for at in 0..24 {
        let _ = writeln!(script, "< P. 1:5 ack=1 spoil={at}\n> nothing");
    }
    script += "count tcp_checksum 24\n! nothing\nslots 1\n";
    run(&script);
}

#[test]
fn icmp_does_not_end_connections() {
    // RFC 5927: in synchronized states an error is advice at most; sections 5 and 7.
    let mut forged = String::new();
    for kind in [0, 3, 4, 5, 11, 12, 13] {
        for code in (0..16).filter(|code| (kind, *code) != (3, 4)) {
            let _ = writeln!(forged, "icmp {kind} {code} 1");
        }
    }
    opened(&format!(
        "
        write 1500
        > . 1:1001
        > P. 1001:1501
        {forged}
        # Too big, about what is not out: acknowledged, never sent, far away.
        icmp 3 4 0 600
        icmp 3 4 1501 600
        icmp 3 4 100000 600
        # Or not too big.
        icmp 3 4 1 1500
        icmp 3 4 1 65535
        > nothing
        slots 1
        < . 1 ack=1501
        ! acked
        # Nothing is out any more.
        icmp 3 4 1 600
        > nothing
        "
    ));
    // What a router of before RFC 1191 says is an MTU of zero: the least there is.
    opened("write 700\n> P. 1:701\nicmp 3 4 1 0\n> . 1:537\n> P. 537:701");
    // Neither half-open nor waiting connections are touched.
    run(&format!("< S 0 mss=1000\n> S. 0 ack=1\n{forged}\nicmp 3 4 0 600\nhalf_open 1\n> nothing"));
    opened(&format!(
        "
        finish
        > F. 1
        < F. 1 ack=2
        > . 2 ack=2
        ! fin closed=finished
        {forged}
        > nothing
        waiting 1
        "
    ));
    // Only an attempt to connect is given up, and only for its own SYN (RFC 5461 section 4.1: all errors but this
    // one are left to the retries).
    run(&format!("connect\n> S 0\n{}\n! nothing\nslots 1", forged.replace(" 1\n", " 7\n")));
}

#[test]
fn cookies_are_not_guessed() {
    let mut script = String::from("< S 0 mss=1000\n> S. 0 ack=1 mss=1460\n");
    for ack in (2..200).chain([0, -1, -1000, 1 << 24, 1 << 27]) {
        let _ = writeln!(script, "< . 1 ack={ack}\n> R {ack}");
    }
    script += "
        # Another's, another sequence number, too late.
        < . 1 ack=1 from_port=40001
        > R 1
        count bad_handshake_ack 204
        < . 2 ack=1
        > R 1
        slots 0
        half_open 0
        held 0
    ";
    run_with(&format!("{script}< . 1 ack=1\n! accepted\nslots 1"), |config| config.syn_entries = 0);
    run_with(&format!("{script}+128001\n< . 1 ack=1\n> R 1\nslots 0"), |config| config.syn_entries = 0);
}

#[test]
fn a_flood_fills_the_backlog_and_no_more() {
    let mut script = String::new();
    for port in 10_000..10_500 {
        let _ = writeln!(script, "< S {port} from_port={port}\nheld 0");
    }
    script += "half_open 4\nslots 0\n";
    // In the midst of it somebody comes with a cookie.
    script += "< S 0 mss=1000\nhalf_open 4\n< . 1 ack=1\n! accepted\nslots 1\n< P. 1:11 ack=1\n! readable\nread 10\n";
    script += "+20000\nhalf_open 0\ncount handshake_timed_out 4\n";
    run_quietly(&script);
}

#[test]
fn time_wait_is_not_assassinated() {
    // RFC 1337 section 2: old duplicates come to TIME-WAIT, and the answers they provoke must not end it.
    opened(
        "
        < P. 1:101 ack=1
        +40
        > . 1 ack=101
        ! readable
        read 100
        finish
        > F. 1
        < F. 101 ack=2
        > . 2 ack=102
        ! fin closed=finished
        waiting 1
        # An old segment with bytes is acknowledged; the peer, who has forgotten, answers with RST (H1).
        < P. 51:101 ack=1
        > . 2 ack=102
        < R 2
        < R 102
        < R. 102 ack=2
        waiting 1
        # An old ACK is not answered, nor one of the future.
        < . 50 ack=1
        < . 102 ack=90
        > nothing
        # A FIN of another number does not make it longer, the peer's own does.
        +40000
        < F. 50 ack=1
        > . 2 ack=102
        < F. 102 ack=2
        > . 2 ack=102
        +19999
        waiting 1
        +1
        waiting 0
        # Forgotten: whatever comes now is refused.
        < P. 51:101 ack=1
        > R 1
        ",
    );
}

#[test]
fn half_open_peers_are_reset() {
    // RFC 9293 section 3.5.1, figure 9: the peer has crashed and opens anew.
    opened(
        "
        < S 5000
        > . 1 ack=1
        < R 1
        ! closed=reset
        < S 5000
        > S. 0 ack=5001
        ",
    );
    // Figure 10: it has crashed, and we send.
    opened(
        "
        write 10
        > P. 1:11 ack=1
        < R 1
        ! closed=reset
        slots 0
        ",
    );
    // We have forgotten, and it sends.
    opened(
        "
        abort
        > R. 1
        < P. 1:11 ack=1
        > R 1
        < F. 11 ack=1
        > R 1
        ",
    );
    // Figure 11: an old SYN comes to a listener, and the peer resets what we make of it.
    run("
        < S 70000
        > S. 0 ack=70001
        < R 70001
        half_open 0
        < S 0
        > S. 0 ack=1
        < . 1 ack=1
        ! accepted
    ");
}

//! Options: sizes and scales at their ends, lists that are wrong, options that change, timestamps that lie.

use super::{run, run_with};

/// Lines that say that `bytes` from `from` on leave in segments of `mss`.
fn cut(from: usize, bytes: usize, mss: usize) -> String {
    let mut lines = String::new();
    let end = from + bytes;
    for start in (from..end).step_by(mss) {
        lines += &format!("> . {start}:{}\n", (start + mss).min(end));
    }
    lines
}

/// Lines that write five segments of `mss` and a byte, and see them leave.
fn full_and_one(mss: usize) -> String {
    let all = 5 * mss;
    format!("write {}\n{}> P. {}:{}", all + 1, cut(1, all, mss), all + 1, all + 2)
}

#[test]
fn segment_sizes_at_their_ends() {
    // RFC 9293 section 3.7.1: the smaller of what the peer takes and what the link takes. Below 64 the peer is not
    // believed: headers would be all that leaves.
    for (mss, segment) in
        [(0, 64), (1, 64), (63, 64), (64, 64), (65, 65), (1460, 1460), (1461, 1460), (65_535, 1460)]
    {
        run(&format!(
            "< S 0 mss={mss}\n> S. 0 ack=1 mss=1460\n< . 1 ack=1\n! accepted\n{}",
            full_and_one(segment)
        ));
    }
}

#[test]
fn a_cookie_knows_the_smallest_size() {
    run_with(
        &format!(
            "< S 0 mss=1\n> S. 0 ack=1\n< . 1 ack=1\n! accepted\nwrite 640\n{}",
            cut(1, 576, 64) + "> . 577:641"
        ),
        |config| config.syn_entries = 0,
    );
}

#[test]
fn scales_up_to_fourteen() {
    // RFC 7323 section 2.3: a shift over 14 is taken as 14: one is 16384 bytes then.
    for scale in [14, 15, 255] {
        run(&format!(
            "
            < S 0 mss=1460 ws={scale}
            > S. 0 ack=1 ws=0
            < . 1 ack=1 win=1
            ! accepted
            write 60000
            {}
            < . 1 ack=14601 win=1
            ! acked
            {}
            > nothing
            # The largest of all windows.
            < . 1 ack=30661 win=65535
            ! acked
            {}
            ",
            cut(1, 14_600, 1460),
            cut(14_601, 16_060, 1460),
            cut(30_661, 17_520, 1460),
        ));
    }
}

#[test]
fn lists_of_options_that_are_wrong() {
    // RFC 9293 section 3.1 (MUST-7): an option whose length cannot be ends the list, what is before it counts.
    for (options, segment) in [
        ("0200", 536),
        ("0201", 536),
        ("02", 536),
        ("0203ff", 536),
        ("0205010203", 536),
        ("02ff05b4", 536),
        ("0004020405b4", 536),
        ("1e000000020403e8", 536),
        ("1effffff020403e8", 536),
        ("020403e80300", 1000),
        ("020403e803ff", 1000),
        ("1e04abcd020403e8", 1000),
        ("0502020403e8fd02", 1000),
        ("0101010101010101010101010101010101010101010101010101010101010101020403e8", 1000),
        // Twice: the last one counts.
        ("020401f4020403e8", 1000),
        ("020403e80403020404b0", 1000),
        // Timestamps of a wrong length are none.
        ("0809000000010000000020", 536),
        ("080b0000000100000000002002", 536),
    ] {
        run(&format!(
            "< S 0 opts={options}\n> S. 0 ack=1\n< . 1 ack=1\n! accepted\n{}",
            full_and_one(segment)
        ));
    }
}

#[test]
fn what_is_offered_counts_once() {
    run("
        < S 0 mss=1000
        > S. 0 ack=1 win=65535
        # The SYN again, and it says something else.
        < S 0 mss=200 ws=9 ts=5:0
        > S. 0 ack=1 win=65535
        < . 1 ack=1 mss=100 ws=7 win=1500
        ! accepted
        # Sizes and scales belong to SYNs, and timestamps were not agreed.
        < P. 1:11 ack=1 mss=300 ws=14 ts=9:9 win=1500
        write 2000
        > . 1:1001
        > nothing
        < . 11 ack=1001 mss=0 ws=3 win=1500 ts=1:1
        > . 1001:2001
    ");
}

#[test]
fn old_timestamps_without_bytes_are_answered_now_and_then() {
    run("
        < S 0 mss=1000 ts=5000:0
        > S. 0 ack=1
        < . 1 ack=1 ts=5000:0
        ! accepted
        < . 1 ack=1 ts=4999:0
        > . 1 ack=1
        < . 1 ack=1 ts=0:0
        < . 1 ack=1 ts=4000:0
        > nothing
        +500
        < F. 1 ack=1 ts=4000:0
        > . 1 ack=1
        count paws 4
        slots 1
        # Neither a wrong number nor a wrong ACK makes its timestamp ours (RFC 7323 section 5.3, R2 and R3).
        < . 70000 ack=1 ts=999999:0
        > . 1 ack=1 ts=500:5000
        +500
        < . 1 ack=9 ts=999999:0
        > . 1 ack=1 ts=1000:5000
        < P. 1:11 ack=1 ts=5001:0
        +40
        > . 1 ack=11 ts=1040:5001
        ! readable
        read 10
    ");
}

#[test]
fn echoes_of_what_was_never_sent_are_not_measured() {
    // After a retransmission only an echo could be measured (RFC 7323 section 4): none of these was sent. The first
    // second stays.
    for echo in ["2000", "4294840000", "2147483648", "4000000"] {
        run(&format!(
            "
            < S 0 mss=1012 ts=500:0
            > S. 0 ack=1
            < . 1 ack=1 ts=500:0
            ! accepted
            write 1000
            > P. 1:1001
            +1000
            > P. 1:1001
            +10
            < . 1 ack=1001 ts=600:{echo}
            ! acked
            write 1000
            > P. 1001:2001
            +999
            > nothing
            +1
            > P. 1001:2001
            ",
        ));
    }
    // One that was sent long ago counts, up to the longest timeout there is: the peer harms itself.
    run("
        < S 0 mss=1012 ts=500:0
        > S. 0 ack=1
        < . 1 ack=1 ts=500:0
        ! accepted
        +90000
        write 1000
        > P. 1:1001
        +1000
        > P. 1:1001
        +10
        < . 1 ack=1001 ts=600:0
        ! acked
        write 1000
        > P. 1001:2001
        +59999
        > nothing
        +1
        > P. 1001:2001
    ");
}

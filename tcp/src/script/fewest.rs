//! The fewest segments: what a TLS handshake and its end take when each side answers within a turn.

use super::run;

/// Three of the server: SYN, flight, and FIN with the alert. Each acknowledges what came before it.
#[test]
fn a_server_sends_three() {
    run("
        < S 0 mss=1460
        > S. 0 ack=1
        # The ACK of a client that sends at once comes with its ClientHello.
        << P. 1:301 ack=1
        ! accepted readable
        take 300
        write 900
        > P. 1:901 ack=301
        consume 300
        # Its Finished is worth no segment of its own, as long as more is to come soon,
        < P. 301:375 ack=901
        ! readable acked
        read 74
        > nothing
        # nor is its FIN, where ours is due with close_notify.
        << F. 375 ack=901
        ! fin
        end 24
        > FP. 901:925 ack=376
        < . 376 ack=926
        ! acked closed=finished
        slots 0
        waiting 0
    ");
}

/// The same with the client's end in one segment with its Finished.
#[test]
fn a_client_that_leaves_at_once_costs_no_more() {
    run("
        < S 0 mss=1460
        > S. 0 ack=1
        << P. 1:301 ack=1
        ! accepted readable
        take 300
        write 900
        > P. 1:901 ack=301
        consume 300
        << FP. 301:375 ack=901
        ! readable fin acked
        take 74
        end 24
        > FP. 901:925 ack=376
        < . 376 ack=926
        ! acked closed=finished
        slots 0
        waiting 0
    ");
}

/// A client sends no ACK of its own for the SYN either: it goes with the first bytes.
#[test]
fn a_client_opens_with_its_first_bytes() {
    run("
        connect
        > S 0
        << S. 0 ack=1 mss=1460
        write 300
        > P. 1:301 ack=1
        ! connected
        > nothing
        abort
        > R. 301
    ");
}

/// When nothing follows, the Finished is acknowledged after the delay, and only then.
#[test]
fn an_acknowledgement_alone_waits() {
    run("
        < S 0 mss=1460
        > S. 0 ack=1
        << P. 1:301 ack=1
        ! accepted readable
        take 300
        write 900
        > P. 1:901 ack=301
        consume 300
        < P. 301:375 ack=901
        ! readable acked
        read 74
        +39
        > nothing
        +1
        > . 901 ack=375
        abort
        > R. 901
    ");
}

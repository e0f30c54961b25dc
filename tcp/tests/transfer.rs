//! Streams both ways over links of every kind, compared byte for byte, with all memory back at the end.

mod net;

use std::time::Duration;

use levee_tcp::Reason;
use net::{CLIENT, Net, SERVER, Weather, config};

/// Transfers both ways and returns the seconds until both sides had everything.
fn transfer(seed: u64, weather: Weather, bytes: (usize, usize)) -> Net {
    let mut net = Net::new(seed, weather, config(CLIENT, 1500), config(SERVER, 1500));
    (net.client.app.to_send, net.server.app.to_send) = bytes;
    let id = net.client.connect(net.now);
    net.run(Duration::from_secs(3600));
    let peer = net.server.accepted[0];
    for (host, id, expected) in [(&net.client, id, bytes.1), (&net.server, peer, bytes.0)] {
        let stream = &host.app.streams[&id];
        assert!(stream.intact, "seed {seed}: {weather:?}");
        assert_eq!(stream.received, expected, "seed {seed}: {weather:?}");
        assert!(stream.fin, "seed {seed}: {weather:?}");
        assert_eq!(host.closed, [(id, Reason::Finished)], "seed {seed}: {weather:?}");
    }
    net.assert_empty();
    net
}

#[test]
fn a_fair_link() {
    for bytes in [(0, 0), (1, 0), (0, 1), (1, 1), (1448, 1449), (20_000, 3), (3_000_000, 2_000_000)] {
        let net = transfer(1, Weather::FAIR, bytes);
        assert_eq!(net.client.stack.counters().retransmits, 0, "{bytes:?}");
        assert_eq!(net.server.stack.counters().retransmits, 0, "{bytes:?}");
    }
}

#[test]
fn rough_links() {
    for seed in 0..40_usize {
        let weather = Weather {
            loss: [0, 5, 20, 80][seed % 4],
            duplicate: [0, 30][seed / 4 % 2],
            corrupt: [0, 10][seed / 8 % 2],
            delay_us: [100, 5_000, 40_000][seed % 3],
            jitter_us: [0, 300, 20_000][seed / 3 % 3],
            ..Weather::FAIR
        };
        transfer(seed as u64, weather, (300_000, 200_000));
    }
}

#[test]
fn one_seed_after_the_other() {
    // Small transfers find other corners than large ones: the handshake and the end are most of them.
    for seed in 100..300_usize {
        let weather = Weather {
            loss: 150,
            duplicate: 100,
            corrupt: 20,
            delay_us: 1_000,
            jitter_us: 30_000,
            ..Weather::FAIR
        };
        transfer(seed as u64, weather, (seed * 37 % 9_000, seed * 53 % 5_000));
    }
}

#[test]
fn many_connections_at_once() {
    for seed in 0..6 {
        let weather = Weather { loss: 20, duplicate: 10, jitter_us: 2_000, ..Weather::FAIR };
        let mut net = Net::new(seed, weather, config(CLIENT, 1500), config(SERVER, 1500));
        (net.client.app.to_send, net.server.app.to_send) = (50_000, 80_000);
        let ids: Vec<_> = (0..16).map(|_| net.client.connect(net.now)).collect();
        net.run(Duration::from_secs(3600));
        for id in &ids {
            assert_eq!(net.client.app.streams[id].received, 80_000, "seed {seed}");
            assert!(net.client.app.streams[id].intact);
        }
        for id in &net.server.accepted {
            assert_eq!(net.server.app.streams[id].received, 50_000, "seed {seed}");
            assert!(net.server.app.streams[id].intact);
        }
        assert_eq!((net.client.closed.len(), net.server.closed.len()), (16, 16));
        net.assert_empty();
    }
}

#[test]
fn who_does_not_consume_is_not_sent_more() {
    let mut net = Net::new(3, Weather::FAIR, config(CLIENT, 1500), config(SERVER, 1500));
    net.client.app.to_send = 1_000_000;
    net.server.app.consumes = false;
    let id = net.client.connect(net.now);
    net.run(Duration::from_secs(60));
    let peer = net.server.accepted[0];
    let buffer = 256 << 10;
    let held = net.server.app.streams[&peer].received;
    // Rounding of the scaled window may add a step.
    assert!((buffer - 1..=buffer + 8).contains(&held), "{held}");
    assert!(net.client.stack.counters().window_probes > 3);
    // It goes on when the bytes are given back, an hour later.
    net.run(Duration::from_secs(3600));
    assert_eq!(net.server.app.streams[&peer].received, held);
    net.server.app.consumes = true;
    net.server.stack.consumed(peer, held);
    net.run(Duration::from_secs(3600));
    assert_eq!(net.server.app.streams[&peer].received, 1_000_000);
    assert!(net.server.app.streams[&peer].intact);
    assert_eq!(net.client.closed, [(id, Reason::Finished)]);
    net.assert_empty();
}

#[test]
fn released_connections_deliver_what_was_queued() {
    for seed in 0..20 {
        let weather = Weather { loss: 50, jitter_us: 3_000, ..Weather::FAIR };
        let mut net = Net::new(seed, weather, config(CLIENT, 1500), config(SERVER, 1500));
        net.server.app.to_send = 10_000;
        let id = net.client.connect(net.now);
        // As soon as the stack has taken all of it, most of it still unsent or unacknowledged.
        while net.server.app.streams.values().all(|stream| stream.sent < 10_000) {
            net.run(Duration::from_micros(100));
        }
        net.server.stack.release(net.server.accepted[0]);
        net.run(Duration::from_secs(3600));
        assert_eq!(net.client.app.streams[&id].received, 10_000, "seed {seed}");
        assert!(net.client.app.streams[&id].intact && net.server.closed.is_empty());
        net.assert_empty();
    }
}

/// Kilobytes a second of one megabyte to the server, over ten megabits and a queue of 60 frames: what
/// congestion control makes of delay (down) and loss (across). A change of these is a change of behaviour.
#[test]
fn throughput_table() {
    let mut table = String::new();
    for delay_us in [500, 5_000, 25_000, 100_000] {
        for loss in [0, 1, 10, 50] {
            let weather = Weather { loss, delay_us, rate: 10_000_000, queue: 60, ..Weather::FAIR };
            let mut net = Net::new(42, weather, config(CLIENT, 1500), config(SERVER, 1500));
            net.client.app.to_send = 1_000_000;
            net.client.connect(net.now);
            let start = net.now;
            while net.server.accepted.first().is_none_or(|id| net.server.app.streams[id].received < 1_000_000)
            {
                net.run(Duration::from_millis(1));
            }
            let rate = 1_000_000 / net.now.since(start).as_millis();
            table += &format!("{rate:>6}");
        }
        table.push('\n');
    }
    assert_eq!(table.trim_end(), THROUGHPUT.trim_matches('\n'), "\n{table}");
}

const THROUGHPUT: &str = "
  1102  1102   807   651
   758   759   724   403
   508   508   430    98
   186   186   112    29
";

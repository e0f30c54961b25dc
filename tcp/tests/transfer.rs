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

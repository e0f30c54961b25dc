//! Many at once, and more than there is room for: who is served is served well, who is not hears of it and is
//! counted, and when the pressure ends all is as before.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use levee_tests::{
    Client, Config, Curl, NAME, Network, Process, Site, Tls, Version, binary, pattern, wait_for,
};
use nix::sys::signal::Signal;

/// Slow clients of each kind.
const THOUSAND: usize = 1000;

/// How a crowd comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Beside the kernel's client, on a port of its own.
    AfPacket,
    /// By shared memory, to a port and a listener of its own.
    Memif,
}

impl Way {
    /// Gives Levee the port.
    fn prepare(self, config: &mut Config, network: &str) {
        if let Self::Memif = self {
            let device = format!("net_memif0,role=server,socket-abstract=yes,socket={network}");
            config
                .push("port", &format!("name = \"memif\"\ndevice = \"{device}\"\naddress = \"10.9.3.1/24\""));
            config.push("listener", "address = \"10.9.3.1:443\"\ncertificates = [\"ecdsa\"]");
        }
    }

    /// Starts `levee-load` at Levee's end of the way.
    fn load(self, site: &Site, arguments: &[&str]) -> Process {
        // An abstract socket is one namespace's.
        let place = match self {
            Self::AfPacket => site.network().client(),
            Self::Memif => site.network().proxy(),
        };
        let mut command = place.command(binary("levee-load"));
        let memif = format!("net_memif0,role=client,socket-abstract=yes,socket={}", site.network().prefix());
        let (device, address) = match self {
            Self::AfPacket => ("net_af_packet0,iface=c0", "10.9.1.100/24"),
            Self::Memif => (memif.as_str(), "10.9.3.100/24"),
        };
        command.args(arguments).args(["--quiet", "--sources", "8", "--cpu", "1", "--memory", "512"]);
        command.args(["--device", device, "--address", address]);
        Process::start("crowd", command, site.directory())
    }

    fn target(self) -> &'static str {
        match self {
            Self::AfPacket => "10.9.1.1:443",
            Self::Memif => "10.9.3.1:443",
        }
    }
}

/// What Levee's last status line says of `what`.
fn status(site: &mut Site, what: &str) -> Option<u64> {
    let output = site.levee().output();
    let line = output.lines().rev().find(|line| line.starts_with("connections "))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != what);
    words.nth(1)?.parse().ok()
}

/// Median and longest of the times that a client which behaves waits for 1,000 bytes, and for a new connection.
fn waits(site: &Site) -> (Duration, Duration) {
    let mut client = Client::connect(site, Tls::default());
    let mut times = Vec::new();
    for turn in 0..60 {
        let start = Instant::now();
        if turn % 10 == 0 {
            client = Client::connect(site, Tls { version: Version::Tls13, ..Tls::default() });
        }
        assert_eq!(client.get("/cached/1000").unwrap().body, pattern(1000));
        times.push(start.elapsed());
    }
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

fn expect_good_service(site: &Site, (before, _): (Duration, Duration)) {
    let (median, longest) = waits(site);
    println!("median {median:?} (alone: {before:?}), longest {longest:?}");
    assert!(median < 5 * before + Duration::from_millis(5), "median {median:?}, {before:?} alone");
    assert!(longest < Duration::from_secs(1), "longest {longest:?}");
}

/// TLS connections that stand, while others come and go.
#[test]
fn ten_thousand_connections() {
    for way in [Way::AfPacket, Way::Memif] {
        stand(way, 10_000, 4000);
    }
}

/// Over af_packet, too: `levee-load compare --rows idle-100k`.
#[test]
fn a_hundred_thousand_connections() {
    stand(Way::Memif, 100_000, 8000);
}

fn stand(way: Way, count: u64, rate: u64) {
    let time = Duration::from_secs(count / rate + 10);
    let keepalive = time + Duration::from_secs(5);
    let network = Network::new();
    let prefix = network.prefix().to_owned();
    let mut site = Site::on(network, |config| {
        way.prepare(config, &prefix);
        config.set("timeouts.keepalive_ms", i64::try_from(keepalive.as_millis()).unwrap());
        config.set("workers.connections", i64::try_from(count + 2000).unwrap());
        config.set("workers.segments", 60_000).set("workers.records", 4096).set("workers.references", 60_000);
        config.set("status.interval_ms", 100);
    });
    let before = waits(&site);
    let [connections, rate, seconds] = [count, rate, time.as_secs()].map(|number| number.to_string());
    let mut arguments = vec!["handshake", way.target(), "--mode", "stall", "--stage", "established"];
    arguments.extend(["--connections", &connections, "--rate", &rate, "--duration", &seconds]);
    let mut crowd = way.load(&site, &arguments);
    wait_for("all of them to stand", time, || (status(&mut site, "connections")? >= count).then_some(()));
    expect_good_service(&site, before);
    assert!(status(&mut site, "connections").is_some_and(|now| now >= count), "none was lost");
    let ended = wait_for("the crowd to leave", Duration::from_secs(30), || crowd.ended());
    assert!(ended.success(), "{}", crowd.output());
    // Resets that a full ring lost leave connections to their timeout.
    wait_for("all of them to be gone", keepalive + Duration::from_secs(15), || {
        (status(&mut site, "connections")? < 50).then_some(())
    });
    expect_good_service(&site, before);
    let end = site.finish();
    assert!(end.counter("handshakes") >= count);
    assert_eq!(end.counter("shed_client_table") + end.counter("shed_memory"), 0);
}

/// A peer whose end of the ring is not emptied for a while: what waits for it waits, others are served, and it goes on.
#[test]
fn a_ring_that_stays_full() {
    let network = Network::new();
    let prefix = network.prefix().to_owned();
    let site = Site::on(network, |config| Way::Memif.prepare(config, &prefix));
    let before = waits(&site);
    let url = format!("https://{}/bytes/200000", Way::Memif.target());
    let arguments =
        ["http", &url, "--connections", "64", "--duration", "6", "--timeout", "20", "--name", NAME];
    let mut peer = Way::Memif.load(&site, &arguments);
    std::thread::sleep(Duration::from_secs(2));
    peer.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(500));
    expect_good_service(&site, before);
    std::thread::sleep(Duration::from_millis(1000));
    peer.signal(Signal::SIGCONT);
    let ended = wait_for("the peer to end", Duration::from_secs(30), || peer.ended());
    assert!(ended.success(), "{}", peer.output());
    expect_good_service(&site, before);
    let end = site.finish();
    assert!(end.counter("frames_stuck") > 0, "the ring was full for longer than a device may take");
}

/// Those that read nothing of what they asked for, and those that write a byte of what they announce, hold what
/// they hold and slow nobody; then their time is up.
#[test]
fn slow_readers_and_writers_by_the_thousand() {
    let site = Site::with(|config| {
        config.set("workers.connections", 4096).set("workers.segments", 150_000);
        config.set("timeouts.response_idle_ms", 8000).set("timeouts.request_head_ms", 8000);
        config.set("timeouts.request_body_idle_ms", 8000).set("timeouts.linger_ms", 100);
        config.set("backend.0.max_connections", 1500).set("limits.send_buffer_bytes", 65_536);
        config.set("limits.receive_buffer_bytes", 65_536);
    });
    // What the kernel takes without being read would pass for progress for a while.
    site.network().client().limit_receive_buffers();
    let before = waits(&site);
    let mut slow: Vec<Client> = Vec::new();
    for turn in 0..2 * THOUSAND {
        let mut client = Client::connect(&site, Tls::default());
        match turn % 4 {
            0 => client.request("GET", "/cached/2000000", "").unwrap(),
            1 => client.request("GET", "/bytes/2000000", "").unwrap(),
            2 => client.send(b"GET /bytes/10 HT").unwrap(),
            _ => client
                .send(b"POST /hash HTTP/1.1\r\nHost: a.levee.test\r\nContent-Length: 1000000\r\n\r\nx")
                .unwrap(),
        }
        slow.push(client);
    }
    expect_good_service(&site, before);
    std::thread::sleep(Duration::from_secs(9));
    expect_good_service(&site, before);
    drop(slow);
    let end = site.finish_with_copies();
    let timed_out = |name: &str| end.counter(&format!("timeout_{name}"));
    assert!(timed_out("response_taken") >= THOUSAND as u64 * 9 / 10, "{}", timed_out("response_taken"));
    assert!(timed_out("request_head") >= THOUSAND as u64 * 45 / 100, "{}", timed_out("request_head"));
    assert_eq!(end.counter("shed_memory"), 0);
    // The first of them, which reads nothing, fetched what the others got.
    assert_eq!((end.counter("cache.stored"), end.counter("timeout_fetch")), (2, 0));
}

/// More connections than a worker has room for: those beyond are refused, and counted.
#[test]
fn more_connections_than_slots() {
    const SLOTS: usize = 64;
    let site = Site::with(|config| {
        config.set("workers.connections", SLOTS as i64).set("backend.0.max_connections", 8);
        config.set("backend.1.max_connections", 8).set("backend.2.max_connections", 8);
        config.set("backend.0.keepalive", 8).set("limits.handshakes", SLOTS as i64);
    });
    let before = waits(&site);
    let place = site.network().client();
    let mut crowd: Vec<TcpStream> = Vec::new();
    for _ in 0..2 * SLOTS {
        crowd.extend(place.connect(site.address()));
    }
    std::thread::sleep(Duration::from_millis(300));
    // Those beyond hear of it at once, by a reset or a silent SYN: nobody waits for a handshake that will not be.
    let refused = Curl::new(&site).args(["--connect-timeout", "2", "--max-time", "4"]).fetch("/bytes/10");
    assert_ne!(refused.code, 0, "there is no room");
    drop(crowd);
    wait_for("room", Duration::from_secs(10), || {
        let fetched = Curl::new(&site).args(["--max-time", "4"]).fetch("/bytes/10");
        (fetched.code == 0 && fetched.status == 200).then_some(())
    });
    expect_good_service(&site, before);
    let end = site.finish();
    let shed = end.counter("shed_client_table") + end.counter("tcp.no_connection");
    assert!(shed > 0, "those beyond are counted");
}

/// More handshakes at a time than allowed: those beyond are reset, and counted.
#[test]
fn more_handshakes_than_allowed() {
    let site = Site::with(|config| {
        config.set("limits.handshakes", 16);
    });
    let before = waits(&site);
    let target = site.address().to_string();
    let arguments = [
        "handshake",
        &target,
        "--mode",
        "stall",
        "--stage",
        "part",
        "--connections",
        "64",
        "--duration",
        "3",
    ];
    let mut crowd = Way::AfPacket.load(&site, &arguments);
    std::thread::sleep(Duration::from_millis(1500));
    assert_ne!(Curl::new(&site).args(["--max-time", "1"]).fetch("/bytes/10").code, 0);
    wait_for("the crowd to leave", Duration::from_secs(20), || crowd.ended());
    expect_good_service(&site, before);
    let end = site.finish();
    assert!(end.counter("shed_handshakes") >= 48, "{}", end.counter("shed_handshakes"));
}

/// Slow readers of more than packet memory holds: what finds no memory is refused or waits, and is counted.
#[test]
fn more_bytes_than_memory() {
    let site = Site::with(|config| {
        config.set("workers.connections", 1024).set("workers.segments", 12_000);
        config.set("workers.records", 512).set("cache.memory_mib", 4);
        config.set("timeouts.response_idle_ms", 5000).set("timeouts.linger_ms", 100);
        config.set("timeouts.handshake_ms", 2000);
    });
    let before = waits(&site);
    let mut crowd = Vec::new();
    // With no memory left, a handshake fails.
    while let Ok(client) = std::panic::catch_unwind(|| {
        let mut client = Client::connect(&site, Tls::default());
        client.request("GET", "/bytes/10000000", "").map(|()| client)
    }) {
        crowd.extend(client);
        assert!(crowd.len() < 1000, "memory for a thousand readers");
    }
    std::thread::sleep(Duration::from_secs(1));
    drop(crowd);
    wait_for("memory to come back", Duration::from_secs(20), || {
        let fetched = Curl::new(&site).args(["--max-time", "4"]).fetch("/bytes/1000000");
        (fetched.code == 0 && fetched.body == pattern(1_000_000)).then_some(())
    });
    expect_good_service(&site, before);
    let end = site.finish_with_copies();
    let shed = end.counter("shed_memory") + end.counter("tcp.no_memory");
    assert!(shed > 0, "what found no memory is counted");
}

/// All servers of a backend down: an answer at once, not a wait; and service again when one is back.
#[test]
fn all_backends_are_down() {
    let mut site = Site::with(|config| {
        config.set("backend.0.connect_timeout_ms", 500).set("backend.0.fail_timeout_ms", 500);
    });
    let before = waits(&site);
    site.origin().signal(Signal::SIGKILL);
    wait_for("the origin to end", Duration::from_secs(5), || site.origin().ended());
    let mut client = Client::connect(&site, Tls::default());
    for _ in 0..200 {
        let start = Instant::now();
        let status = client.get("/bytes/10").unwrap().status;
        assert!(matches!(status, 502..=504), "{status}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    site.restart_origin();
    wait_for("service again", Duration::from_secs(10), || {
        (client.get("/bytes/10").unwrap().status == 200).then_some(())
    });
    drop(client);
    expect_good_service(&site, before);
    site.finish();
}

//! All kinds of traffic in turn, for as long as one likes: memory stays as it is.
//!
//! Two rounds by itself; `LEVEE_SOAK_SECONDS=1800` goes on for half an hour (`make soak`).

use std::fs;
use std::time::{Duration, Instant};

use levee_tests::{Client, NAME, Site, Tls, binary, pattern, run};

/// What Levee's private memory may grow by after the first round: the allocator's own play.
const PLAY_KIB: u64 = 512;

/// A round, as arguments of `levee-load`: mode or path, and what belongs to it.
const ROUND: [&[&str]; 8] = [
    &["handshake", "--mode", "full", "--rate", "1500", "--close", "fin"],
    &["handshake", "--mode", "abandon", "--rate", "1500"],
    &["handshake", "--mode", "garbage", "--rate", "500"],
    &["handshake", "--mode", "stall", "--connections", "300"],
    &["handshake", "--mode", "slow", "--interval", "1", "--connections", "50"],
    &["/bytes/20000", "--rate", "1500"],
    &["/cached/100000", "--per-request", "--rate", "300", "--version", "1.2"],
    &["/hash", "--upload", "50000", "--rate", "300"],
];

/// Resident memory of Levee without hugepages, in KiB.
fn resident_kib(site: &mut Site) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", site.levee().id())).expect("levee runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn memory_stays_as_it_is() {
    let seconds = std::env::var("LEVEE_SOAK_SECONDS").ok().map_or(0, |text| text.parse().expect("seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut site = Site::with(|config| {
        config.set("workers.connections", 4096).set("timeouts.handshake_ms", 2000);
    });
    let mut sizes = Vec::new();
    while sizes.len() < 2 || Instant::now() < end {
        for what in ROUND {
            play(&site, what);
        }
        let mut client = Client::connect(&site, Tls::default());
        assert_eq!(client.get("/bytes/100000").unwrap().body, pattern(100_000));
        sizes.push(resident_kib(&mut site));
        println!("{} KiB", sizes[sizes.len() - 1]);
    }
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(
        last <= first + PLAY_KIB,
        "{first} KiB after a round, {last} KiB after {}: {sizes:?}",
        sizes.len()
    );
    let end = site.finish_with_copies();
    let rounds = u64::try_from(sizes.len()).unwrap();
    for what in ["handshakes", "requests", "tls_errors", "clients_lost", "responses_2xx"] {
        assert!(end.counter(what) > 100 * rounds, "{what}: {}", end.counter(what));
    }
}

/// A second of one kind of traffic.
fn play(site: &Site, what: &[&str]) {
    let address = site.address().to_string();
    let mut command = site.network().client().command(binary("levee-load"));
    match what.split_first() {
        Some((path, more)) if path.starts_with('/') => {
            command.args(["http", &format!("https://{address}{path}"), "--name", NAME]).args(more);
        }
        Some((mode, more)) => {
            command.arg(mode).arg(&address).args(more);
        }
        None => return,
    }
    command.args(["--duration", "1", "--quiet", "--device", "net_af_packet0,iface=c0", "--cpu", "1"]);
    command.args(["--address", "10.9.1.100/24", "--sources", "4", "--memory", "128"]);
    // On a busy machine a second may be too short for one kind or another: Levee's own account tells in the end.
    let ended = run(command, b"", Duration::from_secs(60));
    if !ended.exited(0) {
        println!("{what:?}: {}", ended.text());
    }
}

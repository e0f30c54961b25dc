//! Clients behind bad networks, which `levee-load wire` makes of the link between them and Levee.
//!
//! Times are generous, and bytes exact: every body is compared by its hash.

use std::fs;

use levee_tests::{Curl, Fetched, Passage, Site, Version, WAYS, pattern, sha256};

/// Bytes of a body: two thousand frames and more.
const LENGTH: u64 = 3 << 20;

/// Both versions of TLS.
const VERSIONS: [Version; 2] = [Version::Tls13, Version::Tls12];

/// Fetches a body by curl, and sends one.
fn expect_transfers(site: &Site, version: Version, length: u64) {
    let down = curl(site, version).fetch(&format!("/bytes/{length}"));
    expect(&down, &format!("{version:?} down"));
    assert_eq!(down.body.len() as u64, length, "{version:?} down");
    assert_eq!(sha256(&down.body), sha256(&pattern(length)), "{version:?} down");

    let file = site.directory().join("upload");
    fs::write(&file, pattern(length)).expect("the file can be written");
    let file = format!("@{}", file.display());
    let up = curl(site, version).args(["--data-binary", &file]).fetch("/hash");
    expect(&up, &format!("{version:?} up"));
    assert_eq!(up.body.trim_ascii_end(), sha256(&pattern(length)).as_bytes(), "{version:?} up");
}

fn curl(site: &Site, version: Version) -> Curl<'_> {
    Curl::new(site).version(version)
}

fn expect(fetched: &Fetched, what: &str) {
    assert_eq!((fetched.code, fetched.status), (0, 200), "{what}: {}", fetched.said);
}

/// Each of these happened in both directions, or the network was better than it should be.
fn expect_happened(passage: &Passage, names: &[&str]) {
    for way in WAYS {
        for name in names {
            assert_ne!(passage.counter(way, name), 0, "{name}, {way:?}: {passage:?}");
        }
    }
}

#[test]
fn everything_at_once() {
    let site = Site::behind_wire(
        "--loss 2% --delay 10ms --jitter 4ms --reorder 1% --duplicate 1% --corrupt 0.1% --seed 11",
    );
    for version in VERSIONS {
        expect_transfers(&site, version, LENGTH);
    }
    let (levee, passage) = site.finish_with_wire();
    assert_ne!(levee.counter("tcp.tcp_checksum"), 0, "nothing was seen to be corrupted");
    expect_happened(&passage, &["lost", "duplicated", "corrupted", "reordered"]);
}

/// Losses that come together: whole flights are gone.
#[test]
fn bursts_of_loss() {
    let site = Site::behind_wire("--burst-loss 0.2%,20% --delay 5ms --seed 13");
    for version in VERSIONS {
        expect_transfers(&site, version, LENGTH);
    }
    let (_, passage) = site.finish_with_wire();
    expect_happened(&passage, &["burst_lost"]);
}

/// RFC 1191: no option in the handshake tells either end of the narrow link between them.
#[test]
fn a_narrow_link_on_the_path() {
    let site = Site::behind_wire("--mtu 1280 --delay 2ms");
    for version in VERSIONS {
        expect_transfers(&site, version, LENGTH);
    }
    let (_, passage) = site.finish_with_wire();
    expect_happened(&passage, &["too_long", "answered"]);
}

/// A rate is what it says, as long as the queue holds what the windows allow.
#[test]
fn a_slow_line_is_filled() {
    const BITS: f64 = 10e6;
    const BODY: u64 = 8 << 20;
    // A segment's payload with timestamps, and its frame.
    const OVERHEAD: f64 = 1514.0 / 1448.0;
    let site = Site::behind_wire("--rate 10mbit --queue 2000 --delay 5ms");
    let times = "%{stderr}\n%{time_starttransfer} %{time_total}";
    let fetched = curl(&site, Version::Tls13).args(["--write-out", times]).fetch(&format!("/bytes/{BODY}"));
    expect(&fetched, "a slow line");
    assert_eq!(sha256(&fetched.body), sha256(&pattern(BODY)));
    let times: Vec<f64> = fetched
        .said
        .lines()
        .last()
        .into_iter()
        .flat_map(str::split_whitespace)
        .map(|time| time.parse().expect("curl says how long it took"))
        .collect();
    let rate = BODY as f64 * 8.0 * OVERHEAD / (times[1] - times[0]);
    let (_, passage) = site.finish_with_wire();
    assert!((0.9 * BITS..1.1 * BITS).contains(&rate), "{rate} bits a second, {times:?}: {passage:?}");
}

/// A queue much shorter than the windows: TCP finds the rate by its losses.
#[test]
fn a_short_queue_overflows() {
    let site = Site::behind_wire("--rate 20mbit --queue 32 --delay 5ms");
    for version in VERSIONS {
        expect_transfers(&site, version, LENGTH);
    }
    let (_, passage) = site.finish_with_wire();
    expect_happened(&passage, &["queue_full"]);
}

//! The stack with the Linux kernel as its peer on both sides.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use levee_tests::{
    Client, Curl, PROXY_CLIENT_SIDE, PROXY_ORIGIN_SIDE, Place, Site, Tls, pattern, run, sha256,
};

/// Runs a program at `place`, and sees to it that it succeeds.
fn succeed(place: &Place, words: &str) -> String {
    let mut words = words.split(' ');
    let mut command = place.command(words.next().expect("a program"));
    command.args(words);
    let ended = run(command, b"", Duration::from_secs(20));
    assert!(ended.exited(0), "{}", ended.text());
    ended.text()
}

/// A body of `length` bytes down and another up.
fn expect_transfers(site: &Site, length: u64, what: &str) {
    let down = Curl::new(site).fetch(&format!("/bytes/{length}"));
    assert_eq!((down.code, down.status), (0, 200), "{what}: {}", down.said);
    assert_eq!(sha256(&down.body), sha256(&pattern(length)), "{what}");
    let mut client = Client::connect(site, Tls::default());
    client.request("POST", "/hash", &format!("Content-Length: {length}\r\n")).unwrap();
    client.send(&pattern(length)).unwrap();
    let up = client.response(false).unwrap();
    assert_eq!(up.body.trim_ascii_end(), sha256(&pattern(length)).as_bytes(), "{what}");
}

#[test]
fn echo_requests_are_answered() {
    let site = Site::new();
    for (place, address) in
        [(site.network().client(), PROXY_CLIENT_SIDE), (site.network().origin(), PROXY_ORIGIN_SIDE)]
    {
        for size in [0, 56, 1472] {
            let said = succeed(&place, &format!("ping -q -c 5 -i 0.1 -W 2 -M do -s {size} {address}"));
            assert!(said.contains(" 0% packet loss"), "{said}");
        }
    }
    site.finish();
}

/// RFC 9293 section 3.10.7.1: a port where nobody listens answers with a reset.
#[test]
fn closed_ports_refuse() {
    let site = Site::new();
    let error = site.network().client().connect((PROXY_CLIENT_SIDE, 444)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    site.finish();
}

/// One frame in fifty is lost, in both directions on both links.
#[test]
fn lost_segments_are_sent_again() {
    let site = Site::new();
    for place in [site.network().client(), site.network().origin()] {
        for hook in ["input", "output"] {
            succeed(&place, &format!("nft add table inet {hook}"));
            succeed(
                &place,
                &format!("nft add chain inet {hook} loss {{ type filter hook {hook} priority 0; }}"),
            );
            succeed(
                &place,
                &format!(
                    "nft add rule inet {hook} loss meta l4proto tcp numgen random mod 50 < 1 counter drop"
                ),
            );
        }
    }
    for length in [1000, 100_000, 4 << 20] {
        expect_transfers(&site, length, "2 % loss");
    }
    for place in [site.network().client(), site.network().origin()] {
        let lost = succeed(&place, "nft list ruleset");
        assert!(!lost.contains("counter packets 0 "), "{lost}");
    }
    site.finish();
}

/// A peer with another idea of TCP: no timestamps, no window scaling, no selective acknowledgement.
#[test]
fn peers_without_options() {
    let site = Site::new();
    for option in ["timestamps", "window_scaling", "sack"] {
        for place in [site.network().client(), site.network().origin()] {
            succeed(&place, &format!("sysctl -qw net.ipv4.tcp_{option}=0"));
        }
        expect_transfers(&site, 8 << 20, option);
    }
    site.finish();
}

/// RFC 6691: segments are no longer than the peer's link allows.
#[test]
fn peers_with_small_links() {
    let site = Site::new();
    succeed(&site.network().client(), "ip link set c0 mtu 600");
    succeed(&site.network().origin(), "ip link set o0 mtu 600");
    expect_transfers(&site, 4 << 20, "600 bytes");
    site.finish();
}

/// A receive buffer of a few segments: windows close and open again.
#[test]
fn peers_with_small_windows() {
    let site = Site::new();
    for place in [site.network().client(), site.network().origin()] {
        succeed(&place, "sysctl -qw net.ipv4.tcp_rmem=4096\t4096\t8192");
    }
    expect_transfers(&site, 2 << 20, "8 KiB");
    site.finish();
}

/// RFC 9293 section 3.10.4: the client has said all it will, and still gets its answer.
#[test]
fn half_closed_connections_are_answered() {
    let site = Site::with(|config| {
        config.set("listener.1.redirect_to_https", false);
    });
    let mut plain = site.network().client().connect((PROXY_CLIENT_SIDE, 80)).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /bytes/300000 HTTP/1.1\r\nHost: plain.test\r\n\r\n").unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer[..answer.len().min(500)])
    );
    assert!(answer.ends_with(&pattern(300_000)));
    site.finish();
}

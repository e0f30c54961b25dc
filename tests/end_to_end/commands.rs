//! `levee check` and how `levee run` begins and ends.

use std::time::Duration;

use levee_tests::{Client, Config, Levee, Network, Site, Tls, pattern};
use nix::sys::signal::Signal;

/// Each mistake is told with its line and its key, and the exit code is 2.
#[test]
fn mistakes_in_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 5] = [
        ("[workers]\nlcore = [0]\n", &["lcore", "lcores"]),
        ("[workers]\nlcores = \"zero\"\n", &["lcores"]),
        ("[timeouts]\nkeepalive_ms = 5\n", &["keepalive_ms"]),
        ("[[certificate]]\nname = \"a\"\nchain = \"missing.crt\"\nkey = \"missing.key\"\n", &["missing.crt"]),
        ("this is no TOML\n", &["check.toml"]),
    ];
    for (text, words) in cases {
        let ended = Levee::check(text, directory.path());
        let said = ended.text();
        assert!(ended.exited(2), "{text}: {:?} {said}", ended.status);
        for word in words.iter().chain(&["check.toml"]) {
            assert!(said.contains(word), "{text}: no {word} in {said}");
        }
    }
}

#[test]
fn check_of_a_good_configuration() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.directory().join("levee.toml")).unwrap();
    let ended = Levee::check(&text, site.directory());
    assert!(ended.exited(0), "{}", ended.text());
    site.finish();
}

/// A device that is not there: an error before anything is served, and no zero exit code.
#[test]
fn missing_device() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::standard(network.prefix());
    levee_tests::Certificates::new(&directory.path().join("certificates")).locate(&mut config);
    config.set("port.0.device", "net_af_packet0,iface=lv-nowhere");
    let mut levee = Levee::start(&network.proxy(), &config, "levee", directory.path());
    let process = levee.process();
    levee_tests::wait_for("levee to give up", Duration::from_secs(20), || {
        (!process.is_running()).then_some(())
    });
    assert!(process.output().contains("lv-nowhere") || process.output().contains("net_af_packet0"));
}

/// Requests under way are finished after SIGTERM, and SIGINT does the same.
#[test]
fn requests_under_way_are_finished() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut site = Site::with(|config| {
            config.set("timeouts.shutdown_ms", 10_000);
        });
        let mut client = Client::connect(&site, Tls::default());
        client.request("GET", "/slow?ms=1000", "").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        site.levee().signal(signal);
        let response = client.response(false).unwrap();
        assert_eq!(response.status, 200);
        drop(client);
        site.finish();
    }
}

/// Idle connections are no reason to wait.
#[test]
fn idle_connections_are_closed() {
    let mut site = Site::with(|config| {
        config.set("timeouts.shutdown_ms", 60_000);
    });
    let mut client = Client::connect(&site, Tls::default());
    assert_eq!(client.get("/bytes/10").unwrap().body, pattern(10));
    site.levee().signal(Signal::SIGTERM);
    assert_eq!(client.rest().unwrap(), b"", "close_notify ends it");
    drop(client);
    site.finish();
}

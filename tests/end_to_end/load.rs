//! Many connections at once, on one worker and on two.

use std::time::Duration;

use levee_tests::{Client, NAME, Site, Tls, Version, pattern, run};

/// Runs wrk for a few seconds with 256 connections; no request may fail.
fn wrk(site: &Site, path: &str) {
    let mut command = site.network().client().command("wrk");
    command.args(["--threads", "1", "--connections", "256", "--duration", "4s", "--timeout", "10s"]);
    command.args(["--header", &format!("Host: {NAME}"), &format!("https://{}{path}", site.address())]);
    let ended = run(command, b"", Duration::from_secs(60));
    let text = ended.text();
    assert!(ended.exited(0), "{text}");
    for word in ["Socket errors", "Non-2xx"] {
        assert!(!text.contains(word), "{path}: {text}");
    }
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate: f64 = line.and_then(|rate| rate.trim().parse().ok()).expect("wrk says how many requests");
    assert!(rate > 100.0, "{path}: {text}");
    eprintln!("{path}: {rate} requests a second");
}

#[test]
fn wrk_with_256_connections() {
    let site = Site::new();
    for path in ["/bytes/1024", "/bytes/50000", "/cached/1024"] {
        wrk(&site, path);
    }
    site.finish();
}

/// Each flow and each backend's reply reach the worker that owns them: spread by the kernel over several
/// queues, or by Levee from one.
#[test]
fn two_workers() {
    for queues in [1, 2] {
        let site = Site::with(|config| {
            config.set("workers.lcores", vec![0, 1]);
            for port in [0, 1] {
                let device = ["net_af_packet0,iface=lv-client", "net_af_packet1,iface=lv-origin"][port];
                config.set(&format!("port.{port}.device"), format!("{device},qpairs={queues}"));
                config.set(&format!("port.{port}.queues"), queues);
            }
        });
        for version in [Version::Tls13, Version::Tls12] {
            let mut clients: Vec<_> =
                (0..32).map(|_| Client::connect(&site, Tls { version, ..Tls::default() })).collect();
            for round in 0..5 {
                for (index, client) in clients.iter_mut().enumerate() {
                    let length = index as u64 * 1000 + round;
                    let response = client.get(&format!("/bytes/{length}")).unwrap();
                    assert_eq!((response.status, response.body), (200, pattern(length)), "{queues} queues");
                }
            }
        }
        wrk(&site, "/bytes/1024");
        site.finish();
    }
}

/// Each software engine for public keys and for AEAD, by itself; where there are lanes for it, with nonces made ahead.
#[test]
fn engines() {
    for (engine, aead) in [
        ("batch", "software"),
        ("batch4", "crypto_aesni_gcm0"),
        ("rustcrypto", "crypto_aesni_gcm0"),
        ("awslc", "crypto_aesni_mb0"),
        ("awslc", "crypto_openssl0"),
        ("awslc", "crypto_chacha20_poly13050"),
    ] {
        let site = Site::with(|config| {
            config.set("tls.engine", engine).set("tls.aead", aead).set("tls.nonces_ahead", engine == "batch");
        });
        for version in [Version::Tls13, Version::Tls12] {
            for kind in levee_tests::KINDS {
                let mut client = Client::connect(&site, Tls { version, kind, ..Tls::default() });
                for length in [1, 5000, 300_000] {
                    let response = client.get(&format!("/bytes/{length}")).unwrap();
                    assert_eq!(response.body, pattern(length), "{engine}, {aead}, {version:?}, {kind:?}");
                }
            }
        }
        wrk(&site, "/bytes/10000");
        site.finish();
    }
}

//! `levee-load` against Levee and nginx: what it counts is what happened.

use std::fs;
use std::process::Command;
use std::time::Duration;

use levee_tests::{Ended, NAME, Place, Process, Site, binary, run};
use serde_json::Value;

/// Load that comes through a port of its own, beside the kernel's on the same link.
const DPDK: [&str; 10] = [
    "--device",
    "net_af_packet0,iface=c0",
    "--address",
    "10.9.1.100/24",
    "--sources",
    "4",
    "--memory",
    "128",
    "--cpu",
    "0",
];

/// Runs the tool; its results are in the second part.
fn load(site: &Site, place: &Place, arguments: &[&str]) -> (Ended, Value) {
    let results = site.directory().join("results.json");
    let _ = fs::remove_file(&results);
    let mut command = place.command(binary("levee-load"));
    command.args(arguments).arg("--quiet").arg("--json").arg(&results);
    let ended = run(command, b"", Duration::from_secs(90));
    let json = fs::read(&results).ok().and_then(|json| serde_json::from_slice(&json).ok());
    (ended, json.unwrap_or_default())
}

/// As [`load`], of a run in which nothing went wrong.
fn good(site: &Site, arguments: &[&str]) -> Value {
    let (ended, results) = load(site, &site.network().client(), arguments);
    assert!(ended.exited(0), "{arguments:?}: {}", ended.text());
    results
}

fn count(results: &Value, name: &str) -> u64 {
    results["load"][name].as_u64().unwrap_or_else(|| panic!("{name} is counted: {results}"))
}

#[test]
fn full_handshakes_are_those_that_levee_counts() {
    for place in [&[][..], &DPDK] {
        let site = Site::new();
        let target = site.address().to_string();
        let mut total = 0;
        for version in ["1.3", "1.2"] {
            for (certificate, group) in [("ecdsa", "x25519"), ("rsa", "secp256r1")] {
                for close in ["rst", "fin"] {
                    let mut arguments = vec!["handshake", &target, "--count", "100", "--connections", "8"];
                    arguments.extend(["--version", version, "--certificate", certificate, "--group", group]);
                    arguments.extend(["--close", close, "--verify", "--duration", "60"]);
                    arguments.extend(place);
                    let results = good(&site, &arguments);
                    assert_eq!(count(&results, "completed"), 100, "{arguments:?}");
                    assert_eq!(results["load"]["latency"]["count"], 100, "{arguments:?}");
                    total += 100;
                }
            }
        }
        assert_eq!(site.finish().counter("handshakes"), total);
    }
}

#[test]
fn attacks_do_what_their_names_say() {
    let site = Site::new();
    let target = site.address().to_string();
    let run = |arguments: &[&str]| {
        let mut all = vec!["handshake", target.as_str(), "--connections", "16"];
        all.extend(arguments);
        all.extend(DPDK);
        load(&site, &site.network().client(), &all)
    };
    let completed = |arguments: &[&str]| {
        let (ended, results) = run(arguments);
        assert!(ended.exited(0), "{arguments:?}: {}", ended.text());
        assert_eq!(results["load"]["failures"], serde_json::json!({}), "{arguments:?}");
        count(&results, "completed")
    };
    assert_eq!(completed(&["--mode", "abandon", "--count", "50"]), 50);
    assert_eq!(completed(&["--mode", "garbage", "--count", "50"]), 50);
    assert_eq!(completed(&["--mode", "slow", "--interval", "1", "--duration", "4"]), 16);
    for stage in ["connected", "part", "hello", "flight", "established"] {
        assert_eq!(completed(&["--mode", "stall", "--stage", stage, "--duration", "1"]), 16, "{stage}");
    }
    let (ended, results) = run(&["--mode", "renegotiate", "--version", "1.2", "--count", "5"]);
    assert!(ended.exited(1), "{}", ended.text());
    assert!(ended.text().contains("renegotiation_refused"), "{}", ended.text());
    assert_eq!(count(&results, "completed"), 0);
    let end = site.finish_with_copies();
    // Those that were established and held, and those that wanted to renegotiate.
    assert!(end.counter("handshakes") >= 16 + 5, "{}", end.counter("handshakes"));
    assert!(end.counter("tls_errors") >= 50, "garbage is an error: {}", end.counter("tls_errors"));
}

/// A client that behaves is served while others flood, and its requests are counted apart.
#[test]
fn a_legitimate_client_is_measured_beside_a_flood() {
    let site = Site::new();
    let target = site.address().to_string();
    let mut arguments = vec!["handshake", &target, "--mode", "abandon", "--rate", "200", "--duration", "3"];
    arguments.extend(["--legitimate", "/cached/1000", "--legitimate-rate", "20"]);
    arguments.extend(DPDK);
    let results = good(&site, &arguments);
    let legitimate = &results["legitimate"];
    assert_eq!(legitimate["failures"], serde_json::json!({}), "{legitimate}");
    let completed = legitimate["completed"].as_u64().expect("requests are counted");
    assert!((40..=61).contains(&completed), "{completed} of about 60");
    assert_eq!(legitimate["body_bytes"].as_u64(), Some(1000 * completed));
    assert!((300..=601).contains(&count(&results, "completed")), "{results}");
    site.finish();
}

#[test]
fn requests_are_those_that_levee_counts_and_every_response_is_verified() {
    for place in [&[][..], &DPDK] {
        let site = Site::new();
        let url = |path: &str| format!("https://{}{path}", site.address());
        let file = site.directory().join("requests");
        let lines = "GET /bytes/5 length=5\n# nothing\n\nPOST /hash upload=70000 length=65\nGET /status/404 status=404\n";
        fs::write(&file, lines).unwrap();
        let runs: [(String, &[&str]); 7] = [
            (url("/bytes/1024"), &["--expect-length", "1024"]),
            (url("/bytes/1024"), &["--per-request", "--version", "1.2"]),
            (url("/chunked/100000"), &["--expect-length", "100000"]),
            (url("/bytes/100"), &["--pipeline", "4"]),
            (url("/bytes/100"), &["--rate", "500"]),
            (url("/hash"), &["--upload", "300000"]),
            (url("/"), &["--requests", file.to_str().unwrap()]),
        ];
        for (url, more) in &runs {
            let mut arguments = vec!["http", url, "--count", "200", "--connections", "8", "--name", NAME];
            arguments.extend(["--duration", "60"]);
            arguments.extend(*more);
            arguments.extend(place);
            let results = good(&site, &arguments);
            assert_eq!(count(&results, "completed"), 200, "{arguments:?}");
            assert_eq!(results["load"]["failures"], serde_json::json!({}), "{arguments:?}");
        }
        assert_eq!(site.finish().counter("requests"), 7 * 200);
    }
}

#[test]
fn a_wrong_answer_is_a_failure() {
    let site = Site::new();
    let url = format!("https://{}/bytes/100", site.address());
    let right = levee_tests::sha256(&levee_tests::pattern(100));
    let wrong = levee_tests::sha256(b"something else");
    for (more, reason) in [
        (["--expect-status", "404"], Some("wrong_status")),
        (["--expect-length", "99"], Some("wrong_length")),
        (["--expect-sha256", wrong.as_str()], Some("wrong_content")),
        (["--expect-sha256", right.as_str()], None),
    ] {
        let mut arguments = vec!["http", url.as_str(), "--count", "20", "--connections", "2"];
        arguments.extend(more);
        let (ended, results) = load(&site, &site.network().client(), &arguments);
        match reason {
            None => assert_eq!(count(&results, "completed"), 20, "{}", ended.text()),
            Some(reason) => {
                assert!(ended.exited(1), "{}", ended.text());
                assert_eq!(count(&results, "completed"), 0);
                assert_eq!(results["load"]["failures"][reason], 20, "{results}");
            }
        }
    }
    site.finish();
}

#[test]
fn what_cannot_be_done_is_said() {
    let site = Site::new();
    let client = site.network().client();
    let nobody = "10.9.1.1:444";
    for (arguments, status, said) in [
        (&["handshake", "8.8.8.8:443"][..], 2, "one's own laboratory only"),
        (&["handshake", "demo.test:443"], 2, "is not an IPv4 address and a port"),
        (&["handshake", "10.9.1.1:443", "--rate", "fast"], 2, "must be a number a second"),
        (&["handshake", "10.9.1.1:443", "--device", "net_null0"], 2, "--address"),
        (&["handshake", "10.9.1.1:443", "--suite", "NULL"], 2, "must be one of TLS_AES_128_GCM_SHA256"),
        (&["handshake", "10.9.1.1:443", "--mode", "renegotiate"], 1, "TLS 1.3 has no renegotiation"),
        (&["handshake", "10.9.1.1:443", "--stage", "hello"], 1, "--stage is of --mode stall alone"),
        (&["handshake", nobody, "--duration", "1", "--connections", "2"], 1, "refused"),
        (&["http", "https://1.1.1.1/"], 2, "one's own laboratory only"),
        (&["http", "https://10.9.1.1/", "--requests", "/nowhere"], 1, "cannot read /nowhere"),
        (&["http", "https://10.9.1.1/", "--expect-sha256", "12"], 2, "is not a SHA-256"),
        (
            &["handshake", "10.9.1.1:443", "--device", "net_nothing0", "--address", "10.9.1.9/24"],
            1,
            "cannot start DPDK",
        ),
    ] {
        let (ended, _) = load(&site, &client, arguments);
        let text = ended.text().split_whitespace().collect::<Vec<_>>().join(" ").replace(" │ ", " ");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(ended.exited(status), "{arguments:?} ends with {status}: {text}");
    }
    site.finish();
}

/// nginx resumes sessions and says so; what is resumed is counted as such.
#[test]
fn nginx_resumes_what_it_is_offered() {
    let site = Site::new();
    let origin = site.network().origin();
    let directory = site.directory().to_owned();
    let certificates = site.certificates().directory().to_owned();
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; server {{ listen 10.9.2.2:8443 ssl; ssl_certificate {1}/ecdsa.crt;\n\
         ssl_certificate_key {1}/ecdsa.key; ssl_session_cache shared:tls:1m; ssl_protocols TLSv1.2 TLSv1.3;\n\
         location / {{ return 200 nginx; }} }} }}\n",
        directory.display(),
        certificates.display(),
    );
    fs::write(directory.join("nginx.conf"), config).unwrap();
    let mut command = origin.command("nginx");
    command.arg("-c").arg(directory.join("nginx.conf"));
    let mut nginx = Process::start("nginx", command, &directory);
    levee_tests::wait_for("nginx", Duration::from_secs(20), || {
        origin.reaches((std::net::Ipv4Addr::new(10, 9, 2, 2), 8443)).then_some(())
    });
    for version in ["1.3", "1.2"] {
        let target =
            ["handshake", "10.9.2.2:8443", "--version", version, "--count", "50", "--connections", "1"];
        let resume = [&target[..], &["--mode", "resume", "--close", "fin"]].concat();
        let (ended, results) = load(&site, &origin, &resume);
        assert!(ended.exited(0), "{}", ended.text());
        // The first has nothing to offer.
        assert!(count(&results, "resumed") >= 40, "{version}: {results}");
        let (ended, results) = load(&site, &origin, &target);
        assert!(ended.exited(0), "{}", ended.text());
        assert_eq!(count(&results, "resumed"), 0, "{version}");
    }
    let url = ["http", "https://10.9.2.2:8443/", "--count", "50", "--expect-length", "5"];
    let (ended, results) = load(&site, &origin, &url);
    assert_eq!(count(&results, "completed"), 50, "{}", ended.text());
    nginx.stop();
    site.finish();
}

/// Each public-key engine, with few jobs and with enough for its lanes.
#[test]
fn public_key_engines_are_measured() {
    let directory = tempfile::tempdir().expect("a directory for the results");
    let results = directory.path().join("engine.json");
    let mut command = Command::new(binary("levee-load"));
    command.args(["engine", "generate", "sign", "--filled", "1,8", "--windows", "1", "--window", "5"]);
    command.arg("--json").arg(&results);
    let ended = run(command, b"", Duration::from_secs(60));
    assert!(ended.exited(0), "{}", ended.text());
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    let of = |engine: &str| rows.iter().filter(|row| row["engine"] == engine).count();
    // Two groups, six keys, one of each with what was made ahead; each of one job and of eight.
    assert_eq!(["batch", "batch4", "awslc", "rustcrypto"].map(of), [20; 4], "{}", ended.text());
    for row in &rows {
        assert!(row["op"].is_string() && (row["filled"] == 1 || row["filled"] == 8), "{row}");
        for number in ["ops_per_s", "cycles_per_op"] {
            assert!(row[number].as_f64().is_some_and(|number| number > 0.0), "{number} of {row}");
        }
    }
}

/// Nothing but Levee and the load in one process, between rings.
#[test]
fn rows_of_nic_are_measured() {
    let directory = tempfile::tempdir().expect("a directory for the results");
    let results = directory.path().join("nic.json");
    let mut command = Command::new(binary("levee-load"));
    command.args(["nic", "handshake 1.3 ecdsa", "1 KiB cached", "canned", "1,000,000", "net_null"]);
    command.args(["--seconds", "0.5"]);
    command.arg("--json").arg(&results);
    let ended = run(command, b"", Duration::from_secs(120));
    assert!(ended.exited(0), "{}", ended.text());
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    assert_eq!(rows.len(), 9, "{}", ended.text());
    for row in rows {
        for number in ["per_second", "cycles_per_unit", "cycles_per_frame"] {
            // rustls has no frames.
            if number == "cycles_per_frame"
                && row["row"].as_str().is_some_and(|row| row.contains("in memory"))
            {
                continue;
            }
            assert!(row[number].as_f64().is_some_and(|number| number > 0.0), "{number} of {row}");
        }
    }
}

//! The load tools of others against Levee, as docs/load.md has them, and a comparison with another server.

use std::fs;
use std::process::Command;
use std::time::Duration;

use levee_tests::{Site, binary, run};
use serde_json::Value;

/// Runs `program` beside the client and gives what it says.
fn said(site: &Site, program: &str, arguments: &[&str]) -> String {
    let mut command = site.network().client().command(program);
    command.args(arguments);
    let ended = run(command, b"", Duration::from_secs(60));
    assert!(ended.exited(0), "{program} {arguments:?}: {}", ended.text());
    ended.text()
}

/// The number in front of `unit`, where `text` has it first.
fn number_before(text: &str, unit: &str) -> u64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let unit: Vec<&str> = unit.split_whitespace().collect();
    let at = words.windows(unit.len()).position(|words| words == unit).filter(|&at| at > 0);
    let number = at.and_then(|at| words[at - 1].parse().ok());
    number.unwrap_or_else(|| panic!("a number of {unit:?} in: {text}"))
}

#[test]
fn h2load_over_http_1_1() {
    let site = Site::new();
    let url = format!("https://{}/bytes/1024", site.address());
    let text = said(&site, "h2load", &["--h1", "-n", "2000", "-c", "32", &url]);
    assert_eq!(number_before(&text, "succeeded,"), 2000, "{text}");
    assert_eq!(number_before(&text, "2xx,"), 2000, "{text}");
    assert_eq!(site.finish().counter("responses_2xx"), 2000);
}

#[test]
fn openssl_s_time() {
    let site = Site::new();
    let address = site.address().to_string();
    let text = said(&site, "openssl", &["s_time", "-connect", &address, "-new", "-time", "2"]);
    let connections = number_before(&text, "connections in");
    assert!(connections > 10, "{text}");
    assert!(site.finish().counter("handshakes") >= connections);
}

/// One row of `compare`: every run has its server, and the verdict is as the numbers are.
#[test]
fn a_row_of_compare() {
    let directory = tempfile::tempdir().expect("a directory for the results");
    let results = directory.path().join("compare.json");
    let mut command = Command::new(binary("levee-load"));
    command.args(["compare", "--rounds", "1", "--seconds", "1", "--rows", "full-tls13-ecdsa"]);
    command.args(["--peers", "levee,nginx", "--prefix", "lvrow", "--json"]).arg(&results);
    let ended = run(command, b"", Duration::from_secs(120));
    assert!(ended.exited(0), "{}", ended.text());
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    let row = rows.iter().find(|row| row["row"] == "full-tls13-ecdsa").expect("the row that was asked for");
    let (levee, nginx) = (row["levee"].as_f64().unwrap(), row["peer_value"].as_f64().unwrap());
    assert_eq!(row["peer"], "nginx");
    assert!(levee > 100.0 && nginx > 100.0, "{row}");
    assert!((row["ratio"].as_f64().unwrap() - levee / nginx).abs() < 0.01, "{row}");
    assert_eq!(row["quotable"], false, "one round is a look: {row}");
}

//! The shape of the workspace, as ARCHITECTURE.md draws it, checked in the sources.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

/// The only arrows there are between the rooms, of any kind of dependency.
const ARROWS: [(&str, &[&str]); 9] = [
    ("levee-buf", &[]),
    ("levee-crypto", &["levee-buf"]),
    ("dpdk-sys", &[]),
    ("levee-dpdk", &["levee-buf", "dpdk-sys"]),
    ("levee-tcp", &["levee-buf"]),
    ("levee-http", &["levee-buf"]),
    ("levee-tls", &["levee-buf", "levee-crypto"]),
    ("levee-cache", &["levee-buf", "levee-http"]),
    (
        "levee-proxy",
        &["levee-buf", "levee-crypto", "levee-dpdk", "levee-tcp", "levee-http", "levee-tls", "levee-cache"],
    ),
];

/// The tools around the proxy: a shim for another project's tests of TLS, the load, which has a worker of the proxy in
/// its own process for `nic`, the tests, and what fuzzers run.
const OUTSIDE: [&str; 4] = ["levee-bogo", "levee-loadtest", "levee-tests", "levee-fuzz"];

/// Rooms whose time, memory, randomness and bytes are parameters.
const SANS_IO: [&str; 5] = ["buf", "tcp", "tls", "http", "cache"];

/// Longest file, in lines, without its tests.
const LONGEST: usize = 1000;

#[test]
fn crates_depend_on_each_other_as_drawn() {
    let metadata =
        MetadataCommand::new().current_dir(top()).no_deps().exec().expect("cargo describes the workspace");
    let members: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let drawn = ARROWS.iter().map(|(name, _)| *name).chain(OUTSIDE).map(str::to_owned).collect();
    assert_eq!(members, drawn, "the rooms are those of the drawing");

    for package in &metadata.packages {
        let inside = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        let inside: BTreeSet<&str> = inside.filter(|name| members.contains(*name)).collect();
        let name = package.name.as_str();
        if let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) {
            let outside: Vec<_> = inside.iter().filter(|to| !allowed.contains(to) && **to != name).collect();
            assert!(outside.is_empty(), "{name} must not depend on {outside:?}");
        }
    }
}

/// DPDK's names, and code that the compiler does not check, have an address.
#[test]
fn dpdk_and_unsafe_code_stay_in_their_rooms() {
    for (path, text) in sources(&["buf", "crypto", "tcp", "http", "tls", "cache", "proxy", "loadtest"]) {
        for (line, code) in code(&text) {
            let names = words(code).any(|word| word.starts_with("rte_"));
            assert!(!names, "{}:{line} names DPDK", path.display());
            // Vectors meet arrays there, and functions those with features of the CPU.
            let is_lanes = path.components().any(|part| part.as_os_str() == "batch");
            let unchecked = !is_lanes && words(code).any(|word| word == "unsafe");
            assert!(!unchecked, "{}:{line} is unsafe", path.display());
        }
    }
}

/// The client of `levee_tls::load` keeps no secret: it is for load and tests alone. Simulated clients have it, which
/// are no part of what is shipped.
#[test]
fn the_proxy_never_is_a_load_client() {
    let read =
        |name: &str| fs::read_to_string(top().join("proxy").join(name)).expect("the source can be read");
    let gate = "#[cfg(any(test, feature = \"simulation\"))]\npub mod simulation;";
    assert!(read("src/lib.rs").contains(gate), "the simulation is not shipped");
    assert!(!read("Cargo.toml").contains("default = "), "no feature is on by itself");
    for (path, text) in sources(&["proxy"]) {
        if path.components().any(|part| part.as_os_str() == "simulation") {
            continue;
        }
        for (line, code) in code(&text) {
            assert!(!code.contains("levee_tls::load"), "{}:{line} uses the load client", path.display());
        }
    }
}

/// What a sans-IO room would have to name to reach out of itself.
#[test]
fn protocols_are_sans_io() {
    const REACHES: [&str; 12] = [
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "TcpStream",
        "UdpSocket",
        "OsRng",
        "SysRng",
        "getrandom",
        "println!",
    ];
    for (path, text) in sources(&SANS_IO) {
        // The shim is a program of its own beside its room.
        if path.starts_with(top().join("tls/bogo")) {
            continue;
        }
        for (line, code) in code(without_tests(&text)) {
            let reaches = REACHES.iter().find(|name| code.contains(**name));
            assert!(reaches.is_none(), "{}:{line} uses {reaches:?}", path.display());
        }
    }
}

#[test]
fn files_have_one_job() {
    for (path, text) in
        sources(&["buf", "crypto", "dpdk", "tcp", "http", "tls", "cache", "proxy", "loadtest"])
    {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent")
}

/// The Rust sources of these rooms, without files that hold tests alone.
fn sources(rooms: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = rooms.iter().map(|room| top().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).expect("the room is there").map(|entry| entry.expect("an entry").path())
        {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.is_dir() && !matches!(name, "tests" | "benches" | "examples" | "target") {
                folders.push(entry);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push((entry.clone(), fs::read_to_string(&entry).expect("the source can be read")));
            }
        }
    }
    assert!(found.len() > rooms.len(), "there are sources to look at");
    found
}

/// A file up to the tests at its end.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
}

/// Numbered lines without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)))
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

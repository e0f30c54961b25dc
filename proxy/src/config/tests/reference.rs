//! `etc/levee.toml` and the code say the same: every key, its kind and bounds, its default.

use std::fs;
use std::path::Path;

use super::fixture::{check, directory};
use crate::config::reader::Key;
use crate::config::{Config, Outcome};

fn etc(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc").join(name);
    fs::read_to_string(path).expect("the file is there")
}

/// The reference with the names of the certificates that the tests make.
fn reference() -> String {
    etc("levee.toml").replace("example-ecdsa.", "ecdsa.").replace("example-rsa.", "rsa.")
}

/// Whether a line is a key that is commented out: `#key = ...`, or the rest of a list, `#  "..."`.
fn is_commented_key(line: &str) -> bool {
    line.strip_prefix('#')
        .is_some_and(|rest| !rest.is_empty() && (!rest.starts_with(' ') || rest.starts_with("  ")))
}

/// The reference with its commented keys in force, as far as `wanted` says, which gets the comment above.
fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
    let (mut comment, mut text) = (String::new(), String::new());
    let mut was_key = false;
    for line in reference().lines() {
        let key = is_commented_key(line);
        if line.starts_with("# ") && !key {
            comment = if was_key { String::new() } else { comment + " " } + line.trim_start_matches("# ");
        } else if line.is_empty() {
            comment.clear();
        }
        text += if key && wanted(&comment) { &line[1..] } else { line };
        text.push('\n');
        was_key = !line.starts_with("# ") || key;
    }
    text
}

fn accepted((outcome, keys): (Outcome, Vec<Key>)) -> (Config, Vec<String>, Vec<Key>) {
    match outcome {
        Ok((config, warnings)) => (config, warnings.iter().map(|warning| warning.line()).collect(), keys),
        Err(rejected) => panic!("{:?}", miette::Report::new(rejected)),
    }
}

#[test]
fn every_key_of_the_reference_is_accepted() {
    let (_, warnings, _) = accepted(check(&reference()));
    assert_eq!(warnings, Vec::<String>::new());
    let (_, warnings, _) = accepted(check(&uncommented(|_| true)));
    let line = uncommented(|_| true).lines().position(|line| line.starts_with("keylog")).map(|line| line + 1);
    let secrets = format!(
        "levee.toml:{}:10: `tls.keylog`: TLS secrets are written to {}; \
         who reads that file reads all traffic: for debugging only",
        line.unwrap_or_default(),
        directory().join("secrets.log").display()
    );
    assert_eq!(warnings, [secrets]);
}

#[test]
fn every_key_is_in_the_reference_with_its_kind_and_bounds() {
    let (_, _, keys) = accepted(check(&reference()));
    assert!(keys.len() > 80, "only {} keys", keys.len());
    let text = uncommented(|_| true);
    for Key { section, name, expects } in keys {
        let place = format!("{section}.{name}: {expects}");
        let lines: Vec<&str> = text.lines().collect();
        if section.is_empty() || name == "offloads" {
            let header = format!("[{}{name}]", if section.is_empty() { "" } else { "port." });
            let line = lines
                .iter()
                .position(|line| line.trim_matches('[').trim_matches(']') == header.trim_matches(['[', ']']));
            let comment = line.map(|line| comment_above(&lines, line)).unwrap_or_default();
            assert!(!comment.is_empty(), "not documented: {header}");
            assert!(expects == "a table" || comment.contains(&expects), "not documented: {place}");
            continue;
        }
        let header = [format!("[{section}]"), format!("[[{section}]]")];
        let mut current = "";
        let documented = lines.iter().enumerate().any(|(index, line)| {
            if line.starts_with('[') {
                current = line;
            }
            header.iter().any(|header| header == current)
                && line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = "))
                && comment_above(&lines, index).contains(&expects)
        });
        assert!(documented, "not documented: {place}");
    }
}

/// The comment above a line, as one line.
fn comment_above(lines: &[&str], index: usize) -> String {
    let above = lines.iter().take(index).rev().take_while(|line| line.starts_with("# "));
    let mut words: Vec<&str> = above.map(|line| line.trim_start_matches("# ")).collect();
    words.reverse();
    words.join(" ")
}

#[test]
fn commented_keys_show_the_defaults() {
    let shown = uncommented(|comment| !comment.contains("By itself"));
    assert!(
        shown.contains("\nmtu = 1500\n") && shown.contains("\nsuites = [") && !shown.contains("\ngateway =")
    );
    let debug = |text: &str| {
        let (mut config, _, _) = accepted(check(text));
        config.certificates.clear();
        format!("{config:#?}")
    };
    let (by_itself, shown) = (debug(&reference()), debug(&shown));
    let differ = by_itself.lines().zip(shown.lines()).find(|(one, two)| one != two);
    assert_eq!(differ, None);
    assert_eq!(by_itself.len(), shown.len());
}

#[test]
fn the_demo_is_accepted() {
    let text = etc("demo.toml").replace("../.demo/certs/", "").replace("demo.levee.test", "example.test");
    let (config, warnings, _) = accepted(check(&text));
    assert_eq!(warnings, Vec::<String>::new());
    assert!(config.eal.memory_mib <= 1024, "{} MiB are more than `make run` reserves", config.eal.memory_mib);
}

//! Configurations with something wrong, and every word that is said about them, from text files.
//!
//! A case is a paragraph: `section: key = value` changes the first table of a section of the good
//! configuration, `+ line` adds a line behind its end, `> line` is said. Warnings are said when there is
//! no error, without a mark.

use super::fixture::{GOOD, said, set};

#[test]
fn values() {
    check(include_str!("refused.txt"));
}

#[test]
fn tables_together() {
    check(include_str!("together.txt"));
}

#[test]
fn certificates() {
    check(include_str!("certificates.txt"));
}

fn check(cases: &str) {
    let mut differ = String::new();
    for case in cases.split("\n\n") {
        let (mut text, mut expected) = (GOOD.to_owned(), Vec::new());
        for line in case.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(line) = line.strip_prefix("> ") {
                expected.push(line);
            } else if let Some(line) = line.strip_prefix("+ ") {
                text = format!("{text}{line}\n");
            } else {
                let (section, line) = line.split_once(": ").expect("a section and a line for it");
                text = set(&text, section, line);
            }
        }
        let said = said(&text);
        if said != expected {
            let said: String = said.iter().map(|line| format!("> {line}\n")).collect();
            differ += &format!("{case}\n--- but what is said is\n{said}\n");
        }
    }
    assert!(differ.is_empty(), "{differ}");
}

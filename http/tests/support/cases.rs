//! Cases in text files.
//!
//! ```text
//! == name
//! ? eof HEAD            (optional: what is known besides the bytes)
//! GET / HTTP/1.1\r\n    (the stream; line ends of the file do not count)
//! -> 400 host_missing   (the transcript)
//! ```
//! Escapes: `\r \n \t \0 \\ \xNN`, `\s` a space at the end of a line, `\*N(text)` repeats, and a line
//! that starts with `#` is a comment.

use levee_http::{Limits, Method};

use super::Side;
use super::corpus::unescape;

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) stream: Vec<u8>,
    pub(crate) expected: Vec<String>,
    pub(crate) side: Side,
    pub(crate) eof: bool,
    pub(crate) limits: Limits,
}

/// All cases of a file.
pub(crate) fn parse(file: &str, requests: bool) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            let side = if requests { Side::Requests } else { Side::Responses(Method::Get, false) };
            cases.push(Case {
                name: name.to_owned(),
                stream: Vec::new(),
                expected: Vec::new(),
                side,
                eof: false,
                limits: Limits::default(),
            });
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let case = cases.last_mut().expect("a case starts with ==");
        if let Some(expected) = line.strip_prefix("-> ") {
            case.expected.push(expand(expected));
        } else if let Some(words) = line.strip_prefix("? ") {
            words.split(' ').for_each(|word| option(case, word));
        } else {
            assert!(case.expected.is_empty(), "bytes behind the transcript in {}", case.name);
            unescape(line.as_bytes(), &mut case.stream);
        }
    }
    cases
}

/// An expected line; only repetition stands for something else there.
fn expand(line: &str) -> String {
    match line.split_once("\\*") {
        None => line.to_owned(),
        Some((before, rest)) => {
            let mut bytes = before.as_bytes().to_vec();
            unescape(format!("\\*{rest}").as_bytes(), &mut bytes);
            String::from_utf8(bytes).unwrap()
        }
    }
}

fn option(case: &mut Case, word: &str) {
    match word.split_once('=') {
        Some(("head", value)) => case.limits.head_bytes = value.parse().unwrap(),
        Some(("line", value)) => case.limits.request_line = value.parse().unwrap(),
        Some(("fields", value)) => case.limits.fields = value.parse().unwrap(),
        None if word == "eof" => case.eof = true,
        None if word == "upgrade" => case.side = Side::Responses(Method::Get, true),
        None => case.side = Side::Responses(Method::from_name(word.as_bytes()), false),
        Some(_) => panic!("{word} in {}", case.name),
    }
}

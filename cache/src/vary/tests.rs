//! Secondary keys, matched as RFC 9111 section 4.1 has it.

use super::*;
use crate::testing::{request, response};

fn section(vary: &str, asked: &[&str]) -> Vec<u8> {
    let (response, request) = (response(200, &[&format!("Vary: {vary}")]), request("GET /", asked));
    let len = measure(&response.fields, &request.fields).unwrap();
    let mut room = vec![0; len];
    let mut out = Writer::new(&mut room);
    write(&response.fields, &request.fields, &mut out).unwrap();
    assert_eq!(out.len(), len, "measured as written");
    assert!(has_names_of(&room, &response.fields));
    room
}

#[test]
fn requests_match_by_the_named_fields() {
    for (vary, stored, asked, same) in [
        ("", &[][..], &["A: 1"][..], true),
        ("A", &["A: 1"], &["a: 1", "B: 2"], true),
        ("A", &["A: 1"], &["A: 2"], false),
        ("A", &["A: 1"], &["A: 11"], false),
        ("A", &["A: 11"], &["A: 1"], false),
        // "it can only match another request if it is also absent there"
        ("A", &[], &[], true),
        ("A", &[], &["A:"], false),
        ("A", &["A:"], &[], false),
        ("A", &["A:"], &["A: "], true),
        // "combining multiple header field lines with the same field name"
        ("A", &["A: 1, 2"], &["A: 1", "A: 2"], true),
        ("A", &["A: 1", "A: 2"], &["A: 2", "A: 1"], false),
        ("A", &["A: 1,2"], &["A: 1, 2"], false),
        // "adding or removing whitespace, where allowed in the header field's syntax"
        ("Accept-Encoding", &["Accept-Encoding: gzip;q=1,br"], &["accept-encoding: gzip ; q=1 ,  br"], true),
        ("Accept", &["Accept: a/b;c=\"d e\""], &["Accept: a/b; c=\"de\""], false),
        ("Accept", &["Accept: a/b;c=\"d\\\" e\""], &["Accept: a/b; c=\"d\\\" e\""], false),
        ("A, B", &["A: 1", "B: 2"], &["B: 2", "A: 1"], true),
        ("A, B", &["A: 1", "B: 2"], &["A: 1"], false),
        ("A, B", &["A: 1"], &["B: 1"], false),
        // What Connection names, the backend does not see.
        ("A", &["A: 1", "Connection: A"], &[], true),
        ("A", &["A: 1", "Connection: a"], &["A: 1"], false),
        // What CGI takes for the field is not the same as none.
        ("Accept-Language", &["Accept_Language: fr"], &[], false),
        ("Accept-Language", &["Accept-Language: fr"], &["Accept_Language: fr"], true),
        ("a,A,,a", &["A: 1"], &["A: 1"], true),
    ] {
        let section = section(vary, stored);
        let (stored, asked) = (request("GET /", stored), request("GET /", asked));
        assert_eq!(matches(&section, &asked.fields), same, "{vary} {stored:?} {asked:?}");
        let hashes = [&stored, &asked].map(|request| hash(&section, &request.fields, &[3; 16]));
        assert_eq!(hashes[0] == hashes[1], same, "{vary} {stored:?} {asked:?}");
    }
}

#[test]
fn names_are_compared_as_a_sequence() {
    let stored = section("A, B", &[]);
    for (vary, same) in [("a, b", true), ("b, a", false), ("a", false), ("a, b, c", false), ("", false)] {
        let other = response(304, &[&format!("Vary: {vary}")]);
        assert_eq!(has_names_of(&stored, &other.fields), same, "{vary}");
    }
}

#[test]
fn a_broken_section_matches_nothing_that_has_names() {
    let whole = section("A, B", &["A: 1"]);
    let asked = request("GET /", &["A: 1"]);
    let boundary = section("A", &["A: 1"]).len();
    for cut in 1..whole.len() {
        assert_eq!(matches(&whole[..cut], &asked.fields), cut == boundary, "{cut}");
    }
}

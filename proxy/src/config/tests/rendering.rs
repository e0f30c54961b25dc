//! What a person sees.

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::fixture::{GOOD, check, set};

/// As on a terminal of 100 columns, without colours.
fn rendered(text: &str) -> String {
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    match check(text).0 {
        Ok((_, warnings)) => {
            for warning in &warnings {
                handler.render_report(&mut out, warning).expect("a string has room");
            }
        }
        Err(rejected) => handler.render_report(&mut out, &rejected).expect("a string has room"),
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn errors_show_the_lines_of_the_file() {
    let text = set(&set(GOOD, "backend", "server = []"), "port", "mtu = 90000");
    assert_eq!(rendered(&text), include_str!("errors.rendered").trim_end());
}

#[test]
fn warnings_look_like_warnings() {
    let text = format!("{GOOD}[[backend]]\nname = \"spare\"\nservers = [\"10.9.2.3:80\"]\n");
    assert_eq!(rendered(&text), include_str!("warning.rendered").trim_end());
}

#[test]
fn a_missing_section_names_the_file() {
    let text = GOOD.replace("[[route]]\nbackend = \"origin\"\n", "");
    assert_eq!(rendered(&text), include_str!("missing.rendered").trim_end());
}

#[test]
fn syntax_errors_are_shown_where_they_are() {
    let text =
        GOOD.replace("\"10.9.2.1/24\"", "10.9.2.1/24").replace("[\"ecdsa\", \"rsa\"]", "[\"ecdsa\", \"rsa\"");
    assert_eq!(rendered(&text), include_str!("syntax.rendered").trim_end());
}

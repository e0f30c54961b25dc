//! Any text at all, as `examine` wants it. A fuzzer writes more of them (`fuzz/src/configuration.rs`).

use std::fmt::Write;

use super::fixture::{GOOD, check};
use crate::config::examine;

/// Documents that are tried.
const DOCUMENTS: u32 = 1000;

/// Values of every type, at the ends of what they can be, and none.
const VALUES: [&str; 34] = [
    "0",
    "1",
    "-1",
    "+7",
    "1_000",
    "0xffff",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "inf",
    "nan",
    "true",
    "\"\"",
    "\"off\"",
    "\"*\"",
    "\"*.a\"",
    "\"10.9.1.1:443\"",
    "\"10.9.1.1/33\"",
    "\"999.0.0.1/8\"",
    "\"::1\"",
    "\"/\"",
    "\"../../etc/passwd\"",
    "\"\\u0000\"",
    "\"\\U0010FFFF\"",
    "'''a\nb'''",
    "1979-05-27",
    "[]",
    "[[]]",
    "[1, \"a\"]",
    "[{}]",
    "{}",
    "{ a = { b = 1 } }",
    "",
    "= =",
];

/// Keys that there are, and none.
const KEYS: [&str; 20] = [
    "lcores",
    "connections",
    "name",
    "device",
    "address",
    "gateway",
    "mtu",
    "certificates",
    "tls",
    "chain",
    "key",
    "servers",
    "keepalive",
    "host",
    "path",
    "cache",
    "memory_mib",
    "\"\"",
    "\"\\t\u{e9}\"",
    "a.b.c",
];

const SECTIONS: [&str; 14] = [
    "[workers]",
    "[[workers]]",
    "[[port]]",
    "[port]",
    "[[listener]]",
    "[[backend]]",
    "[[route]]",
    "[cache]",
    "[limits]",
    "[timeouts]",
    "[tls]",
    "[eal]",
    "[a.b]",
    "[[",
];

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    fn one_of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }
}

#[test]
fn any_document_is_read_or_refused_with_a_reason() {
    let reference = include_str!("../../../../etc/levee.toml").replace("\n#", "\n");
    let mut numbers = Numbers(1);
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..DOCUMENTS {
        let start = if number % 8 == 0 { &reference } else { GOOD };
        let text = spoil(start, &mut numbers);
        if see(&text) { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 25 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[test]
fn documents_that_are_too_much() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let dotted = format!("{}b = 1", "a.".repeat(100_000));
    let tables = format!("{GOOD}{}", "[[route]]\nbackend = \"origin\"\n".repeat(10_001));
    let list = format!("[[port]]\nname = [{}]\n", "\"a\",".repeat(100_000));
    let long = GOOD.replace("net_null0", &"x".repeat(1 << 20));
    for text in [&deep, &dotted, &tables, &list, &long, "\0", "\u{feff}", "\r", "a", "[", "=", "\"", "'''"] {
        assert!(!see(text), "{text:.40}");
    }
    see(&format!("\u{feff}{GOOD}"));
    see(&GOOD.replace('\n', "\r\n"));
}

/// Whether `text` is accepted, where there are certificates.
fn see(text: &str) -> bool {
    examine::see(text, |text| check(text).0)
}

/// `text` with a few changes.
fn spoil(text: &str, numbers: &mut Numbers) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(lines.len());
        match numbers.below(9) {
            0 => drop(lines.remove(at)),
            1 => {
                let again = lines[numbers.below(lines.len())].clone();
                lines.insert(at, again);
            }
            2 => {
                let other = numbers.below(lines.len());
                lines.swap(at, other);
            }
            3 => lines.insert(at, numbers.one_of(&SECTIONS).to_owned()),
            4 => lines.insert(at, format!("{} = {}", numbers.one_of(&KEYS), numbers.one_of(&VALUES))),
            5 => {
                let key = lines[at].split('=').next().unwrap_or_default().to_owned();
                lines[at] = format!("{key}= {}", numbers.one_of(&VALUES));
            }
            6 => lines[at] = lines[at].chars().take(numbers.below(30)).collect(),
            7 => {
                let odd = ['\0', '\t', '"', '\\', '#', '\u{e9}', '\u{200f}', '\u{1f600}', '[', '='];
                let place = numbers.below(lines[at].chars().count() + 1);
                let mut changed: Vec<char> = lines[at].chars().collect();
                changed.insert(place, odd[numbers.below(odd.len())]);
                lines[at] = changed.into_iter().collect();
            }
            _ => lines.insert(at, String::new()),
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

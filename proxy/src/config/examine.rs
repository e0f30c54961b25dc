//! What must hold of any text that is read as a configuration: for tests and fuzzing alone.
//!
//! It is read without a panic; what is refused is refused with the file, the place, the key and a reason; what is
//! accepted means the same when it is written another way.

use std::collections::BTreeSet;
use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::surroundings::Surroundings;
use super::{Outcome, Problem, User, read};

/// The name of the file that is examined.
pub(super) const FILE: &str = "levee.toml";

/// Examines `text`, none of whose relative paths leads to a file; whether it is accepted.
///
/// # Panics
/// Something does not hold.
#[must_use]
pub fn examine(text: &str) -> bool {
    see(text, |text| read(FILE, text, Path::new("/nowhere"), &machine()).0)
}

/// Whether `text` is accepted by `check`, of which the rest must hold.
pub(super) fn see(text: &str, check: impl Fn(&str) -> Outcome) -> bool {
    match check(text) {
        Ok((config, warnings)) => {
            warnings.iter().take(SHOWN).for_each(|warning| well_said(warning, text));
            let table: toml::Table = text.trim_start_matches('\u{feff}').parse().expect("it is TOML");
            let (again, _) = check(&table.to_string()).expect("the same, written another way, is accepted");
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
            true
        }
        Err(rejected) => {
            assert!(!rejected.problems().is_empty(), "refused without a reason");
            rejected.problems().iter().take(SHOWN).for_each(|problem| well_said(problem, text));
            false
        }
    }
}

/// A machine with two CPUs, a PCI device and three users, early in 2027.
pub(super) fn machine() -> Surroundings {
    let pci = BTreeSet::from(["0000:3b:00.0".to_owned()]);
    Surroundings { cpus: BTreeSet::from([0, 1]), pci, user, now: 1_800_000_000 }
}

fn user(name: &str) -> Option<User> {
    let (uid, gid) = match name {
        "root" => (0, 0),
        "levee" => (998, 997),
        "nobody" => (65534, 65534),
        _ => return None,
    };
    Some(User { name: name.to_owned(), uid, gid })
}

/// A line for logs that begins with the file and, unless it is about the whole, the place, and names the key; and a
/// picture.
fn well_said(problem: &Problem, text: &str) {
    let line = problem.line();
    let rest = line.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':')).expect("the file is named");
    let title = problem.to_string();
    assert!(title.contains('`') || title == "this is not TOML", "no key is named: {line}");
    if problem.position() != usize::MAX {
        let mut parts = rest.splitn(3, ':');
        let place = (parts.next().map(str::parse::<usize>), parts.next().map(str::parse::<usize>));
        let (Some(Ok(row)), Some(Ok(column))) = place else { panic!("no place in {line}") };
        assert!(row >= 1 && column >= 1 && row <= text.matches('\n').count() + 1, "{line}");
        assert!(parts.next().is_some_and(|what| what.trim().len() > 3), "nothing is said: {line}");
    }
    assert!(problem.position() == usize::MAX || text.is_char_boundary(problem.position()), "{line}");
    let mut picture = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    handler.render_report(&mut picture, problem).expect("a string has room");
    assert!(!picture.is_empty());
}

/// Problems of a document that are looked at: each shows the document's lines.
const SHOWN: usize = 20;

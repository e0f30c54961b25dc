//! Names within the file: each given once, and references to them resolved.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;

use super::kind::{nearest, quoted};
use super::reader::Findings;

/// The names of the tables of one list, by their order in the file.
pub(super) struct Names<'d> {
    section: &'static str,
    names: Vec<Option<&'d Spanned<String>>>,
    used: RefCell<Vec<usize>>,
}

impl<'d> Names<'d> {
    /// The names of `[[section]]`, `None` where one is missing; an error for each that is there twice.
    pub(super) fn new(
        section: &'static str,
        names: impl Iterator<Item = Option<&'d Spanned<String>>>,
        findings: &Findings,
    ) -> Self {
        let names: Vec<_> = names.collect();
        let given: Vec<_> = names.iter().copied().flatten().collect();
        for (index, name) in given.iter().enumerate() {
            let same = |other: &&&Spanned<String>| other.get_ref() == name.get_ref();
            if let Some(first) = given.iter().take(index).find(same) {
                twice(
                    &format!("{section}.name"),
                    &quoted(name.get_ref()),
                    name.span(),
                    first.span(),
                    findings,
                );
            }
        }
        Self { section, names, used: RefCell::new(Vec::new()) }
    }

    /// The index of the table that `wanted`, under `key`, names; an error when there is none.
    pub(super) fn resolve(&self, wanted: &Spanned<String>, key: &str, findings: &Findings) -> Option<usize> {
        let text = wanted.get_ref();
        let found = self.names.iter().position(|name| name.is_some_and(|name| name.get_ref() == text));
        if found.is_none() {
            let known = || self.names.iter().copied().flatten().map(|name| name.get_ref().as_str());
            let label = match nearest(text, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None if known().next().is_none() => format!("add a `[[{}]]` of that name", self.section),
                None => format!("must be one of {}", list(known().map(|name| format!("{name:?}")))),
            };
            let title = format!("`{key}`: there is no {} {}", self.section, quoted(text));
            findings.error(title, |error| error.at(wanted.span(), label));
        }
        self.used.borrow_mut().extend(found);
        found
    }

    /// Warns of names that were never resolved.
    pub(super) fn warn_of_unused(&self, by: &str, findings: &Findings) {
        let used = self.used.borrow();
        let unused = self.names.iter().enumerate().filter(|(index, _)| !used.contains(index));
        for name in unused.filter_map(|(_, name)| *name) {
            let title = format!("`{}.name`: no {by} uses {}", self.section, quoted(name.get_ref()));
            findings.warning(title, |warning| warning.at(name.span(), "has no effect"));
        }
    }
}

/// Notes that `what` is there twice under `key`.
pub(super) fn twice(key: &str, what: &str, again: Range<usize>, first: Range<usize>, findings: &Findings) {
    let title = format!("`{key}`: {what} is there twice");
    findings.error(title, |error| error.at(again, "must be another").at(first, "first here"));
}

/// Words with commas between.
pub(super) fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

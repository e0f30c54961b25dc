//! Reading tables of the file: `Table` hands out values and notes everything that is wrong with them.
//!
//! A key is known because it is asked for; what is left when a `Table` is dropped is unknown. No error
//! stops the reading, so that all of them are shown at once.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::{Kind, Mismatch, nearest, type_of};
use super::report::{Problem, Source};

/// What has been found out about a file.
pub(super) struct Findings {
    source: Source,
    problems: RefCell<Vec<Problem>>,
    keys: RefCell<Vec<Key>>,
    unknown: RefCell<Vec<(&'static str, String, Range<usize>)>>,
}

/// A key that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The section, empty for the sections themselves.
    pub(super) section: &'static str,
    /// The key.
    pub(super) name: &'static str,
    /// Completes "must be ...".
    pub(super) expects: String,
}

impl Findings {
    /// Nothing found yet in `source`.
    pub(super) fn new(source: Source) -> Self {
        Self { source, problems: RefCell::default(), keys: RefCell::default(), unknown: RefCell::default() }
    }

    /// Notes an error; the caller adds to it.
    pub(super) fn error(&self, title: impl Into<String>, with: impl FnOnce(Problem) -> Problem) {
        self.problems.borrow_mut().push(with(Problem::error(&self.source, title)));
    }

    /// Notes a warning; the caller adds to it.
    pub(super) fn warning(&self, title: impl Into<String>, with: impl FnOnce(Problem) -> Problem) {
        self.problems.borrow_mut().push(with(Problem::warning(&self.source, title)));
    }

    /// All problems in the order of the file, and the keys that were asked for.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Key>) {
        for (section, name, at) in self.unknown.take() {
            self.report_unknown(section, &name, at);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(Problem::position);
        (problems, self.keys.into_inner())
    }

    fn report_unknown(&self, section: &'static str, name: &str, at: Range<usize>) {
        let keys = self.keys.borrow();
        let known: Vec<&str> = keys.iter().filter(|key| key.section == section).map(|key| key.name).collect();
        let elsewhere = keys.iter().find(|key| key.name == name && !key.section.is_empty());
        let label = match (nearest(name, known.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(key)) => format!("`{name}` belongs into `{}`", key.section),
            (None, None) => "not a key of Levee".to_owned(),
        };
        let known = known.join(", ");
        let place = if section.is_empty() { "sections".to_owned() } else { format!("keys of `{section}`") };
        let title = format!("unknown key `{}`", path(section, name));
        self.error(title, |error| error.at(at, label).help(format!("the {place} are {known}")));
    }
}

/// A table of the file, or the lack of one.
pub(super) struct Table<'a> {
    findings: &'a Findings,
    section: &'static str,
    entries: Option<&'a DeTable<'a>>,
    at: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The file's outermost table.
    pub(super) fn root(findings: &'a Findings, entries: &'a DeTable<'a>) -> Self {
        Self::new(findings, "", Some(entries), 0..0)
    }

    const fn new(
        findings: &'a Findings,
        section: &'static str,
        entries: Option<&'a DeTable<'a>>,
        at: Range<usize>,
    ) -> Self {
        Self { findings, section, entries, at, asked: RefCell::new(Vec::new()) }
    }

    /// Where the table starts.
    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Whether there is something under `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(name))
    }

    /// The table under `name`; one without keys when there is none.
    pub(super) fn section(&self, name: &'static str, section: &'static str) -> Table<'a> {
        let value = self.ask(name, "a table");
        let table = value.and_then(|value| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                let expects = format!("a table: write [{section}]");
                self.mismatch::<()>(name, value.span(), &expects, type_of(value.get_ref()));
            }
            table
        });
        Table::new(self.findings, section, table, value.map_or(0..0, Spanned::span))
    }

    /// The tables of the list under `name`, at most `most`.
    pub(super) fn sections(&self, name: &'static str, most: usize) -> Vec<Table<'a>> {
        let expects = format!("a list of at most {most} tables: write [[{name}]]");
        let Some(value) = self.ask(name, &expects) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.mismatch::<()>(name, value.span(), &expects, type_of(value.get_ref()));
            return Vec::new();
        };
        if let Some(excess) = list.get(most) {
            self.error(
                name,
                excess.span(),
                &format!("is there {} times", list.len()),
                format!("must be {expects}"),
            );
        }
        let mut tables = Vec::new();
        for item in list.iter().take(most) {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Table::new(self.findings, name, Some(table), item.span())),
                None => {
                    self.mismatch::<()>(name, item.span(), &expects, type_of(item.get_ref()));
                }
            }
        }
        tables
    }

    /// The value under `name`.
    pub(super) fn value<T>(&self, name: &'static str, kind: Kind<'_, T>) -> Entry<'_, T> {
        let value = self.ask(name, &kind.expects);
        let found = value.map(|value| self.read(name, value, &kind, &kind.expects));
        Entry { table: self, name, expects: kind.expects, found }
    }

    /// The list under `name`: distinct values, at least one.
    pub(super) fn list<T: PartialEq>(
        &self,
        name: &'static str,
        kind: Kind<'_, T>,
    ) -> Entry<'_, Vec<Spanned<T>>> {
        let expects = format!("a list, each {}", kind.expects);
        let found = self.ask(name, &expects).map(|value| self.read_list(name, value, &kind, &expects));
        Entry { table: self, name, expects, found }
    }

    /// As [`Table::list`], where a value alone stands for a list of one.
    pub(super) fn one_or_more<T: PartialEq>(
        &self,
        name: &'static str,
        kind: Kind<'_, T>,
    ) -> Entry<'_, Vec<Spanned<T>>> {
        let expects = format!("{}, or a list of such", kind.expects);
        let found = self.ask(name, &expects).map(|value| match value.get_ref() {
            DeValue::Array(_) => self.read_list(name, value, &kind, &expects),
            _ => self.read(name, value, &kind, &expects).map(|item| Spanned::new(item.span(), vec![item])),
        });
        Entry { table: self, name, expects, found }
    }

    /// Notes an error about the value of `name` at `at`.
    pub(super) fn error(&self, name: &str, at: Range<usize>, is: &str, label: impl Into<String>) {
        let title = format!("`{}` {is}", path(self.section, name));
        self.findings.error(title, |error| error.at(at, label));
    }

    fn ask(&self, name: &'static str, expects: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(name);
        let key = Key { section: self.section, name, expects: expects.to_owned() };
        let mut keys = self.findings.keys.borrow_mut();
        if !keys.contains(&key) {
            keys.push(key);
        }
        self.entries?.get(name)
    }

    fn read<T>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        kind: &Kind<'_, T>,
        expects: &str,
    ) -> Option<Spanned<T>> {
        match kind.read(value.get_ref()) {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(mismatch) => self.mismatch(name, value.span(), expects, mismatch),
        }
    }

    fn read_list<T: PartialEq>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        kind: &Kind<'_, T>,
        expects: &str,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let Some(items) = value.get_ref().as_array() else {
            return self.mismatch(name, value.span(), expects, type_of(value.get_ref()));
        };
        if items.is_empty() {
            return self.mismatch(name, value.span(), expects, "an empty list".to_owned().into());
        }
        let mut list: Vec<Spanned<T>> = Vec::with_capacity(items.len());
        let mut good = true;
        for item in items {
            let Some(item) = self.read(name, item, kind, &kind.expects) else {
                good = false;
                continue;
            };
            if let Some(first) = list.iter().find(|other| other.get_ref() == item.get_ref()) {
                let title = format!("`{}` has a value twice", path(self.section, name));
                let (first, second) = (first.span(), item.span());
                self.findings
                    .error(title, |error| error.at(second, "again: leave one out").at(first, "first here"));
                continue;
            }
            list.push(item);
        }
        good.then(|| Spanned::new(value.span(), list))
    }

    fn mismatch<T>(&self, name: &str, at: Range<usize>, expects: &str, mismatch: Mismatch) -> Option<T> {
        let title = format!("`{}` is {}", path(self.section, name), mismatch.is);
        self.findings.error(title, |error| {
            let error = error.at(at, format!("must be {expects}"));
            match mismatch.hint {
                Some(hint) => error.help(hint),
                None => error,
            }
        });
        None
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        let entries = self.entries.into_iter().flatten();
        let unknown = entries.filter(|(name, _)| !asked.contains(&name.get_ref().as_ref()));
        let noted = unknown.map(|(name, _)| (self.section, name.get_ref().to_string(), name.span()));
        self.findings.unknown.borrow_mut().extend(noted);
    }
}

/// What stands under a key.
#[must_use]
pub(super) struct Entry<'t, T> {
    table: &'t Table<'t>,
    name: &'static str,
    expects: String,
    /// `None`: nothing; `Some(None)`: something wrong, which has been noted.
    found: Option<Option<Spanned<T>>>,
}

impl<T> Entry<'_, T> {
    /// The value, or `default` when there is none or a wrong one.
    pub(super) fn or(self, default: T) -> T {
        self.found.flatten().map_or(default, Spanned::into_inner)
    }

    /// The value, if there is one.
    pub(super) fn optional(self) -> Option<Spanned<T>> {
        self.found.flatten()
    }

    /// The value, or `default` when there is none; `None` when there is a wrong one.
    pub(super) fn or_wrong(self, default: T) -> Option<T> {
        self.found.map_or(Some(default), |value| value.map(Spanned::into_inner))
    }

    /// The value; it is an error when there is none.
    pub(super) fn required(self) -> Option<Spanned<T>> {
        if self.found.is_none() {
            let Self { table, name, expects, .. } = &self;
            let title = format!("`{}` is missing", path(table.section, name));
            table.findings.error(title, |error| match table.entries {
                Some(_) => error.at(table.at(), format!("needs `{name}`, {expects}")),
                None => error.help(format!("add [{}] with `{name}`, {expects}", table.section)),
            });
        }
        self.found.flatten()
    }
}

impl<T> Entry<'_, Vec<Spanned<T>>> {
    /// The values without their places, or `default` when there are none or wrong ones.
    pub(super) fn plain_or(self, default: Vec<T>) -> Vec<T> {
        self.found
            .flatten()
            .map_or(default, |list| list.into_inner().into_iter().map(Spanned::into_inner).collect())
    }
}

/// The full name of a key.
fn path(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

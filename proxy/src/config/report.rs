//! What is wrong with a configuration: `Problem`, one finding at one place, and `Rejected`, all of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// The file under examination, with its name.
pub(super) type Source = Arc<NamedSource<String>>;

/// An error or a warning about the configuration.
///
/// `Display` names the key and says what is wrong with it; [`Problem::line`] adds the place and the
/// remedy; as a [`Diagnostic`] it also shows the lines of the file.
#[derive(Debug)]
pub struct Problem {
    severity: Severity,
    source: Source,
    title: String,
    labels: Vec<(Range<usize>, String)>,
    help: Option<String>,
}

impl Problem {
    /// An error; `title` names the key.
    pub(super) fn error(source: &Source, title: impl Into<String>) -> Self {
        let (source, title) = (Arc::clone(source), title.into());
        Self { severity: Severity::Error, source, title, labels: Vec::new(), help: None }
    }

    /// A warning; `title` names the key.
    pub(super) fn warning(source: &Source, title: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(source, title) }
    }

    /// A place in the file, and what is to be seen there; the first is where the problem lies.
    pub(super) fn at(mut self, place: Range<usize>, label: impl Into<String>) -> Self {
        self.labels.push((place, label.into()));
        self
    }

    /// What would be right.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Whether the configuration can be used in spite of it.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.severity == Severity::Warning
    }

    /// `file:line:column: key: what is wrong; what would be right`, for logs.
    #[must_use]
    pub fn line(&self) -> String {
        let place = self.labels.first().map_or_else(String::new, |(place, _)| {
            let (line, column) = line_and_column(self.source.inner(), place.start);
            format!("{line}:{column}:")
        });
        let label = self.labels.first().map(|(_, label)| label);
        let remedies = label.into_iter().chain(&self.help).filter(|text| !text.is_empty());
        let remedy: String = remedies.map(|text| format!("; {text}")).collect();
        format!("{}:{place} {}{remedy}", self.source.name(), self.title)
    }

    /// Offset in the file, for sorting; problems of the whole file come last.
    pub(super) fn position(&self) -> usize {
        self.labels.first().map_or(usize::MAX, |(place, _)| place.start)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |(place, text): &(Range<usize>, String)| {
            LabeledSpan::new(Some(text.clone()), place.start, place.len())
        };
        Some(Box::new(self.labels.iter().map(label)))
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Rejected {
    file: String,
    problems: Vec<Problem>,
}

impl Rejected {
    /// `problems` of the configuration in `file`.
    pub(super) fn new(file: impl Into<String>, problems: Vec<Problem>) -> Self {
        Self { file: file.into(), problems }
    }

    /// The errors, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "{} has an error", self.file),
            n => write!(f, "{} has {n} errors", self.file),
        }
    }
}

impl std::error::Error for Rejected {}

impl Diagnostic for Rejected {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// What a parser that goes on after an error says about `source`: of each line the first thing, and
/// nothing behind a list or table without end, since it would be about how that one is misread.
pub(super) fn syntax(source: &Source, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut places: Vec<_> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    places.sort_by_key(|(place, _)| place.start);
    places.dedup_by_key(|(place, _)| line_and_column(source.inner(), place.start).0);
    let endless = |why: &str| why.starts_with("missing comma") || why.starts_with("unclosed");
    let shown = places.iter().position(|(_, why)| endless(why)).map_or(places.len(), |index| index + 1);
    let problem = |(at, why)| Problem::error(source, "this is not TOML").at(at, why);
    places.into_iter().take(shown).map(problem).collect()
}

/// Line and column, from 1, of the byte at `offset`.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

//! The configuration: from a TOML file to a checked [`Config`], or to everything that is wrong with it.
//!
//! | file | job |
//! |---|---|
//! | `model` | what the rest of the proxy sees |
//! | `sections` | every key with its kind, bounds and default |
//! | `kind`, `values` | what a value may be, and reading it |
//! | `reader` | tables of the file; unknown keys, wrong types, places |
//! | `check`, `network`, `services`, `names` | what holds between sections |
//! | `certificate` | chains and keys |
//! | `memory` | pool sizes |
//! | `surroundings` | the machine it is checked against |
//! | `report` | problems as people see them |
//! | `examine` | for tests and fuzzing: what must hold of any text |
//!
//! Every key is documented in `etc/levee.toml`; the tests hold both sides together.

mod certificate;
mod check;
#[cfg(any(test, feature = "simulation"))]
mod examine;
mod kind;
mod memory;
mod model;
mod names;
mod network;
mod reader;
mod report;
mod sections;
mod services;
mod surroundings;
mod values;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use miette::NamedSource;
use toml::de::DeTable;

#[cfg(any(test, feature = "simulation"))]
pub use examine::examine;
pub use levee_tls::{Suite, Version};
pub use model::{
    AeadChoice, Backend, Balance, Cache, Certificate, Config, Device, Diagnostics, Eal, EalLogLevel,
    EngineChoice, Host, Hugepages, Limits, Listener, Log, LogFormat, LogLevel, Offloads, OnPanic, Port,
    Process, Route, Server, Service, Status, Timeouts, Tls, User, Workers,
};
pub use report::{Problem, Rejected};

use reader::{Findings, Key, Table};
use surroundings::Surroundings;

/// Reads and checks the configuration in the file at `path`, with the certificates and keys it names.
/// Changes nothing and starts nothing.
///
/// # Errors
/// [`Rejected`], with everything that is wrong, when there is an error.
pub fn load(path: &Path) -> miette::Result<(Config, Vec<Problem>)> {
    let text = fs::read_to_string(path)
        .map_err(|error| miette::miette!("cannot read the configuration {}: {error}", path.display()))?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let (outcome, _) = read(&path.display().to_string(), &text, directory, &Surroundings::of_this_process());
    Ok(outcome?)
}

/// What comes of a configuration: it and its warnings, or why there is none.
type Outcome = Result<(Config, Vec<Problem>), Rejected>;

/// Reads and checks `text`, of the file `name`; also gives the keys that were looked for in it.
fn read(name: &str, text: &str, directory: &Path, surroundings: &Surroundings) -> (Outcome, Vec<Key>) {
    let source = Arc::new(NamedSource::new(name, text.to_owned()));
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (Err(Rejected::new(name, report::syntax(&source, &errors))), Vec::new());
    }
    let findings = Findings::new(Arc::clone(&source));
    let document = sections::Document::read(&Table::root(&findings, table.get_ref()), directory, &findings);
    let config = check::check(document, surroundings, &findings);
    let (problems, keys) = findings.finish();
    let (warnings, errors): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_warning);
    // Beside an error, warnings may be mere consequences of it.
    let outcome = if errors.is_empty() { Ok((config, warnings)) } else { Err(Rejected::new(name, errors)) };
    (outcome, keys)
}

#[cfg(test)]
mod tests;

//! Files of a run: whole, or as they were before.

use std::fs;
use std::path::Path;

use miette::{IntoDiagnostic, WrapErr};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes `value` to `path` as indented JSON; see [`write_file`].
///
/// # Errors
/// The file cannot be written; the message names it.
pub fn write_json(path: &Path, value: &impl Serialize) -> miette::Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .into_diagnostic()
        .wrap_err_with(|| format!("what was to be in {} is not JSON", path.display()))?;
    text.push('\n');
    write_file(path, &text)
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// The file cannot be read or is something else; the message names it.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> miette::Result<T> {
    let name = path.display();
    let text = fs::read(path).into_diagnostic().wrap_err_with(|| format!("cannot read {name}"))?;
    serde_json::from_slice(&text).into_diagnostic().wrap_err_with(|| format!("{name} is not of this kind"))
}

/// Writes `text` to a file beside `path` and renames it, so that nobody reads half of it and what was
/// there stays if writing fails. A pipe or device such as `/dev/stdout` is written to instead.
///
/// # Errors
/// The file cannot be written; the message names it.
pub fn write_file(path: &Path, text: &str) -> miette::Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let written = if is_special { fs::write(path, text) } else { replace(path, text) };
    written.into_diagnostic().wrap_err_with(|| format!("cannot write {}", path.display()))
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let replaced = fs::write(temporary, text).and_then(|()| fs::rename(temporary, path));
    if replaced.is_err() {
        // The error that matters is the one before; there may be no file to remove.
        let _ = fs::remove_file(temporary);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::super::{Summary, tests::summary};
    use super::*;

    #[test]
    fn a_summary_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "what was here before").unwrap();
        write_json(&path, &summary()).unwrap();
        let back: Summary = read_json(&path).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", summary()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(fs::read_to_string(&path).unwrap().ends_with("}\n"));
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/run.json");
        assert_eq!(
            write_json(&path, &1).unwrap_err().to_string(),
            format!("cannot write {}", path.display())
        );
        let error = read_json::<u64>(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
        write_file(&directory.path().join("text"), "no JSON").unwrap();
        assert!(read_json::<u64>(&directory.path().join("text")).unwrap_err().to_string().contains("text"));
    }

    #[test]
    fn devices_are_not_replaced() {
        write_json(Path::new("/dev/null"), &1).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let directory = tempfile::tempdir().unwrap();
        assert!(write_json(directory.path(), &1).is_err());
    }
}

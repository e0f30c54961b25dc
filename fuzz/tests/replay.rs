//! Every input that was worth keeping, again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use levee_fuzz::TARGETS;

/// Bytes of a target's corpus that a checkout should carry, at most.
const CORPUS: u64 = 256 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    entries.filter_map(|entry| stem(entry.expect("an entry").path())).collect()
}

#[test]
fn each_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("the manifest can be read");
    for target in targets {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
            "{target} has no program"
        );
    }
}

#[test]
fn corpora_hold() {
    for (name, run) in TARGETS {
        let mut inputs: Vec<PathBuf> = fs::read_dir(folder("corpus").join(name))
            .expect("the corpus is there")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has a corpus");
        let mut size = 0;
        for path in inputs {
            let input = fs::read(&path).expect("the input can be read");
            size += input.len() as u64;
            if std::panic::catch_unwind(|| run(&input)).is_err() {
                panic!("{} breaks {name}", path.display());
            }
        }
        assert!(size <= CORPUS, "the corpus of {name} has {size} bytes: minimise it");
    }
}

//! Levee as a process, and the account it gives when it ends.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::network::{Place, repository};
use crate::process::Process;

/// `levee run`.
pub struct Levee {
    process: Process,
}

/// The last line that `levee run` writes: what is left, and what it counted.
#[derive(Clone, Debug)]
pub struct Final(Value);

/// How long Levee may take to start.
const START: Duration = Duration::from_secs(20);

/// A binary of this workspace, in `LEVEE_BIN_DIR` or where cargo puts release builds.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let directory = env::var_os("LEVEE_BIN_DIR").map_or_else(
        || {
            env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| repository().join("target"), PathBuf::from)
                .join("release")
        },
        PathBuf::from,
    );
    let path = directory.join(name);
    assert!(path.exists(), "{} is not there: `make build` makes it", path.display());
    path
}

impl Levee {
    /// Starts `levee run` with its files in `directory`.
    #[must_use]
    pub fn start(place: &Place, config: &Config, name: &str, directory: &Path) -> Self {
        Self::start_by(place.command(binary("levee")), config, name, directory)
    }

    /// The same by a command of one's own, which is given its arguments.
    pub(crate) fn start_by(mut command: Command, config: &Config, name: &str, directory: &Path) -> Self {
        command.arg("run").arg("-c").arg(write(config, name, directory)).current_dir(directory);
        Self { process: Process::start(name, command, directory) }
    }

    /// Runs `levee check` to its end.
    #[must_use]
    pub fn check(config: &str, directory: &Path) -> crate::Ended {
        let path = directory.join("check.toml");
        fs::write(&path, config).expect("the configuration can be written");
        let mut command = Command::new(binary("levee"));
        command.arg("check").arg("-c").arg(path);
        crate::run(command, b"", Duration::from_secs(10))
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub fn wait_until_ready(&mut self) {
        self.process.wait_for_output("levee is ready", START);
    }

    /// The process, to wait for its output or to send it a signal.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it by SIGTERM.
    ///
    /// # Panics
    /// When it does not end in time and with exit code 0, or says nothing of what is left.
    pub fn stop(mut self) -> Final {
        let status = self.process.stop();
        let output = self.process.output();
        assert!(status.success(), "levee ended with {status}");
        assert!(!output.contains("panicked at"), "a thread of levee panicked");
        let line = output.lines().rev().find(|line| line.starts_with('{') && line.contains("\"leaks\""));
        let line = line.expect("levee gives an account when it ends");
        Final(serde_json::from_str(line).expect("the account is JSON"))
    }
}

impl Final {
    /// Sees to it that nothing is left and no payload byte was copied.
    ///
    /// # Panics
    /// When there is.
    pub fn expect_clean(&self) {
        self.expect_nothing_left();
        assert_eq!(self.counter("payload_copies"), 0, "{}", self.0);
    }

    /// Sees to it that nothing is left.
    ///
    /// # Panics
    /// When there is.
    pub fn expect_nothing_left(&self) {
        for (pool, left) in self.0["leaks"].as_object().expect("the account has leaks") {
            assert_eq!(left.as_u64(), Some(0), "{pool} are left: {}", self.0);
        }
        for (table, left) in self.0["held"].as_object().expect("the account says what is held") {
            assert_eq!(left.as_u64(), Some(0), "{table} are left: {}", self.0);
        }
        assert_eq!(self.0["connections"].as_u64(), Some(0), "connections are left: {}", self.0);
    }

    /// A counter of all workers together.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.0["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {}", self.0))
    }
}

fn write(config: &Config, name: &str, directory: &Path) -> PathBuf {
    let path = directory.join(format!("{name}.toml"));
    fs::write(&path, config.to_string()).expect("the configuration can be written");
    path
}

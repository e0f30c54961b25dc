//! Processes that end when their guard goes, and whose output a failing test shows.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait_for;

/// A process that runs beside the test.
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// How long a process may take to end after it was asked to.
const STOP: Duration = Duration::from_secs(20);

/// How much of its output a failing test shows, in lines.
const SHOWN: usize = 60;

impl Process {
    /// Starts `command`, with its output in `directory`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command, directory: &Path) -> Self {
        let output = directory.join(format!("{name}.log"));
        let log = File::create(&output).expect("the log can be made");
        let both = log.try_clone().expect("a descriptor is free");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(both).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, output }
    }

    /// What it has written.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits until it has written `text`.
    ///
    /// # Panics
    /// After `patience`, or when it ends before.
    pub fn wait_for_output(&mut self, text: &str, patience: Duration) {
        let name = self.name.clone();
        wait_for(&format!("{name} to say {text:?}"), patience, || {
            let said = self.output().contains(text);
            assert!(said || self.is_running(), "{name} ended and did not say {text:?}");
            said.then_some(())
        });
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // A process that has ended already needs none.
        let _ = kill(self.id(), signal);
    }

    /// Asks it to end by SIGTERM, and waits.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let name = self.name.clone();
        wait_for(&format!("{name} to end"), STOP, || self.child.try_wait().expect("it is our child"))
    }

    /// Its number.
    ///
    /// # Panics
    /// Never: the kernel's numbers are positive.
    #[must_use]
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            eprintln!("--- the end of what {} wrote:", self.name);
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                eprintln!("{line}");
            }
            eprintln!("---");
        }
    }
}

/// Runs `command` to its end with `input`; its standard input stays open behind that.
///
/// # Panics
/// When it cannot be started, or does not end in time.
#[must_use]
pub fn run(mut command: Command, input: &[u8], patience: Duration) -> Ended {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
    let id = Pid::from_raw(child.id().cast_signed());
    let mut stdin = child.stdin.take().expect("it was asked for");
    let input = input.to_owned();
    // Writes that fail are the other side's way to say that it has heard enough.
    let writer = thread::spawn(move || stdin.write_all(&input).map(|()| stdin).ok());
    let (ended, end) = std::sync::mpsc::channel();
    let waiter = thread::spawn(move || {
        let output = child.wait_with_output().expect("its output can be read");
        let _ = ended.send(());
        output
    });
    let late = end.recv_timeout(patience).is_err();
    if late {
        let _ = kill(id, Signal::SIGKILL);
    }
    let output = waiter.join().expect("the waiting thread ends well");
    let _ = writer.join();
    assert!(!late, "{what} did not end within {patience:?}\n{}", String::from_utf8_lossy(&output.stderr));
    Ended { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

impl Ended {
    /// Both outputs as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }

    /// Whether it exited with this code, and not by a signal.
    #[must_use]
    pub fn exited(&self, code: i32) -> bool {
        self.status.signal().is_none() && self.status.code() == Some(code)
    }
}

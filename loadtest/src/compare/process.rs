//! Processes of a comparison: each is the head of a group of its own, and the group is ended by its id, whether
//! all went well, something failed or somebody pressed Ctrl-C.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use miette::{Context, IntoDiagnostic, miette};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};

/// How often something that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How long a process may take to end after it was asked to.
const STOP: Duration = Duration::from_secs(30);

/// Lines of a process's output that an error shows.
const SHOWN: usize = 15;

/// Whether somebody asked the comparison to end.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes SIGINT and SIGTERM from now on.
    pub(super) fn new() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once somebody asked.
    pub(super) fn check(&self) -> miette::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(miette!("interrupted")),
            false => Ok(()),
        }
    }

    /// Looks until there is something, or `patience` has passed: then `None`.
    pub(super) fn wait<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> miette::Result<Option<T>>,
    ) -> miette::Result<Option<T>> {
        let end = Instant::now() + patience;
        loop {
            self.check()?;
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
    }

    /// Lets time pass.
    pub(super) fn sleep(&self, time: Duration) -> miette::Result<()> {
        self.wait(time, || Ok(None::<()>)).map(drop)
    }
}

/// A process and those it started; all of them end with the value.
pub(super) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `command`, which writes all it says to the file `output`.
    pub(super) fn start(name: &str, mut command: Command, output: PathBuf) -> miette::Result<Self> {
        let log = File::create(&output).into_diagnostic()?;
        let both = log.try_clone().into_diagnostic()?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(both).process_group(0).spawn();
        let child = child.into_diagnostic().wrap_err_with(|| format!("cannot start {name}"))?;
        Ok(Self { child, output })
    }

    /// Its id, which is that of its group too.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub(super) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// The end of what it has written, for an error.
    pub(super) fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> miette::Result<Option<ExitStatus>> {
        self.child.try_wait().into_diagnostic()
    }

    /// Waits for its end; `None` when it takes longer than `patience`.
    pub(super) fn wait(
        &mut self,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> miette::Result<Option<ExitStatus>> {
        interrupt.wait(patience, || self.ended())
    }

    /// Asks it to end, and waits; `None` when it does not. No interrupt shortens that: what a server says when it
    /// ends is worth more.
    pub(super) fn stop(&mut self) -> miette::Result<Option<ExitStatus>> {
        self.signal(Signal::SIGTERM);
        let end = Instant::now() + STOP;
        while Instant::now() < end {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            thread::sleep(GLANCE);
        }
        Ok(None)
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The head of a group may have ended, and others of it not.
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Runs a short command to its end, and returns what it printed.
pub(super) fn run(words: &[&str]) -> miette::Result<String> {
    let [program, arguments @ ..] = words else { return Err(miette!("no command")) };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.into_diagnostic().wrap_err_with(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(miette!("`{}` failed: {}", words.join(" "), said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::start("sh", command, directory.path().join("log")).unwrap();
        (directory, process)
    }

    #[test]
    fn a_process_is_waited_for_and_its_words_are_kept() {
        let interrupt = Interrupt::new().unwrap();
        let (_directory, mut process) = shell("for i in $(seq 20); do echo line $i; done; exit 3");
        let status = process.wait(Duration::from_secs(10), &interrupt).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(3));
        assert!(process.output().starts_with("line 1\n"));
        assert!(process.last_words().starts_with("line 6\n"), "{}", process.last_words());
    }

    #[test]
    fn a_process_ends_with_all_it_started() {
        for script in ["sleep 60 & echo $!; wait", "sleep 60 & echo $!"] {
            let (_directory, process) = shell(script);
            let interrupt = Interrupt::new().unwrap();
            let look = || Ok(process.output().trim().parse::<u32>().ok());
            let inner = interrupt.wait(Duration::from_secs(10), look).unwrap().expect("an id");
            let runs = || {
                // What nobody has waited for yet is in the table as a zombie.
                let stat = fs::read_to_string(format!("/proc/{inner}/stat"));
                stat.is_ok_and(|stat| !stat.contains(") Z "))
            };
            assert!(runs());
            drop(process);
            let gone = || Ok((!runs()).then_some(()));
            assert!(interrupt.wait(Duration::from_secs(5), gone).unwrap().is_some(), "{script}");
        }
    }

    #[test]
    fn a_command_that_fails_says_why() {
        assert_eq!(run(&["echo", "a"]).unwrap(), "a\n");
        let error = run(&["sh", "-c", "echo reason >&2; exit 1"]).unwrap_err();
        assert!(error.to_string().ends_with("failed: reason"), "{error}");
        assert!(run(&["levee-no-such-program"]).is_err());
    }
}

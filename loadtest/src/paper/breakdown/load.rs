//! Load on the server that is profiled, and how the command line names a server.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use miette::{Context, IntoDiagnostic, miette};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::target::Target;

/// A server that runs: `NAME=PID`, or `NAME=PID@ADDRESS:PORT` for load to be sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in the table.
    pub name: String,
    /// Its process, whose children count too.
    pub pid: u32,
    /// Where it listens.
    pub address: Option<Target>,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not NAME=PID or NAME=PID@ADDRESS:PORT");
        let (name, rest) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let (pid, address) = match rest.split_once('@') {
            Some((pid, address)) => (pid, Some(address.parse::<Target>().map_err(|why| why.to_string())?)),
            None => (rest, None),
        };
        Ok(Self { name: name.to_owned(), pid: pid.parse().map_err(|_| wrong())?, address })
    }
}

/// A command that sends load, until this is dropped.
pub struct Load(Child);

/// After this the load has got going.
const START: Duration = Duration::from_millis(500);

impl Load {
    /// Runs `command` by the shell, in a process group that is ended as one.
    ///
    /// # Errors
    /// It cannot be run, or ended at once.
    pub fn start(command: &str) -> miette::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let child = shell.spawn().into_diagnostic().wrap_err("cannot run the load")?;
        let mut load = Self(child);
        thread::sleep(START);
        match load.0.try_wait().into_diagnostic()? {
            None => Ok(load),
            Some(status) => Err(miette!("the load `{command}` ended at once: {status}")),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        if let Ok(group) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// A command that makes full handshakes with `target`, one after the other, for `seconds`.
#[must_use]
pub fn full_handshakes(target: SocketAddr, seconds: u32) -> String {
    format!("openssl s_time -new -connect {target} -time {seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_the_command_line() {
        let server: Server = "nginx=17@10.9.1.1:443".parse().unwrap();
        assert_eq!((server.name.as_str(), server.pid), ("nginx", 17));
        assert_eq!(server.address.unwrap().socket(), "10.9.1.1:443".parse().unwrap());
        assert_eq!("levee=9".parse::<Server>().unwrap().address, None);
        for wrong in ["nginx", "=1", "a=b", "a=1@8.8.8.8:443", "a=1@10.0.0.1", "a=-1"] {
            wrong.parse::<Server>().unwrap_err();
        }
    }

    #[test]
    fn a_load_ends_with_all_its_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        let load = Load::start(&format!("sleep 60 & echo $! >{}; wait", path.display())).unwrap();
        let child: u32 = std::fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(state().contains("(sleep) S"), "{}", state());
        drop(load);
        // Whoever adopted it may not have waited for it yet.
        for _ in 0..100 {
            if state().is_empty() || state().contains("(sleep) Z") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it goes on: {}", state());
    }

    #[test]
    fn a_load_that_ends_at_once_is_an_error() {
        Load::start("false").err().expect("`false` is no load");
    }
}

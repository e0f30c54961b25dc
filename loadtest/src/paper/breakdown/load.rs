//! Load on the server that is profiled, and how the command line names a server.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use miette::{Context, IntoDiagnostic, miette};

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
    /// Runs `command` by the shell; the shell must become the command, for it to be ended with it.
    ///
    /// # Errors
    /// It cannot be run, or ended at once.
    pub fn start(command: &str) -> miette::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::null()).stdout(Stdio::null());
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
        let _ = self.0.kill();
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
    fn a_load_that_ends_at_once_is_an_error() {
        Load::start("false").err().expect("`false` is no load");
        drop(Load::start("sleep 60").unwrap());
    }
}

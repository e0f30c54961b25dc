//! A shim between BoringSSL's test runner (BoGo) and the TLS server: the runner starts it once a test, with flags that
//! say what to offer and what to expect, and plays a client that breaks rules on a loopback port.
//!
//! It ends with 0 when all connections went as they should, with 1 and the [name](levee_tls::Error::name) of the
//! error on stderr when one did not, and with 89 when a flag asks for something that there is not. `config.json`
//! beside it maps the errors that the runner expects to those names, and lists the tests that do not apply.
#![forbid(unsafe_code)]

mod exchange;
mod hello;
mod settings;
mod worker;

use std::process::ExitCode;

use settings::{Refused, Settings};
use worker::Worker;

/// What the runner takes for "not implemented": neither passed nor failed.
const UNIMPLEMENTED: u8 = 89;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|flag| flag == "-is-handshaker-supported") {
        println!("No");
        return ExitCode::SUCCESS;
    }
    let connections = match prepare(&arguments) {
        Ok(connections) => connections,
        Err(Refused(what)) => {
            eprintln!("unimplemented: {what}");
            return ExitCode::from(UNIMPLEMENTED);
        }
    };
    for (settings, mut worker) in connections {
        if let Err(failure) = exchange::run(&settings, &mut worker) {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// All that the connections need, before the first is made.
fn prepare(arguments: &[String]) -> Result<Vec<(Settings, Worker)>, Refused> {
    let all = Settings::parse(arguments)?.into_iter();
    all.map(|settings| Worker::new(&settings).map(|worker| (settings, worker))).collect()
}

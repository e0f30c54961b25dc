//! `levee`: arguments, configuration, launch, wait.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use levee_proxy::config::{self, Config};
use levee_proxy::launch;

/// An HTTPS front proxy over DPDK, for operators under TLS-handshake floods.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a configuration and the certificates and keys it names; starts nothing.
    Check {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Serves until SIGINT or SIGTERM.
    Run {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Of a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (path, run) = match &arguments.command {
        Command::Check { config } => (config, false),
        Command::Run { config } => (config, true),
    };
    let Some(config) = load(path) else { return ExitCode::from(BAD_CONFIGURATION) };
    if !run {
        println!("{}: good", path.display());
        return ExitCode::SUCCESS;
    }
    match launch::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration in the file at `path`; its problems go to standard error.
fn load(path: &Path) -> Option<Config> {
    match config::load(path) {
        Ok((config, warnings)) => {
            for warning in warnings {
                eprintln!("{:?}", miette::Report::new(warning));
            }
            Some(config)
        }
        Err(report) => {
            eprintln!("{report:?}");
            None
        }
    }
}

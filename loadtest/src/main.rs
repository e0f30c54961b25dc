//! `levee-load`: the peers that Levee is shown and measured with.
#![forbid(unsafe_code)]

use std::convert::Infallible;

use clap::{Parser, Subcommand};
use levee_loadtest::{compare, origin};
use miette::{Context, IntoDiagnostic};

/// Peers to show and measure Levee with.
#[derive(Parser)]
#[command(name = "levee-load", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve deterministic bodies over plain HTTP/1.1, as a backend to put Levee in front of.
    Origin(origin::Options),
    /// Measure Levee, nginx and HAProxy in turn, side by side.
    Compare(compare::Options),
}

fn main() -> miette::Result<()> {
    match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Origin(options) => serve(options).map(|never| match never {}),
    }
}

fn serve(options: origin::Options) -> miette::Result<Infallible> {
    let listen = options.listen;
    let origin = origin::Origin::bind(options)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot listen on {listen}"))?;
    println!("levee-load: origin listens on {}", origin.address());
    origin.serve().into_diagnostic().wrap_err("the listener failed")
}

//! `levee-load`: load, attacks, and the peers that Levee is shown and measured with.
#![forbid(unsafe_code)]

use std::convert::Infallible;

use clap::{Parser, Subcommand};
use levee_loadtest::{compare, engine, handshake, http, nic, origin, paper, wire};
use miette::{Context, IntoDiagnostic};

/// Load and attacks for one's own laboratory, and peers to measure with.
#[derive(Parser)]
#[command(name = "levee-load", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Options),
    Engine(engine::Options),
    Handshake(Box<handshake::command::Options>),
    Http(Box<http::command::Options>),
    Nic(nic::Options),
    /// Serve deterministic bodies over plain HTTP/1.1, as a backend to put Levee in front of.
    Origin(origin::Options),
    /// Make two papers' tables again: encrypted transfer (a), copying (b), the cost of handshakes (c).
    Paper(paper::Options),
    /// Join two links, and lose, delay, reorder and damage what passes.
    Wire(wire::Options),
}

fn main() -> miette::Result<()> {
    match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Engine(options) => engine::command(&options),
        Command::Handshake(options) => handshake::command::command(&options),
        Command::Http(options) => http::command::command(&options),
        Command::Nic(options) => nic::command(&options),
        Command::Origin(options) => serve(options).map(|never| match never {}),
        Command::Paper(options) => paper::run(&options).map(drop),
        Command::Wire(options) => wire::run(&options),
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

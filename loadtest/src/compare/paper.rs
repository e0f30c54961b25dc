//! `compare --paper`: the papers' own tables, with the profile of each server under full handshakes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use miette::{IntoDiagnostic, miette};
use serde_json::{Value, json};

use super::Options;
use super::lab::{Lab, Link};
use super::load::{Amount, Load};
use super::measure::{Failure, start};
use super::rows::SCENARIOS;
use crate::paper::breakdown::breakdown;
use crate::paper::{Profile, print_c};
use crate::report::{read_json, write_json};

/// The handshakes of the paper's profile: ECDHE on P-256 with an ECDSA certificate.
const SCENARIO: &str = "full-tls12-ecdsa";

/// Before and behind a profile the load goes on for so long.
const AROUND: Duration = Duration::from_secs(1);

/// Makes tables a and b in a process of their own, which DPDK needs for itself, and table c here.
///
/// # Errors
/// What could not be measured, and why.
pub(super) fn run(options: &Options) -> miette::Result<()> {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == SCENARIO);
    let scenario = scenario.ok_or_else(|| miette!("there is no row {SCENARIO}"))?;
    let lab = Lab::new(options, Link::Veth, &[scenario])?;
    let mut tables = transfer_and_memory(&lab.program, &lab.file("paper.json"), options.rounds)?;
    let mut profiles = Vec::new();
    for &peer in &options.peers {
        let server = start(&lab, peer, scenario, scenario.server, None).map_err(report)?;
        let time = Duration::from_secs(options.seconds.into()) + 2 * AROUND;
        let load = Load::start(&lab, peer, scenario, Amount { time, rate: None })?;
        lab.interrupt.sleep(AROUND)?;
        let shares = breakdown(server.id(), options.seconds)?;
        load.finish(&lab).map_err(report)?;
        server.stop().map_err(report)?;
        profiles.push(Profile { server: peer.name().to_owned(), shares });
    }
    print_c(&profiles);
    tables["handshake"] = json!(profiles);
    options.json.as_ref().map_or(Ok(()), |path| write_json(path, &tables))
}

fn transfer_and_memory(program: &Path, results: &Path, rounds: u32) -> miette::Result<Value> {
    let mut command = Command::new(program);
    command.args(["paper", "a", "b", "--rounds", &rounds.to_string(), "--json"]).arg(results);
    match command.status().into_diagnostic()? {
        status if status.success() => read_json(results),
        status => Err(miette!("tables a and b were not made: {status}")),
    }
}

fn report(failure: Failure) -> miette::Report {
    match failure {
        Failure::Fatal(report) => report,
        failure => miette!("{}", failure.reason()),
    }
}

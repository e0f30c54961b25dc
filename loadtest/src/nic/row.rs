//! The rows with a client: what the load does, and what the worker's cycles come to.

use clap::{Args, FromArgMatches};
use levee_dpdk::cable;
use levee_proxy::CycleSums;
use miette::{IntoDiagnostic, miette};

use super::server::{self, CLIENT_SIDE, ORIGIN, SOURCE};
use super::{Measured, Options};
use crate::device;
use crate::report::{Part, Summary};
use crate::{handshake, http, run};

/// A row: its name and the load that makes it.
pub(super) struct Row {
    pub(super) name: &'static str,
    load: Load,
}

enum Load {
    /// Arguments of `handshake` behind the target.
    Handshake(&'static str),
    /// The path, and arguments of `http` behind the URL.
    Http(&'static str, &'static str),
}

/// All of them.
pub(super) const ROWS: [Row; 13] = [
    handshakes("handshake 1.3 ecdsa", "--version 1.3 --certificate ecdsa --connections 256"),
    handshakes("handshake 1.3 rsa-2048", "--version 1.3 --certificate rsa --connections 256"),
    handshakes(
        "handshake 1.3 mlkem",
        "--version 1.3 --certificate ecdsa --group x25519mlkem768 --connections 256",
    ),
    handshakes("handshake 1.2 ecdsa", "--version 1.2 --certificate ecdsa --connections 256"),
    handshakes("handshake 1.2 rsa-2048", "--version 1.2 --certificate rsa --connections 256"),
    handshakes("abandoned handshake", "--mode abandon --connections 256"),
    requests("request 1 KiB cached", "/cached/1024", "--connections 256"),
    requests("request 1 KiB cached, pipelined", "/cached/1024", "--connections 64 --pipeline 16"),
    requests("request 16 KiB cached", "/cached/16384", "--connections 64"),
    requests("request 1 KiB proxied", "/bytes/1024", "--connections 256"),
    requests("request 1 MiB cached", "/cached/1048576", "--connections 16"),
    requests("request 1 MiB proxied", "/bytes/1048576", "--connections 16"),
    requests("request and connection, 1 KiB cached", "/cached/1024", "--connections 256 --per-request"),
];

const fn handshakes(name: &'static str, arguments: &'static str) -> Row {
    Row { name, load: Load::Handshake(arguments) }
}

const fn requests(name: &'static str, path: &'static str, arguments: &'static str) -> Row {
    Row { name, load: Load::Http(path, arguments) }
}

/// Frames that fit into a cable.
pub(super) const CABLE: u32 = 4095;

/// Measures one row in this process.
///
/// # Errors
/// Anything that could not be started, or was not served.
pub(super) fn measure(row: &Row, options: &Options) -> miette::Result<Measured> {
    let half = options.memory / 2;
    let eal = device::start(&options.memory(), &[], options.cpu)?;
    let [client, levee_client] = cable(&eal, "client", CABLE).into_diagnostic()?;
    let [origin, levee_origin] = cable(&eal, "origin", CABLE).into_diagnostic()?;
    let server = server::start(&eal, &[&levee_client, &levee_origin], options.server_cpu, half)?;
    let place = format!(
        "--device {client} --address {SOURCE} --sources 16 --origin {origin}@{ORIGIN}/24:8080 --cpu {} \
         --memory {} --quiet --duration {}",
        options.cpu, half, options.seconds
    );
    let summary = match row.load {
        Load::Handshake(arguments) => {
            let options: handshake::command::Options =
                parse(&format!("{CLIENT_SIDE}:443 {place} {arguments}"))?;
            run::run_on(&eal, "handshake", &options.place, &handshake::command::cast(&options))?
        }
        Load::Http(path, arguments) => {
            let options: http::command::Options =
                parse(&format!("https://{CLIENT_SIDE}{path} {place} {arguments}"))?;
            run::run_on(&eal, "http", &options.place, &http::command::cast(&options)?)?
        }
    };
    let outcome = server.stop()?;
    handshake::command::verdict(&summary.load, CLIENT_SIDE)?;
    let cycles = outcome.report.cycles.ok_or_else(|| miette!("the worker counted no cycles"))?;
    let sum = |name: &str| outcome.report.counters.get(name).copied().unwrap_or_default() as f64;
    let frames = sum("frames_received") + sum("frames_sent");
    let bytes = sum("bytes_received") + sum("bytes_sent");
    Ok(measured(row.name, summary, &cycles, frames, bytes))
}

fn measured(name: &str, summary: Summary, cycles: &CycleSums, frames: f64, bytes: f64) -> Measured {
    let Summary { load, generator, machine, .. } = summary;
    // The load counts from when all connections are open, the worker from its start: what is busy before
    // and after is little, but would be attributed to nothing.
    let busy = cycles.busy as f64;
    let seconds = cycles.total as f64 / cycles.hz as f64;
    let server_busy = (busy / cycles.hz as f64 / load.seconds.min(seconds)).min(1.0);
    let units = units(&load);
    Measured {
        row: name.to_owned(),
        unit: load.unit.clone(),
        per_second: load.per_second,
        cycles_per_unit: busy / units.max(1.0),
        cycles_per_frame: busy / frames.max(1.0),
        cycles_per_byte: busy / bytes.max(1.0),
        generator_cycles_per_unit: generator.busy * load.seconds * cycles.hz as f64
            / load.completed.max(1) as f64,
        stages: stages(cycles),
        server_busy,
        generator_busy: generator.busy,
        limited_by: Measured::limit(server_busy, generator.busy),
        hz: cycles.hz,
        machine,
    }
}

/// Units that the worker had to do with.
fn units(load: &Part) -> f64 {
    load.started as f64
}

/// Shares of the busy cycles, in the order of the loop.
pub(super) fn stages(cycles: &CycleSums) -> Vec<(String, f64)> {
    let share = |&stage: &&str| {
        let cycles_of = cycles.stages.get(stage).copied().unwrap_or_default();
        (stage.to_owned(), cycles_of as f64 / cycles.busy.max(1) as f64)
    };
    CycleSums::ORDER.iter().map(share).collect()
}

/// Options as if from the command line.
pub(super) fn parse<T: Args + FromArgMatches>(arguments: &str) -> miette::Result<T> {
    let command = T::augment_args(clap::Command::new("nic").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments.split_whitespace()).into_diagnostic()?;
    T::from_arg_matches(&matches).into_diagnostic()
}

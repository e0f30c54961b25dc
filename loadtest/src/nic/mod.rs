//! The proxy's packet path alone: a worker of Levee and the load on two CPUs of one process, joined by
//! rings instead of a network, so that no kernel is in the way.
//!
//! Each row is a process of its own, since packet memory lives as long as the process.

mod canned;
mod null;
mod peer;
mod row;
mod rustls;
mod server;

use std::path::PathBuf;
use std::process::Command;

use miette::{Context, IntoDiagnostic, miette};
use serde::{Deserialize, Serialize};

use crate::device::{Hugepages, Memory};
use crate::handshake::command::seconds;
use crate::report::{self, Machine, Table, number};

/// Measures Levee's packet path without a kernel: cycles a packet, request, handshake and byte, by stage.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Rows whose name contains one of these; all of them without any.
    pub rows: Vec<String>,
    /// Seconds a row.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// The CPU of the load.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cpu: usize,
    /// The CPU of the worker.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub server_cpu: usize,
    /// MiB of packet memory, for both sides.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub memory: u32,
    /// Where packet memory comes from: hugepages if enough are free, or ordinary pages.
    #[arg(long, value_enum, default_value_t = Hugepages::Auto)]
    pub hugepages: Hugepages,
    /// Write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    pub quiet: bool,
    /// Lists the rows and does nothing.
    #[arg(long)]
    pub list: bool,
    /// Measures one row in this process and writes it to standard output.
    #[arg(long, hide = true, value_name = "ROW")]
    pub only: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  levee-load nic
      all rows
  levee-load nic handshake cached --seconds 5 --json nic.json
      rows whose name has one of these in it";

impl Options {
    /// The memory of the process.
    const fn memory(&self) -> Memory {
        Memory { memory: self.memory, hugepages: self.hugepages }
    }
}

/// One row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub row: String,
    /// What a unit is.
    pub unit: String,
    /// Units a second.
    pub per_second: f64,
    /// Cycles of the worker's busy turns, each divided by units, frames both ways and bytes both ways.
    pub cycles_per_unit: f64,
    /// Cycles a frame.
    pub cycles_per_frame: f64,
    /// Cycles a byte of frames.
    pub cycles_per_byte: f64,
    /// Cycles of the load's busy turns for each unit.
    pub generator_cycles_per_unit: f64,
    /// Share of the busy cycles by stage of the worker's loop, in its order.
    pub stages: Vec<(String, f64)>,
    /// Share of its time in which the worker had something to do.
    pub server_busy: f64,
    /// The same of the load.
    pub generator_busy: f64,
    /// Who had no time left: `server`, `load` or `neither`.
    pub limited_by: String,
    /// Cycles a second.
    pub hz: u64,
    /// Where it was measured.
    pub machine: Machine,
}

/// Who is busy for this share of the time has none left.
const BUSY: f64 = 0.9;

impl Measured {
    /// Says who was the limit.
    fn limit(server_busy: f64, generator_busy: f64) -> String {
        let limit = match (server_busy >= BUSY, generator_busy >= BUSY) {
            (true, _) => "server",
            (false, true) => "load",
            (false, false) => "neither",
        };
        limit.to_owned()
    }
}

/// Measures the rows that `options` ask for and shows them.
///
/// # Errors
/// No such row; a row that could not be measured.
pub fn command(options: &Options) -> miette::Result<()> {
    if let Some(only) = &options.only {
        let measured = measure(only, options)?;
        println!("{}", serde_json::to_string(&measured).into_diagnostic()?);
        return Ok(());
    }
    let levee = row::ROWS.iter().map(|row| row.name);
    let others = rustls::ROWS.iter().map(|row| row.name).chain(peer::ROWS.iter().map(|row| row.name));
    let names: Vec<&str> = levee.chain(others).chain(null::NAMES).collect();
    if options.list {
        names.iter().for_each(|name| println!("{name}"));
        return Ok(());
    }
    let is_wanted =
        |name: &&str| options.rows.is_empty() || options.rows.iter().any(|pattern| name.contains(pattern));
    let wanted: Vec<&str> = names.iter().copied().filter(is_wanted).collect();
    if wanted.is_empty() {
        return Err(miette!(
            "no row has {} in its name: they are {}",
            options.rows.join(" or "),
            names.join(", ")
        ));
    }
    let mut rows = Vec::new();
    for (number, name) in wanted.iter().enumerate() {
        if !options.quiet {
            eprintln!("{} of {}: {name}", number + 1, wanted.len());
        }
        rows.push(in_a_process(name, options)?);
    }
    print(&rows);
    options.json.as_ref().map_or(Ok(()), |path| report::write_json(path, &rows))
}

fn measure(name: &str, options: &Options) -> miette::Result<Measured> {
    if null::NAMES.contains(&name) {
        return null::measure(name, options);
    }
    if let Some(row) = rustls::ROWS.iter().find(|row| row.name == name) {
        return rustls::measure(row, options);
    }
    if let Some(row) = peer::ROWS.iter().find(|row| row.name == name) {
        return peer::measure(row, options);
    }
    let row = row::ROWS.iter().find(|row| row.name == name);
    row::measure(row.ok_or_else(|| miette!("there is no row {name}"))?, options)
}

fn in_a_process(name: &str, options: &Options) -> miette::Result<Measured> {
    let program = std::env::current_exe().into_diagnostic()?;
    let hugepages = if options.hugepages == Hugepages::Auto { "auto" } else { "off" };
    let output = Command::new(program)
        .args(["nic", "--only", name])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--cpu", &options.cpu.to_string(), "--server-cpu", &options.server_cpu.to_string()])
        .args(["--memory", &options.memory.to_string(), "--hugepages", hugepages])
        .output()
        .into_diagnostic()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().last().unwrap_or_default();
    if !output.status.success() {
        return Err(miette!("{}", String::from_utf8_lossy(&output.stderr).trim()))
            .wrap_err_with(|| format!("the row {name} could not be measured"));
    }
    serde_json::from_str(line).into_diagnostic().wrap_err_with(|| format!("the row {name} said `{line}`"))
}

fn print(rows: &[Measured]) {
    let mut table = Table::new(&[
        "row",
        "a second",
        "cycles each",
        "a frame",
        "a byte",
        "by the load",
        "worker",
        "load",
        "limit",
    ]);
    for row in rows {
        table.row([
            row.row.clone(),
            format!("{} {}", number::rate(row.per_second), row.unit),
            number::rate(row.cycles_per_unit),
            number::rate(row.cycles_per_frame),
            format!("{:.2}", row.cycles_per_byte),
            number::rate(row.generator_cycles_per_unit),
            number::percent(row.server_busy),
            number::percent(row.generator_busy),
            row.limited_by.clone(),
        ]);
    }
    println!("{table}");
    let Some(first) = rows.iter().find(|row| !row.stages.is_empty()) else { return };
    let header: Vec<&str> = std::iter::once("share by stage")
        .chain(first.stages.iter().map(|(stage, _)| stage.as_str()))
        .collect();
    let mut table = Table::new(&header);
    for row in rows.iter().filter(|row| !row.stages.is_empty()) {
        let shares = row.stages.iter().map(|&(_, share)| number::percent(share));
        table.row(std::iter::once(row.row.clone()).chain(shares));
    }
    println!("{table}");
    println!("{}; cycles of {} MHz", first.machine, number::thousands(first.hz / 1_000_000));
}

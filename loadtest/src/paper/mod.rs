//! Measurements of two papers, done again here and now: `levee-load paper`.
//!
//! One paper moved encryption into the socket layer of a kernel, the other TLS handshakes into the kernel's
//! TCP. Levee moves the kernel's part into the process instead; its tables are the papers' own.
//!
//! | table | after | file |
//! |---|---|---|
//! | a | the seconds to encrypt and transfer 100 MB by user space, `/dev/crypto` and the socket layer | `transfer` |
//! | b | the figures of `memcpy` and `memset` | `memory` |
//! | c | the profile of a server under handshakes | `breakdown` |

pub mod breakdown;
pub mod memory;
mod spread;
pub mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use miette::{Context, IntoDiagnostic, miette};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use crate::device::Memory;
use crate::report;
use breakdown::{Load, Server, Shares};
pub use spread::Spread;

/// Which tables, and how.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Tables to make; without any: a and b, and c if a server is named.
    #[arg(value_enum)]
    pub tables: Vec<Table>,
    /// Runs of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Write the tables as one JSON object, with an object for each.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The CPU that sends (a) and copies (b).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cpu: usize,
    /// Bytes of payload of each transfer (a).
    #[arg(long, value_name = "BYTES", default_value_t = 100_000_000)]
    pub bytes: usize,
    /// Packet memory (a).
    #[command(flatten)]
    pub memory: Memory,
    /// A server to profile (c), which runs; load goes to its address, or comes from elsewhere.
    #[arg(long = "server", value_name = "NAME=PID[@ADDRESS:PORT]")]
    pub servers: Vec<Server>,
    /// A command that is the load on each server (c), instead of `openssl s_time -new`.
    #[arg(long, value_name = "COMMAND")]
    pub load: Option<String>,
    /// Seconds of each profile (c).
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub duration: u32,
}

const EXAMPLES: &str = "\
Examples:
  levee-load paper a b --rounds 5 --json paper.json
      encrypted transfer and copying
  levee-load paper c --server nginx=1234@10.9.1.1:443
      where a server that runs spends its time in handshakes";

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// Encrypt and transfer.
    A,
    /// Copy, clear and seal.
    B,
    /// Where the CPU time of handshakes goes.
    C,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tables {
    /// Table a.
    pub transfer: Option<transfer::Transfer>,
    /// Table b.
    pub memory: Option<memory::Costs>,
    /// Table c, by server.
    pub handshake: Option<Vec<Profile>>,
}

/// One server of table c.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Its name.
    pub server: String,
    /// Where its time went.
    #[serde(flatten)]
    pub shares: Shares,
}

/// What a sample of table b lasts.
const SAMPLE: Duration = Duration::from_millis(2);

/// Makes the tables, prints each when it is done, and writes the JSON.
///
/// # Errors
/// What could not be measured, and why.
pub fn run(options: &Options) -> miette::Result<Tables> {
    let asked = |table| match options.tables.as_slice() {
        [] => table != Table::C || !options.servers.is_empty(),
        tables => tables.contains(&table),
    };
    let mut tables = Tables::default();
    if asked(Table::A) {
        tables.transfer = Some(table_a(options)?);
    }
    if asked(Table::B) {
        tables.memory = Some(table_b(options)?);
    }
    if asked(Table::C) {
        tables.handshake = Some(table_c(options)?);
    }
    match &options.json {
        Some(path) => report::write_json(path, &tables).map(|()| tables),
        None => Ok(tables),
    }
}

fn table_a(options: &Options) -> miette::Result<transfer::Transfer> {
    let plan = transfer::Plan {
        bytes: options.bytes,
        sizes: vec![4 << 10, 8 << 10, 16 << 10],
        rounds: usize::try_from(options.rounds).into_diagnostic()?,
        cpu: options.cpu,
        memory: options.memory.clone(),
    };
    let transfer = transfer::measure(&plan)?;
    println!("a. AES-128-GCM and TCP: {} bytes, medians of {}", plan.bytes, plan.rounds);
    println!("{}", table(&transfer.cells()));
    for failure in &transfer.failures {
        println!("{}: not on this machine: {}", failure.way.name(), failure.why);
    }
    println!();
    Ok(transfer)
}

fn table_b(options: &Options) -> miette::Result<memory::Costs> {
    let rounds = usize::try_from(options.rounds).into_diagnostic()?;
    let costs = memory::measure(rounds, SAMPLE, options.cpu)?;
    println!(
        "b. least ns a call, GB/s: copy and clear are memcpy and memset, wipe is zeroize, seal is AES-128-GCM"
    );
    println!("{}", table(&costs.cells()));
    Ok(costs)
}

fn table_c(options: &Options) -> miette::Result<Vec<Profile>> {
    if options.servers.is_empty() {
        return Err(miette!("table c needs a server that runs: --server NAME=PID@ADDRESS:PORT"));
    }
    let mut profiles = Vec::new();
    for server in &options.servers {
        let own = || {
            let seconds = options.duration + 10;
            server.address.map(|address| breakdown::full_handshakes(address.socket(), seconds))
        };
        let load = options.load.clone().or_else(own).map(|command| Load::start(&command)).transpose()?;
        let shares = breakdown::breakdown(server.pid, options.duration)
            .wrap_err_with(|| format!("cannot profile {}", server.name))?;
        drop(load);
        profiles.push(Profile { server: server.name.clone(), shares });
    }
    print_c(&profiles);
    Ok(profiles)
}

/// Prints table c and the lists of functions behind it.
pub fn print_c(profiles: &[Profile]) {
    println!("c. where the CPU time of handshakes goes");
    let columns: Vec<_> = profiles.iter().map(|profile| (profile.server.as_str(), &profile.shares)).collect();
    println!("{}", table(&breakdown::cells(&columns)));
    for profile in profiles {
        println!("{}, by function:", profile.server);
        for function in &profile.shares.functions {
            println!("{:6.2}%  {}", 100.0 * function.share, function.name);
        }
        println!();
    }
}

/// A table of lines of cells, the first of which is its head.
fn table(lines: &[Vec<String>]) -> report::Table {
    let head = lines.first().map(|line| line.iter().map(String::as_str).collect::<Vec<_>>());
    let mut table = report::Table::new(&head.unwrap_or_default());
    for line in lines.iter().skip(1) {
        table.row(line.clone());
    }
    table
}

/// Pins the calling thread.
fn pin(cpu: usize) -> miette::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).into_diagnostic()?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot run on CPU {cpu}"))
}

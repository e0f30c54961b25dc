//! `levee-load handshake`: its arguments, its run, its results.

use std::time::Duration;

use levee_buf::Memory;
use miette::miette;

use super::{Close, Flood, Goal, Mode, Stage};
use crate::channel::Security;
use crate::http::{self, Expect, Plan, Request, Requests};
use crate::net::{Party, Place};
use crate::report::{self, Part, Summary};
use crate::run::{self, Cast, Results};
use crate::target::Target;
use crate::tls_options::TlsOptions;

/// Floods a TLS server with handshakes, whole or left undone.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Where to, as 10.9.1.1:443: loopback, private, link-local and documentation addresses only.
    pub target: Target,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Mode::Full)]
    pub mode: Mode,
    /// How far stalled connections go; to each stage in turn without it.
    #[arg(long, value_enum)]
    pub stage: Option<Stage>,
    /// How connections end.
    #[arg(long, value_enum, default_value_t = Close::Rst)]
    pub close: Close,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Connections a second, whatever becomes of them; without it the next begins when one has ended.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub duration: f64,
    /// Units in all, if that is reached before the time.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Seconds after which a unit has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub timeout: f64,
    /// Milliseconds between two bytes of a slow ClientHello.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub interval: u64,
    /// Be a client that behaves as well: it requests this path, each time on a new connection.
    #[arg(long, value_name = "PATH")]
    pub legitimate: Option<String>,
    /// Requests a second of the client that behaves.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100.0, value_parser = rate)]
    pub legitimate_rate: f64,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Where it comes from.
    #[command(flatten)]
    pub place: Place,
    /// What becomes of the results.
    #[command(flatten)]
    pub results: Results,
}

const EXAMPLES: &str = "\
Examples:
  levee-load handshake 127.0.0.1:443 --duration 5
      full TLS 1.3 handshakes over the kernel's sockets
  levee-load handshake 10.9.1.1:443 --device net_af_packet0,iface=c0 --address 10.9.1.100/24 --sources 16
      the same over a port of our own, from sixteen addresses
  levee-load handshake 10.9.1.1:443 --mode abandon --connections 512 --legitimate / --json flood.json
      ClientHellos that are never finished, and what a client that behaves sees meanwhile
  levee-load handshake 10.9.1.1:443 --mode renegotiate --version 1.2
      one handshake after the other inside each connection, in the manner of thc-tls-dos";

/// Connections of the client that behaves, at a time.
const LEGITIMATE: usize = 64;

/// Floods as `options` say, and shows what came of it.
///
/// # Errors
/// Arguments that contradict each other; a target that no unit was completed with.
pub fn command(options: &Options) -> miette::Result<()> {
    if options.mode == Mode::Renegotiate && options.tls.version != crate::tls_options::TlsVersion::Tls12 {
        return Err(miette!("TLS 1.3 has no renegotiation: --mode renegotiate needs --version 1.2"));
    }
    if options.stage.is_some() && options.mode != Mode::Stall {
        return Err(miette!("--stage is of --mode stall alone"));
    }
    let summary = measure(options)?;
    show(&summary, &options.results)?;
    verdict(&summary.load, &options.target.to_string())
}

/// Floods as `options` say.
///
/// # Errors
/// A place that cannot be used, TLS that cannot be offered.
pub fn measure(options: &Options) -> miette::Result<Summary> {
    let duration = Duration::from_secs_f64(options.duration);
    run::run("handshake", &options.place, &cast(options), duration, &options.results)
}

/// Who takes part in such a run.
#[must_use]
pub fn cast(options: &Options) -> impl Cast + use<> {
    Parties(options.clone())
}

/// Writes and prints a summary as `results` say.
///
/// # Errors
/// A file that cannot be written.
pub fn show(summary: &Summary, results: &Results) -> miette::Result<()> {
    report::print(summary);
    if let Some(path) = &results.json {
        report::write_json(path, summary)?;
    }
    if let Some(directory) = &results.plot {
        report::plot::write(summary, directory)?;
    }
    Ok(())
}

/// Whether anything came of it at all.
///
/// # Errors
/// Nothing did.
pub fn verdict(load: &Part, target: &str) -> miette::Result<()> {
    if load.completed > 0 {
        return Ok(());
    }
    let reasons: Vec<_> = load.failures.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
    let why = if reasons.is_empty() { "no answer".to_owned() } else { reasons.join(", ") };
    Err(miette!("no {} with {target} were completed: {why}", load.unit))
}

/// Who takes part.
#[derive(Clone)]
struct Parties(Options);

impl Cast for Parties {
    fn parties<M: Memory>(&self, memory: &M, slots: usize) -> miette::Result<Vec<Box<dyn Party<M>>>> {
        let Self(options) = self;
        let connections = options.connections as usize;
        let goal = Goal {
            target: options.target.address(),
            mode: options.mode,
            stage: options.stage,
            close: options.close,
            connections,
            rate: options.rate,
            count: options.count.unwrap_or(u64::MAX),
            duration_ns: nanoseconds(options.duration),
            timeout_ns: nanoseconds(options.timeout),
            interval_ns: options.interval * 1_000_000,
        };
        let handle = options.tls.handle(options.mode == Mode::Resume, connections)?;
        let security = Security::new(handle, connections, memory.clone());
        let mut parties: Vec<Box<dyn Party<M>>> =
            vec![Box::new(Flood::new(goal, memory.clone(), security, slots))];
        if let Some(path) = &options.legitimate {
            let goal = http::Goal {
                target: options.target.address(),
                connections: LEGITIMATE,
                rate: Some(options.legitimate_rate),
                count: u64::MAX,
                duration_ns: nanoseconds(options.duration),
                per_request: true,
                pipeline: 1,
                timeout_ns: nanoseconds(options.timeout),
            };
            let address = options.target.address().ip().to_string();
            let host = options.tls.name.as_deref().unwrap_or(&address);
            let expect = Expect { status: 200, length: None, sha256: None };
            let plan = Plan::new(vec![Request::new("GET", path, host, 0, true, expect)])
                .ok_or_else(|| miette!("there is no request"))?;
            let security = Security::new(options.tls.handle(false, LEGITIMATE)?, LEGITIMATE, memory.clone());
            parties.push(Box::new(Requests::new(goal, plan, memory.clone(), Some(security), slots)));
        }
        Ok(parties)
    }

    fn connections(&self) -> usize {
        // Some have ended on one side only when the next ones begin.
        let Self(options) = self;
        let legitimate = options.legitimate.as_ref().map_or(0, |_| 4 * LEGITIMATE);
        options.connections as usize + (options.connections as usize).min(4096) + legitimate
    }

    fn receive_buffer(&self) -> usize {
        64 << 10
    }
}

/// Nanoseconds of a time in seconds.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when it was read")]
pub fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Seconds on the command line: more than nothing, up to a day.
///
/// # Errors
/// Something else.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "must be a number of seconds from 0.001 to 86400".into())
}

/// A rate on the command line.
///
/// # Errors
/// Something else.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "must be a number a second from 0.01 to 10000000".into())
}

//! One scenario with one server: start it, warm it up, load it, read everything off, stop it.

use std::time::Duration;

use super::lab::Lab;
use super::load::{Amount, Load};
use super::peers::account::{Meter, kernel_memory};
use super::peers::{Peer, Server};
use super::rows::{Figure, Scenario, Setup, Work};
use crate::report::Summary;

/// What one run found out.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    /// Whether handshakes were meant to resume sessions.
    resumes: bool,
    pub(super) summary: Summary,
    pub(super) server: Option<ServerTime>,
    pub(super) bytes_per_connection: Option<f64>,
}

/// What the server's CPU did.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerTime {
    /// Seconds at work.
    busy: f64,
    /// Those of them outside of receiving and sending frames, where that can be told.
    outside_pmd: Option<f64>,
    /// Of the load: its seconds and the units it completed.
    seconds: f64,
    units: f64,
}

/// Why there is no observation.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or this machine, is not made for it.
    Cannot(String),
    /// It should have been there: the comparison goes on, and fails in the end.
    Run(String),
    /// Nothing can be measured any more: a server does not start, somebody interrupted.
    Fatal(miette::Report),
}

impl Failure {
    /// For people.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Cannot(reason) | Self::Run(reason) => reason.clone(),
            Self::Fatal(report) => report.to_string(),
        }
    }
}

impl From<miette::Report> for Failure {
    fn from(report: miette::Report) -> Self {
        Self::Fatal(report)
    }
}

/// Connections of the server that memory is compared to.
const FEW: u32 = 16;

/// Idle connections that are made each second. Twice the time that takes is given: a server may be slower.
const PACE: u32 = 2_000;

/// For idle connections to settle, before memory is read.
const SETTLE: Duration = Duration::from_secs(4);

/// Share of the idle connections that must stand when memory is read.
const ENOUGH: f64 = 0.99;

/// Tries of the first contact.
const TRIES: u32 = 3;

/// Measures `scenario` with `peer` at this rate.
pub(super) fn measure(
    lab: &Lab,
    peer: Peer,
    scenario: &Scenario,
    time: Duration,
    rate: Option<f64>,
) -> Result<Observation, Failure> {
    if let Some(reason) = peer.cannot(lab, scenario.work, scenario.server) {
        return Err(Failure::Cannot(reason));
    }
    match scenario.work {
        Work::Idle => idle(lab, peer, scenario),
        _ => {
            let time = time.max(Duration::from_secs(scenario.seconds.into()));
            busy(lab, peer, scenario, Amount { time, rate })
        }
    }
}

fn busy(lab: &Lab, peer: Peer, scenario: &Scenario, amount: Amount) -> Result<Observation, Failure> {
    let mut server = start(lab, peer, scenario, scenario.server, amount.rate)?;
    let meter = Meter::start()?;
    let summary = Load::start(lab, peer, scenario, amount)?.finish(lab);
    let busy = meter.busy()?;
    // A server that is gone explains what the load says better than the load.
    server.check()?;
    let summary = summary?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let units = summary.load.completed as f64;
    // Levee counts its time and its work from its start: the warm-up is in both.
    let server = match server.stop()? {
        Some(account) => {
            let part =
                if scenario.is_http() { units / account.responses() } else { units / account.handshakes() };
            let part = if part.is_finite() { part.min(1.0) } else { 1.0 };
            let outside_pmd = Some(account.outside_pmd() * part);
            ServerTime { busy: account.busy() * part, outside_pmd, seconds: summary.load.seconds, units }
        }
        None => ServerTime { busy, outside_pmd: None, seconds: summary.load.seconds, units },
    };
    let resumes = matches!(scenario.work, Work::Handshake { mode: "resume", .. });
    Ok(Observation { resumes, summary, server: Some(server), bytes_per_connection: None })
}

/// Memory of a server with many idle connections, against the same server made for few and just started.
fn idle(lab: &Lab, peer: Peer, scenario: &Scenario) -> Result<Observation, Failure> {
    let before = kernel_memory()?;
    let server = start(lab, peer, scenario, Setup { connections: FEW, ..scenario.server }, None)?;
    let small = footprint(&server, before)?;
    server.stop()?;

    let connections = scenario.server.connections;
    let before = kernel_memory()?;
    let mut server = start(lab, peer, scenario, scenario.server, None)?;
    let made = Duration::from_secs(u64::from(2 * connections / PACE));
    let amount = Amount { time: made + 2 * SETTLE, rate: Some(f64::from(PACE)) };
    let load = Load::start(lab, peer, scenario, amount)?;
    lab.interrupt.sleep(made + SETTLE)?;
    server.check()?;
    let large = footprint(&server, before)?;
    let summary = load.finish(lab)?;
    server.stop()?;

    #[expect(clippy::cast_precision_loss, reason = "connections of a machine are far below 2^52")]
    let stood = summary.load.open as f64;
    if stood < ENOUGH * f64::from(connections) {
        return Err(Failure::Run(format!("only {stood} of {connections} connections stood")));
    }
    let bytes = (large - small) / stood;
    Ok(Observation { resumes: false, summary, server: None, bytes_per_connection: Some(bytes) })
}

/// Bytes of a server's processes, and of what the kernel has had to keep since before it started.
#[expect(clippy::cast_precision_loss, reason = "bytes of a machine's memory are far below 2^52")]
fn footprint(server: &Server, kernel_before: u64) -> miette::Result<f64> {
    Ok(server.memory()? as f64 + kernel_memory()? as f64 - kernel_before as f64)
}

/// Starts a server and warms it up, which also shows that it answers over TLS.
pub(super) fn start(
    lab: &Lab,
    peer: Peer,
    scenario: &Scenario,
    setup: Setup,
    rate: Option<f64>,
) -> Result<Server, Failure> {
    let mut server = peer.start(lab, setup)?;
    let mut tries = 1;
    loop {
        match Load::warm_up(lab, peer, scenario, rate)?.finish(lab) {
            Ok(_) => return Ok(server),
            Err(Failure::Run(_)) if tries < TRIES => tries += 1,
            Err(failure) => {
                server.check()?;
                return Err(failure);
            }
        }
    }
}

impl ServerTime {
    /// The share of the run in which the server had something to do.
    pub(super) fn share(&self) -> f64 {
        (self.busy / self.seconds).min(1.0)
    }
}

impl Observation {
    /// What a row shows of this run.
    pub(super) fn figure(&self, figure: Figure) -> Result<f64, String> {
        let load = &self.summary.load;
        // A server that resumes does it but for the first handshake of each client.
        if self.resumes && (load.resumed == 0 || load.resumed < load.completed / 2) {
            return Err("sessions are not resumed".to_owned());
        }
        let latency = |count: u64, value: f64| match count {
            0 => Err("nothing was answered".to_owned()),
            _ => Ok(value),
        };
        let each = |seconds: f64| {
            let units = self.server.map_or(0.0, |server| server.units);
            if units > 0.0 { Ok(seconds / units * 1e6) } else { Err("nothing was answered".to_owned()) }
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
        match figure {
            Figure::PerSecond => Ok(load.per_second),
            Figure::ResumedPerSecond => Ok(load.resumed as f64 / load.seconds),
            Figure::BodyRate => Ok(load.body_bytes as f64 / load.seconds / 1e6),
            Figure::ServerTime => each(self.server.map_or(0.0, |server| server.busy)),
            Figure::OutsidePmd => match self.server.and_then(|server| server.outside_pmd) {
                Some(seconds) => each(seconds),
                None => Err("the kernel's receiving and sending cannot be told apart".to_owned()),
            },
            Figure::Median => latency(load.latency.count, load.latency.p50),
            Figure::P99 => latency(load.latency.count, load.latency.p99),
            Figure::P999 => latency(load.latency.count, load.latency.p999),
            Figure::LegitimateP99 => match &self.summary.legitimate {
                Some(part) => latency(part.latency.count, part.latency.p99),
                None => Err("the load had no client that behaves".to_owned()),
            },
            Figure::BytesPerConnection => {
                self.bytes_per_connection.ok_or_else(|| "memory was not measured".to_owned())
            }
        }
    }

    /// What to know about the run besides: units that failed, a rate that was not reached.
    pub(super) fn remark(&self, rate: Option<f64>) -> Option<String> {
        let mut remarks = Vec::new();
        for (name, part) in
            [("", Some(&self.summary.load)), ("legitimate ", self.summary.legitimate.as_ref())]
        {
            for (reason, count) in part.into_iter().flat_map(|part| &part.failures) {
                remarks.push(format!("{name}{reason}: {count}"));
            }
        }
        let reached = self.summary.load.per_second;
        if let Some(rate) = rate.filter(|rate| reached < rate * 0.95) {
            remarks.push(format!("asked for {rate:.0}/s, reached {reached:.0}/s"));
        }
        (!remarks.is_empty()).then(|| remarks.join(", "))
    }
}

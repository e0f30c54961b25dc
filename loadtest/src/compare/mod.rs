//! `levee-load compare`: Levee and other servers in turn, in one place, with the same certificates and load.
//!
//! The server has CPU 1, the load and its origin CPU 0. Rounds go row by row, and in each row server by server
//! (A B C, A B C), each started afresh: what disturbs the machine for a while disturbs all of them, and a ratio
//! is the median over rounds of the ratio within one.
//!
//! | file | job |
//! |---|---|
//! | `rows` | what is compared |
//! | `measure` | one run with one server |
//! | `peers` | the servers |
//! | `load` | the load, a child process |
//! | `verdict` | medians, ratios, who was the limit |
//! | `output` | table, JSON, charts |
//! | `paper` | two papers' tables instead |
//! | `lab`, `network`, `certificates`, `process` | where it happens, and that nothing of it is left |

mod certificates;
mod lab;
mod load;
mod measure;
mod network;
mod output;
mod paper;
mod peers;
mod process;
mod rows;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use miette::miette;

use lab::{Lab, Link};
use measure::{Failure, Observation, measure};
use output::{Files, Place, Results};
pub use peers::Peer;
use rows::{Figure, PACE, Rate, SCENARIOS, Scenario};
use verdict::{Busy, Measured, QUOTABLE};

/// Measure Levee, nginx and HAProxy in turn, side by side.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Options {
    /// Rounds, each with every row and server: one is a look, of some ten minutes for all rows; what is quoted takes
    /// five, on a machine that does nothing else.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds of a run.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Rows whose name has one of these parts, with commas between them; by itself all (see --list).
    #[arg(long, value_name = "PATTERN", default_value = "", hide_default_value = true)]
    pub rows: String,
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "levee,nginx,haproxy")]
    pub peers: Vec<Peer>,
    /// Writes an array of objects, one for each row and server beside Levee.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the tables in Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Writes a chart of the ratios for each server beside Levee.
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Adds a table with the kernel's offloads on for servers that use it, and the load on kernel sockets.
    #[arg(long)]
    pub offloads: bool,
    /// Measures Levee alone over shared memory, which has no kernel in the path.
    #[arg(long, conflicts_with_all = ["peers", "offloads"])]
    pub memif: bool,
    /// Makes the tables of two papers again instead: encrypted transfer, copying, and where each server spends its
    /// time in handshakes (needs perf).
    #[arg(long, conflicts_with_all = ["rows", "markdown", "plot", "offloads", "memif"])]
    pub paper: bool,
    /// Leaves configurations and logs where they are, and says where.
    #[arg(long)]
    pub keep: bool,
    /// Lists the rows and ends.
    #[arg(long)]
    pub list: bool,
    /// The binary of Levee; by itself, that beside this one.
    #[arg(long, value_name = "FILE")]
    pub levee: Option<PathBuf>,
    /// What the names of the network namespaces begin with.
    #[arg(long, value_name = "NAME", default_value = "lvbench")]
    pub prefix: String,
}

const EXAMPLES: &str = "\
Examples:
  levee-load compare --rows full-tls13-ecdsa,cached-1k
      a look at two rows, one round of each server
  levee-load compare --rounds 5 --json run.json --markdown run.md --plot plots
      all rows, to be quoted: the better part of an hour, on a machine that does nothing else
  levee-load compare --memif --rows full,cached
      Levee alone, without a kernel in the path
  levee-load compare --paper --peers levee,nginx --json paper.json
      two papers' tables";

/// Compares, prints tables and writes files.
///
/// # Errors
/// Something needed is not there, a server does not start or answer, a run failed, somebody interrupted. What was
/// measured until then is written all the same.
pub fn run(options: &Options) -> miette::Result<()> {
    if options.list {
        list();
        return Ok(());
    }
    let mut options = options.clone();
    options.peers.sort();
    options.peers.dedup();
    if options.paper {
        return paper::run(&options);
    }
    let links: &[Link] = match (options.memif, options.offloads) {
        (true, _) => &[Link::Memif],
        (false, true) => &[Link::Veth, Link::KernelLoad],
        (false, false) => &[Link::Veth],
    };
    if options.memif {
        options.peers = vec![Peer::Levee];
    }
    let scenarios = chosen(&options.rows)?;
    let mut lab = Lab::new(&options, links[0], &scenarios)?;
    let mut judge =
        Judge { options: &options, results: Results::default(), place: Place::default(), failed: 0 };
    judge.place.seconds = f64::from(options.seconds);
    for peer in &options.peers {
        judge.place.versions.push(peer.version(&lab.levee)?);
    }

    let end = links.iter().try_for_each(|&link| {
        lab.link = link;
        let of_link = |scenario: &&Scenario| link != Link::KernelLoad || scenario.depends_on_offloads();
        let scenarios: Vec<_> = scenarios.iter().copied().filter(of_link).collect();
        (1..=options.rounds).try_for_each(|round| judge.round(&lab, &scenarios, round))
    });
    if options.keep {
        eprintln!("levee-load: configurations and logs are in {}", lab.file("").display());
    }
    drop(lab);
    let files = Files {
        json: options.json.as_deref(),
        markdown: options.markdown.as_deref(),
        plot: options.plot.as_deref(),
    };
    output::write(&judge.results, &judge.place, files)?;
    end?;
    if options.rounds < u32::try_from(QUOTABLE).unwrap_or(u32::MAX) {
        eprintln!("levee-load: fewer than {QUOTABLE} rounds: a look, nothing to quote");
    }
    match judge.failed {
        0 => Ok(()),
        failed => Err(miette!("{failed} runs failed, as said above")),
    }
}

/// The scenarios that a pattern means, with the one that the rates of others depend on.
fn chosen(pattern: &str) -> miette::Result<Vec<&'static Scenario>> {
    let meant = |scenario: &&Scenario| scenario.is_meant(pattern);
    let paced = SCENARIOS.iter().filter(meant).any(|scenario| scenario.rate != Rate::Unlimited);
    let chosen: Vec<_> =
        SCENARIOS.iter().filter(|scenario| meant(scenario) || (paced && scenario.name == PACE)).collect();
    match chosen.is_empty() {
        true => Err(miette!("no row has `{pattern}` in its name: --list shows them")),
        false => Ok(chosen),
    }
}

fn list() {
    for scenario in SCENARIOS {
        println!("{}:", scenario.about);
        for &figure in scenario.figures {
            println!("  {} ({})", scenario.row(figure), scenario.unit(figure));
        }
    }
}

/// What was found out so far.
struct Judge<'a> {
    options: &'a Options,
    results: Results,
    place: Place,
    failed: u32,
}

impl Judge<'_> {
    /// Every scenario with every server, once.
    fn round(&mut self, lab: &Lab, scenarios: &[&'static Scenario], round: u32) -> miette::Result<()> {
        let mut paces = BTreeMap::new();
        let time = Duration::from_secs(u64::from(self.options.seconds));
        for &scenario in scenarios {
            for &peer in &self.options.peers {
                eprint!(
                    "{} {round}/{} {} {}: ",
                    lab.link.name(),
                    self.options.rounds,
                    scenario.name,
                    peer.name()
                );
                let rate = match rate(scenario.rate, peer, &paces) {
                    Ok(rate) => rate,
                    Err(reason) => {
                        self.take(lab.link, scenario, peer, None, Err(Failure::Cannot(reason)));
                        continue;
                    }
                };
                let outcome = match measure(lab, peer, scenario, time, rate) {
                    Err(Failure::Fatal(report)) => {
                        eprintln!();
                        return Err(report);
                    }
                    outcome => outcome,
                };
                if let (Ok(observation), PACE) = (&outcome, scenario.name) {
                    paces.insert(peer, observation.summary.load.per_second);
                }
                self.take(lab.link, scenario, peer, rate, outcome);
            }
        }
        Ok(())
    }

    /// Takes the outcome of a run into all rows that it fills, and says it in a line.
    fn take(
        &mut self,
        link: Link,
        scenario: &'static Scenario,
        peer: Peer,
        rate: Option<f64>,
        outcome: Result<Observation, Failure>,
    ) {
        match &outcome {
            Ok(observation) => {
                eprintln!("{}", brief(scenario, observation));
                self.place.machine = observation.summary.machine.clone();
            }
            Err(Failure::Cannot(reason)) => eprintln!("{reason}"),
            Err(failure) => {
                eprintln!("FAILED: {}", failure.reason());
                self.failed += 1;
            }
        }
        for &figure in scenario.figures {
            self.results.add(link, scenario, figure, peer, measured(&outcome, figure, rate));
        }
    }
}

/// The rate of a run, if it has one.
fn rate(rate: Rate, peer: Peer, paces: &BTreeMap<Peer, f64>) -> Result<Option<f64>, String> {
    let pace = match rate {
        Rate::Unlimited => return Ok(None),
        Rate::HalfOfOwn => paces.get(&peer).copied(),
        Rate::HalfOfSlowest => paces.values().copied().min_by(f64::total_cmp),
    };
    match pace {
        Some(pace) if pace >= 2.0 => Ok(Some(pace / 2.0)),
        _ => Err(format!("{PACE} gave no rate in this round")),
    }
}

/// What an outcome says of one row.
fn measured(outcome: &Result<Observation, Failure>, figure: Figure, rate: Option<f64>) -> Measured {
    let observation = match outcome {
        Ok(observation) => observation,
        Err(failure) => {
            // A table has room for one line: that with the error, where there is one.
            let reason = failure.reason();
            let error = reason.lines().find(|line| line.contains("Error:"));
            let remark = error.or_else(|| reason.lines().next()).map(str::to_owned);
            return Measured { remark, ..Measured::default() };
        }
    };
    let server = observation.server.filter(|_| figure.depends_on_load());
    let busy = server.map(|server| Busy { server: server.share(), load: observation.summary.generator.busy });
    match observation.figure(figure) {
        Ok(value) => Measured { value: Some(value), remark: observation.remark(rate), busy },
        Err(reason) => Measured { value: None, remark: Some(reason), busy: None },
    }
}

/// A run in a line, for whoever watches.
fn brief(scenario: &Scenario, observation: &Observation) -> String {
    let figures = scenario.figures.iter().map(|&figure| match observation.figure(figure) {
        Ok(value) => format!("{value:.1} {}", scenario.unit(figure)),
        Err(_) => "-".to_owned(),
    });
    let figures = figures.collect::<Vec<_>>().join(", ");
    let load = 100.0 * observation.summary.generator.busy;
    match observation.server {
        Some(server) => format!("{figures} (server {:.0} % busy, load {load:.0} %)", 100.0 * server.share()),
        None => figures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_rounds_own_pace() {
        let paces = BTreeMap::from([(Peer::Levee, 80_000.0), (Peer::Nginx, 20_000.0)]);
        assert_eq!(rate(Rate::Unlimited, Peer::Levee, &BTreeMap::new()), Ok(None));
        assert_eq!(rate(Rate::HalfOfOwn, Peer::Levee, &paces), Ok(Some(40_000.0)));
        assert_eq!(rate(Rate::HalfOfSlowest, Peer::Levee, &paces), Ok(Some(10_000.0)));
        assert!(rate(Rate::HalfOfOwn, Peer::Haproxy, &paces).is_err());
        assert!(rate(Rate::HalfOfSlowest, Peer::Levee, &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_row_with_a_rate_brings_the_row_that_the_rate_is_from() {
        let names = |pattern: &str| -> Vec<&str> {
            chosen(pattern).unwrap().iter().map(|scenario| scenario.name).collect()
        };
        assert_eq!(names("half-load"), [PACE, "half-load"]);
        assert_eq!(names("cached-16k"), ["cached-16k"]);
        assert!(chosen("nothing-of-the-kind").is_err());
    }
}

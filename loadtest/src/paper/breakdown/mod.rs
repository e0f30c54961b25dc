//! Where a server's CPU time goes while it does handshakes, in the classes of the paper's profile.
//!
//! `perf` samples one thread by a timer of the CPU's clock, with its call chain, so that no hardware counter
//! is needed. What a sample was for is told by the innermost frame that tells (`samples.rs`), by names
//! (`classes.txt`). That is as coarse as the names are. Debian's OpenSSL is stripped to its exported
//! functions: its arithmetic is known by the exported functions next to it and by who called it, and
//! `allocation` is only what the allocator itself takes. [`Shares::by_name`] says how much was known at first
//! hand. A page that the kernel brings in for the allocator counts as I/O.
//!
//! Levee polls. Samples in which it offered the CPU to others are not divided, but what it looks at in vain
//! before counts as I/O and rest: profile it under a load that leaves no time for that.

mod classes;
mod load;
mod samples;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use miette::{Context, IntoDiagnostic, miette};
use serde::Serialize;

pub use classes::Class;
pub use load::{Load, Server, full_handshakes};
use samples::{Classifier, How, chains};

/// Where the time of one server went.
#[derive(Clone, Debug, Serialize)]
pub struct Shares {
    /// Samples that are divided.
    pub samples: u64,
    /// Samples besides, in which the server had nothing to do and offered the CPU to others.
    pub yielded: u64,
    /// Of 1, by class.
    pub shares: BTreeMap<Class, f64>,
    /// Of 1: samples whose own function has a name, or whose library has one purpose.
    pub by_name: f64,
    /// Of 1: samples of functions without a name, by the exported ones next to them.
    pub by_neighbour: f64,
    /// Of 1: samples that only a caller told the purpose of.
    pub by_caller: f64,
    /// The functions with the most samples, whatever called them.
    pub functions: Vec<Function>,
}

/// A function in a profile.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Its name, or its library's in brackets.
    pub name: String,
    /// Of 1.
    pub share: f64,
}

/// Samples a second: not a divisor of the kernel's ticks.
const FREQUENCY: &str = "499";
/// Bytes of stack for each sample: a handshake is deep.
const STACK: &str = "dwarf,16384";
/// Functions that are listed, as many as the paper lists.
const FUNCTIONS: usize = 25;
/// For which the threads of a server are watched to find the one that works.
const WATCH: Duration = Duration::from_millis(300);

/// Profiles the busiest thread of `pid` and its children for `seconds`; load has to be on it already.
///
/// # Errors
/// No such process, no `perf`, or nothing was sampled: the server was idle.
pub fn breakdown(pid: u32, seconds: u32) -> miette::Result<Shares> {
    let thread = busiest(pid)?;
    let folder = tempfile::tempdir().into_diagnostic()?;
    let data = folder.path().join("perf.data");
    record(thread, seconds, &data)?;
    let text = script(&data)?;
    let shares = of_script(&text);
    if shares.samples == 0 {
        return Err(miette!("thread {thread} of process {pid} was idle: no load reached it"));
    }
    Ok(shares)
}

/// Shares of what `perf script -F comm,tid,ip,sym,dso` printed.
fn of_script(text: &str) -> Shares {
    let mut classifier = Classifier::default();
    let mut classes: BTreeMap<Class, u64> = Class::ALL.iter().map(|&class| (class, 0)).collect();
    let mut ways: BTreeMap<How, u64> = BTreeMap::new();
    let mut functions: HashMap<String, u64> = HashMap::new();
    let (mut samples, mut yielded) = (0, 0);
    for chain in chains(text) {
        if chain.iter().any(|frame| frame.symbol.is_some_and(|symbol| symbol.ends_with("sched_yield"))) {
            yielded += 1;
            continue;
        }
        let (class, how) = classifier.classify(&chain);
        samples += 1;
        *classes.entry(class).or_default() += 1;
        *ways.entry(how).or_default() += 1;
        if let Some(frame) = chain.first() {
            let library = frame.library.rsplit('/').next().unwrap_or(frame.library);
            let name = frame.symbol.map_or_else(|| format!("[{library}]"), str::to_owned);
            *functions.entry(name).or_default() += 1;
        }
    }
    let share = |count: u64| count as f64 / samples.max(1) as f64;
    let way = |how| share(ways.get(&how).copied().unwrap_or(0));
    let mut functions: Vec<_> =
        functions.into_iter().map(|(name, count)| Function { name, share: share(count) }).collect();
    functions.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
    functions.truncate(FUNCTIONS);
    Shares {
        samples,
        yielded,
        shares: classes.into_iter().map(|(class, count)| (class, share(count))).collect(),
        by_name: way(How::Function),
        by_neighbour: way(How::Neighbour),
        by_caller: way(How::Caller),
        functions,
    }
}

fn record(thread: u32, seconds: u32, into: &Path) -> miette::Result<()> {
    let (thread, seconds) = (thread.to_string(), seconds.to_string());
    let mut perf = Command::new("perf");
    perf.args(["record", "--quiet", "-e", "cpu-clock", "-F", FREQUENCY, "--call-graph", STACK]);
    perf.args(["--tid", &thread, "--output"]).arg(into).args(["--", "sleep", &seconds]);
    run(&mut perf).map(drop)
}

fn script(data: &Path) -> miette::Result<String> {
    let mut perf = Command::new("perf");
    // Inlined functions would be looked up one by one, in minutes.
    perf.args(["script", "--no-inline", "-F", "comm,tid,ip,sym,dso", "--input"]).arg(data);
    let output = run(&mut perf)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(perf: &mut Command) -> miette::Result<Output> {
    let output = perf.output().into_diagnostic().wrap_err("cannot run perf (of the package linux-perf)")?;
    if output.status.success() {
        return Ok(output);
    }
    Err(miette!("perf failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The thread of `pid` and its children that uses the most CPU time now: a worker, whoever started it.
fn busiest(pid: u32) -> miette::Result<u32> {
    let before = cpu_times(pid)?;
    thread::sleep(WATCH);
    let after = cpu_times(pid)?;
    let used = |(thread, time): (&u32, &u64)| {
        (time.saturating_sub(before.get(thread).copied().unwrap_or(*time)), *thread)
    };
    let (_, thread) = after.iter().map(used).max().ok_or_else(|| miette!("process {pid} has no thread"))?;
    Ok(thread)
}

/// Nanoseconds on a CPU, by thread.
fn cpu_times(pid: u32) -> miette::Result<HashMap<u32, u64>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .into_diagnostic()
        .wrap_err_with(|| format!("there is no process {pid}"))?;
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let mut times = HashMap::new();
    for process in std::iter::once(pid).chain(children) {
        // A process, or a thread, may end while we look.
        let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for task in tasks.flatten() {
            let thread = task.file_name().to_str().and_then(|name| name.parse().ok());
            let stat = fs::read_to_string(task.path().join("schedstat")).ok();
            let time = stat.as_deref().and_then(|stat| stat.split(' ').next()?.parse().ok());
            if let (Some(thread), Some(time)) = (thread, time) {
                times.insert(thread, time);
            }
        }
    }
    Ok(times)
}

/// The table of several servers as lines of cells, its head first: a row for each class, in per cent.
#[must_use]
pub fn cells(servers: &[(&str, &Shares)]) -> Vec<Vec<String>> {
    let line = |head: &str, cell: &dyn Fn(&Shares) -> String| {
        std::iter::once(head.to_owned()).chain(servers.iter().map(|(_, shares)| cell(shares))).collect()
    };
    let mut lines: Vec<Vec<String>> = vec![
        std::iter::once("% of CPU".into())
            .chain(servers.iter().map(|(name, _)| (*name).to_owned()))
            .collect(),
    ];
    for class in Class::ALL {
        lines.push(line(class.name(), &|shares| percent(shares.shares.get(&class).copied().unwrap_or(0.0))));
    }
    lines.push(line("samples", &|shares| shares.samples.to_string()));
    lines.push(line("yielded", &|shares| shares.yielded.to_string()));
    lines.push(line("told by name", &|shares| percent(shares.by_name)));
    lines.push(line("by neighbours", &|shares| percent(shares.by_neighbour)));
    lines.push(line("by callers", &|shares| percent(shares.by_caller)));
    lines
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of a worker of nginx with Debian's OpenSSL during handshakes, cut to a few frames.
    const SCRIPT: &str = include_str!("nginx.perf-script");

    #[test]
    fn a_recorded_profile_is_divided() {
        let shares = of_script(SCRIPT);
        assert_eq!(shares.samples, 8);
        let eighths = |class: Class| shares.shares[&class] * 8.0;
        assert_eq!(eighths(Class::Allocation), 2.0);
        assert_eq!(eighths(Class::Copying), 1.0);
        assert_eq!(eighths(Class::BigNumbers), 1.0);
        assert_eq!(eighths(Class::Hashing), 1.0);
        assert_eq!(eighths(Class::Symmetric), 1.0);
        assert_eq!(eighths(Class::Io), 1.0);
        assert_eq!(eighths(Class::Rest), 1.0);
        assert_eq!((shares.by_name * 8.0, shares.by_caller * 8.0), (5.0, 3.0));
        assert_eq!(shares.functions[0].name, "[libcrypto.so.3]");
        assert!((shares.functions.iter().map(|function| function.share).sum::<f64>() - 1.0).abs() < 1e-9);
        let lines = cells(&[("nginx", &shares)]);
        assert_eq!(lines[1], ["allocation", "25.0"]);
        assert_eq!(lines.len(), 1 + Class::ALL.len() + 5);
    }

    #[test]
    fn waiting_is_not_divided() {
        let text = "w 1\n 1 do_sched_yield ([kernel.kallsyms])\n 2 __sched_yield (/lib/libc.so.6)\n\nw 1\n 3 malloc (/lib/libc.so.6)\n";
        let shares = of_script(text);
        assert_eq!((shares.samples, shares.yielded), (1, 1));
        assert_eq!(shares.shares[&Class::Allocation], 1.0);
    }

    #[test]
    fn nothing_sampled_is_nothing_shared() {
        let shares = of_script("");
        assert_eq!(shares.samples, 0);
        assert!(shares.shares.values().all(|&share| share == 0.0));
    }
}

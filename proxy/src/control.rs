//! The control plane: what waits for signals, shows the status line and writes the logs while the workers
//! work.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use miette::{IntoDiagnostic, WrapErr};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::config::{Config, LogFormat};
use crate::generation::Generation;
use crate::log::{Access, Event};
use crate::metrics::{Counter, Published};

/// Watches over the workers until a signal asks to stop.
pub(crate) struct ControlPlane {
    stop: Arc<AtomicBool>,
    published: Vec<Arc<Published>>,
    events: Vec<Arc<ArrayQueue<Event>>>,
    generation: Option<Generation>,
    access: Option<BufWriter<File>>,
    keylog: Option<BufWriter<File>>,
    format: LogFormat,
    interval: Option<Duration>,
    heartbeats: Heartbeats,
    terminal: bool,
    before: Sums,
    told: Instant,
}

/// Between looks at signals and logs.
const TICK: Duration = Duration::from_millis(20);

impl ControlPlane {
    /// Opens the log files and takes SIGINT and SIGTERM.
    pub(crate) fn new(
        config: &Config,
        published: Vec<Arc<Published>>,
        events: Vec<Arc<ArrayQueue<Event>>>,
        generation: Option<Generation>,
    ) -> miette::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).into_diagnostic()?;
        }
        let stuck = config.workers.stuck.map(|stuck| stuck.as_nanos() / TICK.as_nanos());
        Ok(Self {
            stop,
            heartbeats: Heartbeats::new(published.len(), stuck),
            published,
            events,
            generation,
            access: config.log.access.as_deref().map(append).transpose()?,
            keylog: config.tls.keylog.as_deref().map(append).transpose()?,
            format: config.log.format,
            interval: config.status.interval,
            terminal: io::stderr().is_terminal(),
            before: Sums::default(),
            told: Instant::now(),
        })
    }

    /// Returns when a signal asked to stop, or when `failed` says that a worker is gone.
    pub(crate) fn watch(&mut self, mut failed: impl FnMut() -> bool) {
        while !self.stop.load(Ordering::Relaxed) && !failed() {
            std::thread::sleep(TICK);
            self.write_events();
            if let Some(generation) = &self.generation {
                generation.renew();
            }
            if let Some(worker) = self.heartbeats.missed(&self.published) {
                tracing::error!(worker, "the worker hangs: the process cannot go on");
                // No thread can be made to return: whatever supervises the process starts it again.
                std::process::abort();
            }
            if self.interval.is_some_and(|interval| self.told.elapsed() >= interval) {
                self.show_status();
            }
        }
        if self.terminal && self.interval.is_some() {
            eprintln!();
        }
    }

    /// Writes what the workers have said.
    pub(crate) fn write_events(&mut self) {
        let mut wrote = false;
        for queue in &self.events {
            while let Some(event) = queue.pop() {
                wrote = true;
                let result = match (event, &mut self.access, &mut self.keylog) {
                    (Event::Access(access), Some(file), _) => write_access(file, &access, self.format),
                    (Event::Secret(secret), _, Some(file)) => writeln!(file, "{secret}"),
                    _ => Ok(()),
                };
                if let Err(error) = result {
                    tracing::error!(%error, "cannot write a log file");
                }
            }
        }
        if wrote {
            for file in [&mut self.access, &mut self.keylog].into_iter().flatten() {
                if let Err(error) = file.flush() {
                    tracing::error!(%error, "cannot write a log file");
                }
            }
        }
    }

    fn show_status(&mut self) {
        let sums = Sums::of(&self.published);
        let line = sums.line(&self.before, self.told.elapsed());
        self.before = sums;
        self.told = Instant::now();
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

/// Whether each worker goes on.
struct Heartbeats {
    /// By worker: the turn that it was in, and for how many looks.
    seen: Vec<(u64, u128)>,
    /// Looks at one turn that are too many. Looks, not time: a process that is halted as a whole does not hang.
    most: Option<u128>,
}

impl Heartbeats {
    fn new(workers: usize, most: Option<u128>) -> Self {
        Self { seen: vec![(0, 0); workers], most }
    }

    /// A worker that has been in one turn for too long.
    fn missed(&mut self, published: &[Arc<Published>]) -> Option<usize> {
        let most = self.most?;
        for (seen, published) in self.seen.iter_mut().zip(published) {
            let turn = published.turn.load(Ordering::Relaxed);
            *seen = if seen.0 == turn { (turn, seen.1 + 1) } else { (turn, 0) };
        }
        self.seen.iter().position(|&(_, looks)| looks > most)
    }
}

fn append(path: &Path) -> miette::Result<BufWriter<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let file =
        file.into_diagnostic().wrap_err_with(|| format!("cannot open the log file {}", path.display()))?;
    Ok(BufWriter::new(file))
}

fn write_access(file: &mut impl Write, line: &Access, format: LogFormat) -> io::Result<()> {
    let Access { unix_ms, peer, method, authority, path, status, sent, duration_us, cached } = line;
    match format {
        LogFormat::Text => writeln!(
            file,
            "{}.{:03} {peer} {method} {authority} {path} {status} {sent} {duration_us}us{}",
            unix_ms / 1000,
            unix_ms % 1000,
            if *cached { " cached" } else { "" },
        ),
        LogFormat::Json => {
            let line = serde_json::json!({
                "unix_ms": unix_ms,
                "peer": peer.to_string(),
                "method": method.to_string(),
                "authority": authority.to_string(),
                "path": path.to_string(),
                "status": status,
                "sent": sent,
                "duration_us": duration_us,
                "cached": cached,
            });
            writeln!(file, "{line}")
        }
    }
}

/// What the status line is made of, of all workers together.
#[derive(Default)]
struct Sums {
    connections: u64,
    drops: u64,
    handshakes: u64,
    requests: u64,
    errors: u64,
    received: u64,
    sent: u64,
    turns: u64,
    idle_turns: u64,
}

impl Sums {
    fn of(published: &[Arc<Published>]) -> Self {
        let mut sums = Self::default();
        for worker in published {
            sums.connections += worker.connections.load(Ordering::Relaxed);
            sums.drops += worker.drops.load(Ordering::Relaxed);
            for (place, counter) in [
                (&mut sums.handshakes, Counter::Handshakes),
                (&mut sums.requests, Counter::Requests),
                (&mut sums.errors, Counter::Responses5xx),
                (&mut sums.received, Counter::BytesReceived),
                (&mut sums.sent, Counter::BytesSent),
                (&mut sums.turns, Counter::Turns),
                (&mut sums.idle_turns, Counter::IdleTurns),
            ] {
                *place += worker.sum(counter);
            }
        }
        sums
    }

    fn line(&self, before: &Self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let megabits = |now, before| rate(now, before) * 8e-6;
        let turns = rate(self.turns, before.turns).max(1.0);
        let spare = 100.0 * rate(self.idle_turns, before.idle_turns) / turns;
        format!(
            "connections {}  handshakes/s {:.0}  requests/s {:.0}  in {:.1} Mb/s  out {:.1} Mb/s  idle {spare:.0} %  \
             5xx {}  drops {}",
            self.connections,
            rate(self.handshakes, before.handshakes),
            rate(self.requests, before.requests),
            megabits(self.received, before.received),
            megabits(self.sent, before.sent),
            self.errors,
            self.drops,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hangs_is_found() {
        let published: Vec<_> = (0..3).map(|_| Arc::new(Published::default())).collect();
        let mut heartbeats = Heartbeats::new(3, Some(5));
        for turn in 1..100 {
            for worker in &published {
                worker.turn.store(turn, Ordering::Relaxed);
            }
            assert_eq!(heartbeats.missed(&published), None);
        }
        let found = (0..).find_map(|look| {
            for going_on in [&published[0], &published[2]] {
                going_on.turn.fetch_add(1, Ordering::Relaxed);
            }
            heartbeats.missed(&published).map(|worker| (worker, look))
        });
        assert_eq!(found, Some((1, 5)));
        let mut unwatched = Heartbeats::new(3, None);
        assert!((0..100).all(|_| unwatched.missed(&published).is_none()));
    }
}

//! `Tally`: what a party counts while it runs.

use std::collections::BTreeMap;

use crate::report::{Part, Progress, Recorder};

/// Counts and times of one kind of work.
pub struct Tally {
    unit: &'static str,
    /// When counting began; units that end before are not counted.
    start_ns: Option<u64>,
    end_ns: u64,
    started: u64,
    completed: u64,
    /// Units that resumed a session.
    pub resumed: u64,
    /// Verified bytes of bodies.
    pub body_bytes: u64,
    failures: BTreeMap<&'static str, u64>,
    failed: u64,
    times: Recorder,
    progress: Progress,
}

impl Tally {
    /// Nothing counted; counting begins with [`Tally::begin`].
    #[must_use]
    pub fn new(unit: &'static str) -> Self {
        Self {
            unit,
            start_ns: None,
            end_ns: 0,
            started: 0,
            completed: 0,
            resumed: 0,
            body_bytes: 0,
            failures: BTreeMap::new(),
            failed: 0,
            times: Recorder::new(),
            progress: Progress::new(0),
        }
    }

    /// Counts from `now_ns` on.
    pub fn begin(&mut self, now_ns: u64) {
        if self.start_ns.is_none() {
            self.start_ns = Some(now_ns);
            self.end_ns = now_ns;
            self.progress = Progress::new(now_ns);
        }
    }

    /// When counting began.
    #[must_use]
    pub const fn start_ns(&self) -> Option<u64> {
        self.start_ns
    }

    /// The run goes on at `now_ns`.
    pub const fn tick(&mut self, now_ns: u64) {
        self.end_ns = now_ns;
    }

    /// A unit has begun.
    pub fn start(&mut self) {
        self.started += 1;
    }

    /// A unit that began at `began_ns` is complete and was verified.
    pub fn complete(&mut self, began_ns: u64, now_ns: u64) {
        if self.start_ns.is_some() {
            self.completed += 1;
            self.times.record_from(began_ns, now_ns);
            self.progress.tick(now_ns);
        }
    }

    /// A unit failed.
    pub fn fail(&mut self, reason: &'static str) {
        *self.failures.entry(reason).or_default() += 1;
        self.failed += 1;
    }

    /// Units completed.
    #[must_use]
    pub const fn completed(&self) -> u64 {
        self.completed
    }

    /// Units that failed.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// The sum of it, with `open` connections at the end, and units that were begun at these times and have
    /// no end: they took until now at least, and count as failures.
    #[must_use]
    pub fn part(&self, open: usize, unanswered: &[u64], now_ns: u64) -> Part {
        let mut times = self.times.clone();
        unanswered.iter().for_each(|&began_ns| times.record_from(began_ns, now_ns));
        let mut failures = self.failures.clone();
        if !unanswered.is_empty() {
            *failures.entry("unanswered").or_default() += unanswered.len() as u64;
        }
        let seconds = self.start_ns.map_or(0.0, |start| self.end_ns.saturating_sub(start) as f64 / 1e9);
        Part {
            unit: self.unit.to_owned(),
            seconds,
            started: self.started,
            completed: self.completed,
            per_second: if seconds > 0.0 { self.completed as f64 / seconds } else { 0.0 },
            resumed: self.resumed,
            failures: failures.iter().map(|(&reason, &count)| (reason.to_owned(), count)).collect(),
            open: open as u64,
            body_bytes: self.body_bytes,
            latency: times.latency(),
            progress: self.progress.vec(),
        }
    }
}

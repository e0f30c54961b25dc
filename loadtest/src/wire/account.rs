//! What came of a wire's frames: `Account`, as JSON, as a table and in one line.

use std::fmt;

use serde::Serialize;

use super::impair::Counters;

/// Both directions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Account {
    /// How long the wire was there.
    pub seconds: f64,
    /// What came from a.
    pub a_to_b: Way,
    /// What came from b.
    pub b_to_a: Way,
}

/// One direction.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Way {
    /// What became of the frames.
    #[serde(flatten)]
    pub counters: Counters,
    /// Frames that had not left at the end.
    pub held: usize,
    /// Frames that passed and that the device would not send.
    pub refused: u64,
}

impl Account {
    /// One line.
    #[must_use]
    pub fn status(&self) -> String {
        let way = |way: &Way| {
            let Counters { offered, passed, .. } = way.counters;
            format!("{offered} offered, {passed} passed, {} held", way.held)
        };
        format!("a to b: {}; b to a: {}", way(&self.a_to_b), way(&self.b_to_a))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = format!("{:.1} seconds", self.seconds);
        write!(out, "{seconds:<16}{:>14}{:>14}", "a to b", "b to a")?;
        for ((name, there), (_, back)) in self.a_to_b.rows().into_iter().zip(self.b_to_a.rows()) {
            write!(out, "\n{name:<16}{there:>14}{back:>14}")?;
        }
        Ok(())
    }
}

impl Way {
    fn rows(&self) -> [(&'static str, u64); 13] {
        let counters = self.counters;
        [
            ("offered", counters.offered),
            ("passed", counters.passed),
            ("lost", counters.lost),
            ("lost in bursts", counters.burst_lost),
            ("duplicated", counters.duplicated),
            ("corrupted", counters.corrupted),
            ("reordered", counters.reordered),
            ("queue full", counters.queue_full),
            ("too long", counters.too_long),
            ("answered", counters.answered),
            ("no memory", counters.no_memory),
            ("held", self.held as u64),
            ("refused", self.refused),
        ]
    }
}

//! Where a worker's cycles go: `Cycles`, sums by stage of the loop.

use std::collections::BTreeMap;

use levee_dpdk::Clock;
use serde::Serialize;

macro_rules! stages {
    ($($name:ident $text:literal $doc:literal;)*) => {
        /// A stage of the loop. Usable as an index.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Stage {
            $(#[doc = $doc] $name,)*
        }

        impl Stage {
            /// All of them, in the order of their indices.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in the report.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

stages! {
    Receive "receive" "Receive bursts: the driver.";
    TcpIn "tcp_in" "Frames taken apart, up to in-order bytes.";
    Sessions "sessions" "Records opened, handshakes, heads, routes, cache.";
    Engine "engine" "Public-key work, and what follows from it.";
    Aead "aead" "Crypto devices, and what follows from their answers.";
    TcpOut "tcp_out" "Records sealed and segments put together.";
    Transmit "transmit" "Transmit bursts: the driver.";
}

/// Told when a stage of the loop is over.
pub(crate) trait Watch {
    /// What was done since the last lap, or since the turn began, was `stage`.
    fn lap(&mut self, stage: Stage);
}

/// Sums of cycles by stage. Turns in which nothing happened are idle as a whole.
pub(crate) struct Cycles {
    clock: Option<Clock>,
    last: u64,
    turn: [u64; Stage::ALL.len()],
    stages: [u64; Stage::ALL.len()],
    idle: u64,
}

impl Cycles {
    /// Sums by `clock`, or none at all.
    pub(crate) fn new(clock: Option<Clock>) -> Self {
        let last = clock.map_or(0, |clock| clock.cycles());
        Self { clock, last, turn: Default::default(), stages: Default::default(), idle: 0 }
    }

    /// A turn is over. What passed since its last lap belongs to the next.
    pub(crate) fn end_turn(&mut self, is_idle: bool) {
        if self.clock.is_none() {
            return;
        }
        let turn = std::mem::take(&mut self.turn);
        if is_idle {
            self.idle += turn.iter().sum::<u64>();
        } else {
            self.stages.iter_mut().zip(turn).for_each(|(sum, cycles)| *sum += cycles);
        }
    }

    /// What passed since the last lap was others' time.
    pub(crate) fn skip(&mut self) {
        if let Some(clock) = self.clock {
            let now = clock.cycles();
            self.idle += now.saturating_sub(std::mem::replace(&mut self.last, now));
        }
    }

    /// The sums, if anything was measured.
    pub(crate) fn sums(&self) -> Option<CycleSums> {
        let hz = self.clock?.hz();
        let stages: BTreeMap<_, _> =
            Stage::ALL.iter().map(|&stage| (stage.name(), self.stages[stage as usize])).collect();
        let busy = stages.values().sum();
        Some(CycleSums { hz, busy, idle: self.idle, total: busy + self.idle, stages })
    }
}

/// Where workers' cycles went.
#[derive(Clone, Debug, Serialize)]
pub struct CycleSums {
    /// Cycles a second.
    pub hz: u64,
    /// Cycles of turns in which something was done.
    pub busy: u64,
    /// Cycles of the other turns.
    pub idle: u64,
    /// All of them.
    pub total: u64,
    /// The busy ones by stage of the loop.
    pub stages: BTreeMap<&'static str, u64>,
}

impl CycleSums {
    /// The names of the stages, in the order of the loop.
    pub const ORDER: [&'static str; Stage::ALL.len()] = {
        let mut names = [""; Stage::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Stage::ALL[at].name();
            at += 1;
        }
        names
    };

    /// Adds those of another worker.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.busy += other.busy;
        self.idle += other.idle;
        self.total += other.total;
        for (stage, cycles) in &other.stages {
            *self.stages.entry(stage).or_default() += cycles;
        }
    }
}

impl Watch for Cycles {
    fn lap(&mut self, stage: Stage) {
        if let Some(clock) = self.clock {
            let now = clock.cycles();
            self.turn[stage as usize] += now.saturating_sub(std::mem::replace(&mut self.last, now));
        }
    }
}

//! Times of single units, and completions over time: what the loop of a generator records as it runs.
//! All memory is taken at the start; 3 significant digits from 1 us to 10 minutes (about 250 KiB).

use hdrhistogram::Histogram;

use super::Latency;

/// Times of units, of which [`Latency`] is the sum.
///
/// In a closed loop, where a unit begins when one before it ends, [`Recorder::record`] takes the time
/// since the unit began. In an open loop, where a rate says when units begin, [`Recorder::record_from`]
/// takes it since the moment the rate named, though the generator may have come to it later: while
/// the target stalls, units that should have begun wait, and their clients would have waited with
/// them. Measured since their real beginning they would be missing from the distribution at the very
/// time it is there to show (coordinated omission).
#[derive(Clone, Debug)]
pub struct Recorder {
    times: Histogram<u64>,
}

impl Recorder {
    /// A recorder without values.
    ///
    /// # Panics
    /// Never: the bounds are constants that `hdrhistogram` takes.
    #[must_use]
    pub fn new() -> Self {
        // The low bound is the resolution of small values: at 1000, 20 us would be known to 512 ns only.
        let times = Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS);
        Self { times: times.expect("constant bounds of a histogram") }
    }

    /// A unit that took `ns`; more than ten minutes count as ten.
    pub fn record(&mut self, ns: u64) {
        self.times.saturating_record(ns.min(LONGEST_NS));
    }

    /// A unit that should have begun at `intended_ns` and ended at `done_ns`, of one clock.
    pub fn record_from(&mut self, intended_ns: u64, done_ns: u64) {
        self.record(done_ns.saturating_sub(intended_ns));
    }

    /// Adds all values of `other`.
    ///
    /// # Panics
    /// Never: all recorders have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.times.add(&other.times).expect("histograms of the same bounds");
    }

    /// Values recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.times.len()
    }

    /// The distribution so far, in microseconds; all zero without values.
    #[must_use]
    pub fn latency(&self) -> Latency {
        if self.times.is_empty() {
            return Latency::default();
        }
        Latency {
            count: self.times.len(),
            min: microseconds(self.times.min()),
            mean: self.times.mean() / NS_PER_US,
            max: microseconds(self.times.max()),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            distribution: self.distribution(),
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        microseconds(self.times.value_at_quantile(share))
    }

    /// Points evenly spaced on the scale of the tail, log10(1/(1-p)): as many between 0.9 and 0.99 as
    /// between 0.99 and 0.999. They end where less than one value would lie above.
    fn distribution(&self) -> Vec<(f64, f64)> {
        let above = |point: u32| 10f64.powf(-f64::from(point) / f64::from(POINTS_PER_NINE));
        let one = 1.0 / self.times.len() as f64;
        (0..=NINES * POINTS_PER_NINE)
            .map(above)
            .take_while(|&above| above >= one * (1.0 - f64::EPSILON))
            .map(|above| (1.0 - above, self.quantile(1.0 - above)))
            .collect()
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// Completions in each tenth of a second since a start, for an hour at most; later ones are left out.
#[derive(Clone, Debug)]
pub struct Progress {
    start_ns: u64,
    tenths: Vec<u64>,
}

impl Progress {
    /// Nothing done yet at `start_ns`.
    #[must_use]
    pub fn new(start_ns: u64) -> Self {
        Self { start_ns, tenths: Vec::with_capacity(LONGEST_PROGRESS) }
    }

    /// A unit was completed at `now_ns`.
    pub fn tick(&mut self, now_ns: u64) {
        let tenth = now_ns.saturating_sub(self.start_ns) / NS_PER_TENTH;
        let Some(tenth) = usize::try_from(tenth).ok().filter(|&tenth| tenth < LONGEST_PROGRESS) else {
            return;
        };
        if tenth >= self.tenths.len() {
            self.tenths.resize(tenth + 1, 0);
        }
        self.tenths[tenth] += 1;
    }

    /// The counts, up to the last tenth in which there was one.
    #[must_use]
    pub fn vec(&self) -> Vec<u64> {
        self.tenths.clone()
    }
}

fn microseconds(ns: u64) -> f64 {
    ns as f64 / NS_PER_US
}

const NS_PER_US: f64 = 1e3;
const NS_PER_TENTH: u64 = 100_000_000;
const LONGEST_NS: u64 = 600 * 1_000_000_000;
const LONGEST_PROGRESS: usize = 3600 * 10;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Points of a distribution: 16 for each nine, up to five nines.
const POINTS_PER_NINE: u32 = 16;
const NINES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut values: Vec<u64> = (0..20_000u64).map(|i| 1_000 + i * i % 7_919 * 13_337).collect();
        let mut recorder = Recorder::new();
        for &value in &values {
            recorder.record(value);
        }
        values.sort_unstable();
        let latency = recorder.latency();
        let check = |measured_us: f64, rank: usize| {
            let exact_us = values[rank] as f64 / 1e3;
            assert!((measured_us / exact_us - 1.0).abs() <= 1e-3, "{measured_us} for {exact_us}");
        };
        check(latency.min, 0);
        check(latency.p50, 9_999);
        check(latency.p90, 17_999);
        check(latency.p99, 19_799);
        check(latency.p999, 19_979);
        check(latency.max, 19_999);
        let mean = values.iter().sum::<u64>() as f64 / 20_000.0 / 1e3;
        assert!((latency.mean / mean - 1.0).abs() < 1e-3);
        assert_eq!(latency.count, 20_000);
    }

    #[test]
    fn a_stall_counts_for_all_who_would_have_waited() {
        let mut open = Recorder::new();
        let mut closed = Recorder::new();
        // A hundred a second for ten seconds, one at a time, 1 ms each; nothing moves from 5 s to 6 s.
        let mut free_at = 0;
        for unit in 0..1_000 {
            let intended = unit * 10 * MS;
            let begun = free_at.max(intended);
            let done = if (5_000 * MS..6_000 * MS).contains(&begun) { 6_000 * MS } else { begun } + MS;
            free_at = done;
            open.record_from(intended, done);
            closed.record(done - begun);
        }
        // Units waited 1001 ms, 992, 983, ...: the eleventh is the hundredth part's end.
        let p99_ms = open.latency().p99 / 1e3;
        assert!((p99_ms - 911.0).abs() < 1.0, "{p99_ms}");
        let uncorrected_ms = closed.latency().p99 / 1e3;
        assert!((uncorrected_ms - 1.0).abs() < 0.01, "{uncorrected_ms}");
    }

    #[test]
    fn distribution_ends_where_the_values_do() {
        let mut recorder = Recorder::new();
        for us in 1..=1_000 {
            recorder.record(us * 1_000);
        }
        let points = recorder.latency().distribution;
        assert_eq!(points.len(), 3 * 16 + 1);
        assert_eq!(points[0], (0.0, 1.0));
        for (point, share, value) in [(16, 0.9, 900.0), (32, 0.99, 990.0), (48, 0.999, 999.0)] {
            let (x, y): (f64, f64) = points[point];
            assert!((x - share).abs() < 1e-9 && (y / value - 1.0).abs() < 2e-3, "{x} {y}");
        }
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }

    #[test]
    fn merged_recorders_are_one() {
        let (mut a, mut b) = (Recorder::new(), Recorder::default());
        a.record(2 * MS);
        b.record(4 * MS);
        a.merge(&b);
        assert_eq!(a.count(), 2);
        assert!((a.latency().mean / 3_000.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn recording_does_not_allocate() {
        let (mut recorder, mut progress) = (Recorder::new(), Progress::new(0));
        let counted = allocation_counter::measure(|| {
            for i in 0..36_000 {
                recorder.record(i * i * i);
                recorder.record_from(i, i * 1_000);
                progress.tick(i * NS_PER_TENTH);
            }
        });
        assert_eq!(counted.count_total, 0);
        assert_eq!(progress.vec(), [1; 36_000]);
    }

    #[test]
    fn what_is_out_of_bounds_saturates() {
        let mut recorder = Recorder::new();
        assert_eq!(recorder.latency().count, 0);
        recorder.record_from(10, 5);
        assert!(recorder.latency().max < 1.0);
        recorder.record(u64::MAX);
        assert!((recorder.latency().max / 600e6 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn progress_counts_tenths_for_an_hour() {
        let mut progress = Progress::new(5_000 * MS);
        for at_ms in [5_000, 5_099, 5_100, 5_350] {
            progress.tick(at_ms * MS);
        }
        assert_eq!(progress.vec(), [2, 1, 0, 1]);
        progress.tick(u64::MAX);
        assert_eq!(progress.vec().len(), 4);
        progress.tick((5_000 + 3_599_999) * MS);
        assert_eq!(progress.vec().len(), 36_000);
    }
}

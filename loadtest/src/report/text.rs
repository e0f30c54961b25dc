//! A summary as people read it on standard output.

use std::fmt;

use super::number::{bytes, duration, percent, rate, thousands};
use super::{Generator, Machine, Part, Summary, Table};

/// Prints `summary` on standard output.
pub fn print(summary: &Summary) {
    print!("{summary}");
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.kind, self.arguments.join(" "))?;
        writeln!(f, "{}\n", self.machine)?;
        let parts: Vec<_> = self.parts().collect();
        writeln!(f, "{}", counts(&parts))?;
        writeln!(f, "{}", times(&parts))?;
        for (name, part) in &parts {
            let failures: Vec<_> =
                part.failures.iter().map(|(reason, &n)| format!("{} {reason}", thousands(n))).collect();
            if !failures.is_empty() {
                writeln!(f, "failed {name}: {}", failures.join(", "))?;
            }
        }
        writeln!(f, "{}", self.generator)
    }
}

impl Summary {
    /// The load and, beside a flood, the client that behaves, each with the name to print.
    pub(super) fn parts(&self) -> impl Iterator<Item = (String, &Part)> {
        let legitimate = self.legitimate.iter().map(|part| (format!("legitimate {}", part.name()), part));
        [(self.load.name(), &self.load)].into_iter().chain(legitimate)
    }
}

impl Part {
    /// The unit in words: `client_hellos` as `client hellos`.
    fn name(&self) -> String {
        self.unit.replace('_', " ")
    }

    /// Units that failed, for any reason.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

fn counts(parts: &[(String, &Part)]) -> Table {
    let mut table = Table::new(&[
        "",
        "seconds",
        "started",
        "completed",
        "per second",
        "failed",
        "resumed",
        "open at end",
        "body",
    ]);
    for (name, part) in parts {
        table.row([
            name.clone(),
            format!("{:.1}", part.seconds),
            thousands(part.started),
            thousands(part.completed),
            rate(part.per_second),
            thousands(part.failed()),
            thousands(part.resumed),
            thousands(part.open),
            bytes(part.body_bytes),
        ]);
    }
    table
}

fn times(parts: &[(String, &Part)]) -> Table {
    let mut table = Table::new(&["latency", "p50", "p90", "p99", "p99.9", "max"]);
    for (name, Part { latency, .. }) in parts {
        let values = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
        let text = |us| if latency.count == 0 { "-".to_owned() } else { duration(us) };
        table.row([name.clone()].into_iter().chain(values.map(text)));
    }
    table
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generator: busy {}", percent(self.busy))?;
        if self.busy >= GENERATOR_IS_THE_LIMIT {
            write!(f, " (it was the limit: the target could do more)")?;
        }
        if self.frames_out + self.frames_in > 0 {
            let (sent, received) = (thousands(self.frames_out), thousands(self.frames_in));
            write!(f, ", {sent} frames out, {received} in, {} segments resent", thousands(self.retransmits))?;
        }
        Ok(())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpus, memory) = (self.cpus, thousands(self.memory_mib));
        let plural = if cpus == 1 { "" } else { "s" };
        write!(f, "{}, {cpus} CPU{plural}, {memory} MiB, {}; ", self.cpu, self.kernel)?;
        write!(f, "{}, levee-load {}", self.date, self.version)
    }
}

/// From this share of its CPU time on, a generator may have been what held the figures down.
const GENERATOR_IS_THE_LIMIT: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::super::tests::summary;

    #[test]
    fn a_summary_is_two_tables_and_what_there_is_to_say() {
        let text = "\
handshake 10.9.1.1:443 --mode full
Some Processor, 2 CPUs, 7,900 MiB, Linux 6.18.44; 2026-11-22, levee-load 0.1.0

                     seconds  started  completed  per second  failed  resumed  open at end      body
-------------------  -------  -------  ---------  ----------  ------  -------  -----------  --------
handshakes              10.0  123,460    123,400      12,340      56        7           64       0 B
legitimate requests     10.0    1,000      1,000         100       0        0            1  1.50 MiB

latency                  p50      p90      p99    p99.9      max
-------------------  -------  -------  -------  -------  -------
handshakes           81.2 us   400 us  1.24 ms  9.00 ms   1.00 s
legitimate requests   150 us  1.00 ms  2.00 ms  2.50 ms  3.00 ms

failed handshakes: 50 reset, 6 timeout
generator: busy 93 % (it was the limit: the target could do more), 1,000,000 frames out, 900,000 in, 3 segments resent
";
        assert_eq!(summary().to_string(), text);
    }

    #[test]
    fn what_was_not_measured_is_not_printed_as_zero() {
        let mut summary = summary();
        summary.legitimate = None;
        summary.generator = super::Generator { busy: 0.4, ..Default::default() };
        summary.load.failures.clear();
        summary.load.latency = super::super::Latency::default();
        let text = summary.to_string();
        assert!(text.contains("handshakes  -    -    -    -      -\n"), "{text}");
        assert!(text.ends_with("\n\ngenerator: busy 40 %\n"), "{text}");
        assert!(!text.contains("legitimate"));
    }
}

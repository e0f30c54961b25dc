//! Plots of runs as SVG files, which browsers and GitHub show.

mod axis;
mod bars;
mod lines;
mod svg;

use std::fs;
use std::path::Path;

use miette::{IntoDiagnostic, WrapErr};

use self::axis::Axis;
use self::lines::Line;
use self::svg::Type;
use super::number::{duration, thousands};
use super::{Latency, Part, Summary, write_file};

pub use bars::{Bar, Bars};

/// Writes `latency.svg`, `throughput.svg` and, beside a flood, `throughput-legitimate.svg` of a run into
/// `directory`, which is made if it is missing. What was not measured is not plotted.
///
/// # Errors
/// A file cannot be written; the message names it.
pub fn write(summary: &Summary, directory: &Path) -> miette::Result<()> {
    fs::create_dir_all(directory)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make the directory {}", directory.display()))?;
    let title = format!("{} {}", summary.kind, summary.arguments.join(" "));
    let parts: Vec<_> = summary.parts().collect();
    let times: Vec<_> = parts.iter().map(|(name, part)| (name.as_str(), &part.latency)).collect();
    if times.iter().any(|(_, latency)| latency.count > 0) {
        write_file(&directory.join("latency.svg"), &latency(&title, &times))?;
    }
    for ((name, part), file) in parts.iter().zip(["throughput.svg", "throughput-legitimate.svg"]) {
        if !each_second(part).is_empty() {
            write_file(&directory.join(file), &throughput(&title, &[(name, part)]))?;
        }
    }
    Ok(())
}

/// Distributions of times as an SVG document: percentiles on a scale that gives each nine the same room,
/// times on a log scale where they differ by more than 20.
#[must_use]
pub fn latency(title: &str, latencies: &[(&str, &Latency)]) -> String {
    let lines: Vec<_> = latencies
        .iter()
        .filter(|(_, latency)| latency.count > 0)
        .map(|(name, latency)| Line { name: (*name).to_owned(), points: latency.distribution.clone() })
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let share = points().map(|point| point.0).filter(|&share| share < 1.0).fold(0.0, f64::max);
    let low = points().map(|point| point.1).filter(|&us| us > 0.0).fold(f64::INFINITY, f64::min);
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    let y = if high > low * WIDE {
        Axis::log("time (log scale)", low, high, round_duration)
    } else {
        Axis::linear("time", high, round_duration)
    };
    lines::chart(title, &Axis::tail("percentile", share), &y, &lines)
}

/// Units completed in each whole second of runs, as an SVG document.
#[must_use]
pub fn throughput(title: &str, parts: &[(&str, &Part)]) -> String {
    let lines: Vec<_> = parts
        .iter()
        .map(|(name, part)| Line { name: (*name).to_owned(), points: each_second(part) })
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|point| point.0).fold(0.0, f64::max);
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::linear_to("seconds", end, round_number);
    let y = Axis::linear("completed in a second", high * HEADROOM, round_number);
    lines::chart(title, &x, &y, &lines)
}

/// Steps from the beginning of each whole second to its end. Seconds at the end of a run in which nothing
/// was completed are not in `progress`, but were counted.
fn each_second(part: &Part) -> Vec<(f64, f64)> {
    let mut tenths = part.progress.clone();
    let counted = (part.seconds.min(LONGEST_SECONDS) * 10.0).round();
    while (tenths.len() as f64) < counted {
        tenths.push(0);
    }
    let (seconds, _) = tenths.as_chunks::<10>();
    let rates = seconds.iter().map(|tenths| tenths.iter().sum::<u64>() as f64);
    rates.enumerate().flat_map(|(s, rate)| [(s as f64, rate), (s as f64 + 1.0, rate)]).collect()
}

/// A time that a tick stands at, without the zeros that precision would add.
fn round_duration(us: f64) -> String {
    let text = duration(us);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A number that a tick stands at.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no count is as great")]
fn round_number(value: f64) -> String {
    if value.fract() == 0.0 { thousands(value as u64) } else { format!("{value:.1}") }
}

/// `text`, or its beginning if it has more than so many letters. All of it is in the document's name.
fn shortened(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(letters - 3).chain("...".chars()).collect(),
    }
}

/// Beyond this factor between the greatest and the least time, a linear axis would show one of them.
const WIDE: f64 = 20.0;
/// Keeps a steady rate from lying on the upper edge.
const HEADROOM: f64 = 1.05;
/// As far as `Progress` goes.
const LONGEST_SECONDS: f64 = 3600.0;

const INK: &str = "#24292f";
const MUTED: &str = "#57606a";
const GRID: &str = "#e4e7ea";
/// Colours that differ for the colour-blind too (Okabe and Ito), in the order of use.
const COLORS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
const LABEL: Type = Type { size: 12.0, anchor: "start", color: INK, is_bold: false };
const TITLE: Type = Type { size: 16.0, anchor: "start", color: INK, is_bold: true };
const TITLE_LETTERS: usize = 70;

#[cfg(test)]
mod tests;

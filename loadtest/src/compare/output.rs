//! What a comparison leaves: a table for people, objects for programs, charts of the ratios.

use std::fs;
use std::path::Path;

use miette::IntoDiagnostic;
use serde::Serialize;

use super::lab::Link;
use super::peers::Peer;
use super::rows::{Better, Figure, Scenario};
use super::verdict::{Comparison, Limit, Measured, compare};
use crate::report::number::rate;
use crate::report::plot::{Bar, Bars};
use crate::report::{Machine, Table, write_file, write_json};

/// All values, in the order in which they were first measured.
#[derive(Default)]
pub(super) struct Results(Vec<Series>);

/// The rounds of one server in one row.
struct Series {
    link: Link,
    scenario: &'static Scenario,
    figure: Figure,
    peer: Peer,
    rounds: Vec<Measured>,
}

/// Where and with what all was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Place {
    pub(super) machine: Machine,
    /// What each server says of its version.
    pub(super) versions: Vec<String>,
    /// Seconds of a run.
    pub(super) seconds: f64,
}

/// A row and one of the servers that Levee is compared to.
#[derive(Debug, Serialize)]
struct Line {
    row: String,
    link: &'static str,
    peer: Option<&'static str>,
    unit: &'static str,
    better: &'static str,
    #[serde(flatten)]
    comparison: Comparison,
    levee_rounds: Vec<Option<f64>>,
    peer_rounds: Vec<Option<f64>>,
    #[serde(flatten)]
    place: Place,
}

impl Results {
    /// Adds what a round says of a row and a server.
    pub(super) fn add(
        &mut self,
        link: Link,
        scenario: &'static Scenario,
        figure: Figure,
        peer: Peer,
        measured: Measured,
    ) {
        let same = |series: &&mut Series| {
            series.link == link
                && series.scenario.name == scenario.name
                && series.figure == figure
                && series.peer == peer
        };
        match self.0.iter_mut().find(same) {
            Some(series) => series.rounds.push(measured),
            None => self.0.push(Series { link, scenario, figure, peer, rounds: vec![measured] }),
        }
    }

    /// Compares: a line for each row and server beside Levee, or one for Levee where it was alone.
    fn lines(&self, place: &Place) -> Vec<Line> {
        let of = |first: &Series, peer: Peer| {
            self.0.iter().find(|series| {
                series.peer == peer
                    && series.link == first.link
                    && series.scenario.name == first.scenario.name
                    && series.figure == first.figure
            })
        };
        let is_first = |series: &&Series| {
            [Peer::Levee, Peer::Nginx, Peer::Haproxy]
                .into_iter()
                .find_map(|peer| of(series, peer))
                .is_some_and(|first| std::ptr::eq(first, *series))
        };
        let mut lines = Vec::new();
        for first in self.0.iter().filter(is_first) {
            let levee = of(first, Peer::Levee);
            let others: Vec<_> =
                [Peer::Nginx, Peer::Haproxy].into_iter().filter_map(|peer| of(first, peer)).collect();
            match others.is_empty() {
                true => lines.push(line(levee, None, place)),
                false => lines.extend(others.into_iter().map(|other| line(levee, Some(other), place))),
            }
        }
        lines.into_iter().flatten().collect()
    }
}

fn line(levee: Option<&Series>, peer: Option<&Series>, place: &Place) -> Option<Line> {
    let series = levee.or(peer)?;
    let rounds = |series: Option<&Series>| series.map_or(Vec::new(), |series| series.rounds.clone());
    let values = |rounds: &[Measured]| rounds.iter().map(|measured| measured.value).collect();
    let (ours, theirs) = (rounds(levee), rounds(peer));
    let better = series.figure.better();
    Some(Line {
        row: series.scenario.row(series.figure),
        link: series.link.name(),
        peer: peer.map(|peer| peer.peer.name()),
        unit: series.scenario.unit(series.figure),
        better: match better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        },
        comparison: compare(&ours, &theirs, better),
        levee_rounds: values(&ours),
        peer_rounds: values(&theirs),
        place: place.clone(),
    })
}

/// Where a comparison is written to, besides standard output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files<'a> {
    pub(super) json: Option<&'a Path>,
    pub(super) markdown: Option<&'a Path>,
    pub(super) plot: Option<&'a Path>,
}

/// Prints the tables and writes the files.
pub(super) fn write(results: &Results, place: &Place, files: Files<'_>) -> miette::Result<()> {
    let lines = results.lines(place);
    let tables = tables(&lines);
    for (link, table) in &tables {
        println!("\n{link}\n\n{table}");
    }
    if let Some(path) = files.markdown {
        let text: String =
            tables.iter().map(|(link, table)| format!("{link}:\n\n{}\n", table.markdown())).collect();
        write_file(path, &format!("{}\n\n{text}", heading(place)))?;
    }
    if let Some(path) = files.json {
        write_json(path, &lines)?;
    }
    if let Some(directory) = files.plot {
        fs::create_dir_all(directory).into_diagnostic()?;
        for (name, chart) in charts(&lines) {
            write_file(&directory.join(name), &chart.svg())?;
        }
    }
    Ok(())
}

fn heading(place: &Place) -> String {
    let machine = &place.machine;
    format!(
        "{}, {} CPUs, {}, {}; {}; runs of {} s",
        machine.cpu,
        machine.cpus,
        machine.kernel,
        machine.date,
        place.versions.join(", "),
        place.seconds
    )
}

/// A table for each link.
fn tables(lines: &[Line]) -> Vec<(&'static str, Table)> {
    let header =
        ["row", "unit", "Levee", "peer", "its value", "ratio", "spread", "rounds", "limited by", "remark"];
    let mut tables: Vec<(&'static str, Table)> = Vec::new();
    for line in lines {
        if tables.last().is_none_or(|(link, _)| *link != line.link) {
            tables.push((line.link, Table::new(&header)));
        }
        let Some((_, table)) = tables.last_mut() else { continue };
        let compared = &line.comparison;
        let mark = (compared.limited_by == Limit::Load).then_some("not to be quoted: the load was the limit");
        let remarks: Vec<&str> = mark.into_iter().chain(compared.remark.as_deref()).collect();
        table.row([
            line.row.clone(),
            line.unit.to_owned(),
            number(compared.levee),
            line.peer.unwrap_or("-").to_owned(),
            number(compared.peer_value),
            compared.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            compared.spread.map_or("-".to_owned(), |[low, high]| format!("{low:.2} to {high:.2}")),
            compared.rounds.to_string(),
            limit(compared.limited_by).to_owned(),
            remarks.join("; "),
        ]);
    }
    tables
}

const fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Server => "server",
        Limit::Load => "load",
        Limit::Neither => "neither",
        Limit::NotApplicable => "-",
    }
}

/// Three digits that count, or all before the point.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => rate(value),
    }
}

/// A chart of ratios for each link and server, with the name of its file.
fn charts(lines: &[Line]) -> Vec<(String, Bars)> {
    let mut charts: Vec<(String, Bars)> = Vec::new();
    for line in lines {
        let (Some(peer), Some(ratio), Some([low, high])) =
            (line.peer, line.comparison.ratio, line.comparison.spread)
        else {
            continue;
        };
        let file = format!("levee-{}-{}.svg", peer.to_lowercase(), line.link.replace(", ", "-"));
        let bar =
            Bar { label: line.row.clone(), value: ratio, low, high, quotable: line.comparison.quotable };
        match charts.iter_mut().find(|(name, _)| *name == file) {
            Some((_, chart)) => chart.bars.push(bar),
            None => {
                let title = format!("Levee against {peer} ({}); grey: not to be quoted", line.link);
                let axis = "times better".to_owned();
                charts.push((file, Bars { title, axis, bars: vec![bar] }));
            }
        }
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::super::rows::SCENARIOS;
    use super::super::verdict::Busy;
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        let [full, pace] = ["full-tls13-ecdsa", "cached-1k"]
            .map(|name| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap());
        for round in [1.0, 2.0] {
            for (peer, value, load) in
                [(Peer::Levee, 12_000.0, 0.99), (Peer::Nginx, 3_000.0, 0.2), (Peer::Haproxy, 4_000.0, 0.2)]
            {
                let server = if peer == Peer::Levee { 0.5 } else { 1.0 };
                let busy = Some(Busy { server, load });
                let measured = Measured { value: Some(value * round), remark: None, busy };
                results.add(Link::Veth, full, Figure::PerSecond, peer, measured);
            }
            let alone = Measured { value: Some(round), ..Measured::default() };
            results.add(Link::Memif, pace, Figure::PerSecond, Peer::Levee, alone);
        }
        results
    }

    #[test]
    fn programs_get_an_array_of_objects() {
        let lines = results().lines(&Place::default());
        let json: serde_json::Value = serde_json::to_value(&lines).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 3);
        let first = &json[0];
        assert_eq!(first["row"], "full-tls13-ecdsa");
        assert_eq!(first["peer"], "nginx");
        assert_eq!(first["levee"], 18_000.0);
        assert_eq!(first["peer_value"], 4_500.0);
        assert_eq!(first["unit"], "handshakes/s");
        assert_eq!(first["ratio"], 4.0);
        assert_eq!(first["spread"], serde_json::json!([4.0, 4.0]));
        assert_eq!(first["limited_by"], "load");
        assert_eq!(first["quotable"], false);
        assert_eq!(first["rounds"], 2);
        assert_eq!(first["levee_rounds"], serde_json::json!([12_000.0, 24_000.0]));
        assert!(first["machine"].is_object());
        assert_eq!(json[1]["peer"], "HAProxy");
        let alone = &json[2];
        assert_eq!((&alone["peer"], &alone["ratio"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!((&alone["link"], &alone["levee"]), (&"memif".into(), &1.5.into()));
    }

    #[test]
    fn people_get_a_table_for_each_link() {
        let tables = tables(&results().lines(&Place::default()));
        let [(veth, first), (memif, second)] = &tables[..] else { panic!("{}", tables.len()) };
        assert_eq!((*veth, *memif), ("veth", "memif"));
        let text = first.to_string();
        let row = text.lines().find(|line| line.contains("nginx")).unwrap();
        let words: Vec<&str> = row.split_whitespace().take(9).collect();
        assert_eq!(
            words,
            ["full-tls13-ecdsa", "handshakes/s", "18,000", "nginx", "4,500", "4.00", "4.00", "to", "4.00"]
        );
        assert!(row.ends_with("load        not to be quoted: the load was the limit"), "{row}");
        assert!(second.markdown().contains("| cached-1k | requests/s | 1.50 | - | - | - | - | 2 | - |"));
    }

    #[test]
    fn charts_are_grey_where_the_load_was_the_limit() {
        let charts = charts(&results().lines(&Place::default()));
        let names: Vec<&str> = charts.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["levee-nginx-veth.svg", "levee-haproxy-veth.svg"]);
        assert!(charts.iter().all(|(_, chart)| chart.bars.iter().all(|bar| !bar.quotable)));
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.1234, 12.34, 123.4, 1_234_567.8, 999_999.9].map(|value| number(Some(value)));
        assert_eq!(numbers, ["0.12", "12.3", "123", "1,234,568", "1,000,000"]);
        assert_eq!(number(None), "-");
    }
}

use roxmltree::Document;

use super::super::tests::summary;
use super::*;

/// The text of all `text` elements of what must be a well-formed document.
fn labels(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}:\n{svg}"));
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text().map(str::to_owned)).collect()
}

fn assert_labels(svg: &str, expected: &[&str]) {
    let labels = labels(svg);
    for text in expected {
        assert!(labels.iter().any(|label| label == text), "no {text} among {labels:?}");
    }
}

#[test]
fn latency_names_percentiles_times_and_lines() {
    let run = summary();
    let legitimate = run.legitimate.unwrap();
    let svg = latency("a <b> & \"c\"\u{1}", &[("flood", &run.load.latency), ("client", &legitimate.latency)]);
    assert_labels(
        &svg,
        &["a <b> & \"c\" ", "flood", "client", "99.9 %", "100 us", "1 ms", "time (log scale)"],
    );
    let svg = latency(
        "t",
        &[(
            "client",
            &Latency { distribution: vec![(0.0, 100.0), (0.9, 190.0)], count: 10, ..Latency::default() },
        )],
    );
    assert_labels(&svg, &["time", "0 us", "150 us", "200 us", "90 %"]);
}

#[test]
fn throughput_has_a_step_for_each_whole_second() {
    let mut part = Part { seconds: 4.0, progress: vec![100; 25], ..Part::default() };
    let rates: Vec<f64> = each_second(&part).into_iter().map(|(_, rate)| rate).collect();
    assert_eq!(rates, [1e3, 1e3, 1e3, 1e3, 500.0, 500.0, 0.0, 0.0]);
    assert_labels(
        &throughput("t", &[("requests", &part)]),
        &["requests", "seconds", "4", "1,000", "400", "0"],
    );
    part.progress.clear();
    part.seconds = 0.5;
    assert_eq!(each_second(&part), []);
    assert_labels(&throughput("t", &[("requests", &part)]), &["requests"]);
}

#[test]
fn bars_name_ratios_and_what_may_not_be_quoted() {
    let bar =
        |label: &str, value, low, high, quotable| Bar { label: label.into(), value, low, high, quotable };
    let mut bars = Bars {
        title: "Levee against <peer>".into(),
        axis: "requests a second, Levee over peer".into(),
        bars: vec![
            bar("1 KiB", 1.5, 1.4, 1.62, true),
            bar("1 MiB", 0.7, 0.5, 1.1, false),
            bar("one run", 2.0, f64::NAN, 0.0, true),
            bar("none", f64::NAN, 0.0, 0.0, false),
        ],
    };
    let svg = bars.svg();
    assert_labels(
        &svg,
        &["1 KiB", "1.5 (1.4 to 1.62)", "2", "not measured", "1x", "grey: spread too wide to quote"],
    );
    assert!(svg.contains("#b9bec4") && !svg.contains("NaN"));
    bars.bars.truncate(1);
    assert!(!bars.svg().contains("grey"));
    bars.bars.clear();
    assert_labels(&bars.svg(), &["Levee against <peer>", "1x"]);
}

#[test]
fn a_run_is_plotted_into_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("plots/run");
    write(&summary(), &inner).unwrap();
    for file in ["latency.svg", "throughput.svg", "throughput-legitimate.svg"] {
        let svg = fs::read_to_string(inner.join(file)).unwrap();
        assert_labels(&svg, &["handshake 10.9.1.1:443 --mode full"]);
    }
    let mut bare = summary();
    (bare.legitimate, bare.load) = (None, Part::default());
    let empty = directory.path().join("empty");
    write(&bare, &empty).unwrap();
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert!(write(&summary(), &inner.join("latency.svg")).is_err());
}

#[test]
fn long_titles_are_cut_but_in_the_document() {
    let title = format!("http https://10.9.1.1:443/ {}", "--connections 64 ".repeat(5));
    let svg = throughput(&title, &[]);
    assert_labels(&svg, &[&format!("{}...", &title[..67])]);
    let document = Document::parse(&svg).unwrap();
    assert!(document.descendants().any(|node| node.has_tag_name("title") && node.text() == Some(&title)));
}

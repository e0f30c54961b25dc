//! A chart of lines over two axes.

use super::axis::Axis;
use super::svg::{Stroke, Svg, Type};
use super::{COLORS, GRID, INK, LABEL, MUTED, TITLE, TITLE_LETTERS, shortened};

/// A line and its name in the legend.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// The chart as a document.
pub(super) fn chart(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    svg.text((LEFT, 32.0), &shortened(title, TITLE_LETTERS), TITLE);
    legend(&mut svg, lines);
    axes(&mut svg, x, y);
    for (Line { points, .. }, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let placed = points.iter().map(|&(a, b)| (across(x, a), up(y, b)));
        svg.path(placed, Stroke { color, width: 2.0 });
    }
    svg.finish()
}

fn legend(svg: &mut Svg, lines: &[Line]) {
    let mut left = LEFT;
    for (Line { name, .. }, color) in lines.iter().zip(COLORS.iter().cycle()) {
        svg.line((left, LEGEND - 4.0), (left + 18.0, LEGEND - 4.0), Stroke { color, width: 3.0 });
        svg.text((left + 24.0, LEGEND), name, LABEL);
        left += 48.0 + LETTER * name.chars().count() as f64;
    }
}

/// Both axes with a grid behind: ticks of the value axis named at the left, of the other below.
fn axes(svg: &mut Svg, x: &Axis, y: &Axis) {
    let grid = Stroke { color: GRID, width: 1.0 };
    for (value, name) in &y.ticks {
        let height = up(y, *value);
        svg.line((LEFT, height), (RIGHT, height), grid);
        svg.text((LEFT - 8.0, height + 4.0), name, Type { anchor: "end", ..LABEL });
    }
    for (value, name) in &x.ticks {
        let place = across(x, *value);
        svg.line((place, TOP), (place, BOTTOM), grid);
        svg.text((place, BOTTOM + 20.0), name, Type { anchor: "middle", ..LABEL });
    }
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), Stroke { color: INK, width: 1.0 });
    let style = Type { anchor: "middle", color: MUTED, ..LABEL };
    svg.text(((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), &x.title, style);
    svg.text_upwards((22.0, (TOP + BOTTOM) / 2.0), &y.title, style);
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * axis.position(value)
}

fn up(axis: &Axis, value: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * axis.position(value)
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = WIDTH - 36.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = HEIGHT - 60.0;
const LEGEND: f64 = 58.0;
/// About the width of a letter of the legend.
const LETTER: f64 = 6.8;

//! Ratios as bars to both sides of 1: how several things compare to what each is measured against.

use super::axis::Axis;
use super::svg::{Stroke, Svg, Type};
use super::{COLORS, GRID, INK, LABEL, MUTED, TITLE, TITLE_LETTERS, shortened};

/// A chart of ratios, one bar below the other, on a log scale: twice and half are equally far from 1.
/// Bars above 1 are blue, those below vermilion.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What is compared, above the chart.
    pub title: String,
    /// What the ratio is of, below the axis.
    pub axis: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// One ratio.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What the ratio belongs to.
    pub label: String,
    /// The ratio: positive, 1.0 where both are equal.
    pub value: f64,
    /// The least it was measured to be.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Whether the spread allows to quote it; grey if not.
    pub quotable: bool,
}

impl Bars {
    /// The chart as an SVG document. A bar whose value is not a positive number is named, and said to be
    /// not measured.
    #[must_use]
    pub fn svg(&self) -> String {
        let bottom = TOP + ROW * self.bars.len() as f64;
        let height = bottom + BELOW + if self.bars.iter().all(|bar| bar.quotable) { 0.0 } else { ROW };
        let mut svg = Svg::new(WIDTH, height, &self.title);
        svg.text((MARGIN, 32.0), &shortened(&self.title, TITLE_LETTERS), TITLE);
        let axis = self.scale();
        for (value, name) in &axis.ticks {
            let place = across(&axis, *value);
            svg.line((place, TOP), (place, bottom), Stroke { color: GRID, width: 1.0 });
            svg.text((place, bottom + 20.0), name, Type { anchor: "middle", ..LABEL });
        }
        for (row, bar) in self.bars.iter().enumerate() {
            bar.draw(&mut svg, &axis, TOP + ROW * (row as f64 + 0.5));
        }
        let one = across(&axis, 1.0);
        svg.line((one, TOP - 6.0), (one, bottom), Stroke { color: INK, width: 1.5 });
        let style = Type { anchor: "middle", color: MUTED, ..LABEL };
        svg.text(((LEFT + RIGHT) / 2.0, bottom + 44.0), &self.axis, style);
        if height > bottom + BELOW {
            svg.text(((LEFT + RIGHT) / 2.0, bottom + 66.0), "grey: spread too wide to quote", style);
        }
        svg.finish()
    }

    /// An axis with room for all bars and their spread, and for 1.
    fn scale(&self) -> Axis {
        let measured = self.bars.iter().filter(|bar| bar.is_measured());
        let values = measured.flat_map(|bar| [bar.value, bar.low, bar.high]);
        let (low, high) = values
            .filter(|&value| is_ratio(value))
            .fold((1f64, 1f64), |(low, high), value| (low.min(value), high.max(value)));
        Axis::log(&self.axis, low, high, |ratio| format!("{}x", decimal(ratio)))
    }
}

impl Bar {
    fn draw(&self, svg: &mut Svg, axis: &Axis, middle: f64) {
        let base = middle + 4.0;
        svg.text(
            (LEFT - 10.0, base),
            &shortened(&self.label, LABEL_LETTERS),
            Type { anchor: "end", ..LABEL },
        );
        if !self.is_measured() {
            svg.text((RIGHT + 10.0, base), "not measured", Type { color: MUTED, ..LABEL });
            return;
        }
        let color = match (self.quotable, self.value >= 1.0) {
            (false, _) => GREY,
            (true, true) => COLORS[0],
            (true, false) => COLORS[1],
        };
        let (one, end) = (across(axis, 1.0), across(axis, self.value));
        svg.rectangle((one, middle - THICK / 2.0), (end, middle + THICK / 2.0), color);
        let style = if self.quotable { LABEL } else { Type { color: MUTED, ..LABEL } };
        let mut text = decimal(self.value);
        if is_ratio(self.low) && is_ratio(self.high) {
            text.push_str(&format!(" ({} to {})", decimal(self.low), decimal(self.high)));
            whisker(svg, (across(axis, self.low), across(axis, self.high)), middle);
        }
        svg.text((RIGHT + 10.0, base), &text, style);
    }

    fn is_measured(&self) -> bool {
        is_ratio(self.value)
    }
}

fn whisker(svg: &mut Svg, (low, high): (f64, f64), middle: f64) {
    let stroke = Stroke { color: INK, width: 1.0 };
    svg.line((low, middle), (high, middle), stroke);
    for end in [low, high] {
        svg.line((end, middle - 4.0), (end, middle + 4.0), stroke);
    }
}

fn is_ratio(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// Two decimals at most, and none that are zero.
fn decimal(value: f64) -> String {
    let text = if value < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * axis.position(value)
}

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 24.0;
const LEFT: f64 = 290.0;
/// Letters of a label that fit left of the bars.
const LABEL_LETTERS: usize = 40;
const RIGHT: f64 = WIDTH - 160.0;
const TOP: f64 = 60.0;
const ROW: f64 = 26.0;
const THICK: f64 = 15.0;
const BELOW: f64 = 60.0;
const GREY: &str = "#b9bec4";

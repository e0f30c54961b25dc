//! A table and a chart of ratios, as text and as SVG.

use std::fmt::{self, Write as _};

/// Rows under a header.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(super) fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// The same table in Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut lines: Vec<String> =
            self.rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
        lines.insert(1, format!("|{}\n", "---|".repeat(self.rows[0].len())));
        lines.concat()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let width = |column| self.rows.iter().map(|row| cell(row, column)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A chart of ratios, one bar below the other, on a log scale.
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) axis: String,
    pub(super) bars: Vec<Bar>,
}

/// One ratio, with the least and the greatest it was; grey unless it can be quoted.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) quotable: bool,
}

impl Bars {
    /// The chart as an SVG document: the middle is 1, the sides are 1/32 and 32.
    pub(super) fn svg(&self) -> String {
        let x = |value: f64| 600.0 + 60.0 * value.clamp(1.0 / 32.0, 32.0).log2();
        let height = 24 * self.bars.len() + 80;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"920\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"12\" y=\"24\">{}</text>\n\
             <text x=\"600\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            self.title,
            height - 12,
            self.axis
        );
        let mut y = 44;
        for bar in &self.bars {
            let color = if bar.quotable { "#0072b2" } else { "#999999" };
            let (left, right) = (x(bar.value).min(600.0), x(bar.value).max(600.0));
            let (low, high, middle) = (x(bar.low), x(bar.high), y + 8);
            let drawn = write!(
                svg,
                "<text x=\"290\" y=\"{}\" text-anchor=\"end\">{} {:.2}</text>\n\
                 <rect x=\"{left:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"16\" fill=\"{color}\"/>\n\
                 <line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"black\"/>\n",
                y + 12,
                bar.label,
                bar.value,
                right - left,
            );
            drawn.expect("writing to a string cannot fail");
            y += 24;
        }
        svg + "</svg>\n"
    }
}

//! A small writer of SVG 1.1: rectangles, lines, text. No scripts, fonts or references outside.

use std::fmt::{self, Write};

/// A drawing that grows by elements; what comes later lies above.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) color: &'static str,
    pub(super) width: f64,
}

/// How text is set: its size in pixels, and which part of it lies at its point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) anchor: &'static str,
    pub(super) color: &'static str,
    pub(super) is_bold: bool,
}

impl Svg {
    /// An empty drawing of this size on white, named for those who hear it read.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { text: String::new() };
        svg.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\">"
        ));
        svg.add(format_args!("<title>{}</title>", Escaped(title)));
        svg.rectangle((0.0, 0.0), (width, height), "#ffffff");
        svg
    }

    /// A filled rectangle between two corners, in any order.
    pub(super) fn rectangle(&mut self, a: (f64, f64), b: (f64, f64), fill: &str) {
        let (x, y) = (a.0.min(b.0), a.1.min(b.1));
        let (width, height) = ((a.0 - b.0).abs(), (a.1 - b.1).abs());
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    /// A straight line.
    pub(super) fn line(&mut self, a: (f64, f64), b: (f64, f64), Stroke { color, width }: Stroke) {
        self.add(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
            a.0, a.1, b.0, b.1
        ));
    }

    /// A line through all `points`.
    pub(super) fn path(
        &mut self,
        points: impl IntoIterator<Item = (f64, f64)>,
        Stroke { color, width }: Stroke,
    ) {
        let points: Vec<_> = points.into_iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"/>",
            points.join(" ")
        ));
    }

    /// Text whose base line begins, ends or has its middle at `(x, y)`.
    pub(super) fn text(&mut self, (x, y): (f64, f64), content: &str, style: Type) {
        self.text_with(format_args!("x=\"{x:.1}\" y=\"{y:.1}\""), content, style);
    }

    /// Text that runs upwards, its middle at `(x, y)`.
    pub(super) fn text_upwards(&mut self, (x, y): (f64, f64), content: &str, style: Type) {
        self.text_with(format_args!("transform=\"translate({x:.1} {y:.1}) rotate(-90)\""), content, style);
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> String {
        self.add(format_args!("</svg>"));
        self.text
    }

    fn text_with(&mut self, place: fmt::Arguments<'_>, content: &str, style: Type) {
        let Type { size, anchor, color, is_bold } = style;
        let weight = if is_bold { " font-weight=\"600\"" } else { "" };
        self.add(format_args!(
            "<text {place} font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{color}\"{weight}>{}</text>",
            Escaped(content)
        ));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        writeln!(self.text, "{element}").expect("a string takes all that is written to it");
    }
}

/// Text as XML 1.0 takes it between tags (section 2.4), without the control characters it takes
/// nowhere (section 2.2).
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whatever the reader has; all of them have figures of one width.
const FONTS: &str = "Inter, Segoe UI, Roboto, Helvetica Neue, DejaVu Sans, Arial, sans-serif";

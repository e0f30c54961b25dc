//! A line that says how a run goes on, for whoever waits for it.

use std::io::{self, IsTerminal, Stderr, Write};
use std::time::Duration;

use super::number::{rate, thousands};

/// The line: on a terminal redrawn every second from the second on, elsewhere printed every five.
///
/// Errors of writing are left alone: a run does not end because nobody reads how it goes on.
#[derive(Debug)]
pub struct ProgressLine<W: Write = Stderr> {
    out: W,
    style: Style,
    planned: Option<Duration>,
    start_ns: u64,
    last_ns: u64,
    last_done: u64,
    due_ns: u64,
    samples: u64,
    is_shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Redrawn,
    Lines,
    Quiet,
}

impl ProgressLine {
    /// A line on standard error for a run that starts at `now_ns` and is planned to last so long, if
    /// that is known; nothing at all when `quiet`.
    #[must_use]
    pub fn new(planned: Option<Duration>, quiet: bool, now_ns: u64) -> Self {
        let out = io::stderr();
        let style = match quiet {
            true => Style::Quiet,
            false if out.is_terminal() => Style::Redrawn,
            false => Style::Lines,
        };
        Self::on(out, style, planned, now_ns)
    }
}

impl<W: Write> ProgressLine<W> {
    fn on(out: W, style: Style, planned: Option<Duration>, now_ns: u64) -> Self {
        let due_ns = if style == Style::Quiet { u64::MAX } else { now_ns.saturating_add(NS_PER_S) };
        Self {
            out,
            style,
            planned,
            start_ns: now_ns,
            last_ns: now_ns,
            last_done: 0,
            due_ns,
            samples: 0,
            is_shown: false,
        }
    }

    /// So much is done by now and so much failed. To be called in every turn of a loop: until a second
    /// has passed it only compares two numbers.
    pub fn update(&mut self, now_ns: u64, done: u64, failed: u64) {
        if now_ns >= self.due_ns {
            self.sample(now_ns, done, failed);
        }
    }

    /// Clears the line, to be called before anything else is printed; the end of its life does too.
    pub fn clear(&mut self) {
        if self.is_shown {
            self.is_shown = false;
            let _ = self.out.write_all(CLEAR.as_bytes()).and_then(|()| self.out.flush());
        }
    }

    #[cold]
    fn sample(&mut self, now_ns: u64, done: u64, failed: u64) {
        self.samples += 1;
        let shown_every = if self.style == Style::Redrawn { 1 } else { SECONDS_BETWEEN_LINES };
        if self.samples > 1 && self.samples.is_multiple_of(shown_every) {
            self.show(now_ns, done, failed);
        }
        (self.last_ns, self.last_done) = (now_ns, done);
        self.due_ns = now_ns.saturating_add(NS_PER_S);
    }

    fn show(&mut self, now_ns: u64, done: u64, failed: u64) {
        let elapsed = (now_ns - self.start_ns) / NS_PER_S;
        let planned = self.planned.map(|planned| format!(" of {}", planned.as_secs())).unwrap_or_default();
        let seconds = (now_ns - self.last_ns) as f64 / NS_PER_S as f64;
        let per_second = rate(done.saturating_sub(self.last_done) as f64 / seconds);
        let (done, failed) = (thousands(done), thousands(failed));
        let line = format!("{elapsed}{planned} s: {done} done, {per_second} a second, {failed} failed");
        let _ = match self.style {
            Style::Redrawn => write!(self.out, "{CLEAR}{line}").and_then(|()| self.out.flush()),
            Style::Lines => writeln!(self.out, "{line}"),
            Style::Quiet => Ok(()),
        };
        self.is_shown = self.style == Style::Redrawn;
    }
}

impl<W: Write> Drop for ProgressLine<W> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// To the line's beginning, and erase to its end.
const CLEAR: &str = "\r\x1b[K";
const NS_PER_S: u64 = 1_000_000_000;
const SECONDS_BETWEEN_LINES: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 7 * NS_PER_S;

    /// What is printed in a run of `seconds` in which 12,000 units a second are done and one fails.
    fn run(style: Style, planned: Option<Duration>, seconds: u64) -> String {
        let mut text = Vec::new();
        let mut line = ProgressLine::on(&mut text, style, planned, START);
        for ms in 0..=seconds * 1_000 {
            line.update(START + ms * 1_000_000, ms * 12, ms / 1_000);
        }
        drop(line);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_terminal_sees_one_line_that_goes_away() {
        let text = run(Style::Redrawn, Some(Duration::from_secs(30)), 3);
        let expected = "\r\x1b[K2 of 30 s: 24,000 done, 12,000 a second, 2 failed\
                        \r\x1b[K3 of 30 s: 36,000 done, 12,000 a second, 3 failed\r\x1b[K";
        assert_eq!(text, expected);
        assert_eq!(run(Style::Redrawn, None, 1), "");
    }

    #[test]
    fn a_file_gets_lines_every_five_seconds() {
        let text = run(Style::Lines, None, 11);
        let expected = "5 s: 60,000 done, 12,000 a second, 5 failed\n\
                        10 s: 120,000 done, 12,000 a second, 10 failed\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn quiet_is_quiet() {
        assert_eq!(run(Style::Quiet, None, 11), "");
    }

    #[test]
    fn the_rate_is_of_the_last_second_however_late_it_is_asked_for() {
        let mut text = Vec::new();
        let mut line = ProgressLine::on(&mut text, Style::Redrawn, None, 0);
        line.update(NS_PER_S, 100, 0);
        line.update(5 * NS_PER_S, 500, 0);
        drop(line);
        assert!(String::from_utf8(text).unwrap().contains("5 s: 500 done, 100 a second"));
    }
}

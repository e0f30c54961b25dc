//! Tables for people: aligned text for a terminal, Markdown for a document.

use std::fmt;

/// Rows under a header. Columns of numbers stand right, all others left.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; what it lacks is empty, and what it has beyond the header is left out.
    pub fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
        self
    }

    /// The same table in Markdown, as GitHub renders it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let escaped: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", escaped.join(" | "))
        };
        let rule: String = (0..self.header.len())
            .map(|column| if self.is_numeric(column) { "---:|" } else { "---|" })
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{rule}\n{rows}", line(&self.header))
    }

    /// Whether every cell of the column that says something begins as a number does.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells =
            self.rows.iter().map(|row| row[column].as_str()).filter(|cell| !EMPTY.contains(cell)).peekable();
        cells.peek().is_some()
            && cells.all(|cell| cell.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit()))
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().chain([&self.header]);
        cells.map(|row| row[column].chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    /// A line for the header, one below it, and one for each row, without spaces at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> =
            (0..self.header.len()).map(|column| (self.width(column), self.is_numeric(column))).collect();
        let rule: Vec<String> = columns.iter().map(|&(width, _)| "-".repeat(width)).collect();
        for row in [&self.header, &rule].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(&columns).map(|(cell, &(width, numeric))| {
                if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Cells that say that there is nothing to say.
const EMPTY: [&str; 2] = ["", "-"];

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["peer", "requests/s", "p99", "remark"]);
        table.row(["levee", "60,561", "1.22 ms", "first|last"]).row(["nginx", "9,000", "-"]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let text = "\
peer   requests/s      p99  remark
-----  ----------  -------  ----------
levee      60,561  1.22 ms  first|last
nginx       9,000        -
";
        assert_eq!(table().to_string(), text);
    }

    #[test]
    fn markdown_is_the_same() {
        let text = "\
| peer | requests/s | p99 | remark |
|---|---:|---:|---|
| levee | 60,561 | 1.22 ms | first\\|last |
| nginx | 9,000 | - |  |
";
        assert_eq!(table().markdown(), text);
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(Table::new(&["a", "bc"]).to_string(), "a  bc\n-  --\n");
    }
}

//! Tables for people.

use std::fmt::Write;

use console::measure_text_width;

use crate::terminal;

/// Between columns.
const GAP: usize = 2;
/// Characters of texts that have no other bound.
const LONG_CELL: usize = 60;

/// Rows of texts in columns; numbers stand right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    side: Side,
}

impl Table {
    /// A name that ends with `#` heads a column of numbers.
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_suffix('#') {
            Some(name) => Column {
                name,
                side: Side::Right,
            },
            None => Column {
                name,
                side: Side::Left,
            },
        };
        Self {
            columns: names.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// The texts come from others; what would steer the terminal or break the line is taken out.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let clean = |cell: String| terminal::plain(&cell).replace(['\n', '\t'], " ");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    pub(crate) fn print(&self) {
        self.lines().iter().for_each(terminal::result);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.name.to_owned())
            .collect();
        let width = |at: usize| {
            let cells = self.rows.iter().chain([&names]);
            let widths = cells.map(|row| measure_text_width(&row[at]));
            widths.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let rows = [&names].into_iter().chain(&self.rows);
        rows.map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let room = " ".repeat(width - measure_text_width(cell));
            // Writing to a text cannot fail.
            let _ = match column.side {
                Side::Left => write!(line, "{cell}{room}"),
                Side::Right => write!(line, "{room}{cell}"),
            };
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }
}

/// Nanoseconds as people read them.
pub(super) fn nanoseconds(time: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let time = time as f64;
    match time {
        1e9.. => format!("{:.2} s", time / 1e9),
        1e6.. => format!("{:.2} ms", time / 1e6),
        1e3.. => format!("{:.1} µs", time / 1e3),
        _ => format!("{time} ns"),
    }
}

/// A text that may be empty.
pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// A text that may be long; JSON has all of it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONG_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_texts_of_others_are_harmless() {
        let mut table = Table::new(&["NAME", "COUNT#", "LAST"]);
        table.row(["é".into(), "1".into(), "a\nb\x1b[2J".into()]);
        table.row(["longer".into(), "1000000".into(), String::new()]);
        let expected = [
            "NAME      COUNT  LAST",
            "é             1  a b\u{fffd}[2J",
            "longer  1000000",
        ];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn times_and_long_texts() {
        let times = [999, 1_500, 2_500_000, 61_000_000_000].map(nanoseconds);
        assert_eq!(times, ["999 ns", "1.5 µs", "2.50 ms", "61.00 s"]);
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}

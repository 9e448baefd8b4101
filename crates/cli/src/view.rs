//! Lines on a terminal that are redrawn in place.

use std::io::Write as _;

use console::{Term, truncate_str};

/// Draws in place.
#[derive(Debug)]
pub(crate) struct View {
    terminal: Term,
    drawn: usize,
}

impl View {
    /// On standard output; nothing is drawn yet.
    pub(crate) fn stdout() -> Self {
        Self {
            terminal: Term::stdout(),
            drawn: 0,
        }
    }

    /// Replaces what was drawn before, as far as there is room.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        // A terminal that cannot be written to has gone, and its hang-up ends us.
        let _ = self.replace(lines);
    }

    fn replace(&mut self, lines: &[String]) -> std::io::Result<()> {
        let (rows, columns) = self.terminal.size();
        self.terminal.clear_last_lines(self.drawn)?;
        let shown = lines.iter().take(usize::from(rows.max(2)) - 1);
        self.drawn = shown.len();
        for line in shown {
            writeln!(self.terminal, "{}", truncate_str(line, columns.into(), "…"))?;
        }
        self.terminal.flush()
    }
}

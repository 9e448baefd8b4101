//! Lines for people on standard error, results on standard output. A closed output is no error of ours.

use std::fmt::Display;
use std::io::Write;

use console::{StyledObject, style};

/// A line on standard error.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A failure, in red on a terminal.
pub(crate) fn error(message: &str) {
    say(format_args!("{} {message}", error_word()));
}

/// A line on standard output.
pub(crate) fn result(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn error_word() -> StyledObject<&'static str> {
    style("error:").for_stderr().red().bold()
}

pub(crate) fn warning_word() -> StyledObject<&'static str> {
    style("warning:").for_stderr().yellow().bold()
}

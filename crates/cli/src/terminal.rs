//! Lines for people on standard error, results on standard output. A reader that goes away is no error of ours, a disk
//! that is full is.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use console::{StyledObject, style};

use crate::failure::Failure;

/// A line on standard error.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A failure, in red on a terminal.
pub(crate) fn error(message: &str) {
    say(format_args!("{} {message}", error_word()));
}

/// A line on standard output. What cannot be written is told at the end; see [`lost_results`].
pub(crate) fn result(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error.to_string());
    }
}

/// Bytes on standard output as they are; otherwise as [`result`].
pub(crate) fn result_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error.to_string());
    }
}

/// Fails if results could not be written.
pub(crate) fn results_written() -> Result<(), Failure> {
    match lost_results() {
        Some(error) => Err(Failure::failed(format!("standard output: {error}"))),
        None => Ok(()),
    }
}

/// Why results could not be written, if that has happened.
pub(crate) fn lost_results() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

static LOST: OnceLock<String> = OnceLock::new();

/// Text of others, without what would steer the terminal: control characters but tabs and line ends are replaced.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

pub(crate) fn error_word() -> StyledObject<&'static str> {
    style("error:").for_stderr().red().bold()
}

pub(crate) fn warning_word() -> StyledObject<&'static str> {
    style("warning:").for_stderr().yellow().bold()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_would_steer_the_terminal_is_replaced() {
        assert_eq!(
            plain("boom \u{1b}[31mred\r\u{7}"),
            "boom \u{fffd}[31mred\u{fffd}\u{fffd}"
        );
        assert_eq!(plain("two\n\tlines é"), "two\n\tlines é");
    }
}

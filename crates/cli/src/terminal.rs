//! Lines for people on standard error, results on standard output. A reader that goes away is no error of ours, a disk
//! that is full is.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        not_written(&error);
    }
}

/// Bytes on standard output as they are; otherwise as [`result`].
pub(crate) fn result_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        not_written(&error);
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

/// Whether further results are for nobody: they cannot be written, or their reader has gone away. What only shows
/// something ends then.
pub(crate) fn nobody_reads() -> bool {
    READER_HAS_GONE.load(Ordering::Relaxed) || lost_results().is_some()
}

fn not_written(error: &std::io::Error) {
    if error.kind() == ErrorKind::BrokenPipe {
        READER_HAS_GONE.store(true, Ordering::Relaxed);
    } else {
        let _ = LOST.set(error.to_string());
    }
}

static LOST: OnceLock<String> = OnceLock::new();
static READER_HAS_GONE: AtomicBool = AtomicBool::new(false);

/// A line of JSON on standard output, with what would steer a terminal escaped; otherwise as [`result`].
pub(crate) fn json(json: impl Display) {
    result(escaped(&json.to_string()));
}

/// Whether it steers a terminal, ends a line where none is meant to end, or changes the order in which what is around it is
/// read: control characters but tabs and line ends, the line and paragraph separators, and what sets the direction of text.
pub(crate) fn steers(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that is read as the same, without what [`steers`]: that can only be in strings, and is escaped there.
pub(crate) fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // Between values: in strings it is escaped already.
            '\r' => text.push(' '),
            c if steers(c) => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Text of others, without what [`steers`], which is replaced.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name of others: as [`plain`], and on one line.
pub(crate) fn name(text: &str) -> String {
    plain(text).replace(['\n', '\t'], "\u{fffd}")
}

pub(crate) fn error_word() -> StyledObject<&'static str> {
    style("error:").for_stderr().red().bold()
}

pub(crate) fn warning_word() -> StyledObject<&'static str> {
    style("warning:").for_stderr().yellow().bold()
}

#[cfg(test)]
mod tests {
    use super::{escaped, plain};

    #[test]
    fn what_would_steer_the_terminal_is_replaced() {
        assert_eq!(
            plain("boom \u{1b}[31mred\r\u{7}"),
            "boom \u{fffd}[31mred\u{fffd}\u{fffd}"
        );
        assert_eq!(plain("two\n\tlines é"), "two\n\tlines é");
        assert_eq!(
            plain("a\u{9b}1m\u{202e}b\u{2066}c\u{2028}d\u{2029}e"),
            "a\u{fffd}1m\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"
        );
    }

    #[test]
    fn escaped_json_is_read_as_the_same() {
        let value = "\u{1b}[2J\u{9b}m\u{7f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}é\n";
        let json = serde_json::to_string_pretty(&[value]).unwrap();
        let text = escaped(&json);
        assert!(!text.contains(super::steers), "{text}");
        assert!(
            text.contains("\\u009b") && text.contains("\\u202e"),
            "{text}"
        );
        let [back]: [String; 1] = serde_json::from_str(&text).unwrap();
        assert_eq!(back, value);
        assert_eq!(escaped("[\r\n1]"), "[ \n1]");
    }
}

//! [`LogLine`], and the level an SDK gives a line. spec: nanograph 2.4

use jiff::Timestamp;
use serde::Serialize;

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error, where SDKs log.
    Stderr,
    /// The supervisor's own words about the server.
    Supervisor,
}

impl LogSource {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "out",
            Self::Stderr => "err",
            Self::Supervisor => "nanocore",
        }
    }

    pub(super) fn level_of(self, text: &str) -> Option<LogLevel> {
        match self {
            Self::Stderr | Self::Stdout => LogLevel::of(text),
            Self::Supervisor => Some(LogLevel::Info),
        }
    }
}

impl LogLine {
    /// As it stands in a file.
    pub(super) fn write(&self) -> String {
        format!("{} {} {}\n", self.ts, self.source.as_str(), self.text)
    }

    /// An earlier line, from a file; `None` if it goes on with the text of the line before.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (ts, rest) = line.split_once(' ')?;
        let (source, text) = rest.split_once(' ')?;
        let sources = [LogSource::Stdout, LogSource::Stderr, LogSource::Supervisor];
        let source = sources.into_iter().find(|one| one.as_str() == source)?;
        Some(Self {
            seq: 0,
            ts: ts.parse().ok()?,
            source,
            level: source.level_of(text),
            text: text.to_owned(),
        })
    }
}

/// The level of a line, as the SDKs have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `SUCCESS`, which ranks as `INFO`.
    Success,
    /// `WARNING`
    Warning,
    /// `ERROR`
    Error,
}

/// A line that a server wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Counts the server's lines from 1, since the supervisor was started; 0 for earlier ones.
    pub seq: u64,
    /// When it was read.
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// Which output.
    pub source: LogSource,
    /// The level, if an SDK wrote the line; what follows it (a traceback) has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The line, at most 16 KiB of it.
    pub text: String,
}

impl LogLevel {
    /// The level in a line as SDKs write it: `[scope] | [LEVEL] text`, or up to 0.1.18 `[time] [LEVEL] [NanoSDK] text`.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let rest = line.strip_prefix('[')?;
        let (first, rest) = rest.split_once(']')?;
        let rest = match rest.strip_prefix(" | [") {
            Some(rest) if first.contains("NanoSDK") => rest,
            Some(_) => return None,
            None => rest
                .strip_prefix(" [")
                .filter(|rest| rest.contains("] [NanoSDK]"))?,
        };
        let (level, _) = rest.split_once(']')?;
        Some(match level {
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "SUCCESS" => Self::Success,
            "WARNING" | "WARN" => Self::Warning,
            "ERROR" => Self::Error,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_all_generations_are_read_and_nothing_else_is() {
        let lines = [
            (
                "[NanoSDK@s/Registry] | [WARNING] no nodes",
                Some(LogLevel::Warning),
            ),
            (
                "[NanoSDK@s] | [SUCCESS] Node server is running",
                Some(LogLevel::Success),
            ),
            (
                "[2025-01-02 03:04:05] [ERROR] [NanoSDK] @s failed",
                Some(LogLevel::Error),
            ),
            (
                "[2025-01-02 03:04:05] [DEBUG] [NanoSDK] @s",
                Some(LogLevel::Debug),
            ),
            ("[other] | [ERROR] not an SDK", None),
            ("[2025] [ERROR] [Other] x", None),
            ("Traceback (most recent call last):", None),
            ("[NanoSDK@s] | [LOUD] x", None),
            ("[", None),
            ("", None),
        ];
        for (line, level) in lines {
            assert_eq!(LogLevel::of(line), level, "{line}");
        }
    }
}

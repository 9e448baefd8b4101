//! [`Finding`]: what the checks report.

use std::fmt;

use nanograph::config::{Problem, Severity};
use serde::Serialize;

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FindingLevel")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// It will work, but probably not as meant.
    Warning,
    /// The server cannot be registered, or not be started, like this.
    Error,
}

/// One thing that is wrong, or notable, about a server's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The key of `nanoserver.json` it is about, or the file, such as `main.py`.
    pub key: Option<String>,
    /// The line in `nanoserver.json`, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong and what to do, continuing a sentence that starts with the key.
    pub reason: String,
}

impl Finding {
    fn new(level: Level, key: &str, reason: impl Into<String>) -> Self {
        Self {
            level,
            key: Some(key.to_owned()),
            line: None,
            column: None,
            reason: reason.into(),
        }
    }

    pub(super) fn error(key: &str, reason: impl Into<String>) -> Self {
        Self::new(Level::Error, key, reason)
    }

    pub(super) fn warning(key: &str, reason: impl Into<String>) -> Self {
        Self::new(Level::Warning, key, reason)
    }

    pub(super) fn note(key: &str, reason: impl Into<String>) -> Self {
        Self::new(Level::Note, key, reason)
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            level: match problem.severity {
                Severity::Note => Level::Note,
                Severity::Warning => Level::Warning,
                Severity::Error => Level::Error,
            },
            key: problem.key.clone(),
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            reason: problem.message.clone(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.level)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

//! What is wrong, or notable, in a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use super::FILE_NAME;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works here, but probably not as meant, or not with the Python SDK.
    Warning,
    /// The configuration cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place in the file, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One thing that is wrong, or notable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The key it is about, if it is about one.
    pub key: Option<String>,
    /// Where in the file, if it is in the file.
    pub position: Option<Position>,
    /// The environment variable that holds the value, if that is where it came from.
    pub variable: Option<&'static str>,
    /// What to know or do, continuing a sentence that starts with the key.
    pub message: String,
}

impl Problem {
    fn new(severity: Severity, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            key: Some(key.into()),
            position: None,
            variable: None,
            message: message.into(),
        }
    }

    pub(super) fn error(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, key, message)
    }

    pub(super) fn warning(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, key, message)
    }

    pub(super) fn note(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, key, message)
    }

    /// About the file as a whole.
    pub(super) fn file(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            key: None,
            position: None,
            variable: None,
            message: message.into(),
        }
    }

    pub(super) fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    pub(super) fn in_environment(mut self, variable: &'static str) -> Self {
        self.variable = Some(variable);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{}: ", self.severity)?;
        match (&self.variable, &self.key) {
            (Some(variable), _) => write!(f, "environment variable {variable} "),
            (None, Some(key)) => write!(f, "{key:?} "),
            (None, None) => Ok(()),
        }?;
        f.write_str(&self.message)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or the environment has errors; all of them are listed.
    #[error("{}", Listing(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// At least one error, and all warnings and notes.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// What was found; empty if the file could not be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }

    /// The problems back, unless one is an error.
    pub(super) fn check(problems: Vec<Problem>) -> Result<Vec<Problem>, Self> {
        if problems
            .iter()
            .all(|problem| problem.severity < Severity::Error)
        {
            return Ok(problems);
        }
        Err(Self::Invalid {
            path: PathBuf::from(FILE_NAME),
            problems,
        })
    }

    pub(super) fn in_file(self, file: &Path) -> Self {
        match self {
            Self::Read { source, .. } => Self::Read {
                path: file.to_owned(),
                source,
            },
            Self::Invalid { problems, .. } => Self::Invalid {
                path: file.to_owned(),
                problems,
            },
        }
    }
}

struct Listing<'a>(&'a Path, &'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be used", self.0.display())?;
        self.1
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

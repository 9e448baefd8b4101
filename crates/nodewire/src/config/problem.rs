//! What is wrong in a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Further problems are only counted.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConfigPlace {
    /// By the program itself, or by nobody.
    Program,
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// Line and column, both counted from 1; columns count characters. `None` if it is about the file as a whole.
        position: Option<(usize, usize)>,
    },
    /// In this environment variable.
    Variable(String),
    /// By this flag.
    Flag(String),
}

impl ConfigPlace {
    /// A place with a higher rank wins.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Program => 0,
            Self::File { .. } => 1,
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("the program"),
            Self::File { path, position } => {
                write!(f, "{}", path.display())?;
                match position {
                    Some((line, column)) => write!(f, ":{line}:{column}"),
                    None => Ok(()),
                }
            }
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong. Never has a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    /// Where it was given.
    pub place: ConfigPlace,
    /// What to do.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A configuration that cannot be used: everything that is wrong with it, in the order of files, environment and flags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", Listing(problems))]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// At least one.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

/// Collects what is wrong, so that all of it is told at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<ConfigProblem>);

impl Problems {
    pub(crate) fn add(&mut self, place: &ConfigPlace, message: impl Into<String>) {
        self.0.push(ConfigProblem {
            place: place.clone(),
            message: message.into(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// There is any.
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let mut problems = self.0;
        problems.sort();
        problems.dedup();
        if problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError { problems })
    }
}

struct Listing<'a>(&'a [ConfigProblem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        for problem in self.0.iter().take(PROBLEMS_SHOWN_MAX) {
            write!(f, "\n  {problem}")?;
        }
        match self.0.len().saturating_sub(PROBLEMS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

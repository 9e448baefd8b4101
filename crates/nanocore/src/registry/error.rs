//! What can be wrong with the registry.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the registry cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is larger than is read.
    #[error("{} is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file says something that cannot be meant; everything at once. It was left as it is.
    #[error("{} cannot be used; correct it, or restore it{}", path.display(), Listing(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// At least one.
        problems: Vec<String>,
    },
    /// Another process has been writing for too long.
    #[error(
        "{} has been locked by another process for {} s; if that hangs, end it",
        path.display(),
        after.as_secs()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        after: Duration,
    },
}

/// Why a name means no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is called so.
    #[error(
        "no registered server has the uid, package id, display name or path {name:?}{}",
        Known(known)
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The uids there are.
        known: Vec<String>,
    },
    /// Several are called so.
    #[error("{name:?} means several servers; name one by its uid: {}", uids.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Their uids.
        uids: Vec<String>,
    },
}

struct Listing<'a>(&'a [String]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Names told when one is unknown.
const NAMES_TOLD: usize = 10;

struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.iter().take(NAMES_TOLD).cloned().collect::<Vec<_>>();
        match (told.is_empty(), self.0.len() > told.len()) {
            (true, _) => f.write_str("; none is registered"),
            (false, false) => write!(f, "; there are: {}", told.join(", ")),
            (false, true) => write!(f, "; there are: {} and others", told.join(", ")),
        }
    }
}

//! Why a server is not registered.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::finding::{Finding, Level};
use crate::process::ProcessError;
use crate::registry::{NameError, RegistryError};

/// Why a server is not registered. The registry was left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is nothing to register.
    #[error("{}: {problem}", path.display())]
    Folder {
        /// What was named.
        path: PathBuf,
        /// What is missing, and what to do.
        problem: String,
    },
    /// The checks found errors.
    #[error("{} cannot be registered{}", path.display(), Errors(findings))]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Everything that was found; at least one is an error.
        findings: Vec<Finding>,
    },
    /// What the server depends on could not be installed. It can be tried again.
    #[error("what the server needs could not be installed: {0}")]
    Install(#[source] ProcessError),
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
    /// The registry cannot be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// No such server.
    #[error(transparent)]
    Name(#[from] NameError),
}

struct Errors<'a>(&'a [Finding]);

impl fmt::Display for Errors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .filter(|finding| finding.level == Level::Error)
            .try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

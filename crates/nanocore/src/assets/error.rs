//! [`StoreError`]: why the store could not do something.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::outage::{ObjectsFailure, ObjectsProblem};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The content is longer than [`super::StoreOptions::asset_bytes_max`].
    #[error("the asset is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// As many uploads as allowed are going on.
    #[error("{limit} uploads are going on already; try again later")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// Another process uses the folder.
    #[error("{} is in use by another process", folder.display())]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// No such asset.
    #[error("there is no such asset")]
    NotFound,
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The object store refused, or could not be reached.
    #[error("cannot {action} the content {key}: {}", failure.message())]
    Objects {
        /// In which way.
        failure: ObjectsFailure,
        /// What was tried.
        action: &'static str,
        /// The object's key.
        key: String,
        /// The object store's reason.
        source: object_store::Error,
    },
}

impl StoreError {
    /// Whether there was no room: a full disk, a quota, or a limit on the length of files.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What it says of the object store, for people; `None` if it is not about that.
    #[must_use]
    pub fn problem(&self) -> Option<ObjectsProblem> {
        match self {
            Self::Objects { source, .. } => Some(ObjectsProblem::new(source)),
            Self::TooLarge { .. }
            | Self::Busy { .. }
            | Self::Locked { .. }
            | Self::NotFound
            | Self::Io { .. } => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// A task of the store that panicked or was stopped with the runtime.
    pub(crate) fn ended(error: tokio::task::JoinError) -> Self {
        Self::Io {
            action: "finish work on",
            path: PathBuf::from("the asset store"),
            source: io::Error::other(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

//! Why the database refuses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why the database could not be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file cannot be opened.
    #[error("cannot open the database {}; check that its folder exists and may be written", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// The file that says whether the database was closed cannot be used.
    #[error("cannot use {} beside the database; check that its folder may be written", path.display())]
    Marker {
        /// That file.
        path: PathBuf,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// The file is no database, or part of it is destroyed.
    #[error(
        "the database {} is damaged; put a copy of it back, or move it away together with its -wal and -shm files: \
         a new one is made then, and the runs and cached results of the old one are lost",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// The file is a database of some other program.
    #[error("{} is a database of another program; name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer release wrote the file.
    #[error(
        "the database {} has version {version}, and this release knows {version_max} at most; use the newer release",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version this release can use.
        version_max: u32,
    },
    /// There is no room left within [`file_bytes_max`](super::DatabaseOptions::file_bytes_max).
    #[error(
        "the database has no room left, as it has reached its limit; keep fewer runs and results, or pass large values as assets"
    )]
    Full {
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// There is no room left on the disk. What is deleted from the database makes none.
    #[error("the disk of the database {} is full; make room on it", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// The system does not let the file be written: a quota or a limit of the process, a disk that is read-only or broken.
    #[error(
        "the system refuses to write the database {}; look for a quota or a limit that is reached, and at the state of the disk",
        path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// Another program holds the file for too long, or too many writes wait.
    #[error("the database is busy; try again, and stop other programs that use its file")]
    Busy,
    /// Anything else that SQLite refuses.
    #[error("the database failed")]
    Failed {
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// What was to be done with the connection panicked; nothing of it was written.
    #[error("an operation on the database panicked; this is a fault of the program")]
    Panicked,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// The system gave no thread to write with.
    #[error("cannot start the thread that writes the database")]
    Thread {
        /// The cause.
        source: Arc<std::io::Error>,
    },
}

impl DatabaseError {
    /// Whether the same write may go well later: there is room then, or nobody else holds the file.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy) || self.is_of_disk()
    }

    /// Whether it is the disk that does not take what is written.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Unwritable { .. })
    }

    /// What an error means that came up while the file was opened.
    pub(super) fn opening(path: &Path, error: rusqlite::Error) -> Self {
        let error = Self::of(path, error);
        let path = path.to_owned();
        if let Self::Failed { source } = error {
            return Self::Open { path, source };
        }
        // Next to nothing is written then.
        error.of_full_disk(&path)
    }

    /// The same, where it came up while the file was written, and not since its limit is reached.
    pub(super) fn of_disk(self, path: &Path) -> Self {
        self.of_full_disk(path).of_system(path)
    }

    /// The same, where it came up while the file was written.
    pub(super) fn of_system(self, path: &Path) -> Self {
        let path = path.to_owned();
        if let Self::Failed { source } = &self
            && is_of_system(source)
        {
            let source = source.clone();
            return Self::Unwritable { path, source };
        }
        self
    }

    fn of_full_disk(self, path: &Path) -> Self {
        let path = path.to_owned();
        if let Self::Full { source } = self {
            return Self::DiskFull { path, source };
        }
        self
    }

    /// What an error of SQLite means.
    pub(super) fn of(path: &Path, error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let source = Arc::new(error);
        match code {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path: path.to_owned(),
                source,
            },
            Some(ErrorCode::DiskFull) => Self::Full { source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(_) | None => Self::Failed { source },
        }
    }
}

/// Whether it is the system that says no.
fn is_of_system(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

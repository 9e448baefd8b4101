//! A file beside the database that is there as long as it is open: who finds it knows that it was not closed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DatabaseError;

/// The file `<database>-open`.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
}

impl Marker {
    pub(super) fn beside(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-open");
        Self { path: path.into() }
    }

    /// Whether the database was left open.
    pub(super) fn is_there(&self) -> Result<bool, DatabaseError> {
        self.path.try_exists().map_err(self.failed())
    }

    /// Makes it; afterwards it would survive a loss of power.
    pub(super) fn make(&self) -> Result<(), DatabaseError> {
        let made = File::create(&self.path).and_then(|file| file.sync_all());
        made.and_then(|()| self.folder_to_disk())
            .map_err(self.failed())
    }

    /// Removes it, after everything else is on disk. If that fails, the next opening takes longer.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the database is closed, but does not say so");
        }
    }

    fn folder_to_disk(&self) -> io::Result<()> {
        let folder = self.path.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> DatabaseError {
        let path = self.path.clone();
        move |source| DatabaseError::Marker {
            path,
            source: Arc::new(source),
        }
    }
}

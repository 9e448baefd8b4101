//! The daemon's database: one SQLite file, one thread that writes, a few connections that read.
//!
//! [`Database::write`] resolves when what it wrote is committed and would survive a loss of power. Writes that wait
//! for the thread at the same time are committed together, so that many small ones cost one `fsync`; one that fails
//! takes nothing of the others with it. A file at its limit ([`DatabaseError::Full`]) is told from a disk that takes no
//! more ([`DatabaseError::DiskFull`], [`DatabaseError::Unwritable`]): only in the first does deleting rows make room.
//!
//! ```
//! use nanocore::db::{Database, DatabaseOptions};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let db = Database::open(&folder.path().join("nanocore.db"), DatabaseOptions::default())?;
//! let runs: i64 = db.read(|connection| connection.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))).await?;
//! assert_eq!(runs, 0);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: nothing here blocks the runtime; whoever waits is told of each failure; no queue is without a limit.

pub(crate) mod blobs;
mod disk;
mod error;
mod file;
mod marker;
mod migrations;
mod readers;
mod trouble;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

pub use error::DatabaseError;
pub use file::check;
use readers::Readers;
pub use trouble::DatabaseTrouble;
use trouble::Troubles;
use writer::Writer;

/// How a database is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// How long another program may hold the file, in milliseconds. Default 5 s.
    pub busy_timeout_ms: u32,
    /// How many writes may wait; further ones wait for a place. Default 1,024.
    pub waiting_max: usize,
    /// How many writes are committed together at most. Default 256.
    pub group_max: usize,
    /// Connections that read, and so reads at a time. Default 3.
    pub readers: usize,
    /// The largest the file may become, in bytes. Default 16 GiB.
    pub file_bytes_max: u64,
    /// What the -wal file beside it is lengthened to when it is opened, in bytes; 0 for not at all. Commits inside it
    /// are faster than those that lengthen it. Default 4 MiB, at which SQLite begins it anew.
    pub wal_bytes: u32,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            busy_timeout_ms: 5_000,
            waiting_max: 1_024,
            group_max: 256,
            readers: 3,
            file_bytes_max: 16 << 30,
            wal_bytes: 4 << 20,
        }
    }
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseCounters {
    /// Writes that were committed.
    pub committed: u64,
    /// Transactions they were committed in.
    pub transactions: u64,
    /// Writes that failed, each with a typed reason.
    pub failed: u64,
    /// Writes of [`Database::write_later`] that found no place in the queue.
    pub refused: u64,
}

/// The database. Cloning shares it; it is closed when the last clone is dropped, after what waits was written.
#[derive(Debug, Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
}

#[derive(Debug, Default)]
struct Counts {
    committed: AtomicU64,
    transactions: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Database {
    /// Opens the file or makes it, and brings its tables up to date. Blocks.
    ///
    /// The whole file is checked if it was not closed before, which takes seconds for each GB: beside an open database
    /// lies a file `<path>-open`, which closing removes.
    ///
    /// # Errors
    /// If the file cannot be opened, is damaged, is not ours, or was written by a newer release.
    pub fn open(path: &Path, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let connection = file::open(path, &options)?;
        let readers = Readers::open(path, &options)?;
        let counts = Arc::<Counts>::default();
        let troubles = Arc::<Troubles>::default();
        let told = (counts.clone(), troubles.clone());
        let writer = Writer::start(connection, path, &options, told)?;
        let shared = Shared {
            path: path.to_owned(),
            writer,
            readers,
            counts,
            troubles,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Writes; resolves when it is committed. Nothing of it stays if `write` fails.
    ///
    /// `write` runs on the writing thread, inside a transaction that others share: it must neither wait for anything
    /// nor end the transaction.
    ///
    /// # Errors
    /// What `write` failed with, or why its transaction could not be committed.
    ///
    /// # Cancel safety
    /// Once the future was polled, the write may take place although the future is dropped.
    pub async fn write<T, W>(&self, write: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.shared.writer.write(write).await
    }

    /// Writes without waiting for it: for what may get lost, such as the time of the last use. It is committed with the
    /// next write that somebody waits for, after 100 ms at the latest. Failures are logged and counted.
    ///
    /// # Errors
    /// [`DatabaseError::Busy`] if the queue is full.
    pub fn write_later<W>(&self, write: W) -> Result<(), DatabaseError>
    where
        W: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        self.shared.writer.write_later(write)
    }

    /// Reads, in one transaction, so that all of it is of one moment.
    ///
    /// # Errors
    /// What `read` failed with.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; a read that began goes on to its end.
    pub async fn read<T, R>(&self, read: R) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.shared.readers.read(read).await
    }

    /// Ends the writing thread after what waits, and puts everything into the one file. Later writes are refused with
    /// [`DatabaseError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the thread to end by itself.
    pub async fn close(&self) {
        self.shared.writer.close().await;
    }

    /// What keeps the file from being written, if anything does. While something did, a row is written to see whether it
    /// still does.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn trouble(&self) -> Option<DatabaseTrouble> {
        let known = self.shared.troubles.now()?;
        if known.is_disk_full(&self.shared.path) {
            return Some(known);
        }
        let touch =
            |connection: &Connection| connection.execute("UPDATE cache_totals SET id = id", []);
        // What it fails with is noted.
        let _ = self.write(touch).await;
        self.shared.troubles.now()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> DatabaseCounters {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DatabaseCounters {
            committed: read(&counts.committed),
            transactions: read(&counts.transactions),
            failed: read(&counts.failed),
            refused: read(&counts.refused),
        }
    }
}

#[cfg(test)]
mod tests;

//! The file: its settings, and what it must not be.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::marker::Marker;
use super::migrations::{self, APPLICATION_ID};
use super::{DatabaseError, DatabaseOptions};

/// 8 MiB, as SQLite says it.
const CACHE_SIZE: i32 = -8192;

/// Opens the file to write it; makes it if there is none.
pub(super) fn open(path: &Path, options: &DatabaseOptions) -> Result<Connection, DatabaseError> {
    let failed = |error| DatabaseError::opening(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection
        .busy_timeout(busy_timeout(options))
        .map_err(failed)?;
    check_owner(&connection, path)?;
    let marker = Marker::beside(path);
    if marker.is_there()? {
        tracing::info!("the database was not closed; it is checked");
        check_pages(&connection).map_err(failed)?;
    }
    marker.make()?;
    set_up(&connection, options).map_err(failed)?;
    migrations::apply(&connection, path)?;
    lengthen_wal(&connection, path, options.wal_bytes).map_err(failed)?;
    Ok(connection)
}

/// Reads the whole file to see whether any of it is destroyed. Blocks, for seconds for each GB; others may use the file
/// meanwhile. Nothing is written to it.
///
/// # Errors
/// If the file cannot be opened, is damaged or is not ours.
pub fn check(path: &Path) -> Result<(), DatabaseError> {
    let failed = |error| DatabaseError::opening(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection
        .busy_timeout(busy_timeout(&DatabaseOptions::default()))
        .map_err(failed)?;
    check_owner(&connection, path)?;
    check_pages(&connection).map_err(failed)
}

/// Gives the -wal file its length before the first commit: one that writes inside a file whose length stays needs no
/// entry in the file system's journal, and costs a third less. Without the room for it, commits lengthen the file.
fn lengthen_wal(connection: &Connection, path: &Path, wal_bytes: u32) -> rusqlite::Result<()> {
    if wal_bytes == 0 {
        return Ok(());
    }
    connection.pragma_update(None, "cache_size", 10)?;
    if let Err(error) = spill(connection, wal_bytes) {
        tracing::debug!(%error, "no room to lengthen the -wal file");
    }
    connection.pragma_update(None, "cache_size", CACHE_SIZE)?;
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    // Else the first commit would wait for it; if it fails, so does that one, and is told of it.
    let _ = std::fs::File::open(wal).and_then(|wal| wal.sync_all());
    Ok(())
}

/// A transaction that is larger than the cache spills into the -wal file; taken back, it leaves nothing but the length.
fn spill(connection: &Connection, bytes: u32) -> rusqlite::Result<()> {
    const ROW_BYTES: u32 = 64 << 10;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch("CREATE TABLE length (row BLOB)")?;
    let mut insert = transaction.prepare("INSERT INTO length VALUES (zeroblob(?1))")?;
    for _ in 0..bytes.div_ceil(ROW_BYTES) {
        insert.execute([ROW_BYTES])?;
    }
    drop(insert);
    transaction.rollback()
}

/// Opens the file to read it.
pub(super) fn open_to_read(
    path: &Path,
    options: &DatabaseOptions,
) -> Result<Connection, DatabaseError> {
    let failed = |error| DatabaseError::opening(path, error);
    // The index of the -wal file is written by readers, too.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection
        .busy_timeout(busy_timeout(options))
        .map_err(failed)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(failed)?;
    Ok(connection)
}

fn busy_timeout(options: &DatabaseOptions) -> Duration {
    Duration::from_millis(options.busy_timeout_ms.into())
}

fn check_owner(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let failed = |error| DatabaseError::opening(path, error);
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(failed)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if application == APPLICATION_ID || (application == 0 && tables == 0) {
        return Ok(());
    }
    Err(DatabaseError::Foreign {
        path: path.to_owned(),
    })
}

/// What is destroyed is found now, not when a run needs it. The whole file is read.
fn check_pages(connection: &Connection) -> rusqlite::Result<()> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let error = ffi::Error {
        code: ErrorCode::DatabaseCorrupt,
        extended_code: ffi::SQLITE_CORRUPT,
    };
    Err(rusqlite::Error::SqliteFailure(error, Some(found)))
}

fn set_up(connection: &Connection, options: &DatabaseOptions) -> rusqlite::Result<()> {
    // All that a daemon's writes have.
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What a burst made of the -wal file is given back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", CACHE_SIZE)?;
    let page_bytes: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?
        .into();
    let pages_max = (options.file_bytes_max / page_bytes.max(1)).clamp(1, u32::MAX.into());
    // Answers with a row, which is of no interest: a file that is longer already keeps its length.
    connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))
}

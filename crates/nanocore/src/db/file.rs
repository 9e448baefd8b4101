//! The file: its settings, and what it must not be.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::migrations::{self, APPLICATION_ID};
use super::{DatabaseError, DatabaseOptions};

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
    check_pages(&connection).map_err(failed)?;
    set_up(&connection, options).map_err(failed)?;
    migrations::apply(&connection, path)?;
    Ok(connection)
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

/// What is destroyed is found now, not when a run needs it.
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
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What a burst made of the -wal file is given back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    let page_bytes: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?
        .into();
    let pages_max = (options.file_bytes_max / page_bytes.max(1)).clamp(1, u32::MAX.into());
    // Answers with a row, which is of no interest: a file that is longer already keeps its length.
    connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))
}

//! The file: its lock, its schema, and what it must not be.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use uuid::Uuid;

use super::{Durability, EventLogError, EventLogOptions};

/// The version of the schema that this release reads and writes.
const VERSION: i64 = 1;

/// "nwEL": tells an event log from other databases.
const APPLICATION_ID: i64 = 0x6e77_454c;

/// `kind` is null for results, `index` where it is beyond 63 bits. `totals` has one row.
const SCHEMA: &str = r#"
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    kind INTEGER,
    "when" REAL,
    "index" INTEGER,
    payload TEXT NOT NULL,
    stored_at REAL NOT NULL
) STRICT;
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    log_id TEXT NOT NULL,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL
) STRICT;
"#;

/// The right to write a log; given back when it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// With the path of the file itself, so that one log has one lock, and one `-wal`, whatever it is called by. Makes the file.
pub(super) fn resolve(options: &EventLogOptions) -> Result<EventLogOptions, EventLogError> {
    let given = &options.path;
    check_name(given)?;
    let failed = |source| open_error(given, source);
    let path = match std::fs::canonicalize(given) {
        Ok(path) => path,
        // Never where the file is there: whoever closes it gives up the locks that SQLite has on it in this process.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut create = OpenOptions::new();
            create.create(true).truncate(false).write(true);
            create.open(given).map_err(failed)?;
            std::fs::canonicalize(given).map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    check_links(&path)?;
    Ok(EventLogOptions {
        path,
        ..options.clone()
    })
}

/// What SQLite would take for something else than a file.
fn check_name(path: &Path) -> Result<(), EventLogError> {
    let name = path.as_os_str().as_encoded_bytes();
    if name.is_empty() || name == b":memory:" || name.starts_with(b"file:") {
        let path = path.to_owned();
        return Err(EventLogError::NotAFile { path });
    }
    Ok(())
}

/// Under each of its names the file would have a lock and a `-wal` of its own.
#[cfg(unix)]
fn check_links(path: &Path) -> Result<(), EventLogError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|source| open_error(path, source))?;
    let links = metadata.nlink();
    if metadata.is_file() && links > 1 {
        let path = path.to_owned();
        return Err(EventLogError::Linked { path, links });
    }
    Ok(())
}

/// The standard library does not tell how many names a file has there.
#[cfg(not(unix))]
fn check_links(_: &Path) -> Result<(), EventLogError> {
    Ok(())
}

/// Another service that is just stopping has this long.
pub(super) fn lock(options: &EventLogOptions) -> Result<Lock, EventLogError> {
    let path = beside(&options.path, ".lock");
    let mut create = OpenOptions::new();
    let file = create.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|source| open_error(&options.path, source))?;
    let give_up_at = Instant::now() + lock_wait(options);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::Error(source)) => return Err(open_error(&options.path, source)),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up_at => {
                let path = options.path.clone();
                return Err(EventLogError::InUse { path });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

pub(super) fn lock_wait(options: &EventLogOptions) -> Duration {
    Duration::from_millis(options.lock_wait_ms)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the file to write it; makes it if there is none.
pub(super) fn open(options: &EventLogOptions) -> Result<Connection, EventLogError> {
    let failed = |error| classify(&options.path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags).map_err(failed)?;
    connection
        .busy_timeout(lock_wait(options))
        .map_err(failed)?;
    check_version(&connection, options)?;
    set_up(&connection, options).map_err(failed)?;
    Ok(connection)
}

/// Opens the file to read it.
pub(super) fn open_to_read(options: &EventLogOptions) -> Result<Connection, EventLogError> {
    let failed = |error| classify(&options.path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags).map_err(failed)?;
    let timeout = connection.busy_timeout(lock_wait(options));
    timeout.map_err(failed)?;
    let query_only = connection.pragma_update(None, "query_only", true);
    query_only.map_err(failed)?;
    Ok(connection)
}

fn check_version(connection: &Connection, options: &EventLogOptions) -> Result<(), EventLogError> {
    let failed = |error| classify(&options.path, error);
    let path = options.path.clone();
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (version, application) = (
        pragma("user_version").map_err(failed)?,
        pragma("application_id").map_err(failed)?,
    );
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection
        .query_row(tables, [], |row| row.get(0))
        .map_err(failed)?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(()),
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, version) if version > VERSION => Err(EventLogError::Newer {
            path,
            version,
            version_max: VERSION,
        }),
        _ => Err(EventLogError::Foreign { path }),
    }
}

fn set_up(connection: &Connection, options: &EventLogOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match options.durability {
        Durability::ProcessKilled => "NORMAL",
        Durability::PowerLost => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // What a burst made of the -wal file is given back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    let page_bytes: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?
        .into();
    let pages_max = (options.file_bytes_max / page_bytes.max(1)).clamp(1, u32::MAX.into());
    // Answers with a row, which is of no interest: a file that is longer already keeps its length.
    connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
    create(connection)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
        let first = "INSERT INTO totals VALUES (1, ?1, 0, 0, 0)";
        transaction.execute(first, [Uuid::new_v4().to_string()])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn open_error(path: &Path, source: std::io::Error) -> EventLogError {
    EventLogError::Open {
        path: path.to_owned(),
        source: source.into(),
    }
}

pub(super) fn classify(path: &Path, error: rusqlite::Error) -> EventLogError {
    let path = path.to_owned();
    let is_damaged = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    );
    let source = error.into();
    if is_damaged {
        EventLogError::Damaged { path, source }
    } else {
        EventLogError::Open { path, source }
    }
}

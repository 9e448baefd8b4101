//! What is promised: groups, failures that stay alone, refusals.

use std::sync::mpsc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Database, DatabaseError, DatabaseOptions};

fn open(folder: &TempDir, options: DatabaseOptions) -> Result<Database, DatabaseError> {
    Database::open(&folder.path().join("nanocore.db"), options)
}

fn table(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("CREATE TABLE test (value INTEGER PRIMARY KEY, text TEXT) STRICT")
}

fn insert(connection: &Connection, value: i64) -> rusqlite::Result<()> {
    connection
        .execute("INSERT INTO test (value) VALUES (?1)", [value])
        .map(drop)
}

async fn values(db: &Database) -> Vec<i64> {
    let all = |connection: &Connection| {
        let mut statement = connection.prepare("SELECT value FROM test ORDER BY value")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    db.read(all).await.unwrap()
}

/// Holds the writing thread until the sender is dropped, so that what is written next waits together.
async fn hold(db: &Database) -> mpsc::SyncSender<()> {
    let (release, released) = mpsc::sync_channel::<()>(1);
    let (began, has_begun) = tokio::sync::oneshot::channel();
    db.write_later(move |_| {
        began.send(()).unwrap();
        let _ = released.recv();
        Ok(())
    })
    .unwrap();
    has_begun.await.unwrap();
    release
}

#[tokio::test]
async fn what_waits_together_is_committed_together_and_failures_stay_alone() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    let before = db.counters();
    let release = hold(&db).await;
    let write = |value| {
        let db = db.clone();
        async move {
            db.write(move |connection| {
                insert(connection, value)?;
                assert_ne!(value, 3, "the third panics");
                // The fourth fails after it has written something.
                if value == 4 {
                    insert(connection, 1)
                } else {
                    Ok(())
                }
            })
            .await
        }
    };
    let writes = futures_util::future::join_all([1, 2, 3, 4, 5].map(write));
    let (answers, ()) = futures_util::join!(writes, async move { drop(release) });
    let short: Vec<&str> = answers
        .iter()
        .map(|answer| match answer {
            Ok(()) => "ok",
            Err(DatabaseError::Panicked) => "panicked",
            Err(DatabaseError::Failed { .. }) => "failed",
            Err(_) => "other",
        })
        .collect();
    assert_eq!(short, ["ok", "ok", "panicked", "failed", "ok"]);
    assert_eq!(values(&db).await, [1, 2, 5]);
    let after = db.counters();
    assert_eq!(after.transactions - before.transactions, 2);
    assert_eq!(after.failed - before.failed, 2);
}

#[tokio::test]
async fn a_full_queue_refuses_what_nobody_waits_for() {
    let folder = TempDir::new().unwrap();
    let options = DatabaseOptions {
        waiting_max: 1,
        ..DatabaseOptions::default()
    };
    let db = open(&folder, options).unwrap();
    let release = hold(&db).await;
    db.write_later(|_| Ok(())).unwrap();
    assert!(matches!(
        db.write_later(|_| Ok(())),
        Err(DatabaseError::Busy)
    ));
    assert_eq!(db.counters().refused, 1);
    drop(release);
}

#[tokio::test]
async fn what_was_sent_before_closing_is_written_and_nothing_after() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    db.write_later(|connection| insert(connection, 7)).unwrap();
    db.close().await;
    assert!(matches!(
        db.write(|_| Ok(())).await,
        Err(DatabaseError::Closed)
    ));
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    assert_eq!(values(&db).await, [7]);
}

#[tokio::test]
async fn a_full_file_is_an_error_that_says_so_and_takes_nothing_along() {
    let folder = TempDir::new().unwrap();
    let options = DatabaseOptions {
        file_bytes_max: 256 << 10,
        ..DatabaseOptions::default()
    };
    let db = open(&folder, options).unwrap();
    db.write(table).await.unwrap();
    db.write(|connection| insert(connection, 1)).await.unwrap();
    let large = db.write(|connection| {
        connection.execute("INSERT INTO test VALUES (2, ?1)", ["x".repeat(1 << 20)])
    });
    assert!(matches!(large.await, Err(DatabaseError::Full { .. })));
    db.write(|connection| insert(connection, 3)).await.unwrap();
    assert_eq!(values(&db).await, [1, 3]);
}

/// What SQLite says where a quota is used up.
fn refused(_: &Connection) -> rusqlite::Result<()> {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
    Err(rusqlite::Error::SqliteFailure(error, None))
}

#[tokio::test]
async fn a_system_that_refuses_writes_is_told_as_long_as_it_does() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    assert!(db.trouble().await.is_none());
    let error = db.write(refused).await.unwrap_err();
    assert!(
        matches!(error, DatabaseError::Unwritable { .. }),
        "{error:?}"
    );
    assert!(error.may_pass() && error.is_of_disk());
    assert!(error.to_string().contains("nanocore.db"), "{error}");
    // What changes nothing writes nothing, and says nothing.
    db.write(|_| Ok(())).await.unwrap();
    let known = db.shared.troubles.now().unwrap();
    db.write(refused).await.unwrap_err();
    assert_eq!(db.shared.troubles.now().unwrap().since, known.since);
    assert!(
        db.trouble().await.is_none(),
        "whoever asks finds out that it is over"
    );
}

#[tokio::test]
async fn a_file_at_its_limit_can_be_written() {
    let folder = TempDir::new().unwrap();
    let options = DatabaseOptions {
        file_bytes_max: 256 << 10,
        ..DatabaseOptions::default()
    };
    let db = open(&folder, options).unwrap();
    let large = "CREATE TABLE large AS SELECT zeroblob(1000000)";
    let full = db.write(|connection| connection.execute_batch(large)).await;
    assert!(matches!(full, Err(DatabaseError::Full { .. })), "{full:?}");
    assert!(db.trouble().await.is_none());
}

#[tokio::test]
async fn a_read_that_panics_harms_nobody() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    let panics = db.read(|_| -> rusqlite::Result<()> { panic!("on purpose") });
    assert!(matches!(panics.await, Err(DatabaseError::Panicked)));
    let writes = db.read(|connection| insert(connection, 1));
    assert!(matches!(writes.await, Err(DatabaseError::Failed { .. })));
    assert_eq!(values(&db).await, [0_i64; 0]);
}

#[test]
fn files_that_are_not_ours_are_refused_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nanocore.db");
    std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
    let error = open(&folder, DatabaseOptions::default()).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("move it away"), "{error}");

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE other (a)")
        .unwrap();
    let error = open(&folder, DatabaseOptions::default()).unwrap_err();
    assert!(matches!(error, DatabaseError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_file_of_a_newer_release_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nanocore.db");
    drop(open(&folder, DatabaseOptions::default()).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", 9_999)
        .unwrap();
    let error = open(&folder, DatabaseOptions::default()).unwrap_err();
    assert!(
        matches!(error, DatabaseError::Newer { version: 9_999, .. }),
        "{error:?}"
    );
    let version: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 9_999);
}

#[tokio::test]
async fn a_page_that_is_destroyed_is_found_by_a_check_and_at_the_start_after_a_kill() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    for value in 0..2_000 {
        db.write_later(move |connection| insert(connection, value))
            .ok();
    }
    let (path, open_marker) = (
        folder.path().join("nanocore.db"),
        folder.path().join("nanocore.db-open"),
    );
    assert!(open_marker.exists());
    super::check(&path).unwrap();
    db.close().await;
    assert!(!open_marker.exists());
    drop(db);
    let mut bytes = std::fs::read(&path).unwrap();
    let from = bytes.len() - 4_096;
    bytes[from..].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let error = super::check(&path).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error:?}");
    // It was closed, so that the start does not look at all of it.
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.close().await;
    // As a process leaves it that is killed.
    std::fs::write(&open_marker, "").unwrap();
    let error = open(&folder, DatabaseOptions::default()).unwrap_err();
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error:?}");
    assert!(open_marker.exists(), "it is damaged the next time, too");
}

#[tokio::test]
async fn what_nobody_waits_for_is_committed_with_what_somebody_does() {
    let folder = TempDir::new().unwrap();
    let db = open(&folder, DatabaseOptions::default()).unwrap();
    db.write(table).await.unwrap();
    let before = db.counters().transactions;
    // Were each note committed for itself, there would be about 100 transactions.
    for value in 0..50 {
        db.write_later(move |connection| insert(connection, value))
            .unwrap();
        db.write(move |connection| insert(connection, 100 + value))
            .await
            .unwrap();
    }
    let rounds = db.counters().transactions - before;
    assert!(rounds < 75, "{rounds} transactions");
    // Alone it does not wait for ever.
    db.write_later(|connection| insert(connection, 1_000))
        .unwrap();
    while values(&db).await.len() < 101 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_wal_file_has_its_length_before_the_first_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nanocore.db");
    let db = Database::open(&path, DatabaseOptions::default()).unwrap();
    let length = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    let before = length("nanocore.db-wal");
    assert!(before >= 4 << 20, "{before}");
    db.write(|connection| connection.execute("CREATE TABLE length (row)", []))
        .await
        .unwrap();
    assert_eq!(length("nanocore.db-wal"), before);
    db.close().await;
    drop(db);
    let file = length("nanocore.db");
    assert!(file < 1 << 20, "what lengthened it is in the file: {file}");
}

#[tokio::test]
async fn closing_at_once_after_a_write_ends_the_thread() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&folder, DatabaseOptions::default()).unwrap();
        db.write(table).await.unwrap();
        db.close().await;
        let refused = db.write(table).await;
        assert!(matches!(refused, Err(DatabaseError::Closed)), "{refused:?}");
    }
}

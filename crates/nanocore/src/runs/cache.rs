//! The result cache, in memory and in the database. spec: nanograph 18

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nodewire_json::Json;
use rusqlite::{Connection, OptionalExtension, params};

use super::options::count;
use crate::db::{Database, DatabaseError, blobs};
use crate::workflow::{AssetLinks, CacheKey, ResultCache, all_exist};

/// The limits of a [`SqliteCache`]. What was not used for longest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Results that are kept. Default 10,000.
    pub entries_max: usize,
    /// Their bytes together. Default 256 MiB.
    pub bytes_max: u64,
    /// A larger result is not kept, in bytes. Default 16 MiB.
    pub entry_bytes_max: usize,
    /// Bytes of results that are in memory, too. Default 32 MiB.
    pub front_bytes_max: usize,
    /// Bytes of results that may wait to be written; further ones are not kept on disk. Default 64 MiB.
    pub pending_bytes_max: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            entries_max: 10_000,
            bytes_max: 256 << 20,
            entry_bytes_max: 16 << 20,
            front_bytes_max: 32 << 20,
            pending_bytes_max: 64 << 20,
        }
    }
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Looked for and found.
    pub hits: u64,
    /// Looked for, not found.
    pub misses: u64,
    /// Found, but an asset that it refers to is gone.
    pub discarded: u64,
    /// Not kept: too large, or too much waits to be written.
    pub refused: u64,
    /// Not found since the database failed.
    pub failed: u64,
}

/// Results of nodes in the database, the newest in memory, too.
pub struct SqliteCache {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    assets: Option<Arc<dyn AssetLinks>>,
    options: CacheOptions,
    front: Mutex<Front>,
    pending_bytes: Arc<AtomicUsize>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    discarded: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for SqliteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCache")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl SqliteCache {
    /// The cache in this database. With `assets`, results that refer to others are not given out.
    ///
    /// # Errors
    /// If the database cannot be read.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn open(
        db: Database,
        assets: Option<Arc<dyn AssetLinks>>,
        options: CacheOptions,
    ) -> Result<Self, DatabaseError> {
        let last = "SELECT coalesce(max(used), 0) FROM cache";
        let used = db.read(|connection| connection.query_row(last, [], |row| row.get(0)));
        let front = Front {
            used: used.await?,
            ..Front::default()
        };
        Ok(Self {
            shared: Arc::new(Shared {
                db,
                assets,
                options,
                front: Mutex::new(front),
                pending_bytes: Arc::default(),
                counts: Counts::default(),
            }),
        })
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheCounters {
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            discarded: read(&counts.discarded),
            refused: read(&counts.refused),
            failed: read(&counts.failed),
        }
    }

    /// Writes down which results were used last.
    pub(super) async fn flush(&self) {
        let touched = std::mem::take(&mut self.shared.front().touched);
        let written = self
            .shared
            .db
            .write(move |connection| touch(connection, &touched));
        if let Err(error) = written.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the uses of results were lost"
            );
        }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// If the database cannot be written.
    ///
    /// # Cancel safety
    /// Once the future was polled, all may be forgotten although the future is dropped.
    pub async fn clear(&self) -> Result<(), DatabaseError> {
        self.shared.front().clear();
        let clear = |connection: &Connection| connection.execute("DELETE FROM cache", []).map(drop);
        self.shared.db.write(clear).await
    }
}

impl ResultCache for SqliteCache {
    fn get(&self, key: &CacheKey) -> BoxFuture<'static, Option<Json>> {
        let (shared, key) = (self.shared.clone(), *key);
        async move { shared.get(key).await }.boxed()
    }

    fn put(&self, key: CacheKey, outputs: &Json) {
        self.shared.put(key, outputs);
    }
}

impl Shared {
    async fn get(self: Arc<Self>, key: CacheKey) -> Option<Json> {
        let in_front = self.front().get(&key);
        let found = match in_front {
            Some(found) => Some(found),
            None => self.read(key).await,
        };
        let Some(outputs) = found else {
            count(&self.counts.misses);
            return None;
        };
        if self
            .assets
            .as_deref()
            .is_some_and(|assets| !all_exist(&outputs, assets))
        {
            count(&self.counts.discarded);
            self.discard(key);
            return None;
        }
        count(&self.counts.hits);
        let touched = self.front().touch(key, &outputs, &self.options);
        if let Some(touched) = touched {
            // Without it, they may be forgotten sooner; it is counted.
            let _ = self
                .db
                .write_later(move |connection| touch(connection, &touched));
        }
        Some(outputs)
    }

    async fn read(&self, key: CacheKey) -> Option<Json> {
        let select =
            "SELECT bytes FROM blobs WHERE id = (SELECT outputs FROM cache WHERE key = ?1)";
        let read = self.db.read(move |connection| {
            let mut statement = connection.prepare_cached(select)?;
            let bytes: Option<Vec<u8>> = statement
                .query_row([&key.as_bytes()[..]], |row| row.get(0))
                .optional()?;
            Ok(bytes)
        });
        match read.await {
            Ok(bytes) => Json::parse_bytes(bytes?).ok(),
            Err(error) => {
                count(&self.counts.failed);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the result cache failed"
                );
                None
            }
        }
    }

    fn discard(&self, key: CacheKey) {
        self.front().remove(&key);
        // It is found out again the next time.
        let _ = self.db.write_later(move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM cache WHERE key = ?1")?;
            delete.execute([&key.as_bytes()[..]]).map(drop)
        });
    }

    fn put(&self, key: CacheKey, outputs: &Json) {
        let bytes = outputs.as_str().len();
        let waits = self.pending_bytes.load(Ordering::Relaxed);
        let options = self.options;
        if bytes > options.entry_bytes_max || waits + bytes > options.pending_bytes_max {
            count(&self.counts.refused);
            return;
        }
        let used = self.front().insert(key, outputs, &options);
        let pending = Pending::new(&self.pending_bytes, bytes);
        let outputs = outputs.clone();
        let written = self.db.write_later(move |connection| {
            let _pending = pending;
            keep(connection, key, &outputs, used, &options)
        });
        if written.is_err() {
            count(&self.counts.refused);
        }
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that wait to be written.
struct Pending {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Pending {
    fn new(all: &Arc<AtomicUsize>, bytes: usize) -> Self {
        all.fetch_add(bytes, Ordering::Relaxed);
        Self {
            all: all.clone(),
            bytes,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The results in memory.
#[derive(Default)]
struct Front {
    entries: HashMap<CacheKey, (Json, i64)>,
    by_use: BTreeMap<i64, CacheKey>,
    bytes: usize,
    /// The number of the last use.
    used: i64,
    /// Uses that are not written down yet.
    touched: Vec<(CacheKey, i64)>,
}

/// Uses are written down together.
const TOUCHED_MAX: usize = 64;

impl Front {
    fn get(&self, key: &CacheKey) -> Option<Json> {
        self.entries.get(key).map(|(outputs, _)| outputs.clone())
    }

    fn insert(&mut self, key: CacheKey, outputs: &Json, options: &CacheOptions) -> i64 {
        self.remove(&key);
        self.used += 1;
        self.bytes += outputs.as_str().len();
        self.entries.insert(key, (outputs.clone(), self.used));
        self.by_use.insert(self.used, key);
        while (self.bytes > options.front_bytes_max || self.entries.len() > options.entries_max)
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            self.remove(&oldest);
        }
        self.used
    }

    /// Notes a use; many together are given back to be written down.
    fn touch(
        &mut self,
        key: CacheKey,
        outputs: &Json,
        options: &CacheOptions,
    ) -> Option<Vec<(CacheKey, i64)>> {
        let used = self.insert(key, outputs, options);
        self.touched.push((key, used));
        (self.touched.len() >= TOUCHED_MAX).then(|| std::mem::take(&mut self.touched))
    }

    fn remove(&mut self, key: &CacheKey) {
        if let Some((outputs, used)) = self.entries.remove(key) {
            self.bytes -= outputs.as_str().len();
            self.by_use.remove(&used);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
        self.touched.clear();
        self.bytes = 0;
    }
}

fn touch(connection: &Connection, touched: &[(CacheKey, i64)]) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE cache SET used = ?2 WHERE key = ?1")?;
    for (key, used) in touched {
        update.execute(params![&key.as_bytes()[..], used])?;
    }
    Ok(())
}

fn keep(
    connection: &Connection,
    key: CacheKey,
    outputs: &Json,
    used: i64,
    options: &CacheOptions,
) -> rusqlite::Result<()> {
    let key = &key.as_bytes()[..];
    // First the new value, so that an equal one stays where it is.
    let value = blobs::put(connection, outputs.as_str().as_bytes())?;
    connection
        .prepare_cached("DELETE FROM cache WHERE key = ?1")?
        .execute([key])?;
    let insert = "INSERT INTO cache (key, outputs, bytes, used) VALUES (?1, ?2, ?3, ?4)";
    let bytes = outputs.as_str().len() as u64;
    connection
        .prepare_cached(insert)?
        .execute(params![key, value, bytes, used])?;
    loop {
        let totals = "SELECT entries, bytes FROM cache_totals";
        let (entries, bytes): (u64, u64) = connection
            .prepare_cached(totals)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if entries <= options.entries_max as u64 && bytes <= options.bytes_max {
            return Ok(());
        }
        let oldest = "DELETE FROM cache WHERE key = (SELECT key FROM cache ORDER BY used LIMIT 1)";
        connection.prepare_cached(oldest)?.execute([])?;
    }
}

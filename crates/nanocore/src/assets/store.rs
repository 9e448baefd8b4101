//! [`AssetStore`]: the contents and what is known about them.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::blobs::{Blobs, ContentStream};
use super::contents::Contents;
use super::entry::{Entry, NewAsset, Patch};
use super::error::StoreError;
use super::id::{AssetId, ContentHash};
use super::index::{Filter, Index};
use super::outage::{ObjectsFailure, ObjectsProblem};
use super::rows::Rows;
use super::upload::{Staged, Stored, Upload};

/// Locks that changes of assets are spread over.
const TURNS: usize = 64;

/// Bounds and habits of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Longest content accepted. Default 16 GiB.
    pub asset_bytes_max: u64,
    /// Uploads at the same time; each holds one thread. Default 32.
    pub uploads_max: usize,
    /// Whether an upload is on disk before it is reported as stored. Default true; switch it off for a folder that
    /// is thrown away with the process.
    pub durable: bool,
    /// Where contents lie. Default: in the store's folder. A store whose place changes keeps its entries, but not their
    /// contents: copy them before, under the same keys.
    pub contents: Contents,
    /// How long [`AssetStore::check`] waits for an object store. Default 5 s.
    pub check_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            asset_bytes_max: 16 << 30,
            uploads_max: 32,
            durable: true,
            contents: Contents::Folder,
            check_timeout: Duration::from_secs(5),
        }
    }
}

/// A folder of contents, each kept once: `<first 2 hex digits>/<hash>` with `<hash>.json` beside it. The contents may
/// lie elsewhere, see [`Contents`].
///
/// Cloning shares the store. One process at a time may use a folder.
#[derive(Debug, Clone)]
pub struct AssetStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) rows: Rows,
    blobs: Blobs,
    /// Held by whoever changes a content and its row together, one of them per hash.
    turns: [tokio::sync::Mutex<()>; TURNS],
    /// Held for lookups only.
    index: Mutex<Index>,
    /// Told of each new asset.
    on_added: OnceLock<OnAdded>,
    _lock: File,
}

/// Whoever wants to know of new assets.
struct OnAdded(Box<dyn Fn(&Entry) + Send + Sync>);

impl std::fmt::Debug for OnAdded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnAdded")
    }
}

impl AssetStore {
    /// Opens the folder, making it if needed, and removes what unfinished uploads left. Blocks on the file system; an
    /// object store is not asked.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Io`].
    pub fn open(folder: impl Into<PathBuf>, options: StoreOptions) -> Result<Self, StoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let folder = folder
            .canonicalize()
            .map_err(StoreError::io("open", &folder))?;
        let lock = lock(&folder)?;
        let blobs = Blobs::new(&folder, &options.contents, options.durable)?;
        let rows = Rows::open(folder, options.durable)?;
        let shared = Shared {
            uploads: Arc::new(Semaphore::new(options.uploads_max)),
            index: Mutex::new(rows.load(&options.contents)?),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            options,
            rows,
            blobs,
            on_added: OnceLock::new(),
            _lock: lock,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The bounds this store was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    /// Whether contents are in an object store, not in the folder.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.shared.blobs.is_remote()
    }

    /// Asks the object store, if contents are in one, whether it can be used: as [`Contents::check`], for at most
    /// [`StoreOptions::check_timeout`]. Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::Objects`].
    pub async fn check(&self) -> Result<(), StoreError> {
        let timeout = self.shared.options.check_timeout;
        self.shared.blobs.check(timeout).await
    }

    /// Why the object store could not be used the last time; `None` if it could, was not asked yet, or is a folder.
    #[must_use]
    pub fn problem(&self) -> Option<ObjectsProblem> {
        self.shared.blobs.seen().problem()
    }

    /// How often the object store could not be used, for each reason.
    #[must_use]
    pub fn failures(&self) -> [(ObjectsFailure, u64); ObjectsFailure::ALL.len()] {
        self.shared.blobs.seen().counts()
    }

    /// Calls `tell`, which must not block, for each asset whose content was not known before, wherever it comes from.
    /// The first caller is the only one.
    pub(crate) fn on_added(&self, tell: impl Fn(&Entry) + Send + Sync + 'static) {
        // A second one finds the place taken.
        let _ = self.shared.on_added.set(OnAdded(Box::new(tell)));
    }

    /// Starts an upload. Dropping it before [`Upload::finish`] leaves nothing behind.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many are going on.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        Upload::start(&self.shared)
    }

    /// Stores these bytes. Cancel safety: if dropped, the asset is stored entirely or not at all.
    ///
    /// # Errors
    /// As [`Self::upload`], [`Upload::write`] and [`Upload::finish`].
    pub async fn put(&self, bytes: bytes::Bytes, asset: NewAsset) -> Result<Stored, StoreError> {
        let mut upload = self.upload()?;
        upload.write(bytes).await?;
        upload.finish(asset).await
    }

    /// The entry with this name.
    #[must_use]
    pub fn find(&self, id: AssetId) -> Option<Arc<Entry>> {
        self.shared.index().get(id)
    }

    /// The entry with this name, which counts as used now: [`Self::unused`] measures from here. Runs look
    /// references up with this.
    pub fn touch(&self, id: AssetId) -> Option<Arc<Entry>> {
        self.shared.index().touch(id)
    }

    /// The entries that pass the filter.
    #[must_use]
    pub fn list(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        self.shared.index().list(filter)
    }

    /// The content's file, which is complete and never changes. None if contents lie elsewhere.
    #[must_use]
    pub fn path(&self, entry: &Entry) -> Option<PathBuf> {
        self.shared.blobs.path(entry.hash)
    }

    /// The bytes in `range`, which is cut to the content's length. At most two pieces of 512 KiB of a file, or what an
    /// object store sends at once, are in memory. Counts as a use for [`Self::unused`]. Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it was deleted meanwhile, [`StoreError::Io`], [`StoreError::Objects`]; the stream's
    /// errors are the same.
    pub async fn read(
        &self,
        entry: &Entry,
        range: Range<u64>,
    ) -> Result<ContentStream, StoreError> {
        self.touch(entry.hash.into()).ok_or(StoreError::NotFound)?;
        let range = range.start..range.end.min(entry.size);
        self.shared.blobs.read(entry.hash, range).await
    }

    /// Changes what is known about an asset.
    ///
    /// Cancel safety: if dropped, the change is made entirely or not at all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    pub async fn update(&self, id: AssetId, patch: Patch) -> Result<Arc<Entry>, StoreError> {
        let shared = Arc::clone(&self.shared);
        whole(async move {
            let hash = shared.index().get(id).ok_or(StoreError::NotFound)?.hash;
            let _turn = shared.turn(hash).lock().await;
            let entry = shared.index().get(id).ok_or(StoreError::NotFound)?;
            shared.keep(entry.patched(patch)).await
        })
        .await
    }

    /// Forgets an asset and removes its content; downloads from a folder that are going on finish.
    ///
    /// Cancel safety: if dropped, the asset is deleted entirely or not at all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Io`], [`StoreError::Objects`]. After the last the asset is forgotten, its
    /// content remains.
    pub async fn delete(&self, id: AssetId) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        whole(async move {
            let hash = shared.index().get(id).ok_or(StoreError::NotFound)?.hash;
            let _turn = shared.turn(hash).lock().await;
            let entry = shared.index().get(id).ok_or(StoreError::NotFound)?;
            shared.remove(&entry).await
        })
        .await
    }

    /// The ephemeral assets that were neither uploaded, read nor touched since then. Uses are forgotten when the process
    /// ends; age counts from the first upload then. spec: nanograph 19.1
    #[must_use]
    pub fn unused(&self, since: Timestamp) -> Vec<Arc<Entry>> {
        self.shared.index().all_unused(since)
    }

    /// Deletes an asset if it is still [unused](Self::unused); whether it was.
    ///
    /// Cancel safety: if dropped, the asset is deleted entirely or not at all.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Objects`].
    pub async fn delete_unused(
        &self,
        hash: ContentHash,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        whole(async move {
            let _turn = shared.turn(hash).lock().await;
            let entry = shared.index().unused(hash, since);
            match entry {
                Some(entry) => shared.remove(&entry).await.map(|()| true),
                None => Ok(false),
            }
        })
        .await
    }
}

impl Shared {
    /// Gives a finished, complete file its place, or finds that its content is there already. The content is in place
    /// before the row is written, so that a crash leaves at worst an orphan. spec: nanograph 19.1
    ///
    /// Cancel safety: if dropped, the asset is stored entirely or not at all.
    pub(crate) async fn commit(
        self: Arc<Self>,
        staged: Staged,
        asset: NewAsset,
    ) -> Result<Stored, StoreError> {
        whole(async move {
            let hash = staged.hash;
            let _turn = self.turn(hash).lock().await;
            let known = self.index().touch(hash.into());
            if known.is_none() || !self.blobs.has(hash, staged.size).await? {
                self.blobs.put(&staged.path, hash).await?;
            }
            let already_exists = known.is_some();
            let entry = match known {
                // Somebody wants it kept.
                Some(entry) if entry.ephemeral && !asset.ephemeral => {
                    let patch = Patch {
                        ephemeral: Some(false),
                        ..Patch::default()
                    };
                    self.keep(entry.patched(patch)).await?
                }
                Some(entry) => entry,
                None => self.keep(Entry::new(hash, staged.size, &asset)).await?,
            };
            if let Some(OnAdded(tell)) = self.on_added.get().filter(|_| !already_exists) {
                tell(&entry);
            }
            Ok(Stored {
                entry,
                already_exists,
            })
        })
        .await
    }

    /// Writes an entry and shows it to everybody.
    async fn keep(&self, entry: Entry) -> Result<Arc<Entry>, StoreError> {
        let (entry, rows) = (Arc::new(entry), self.rows.clone());
        let row = Arc::clone(&entry);
        blocking(move || rows.write(&row)).await?;
        self.index().insert(Arc::clone(&entry), Timestamp::now());
        Ok(entry)
    }

    /// The row first: a content without a row is an orphan, removed or used again later.
    async fn remove(&self, entry: &Entry) -> Result<(), StoreError> {
        let (rows, hash) = (self.rows.clone(), entry.hash);
        blocking(move || rows.remove(hash)).await?;
        self.index().remove(entry);
        self.blobs.delete(hash).await
    }

    fn turn(&self, hash: ContentHash) -> &tokio::sync::Mutex<()> {
        &self.turns[usize::from(hash.first_byte()) % TURNS]
    }

    // Not held while foreign code runs; after a panic the maps are still as whole as before it.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs to its end even if nobody waits for it any more.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.map_err(StoreError::ended)?
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(StoreError::ended)?
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked {
            folder: folder.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(StoreError::Io {
            action: "lock",
            path,
            source,
        }),
    }
}

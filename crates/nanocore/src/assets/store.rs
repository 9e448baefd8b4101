//! [`AssetStore`]: the folder with the contents and what is known about them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::entry::{Entry, NewAsset, Patch};
use super::id::{AssetId, ContentHash};
use super::upload::{Stored, Upload};

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
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            asset_bytes_max: 16 << 30,
            uploads_max: 32,
            durable: true,
        }
    }
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The content is longer than [`StoreOptions::asset_bytes_max`].
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
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Which entries [`AssetStore::list`] gives.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Exactly this type.
    pub kind: Option<String>,
    /// This content.
    pub hash: Option<ContentHash>,
    /// Names that contain this text, in any case.
    pub name: Option<String>,
    /// Only what comes after this entry in the chosen order.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: Option<usize>,
    /// The order.
    pub order: Order,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

/// A folder of contents, each kept once: `<first 2 hex digits>/<hash>` with `<hash>.json` beside it.
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
    folder: PathBuf,
    /// Held by whoever changes files and index together; never across an await, often across a slow disk.
    changing: Mutex<()>,
    /// Held for lookups only.
    index: Mutex<Index>,
    _lock: File,
}

#[derive(Debug, Default)]
struct Index {
    by_age: BTreeMap<u64, Arc<Entry>>,
    by_hash: HashMap<ContentHash, u64>,
    by_uuid: HashMap<Uuid, u64>,
    next: u64,
}

impl AssetStore {
    /// Opens the folder, making it if needed, and removes what unfinished uploads left. Blocks on the file system.
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
        let incoming = folder.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(StoreError::io("empty", &incoming))?;
        }
        fs::create_dir_all(&incoming).map_err(StoreError::io("create", &incoming))?;
        let index = Mutex::new(load(&folder)?);
        let uploads = Arc::new(Semaphore::new(options.uploads_max));
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                uploads,
                folder,
                changing: Mutex::new(()),
                index,
                _lock: lock,
            }),
        })
    }

    /// The bounds this store was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
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
        let index = self.shared.index();
        index.by_age.get(&index.age(id)?).cloned()
    }

    /// The entries that pass the filter.
    #[must_use]
    pub fn list(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        let index = self.shared.index();
        let after = filter
            .after
            .and_then(|uuid| index.by_uuid.get(&uuid).copied());
        let name = filter.name.as_ref().map(|name| name.to_lowercase());
        let wanted = |age: u64, entry: &Entry| {
            filter.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
                && filter.hash.is_none_or(|hash| hash == entry.hash)
                && name
                    .as_ref()
                    .is_none_or(|name| entry.name.to_lowercase().contains(name.as_str()))
                && after.is_none_or(|after| {
                    if filter.order == Order::Newest {
                        age < after
                    } else {
                        age > after
                    }
                })
        };
        let mut found: Vec<_> = index
            .by_age
            .iter()
            .filter(|(age, entry)| wanted(**age, entry))
            .map(|(_, entry)| Arc::clone(entry))
            .collect();
        if filter.order == Order::Newest {
            found.reverse();
        }
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        found
    }

    /// The content's file, which is complete and never changes.
    #[must_use]
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.shared.content_path(entry.hash)
    }

    /// Opens the content for reading. Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it was deleted meanwhile, [`StoreError::Io`].
    pub async fn read(&self, entry: &Entry) -> Result<tokio::fs::File, StoreError> {
        let path = self.path(entry);
        tokio::fs::File::open(&path).await.map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                StoreError::NotFound
            } else {
                StoreError::Io {
                    action: "open",
                    path,
                    source,
                }
            }
        })
    }

    /// Changes what is known about an asset. Blocks on the file system.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    pub fn update(&self, id: AssetId, patch: Patch) -> Result<Arc<Entry>, StoreError> {
        let _changing = self.shared.changing();
        let entry = Arc::new(self.find(id).ok_or(StoreError::NotFound)?.patched(patch));
        self.shared.write_entry(&entry)?;
        let mut index = self.shared.index();
        if let Some(age) = index.age(id) {
            index.by_age.insert(age, Arc::clone(&entry));
        }
        Ok(entry)
    }

    /// Forgets an asset and removes its content; downloads going on finish. Blocks on the file system.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    pub fn delete(&self, id: AssetId) -> Result<(), StoreError> {
        let _changing = self.shared.changing();
        let entry = self.find(id).ok_or(StoreError::NotFound)?;
        let (row, content) = (self.shared.entry_path(entry.hash), self.path(&entry));
        // The row first: a content without a row is an orphan, removed by the next `open`.
        fs::remove_file(&row).map_err(StoreError::io("delete", &row))?;
        self.shared.index().remove(&entry);
        fs::remove_file(&content).map_err(StoreError::io("delete", &content))
    }
}

impl Shared {
    /// The file of an upload that is not finished.
    pub(crate) fn incoming_path(&self) -> PathBuf {
        self.folder
            .join("incoming")
            .join(Uuid::new_v4().to_string())
    }

    /// Gives a finished, complete file its place, or finds that its content is there already. The blob is in place
    /// before the row is written, so that a crash leaves at worst an orphan. spec: nanograph 19.1
    pub(crate) fn commit(
        &self,
        file: &Path,
        hash: ContentHash,
        size: u64,
        asset: &NewAsset,
    ) -> Result<Stored, StoreError> {
        let _changing = self.changing();
        if let Some(entry) = self.index().get(hash) {
            return Ok(Stored {
                entry,
                already_exists: true,
            });
        }
        let content = self.content_path(hash);
        let folder = content.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        fs::rename(file, &content).map_err(StoreError::io("create", &content))?;
        self.sync_folder(folder)?;
        let entry = Arc::new(Entry::new(hash, size, asset));
        self.write_entry(&entry)?;
        self.index().insert(Arc::clone(&entry));
        Ok(Stored {
            entry,
            already_exists: false,
        })
    }

    fn write_entry(&self, entry: &Entry) -> Result<(), StoreError> {
        let (path, temporary) = (self.entry_path(entry.hash), self.incoming_path());
        let write = || {
            let mut file = File::create_new(&temporary)?;
            file.write_all(&serde_json::to_vec(entry)?)?;
            if self.options.durable {
                file.sync_all()
            } else {
                Ok(())
            }
        };
        write().map_err(StoreError::io("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(StoreError::io("create", &path))?;
        self.sync_folder(path.parent().unwrap_or(&self.folder))
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        if !self.options.durable {
            return Ok(());
        }
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(StoreError::io("sync", folder))
    }

    fn content_path(&self, hash: ContentHash) -> PathBuf {
        let hex = hash.hex();
        self.folder.join(&hex[..2]).join(hex)
    }

    fn entry_path(&self, hash: ContentHash) -> PathBuf {
        self.content_path(hash).with_extension("json")
    }

    // Neither lock is held while foreign code runs; after a panic the maps are still as whole as before it.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn age(&self, id: AssetId) -> Option<u64> {
        match id {
            AssetId::Uuid(uuid) => self.by_uuid.get(&uuid).copied(),
            AssetId::Hash(hash) => self.by_hash.get(&hash).copied(),
        }
    }

    fn get(&self, hash: ContentHash) -> Option<Arc<Entry>> {
        self.by_age.get(self.by_hash.get(&hash)?).cloned()
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        self.by_hash.insert(entry.hash, self.next);
        self.by_uuid.insert(entry.uuid, self.next);
        self.by_age.insert(self.next, entry);
        self.next += 1;
    }

    fn remove(&mut self, entry: &Entry) {
        self.by_uuid.remove(&entry.uuid);
        if let Some(age) = self.by_hash.remove(&entry.hash) {
            self.by_age.remove(&age);
        }
    }
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

/// Reads all rows and removes contents that have none.
fn load(folder: &Path) -> Result<Index, StoreError> {
    let mut entries = Vec::new();
    for shard in read_folder(folder)?
        .into_iter()
        .filter(|path| is_shard(path))
    {
        for path in read_folder(&shard)? {
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                entries.extend(read_entry(&path));
            } else if !path.with_extension("json").exists() {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
    }
    entries.sort_by_key(|entry| (entry.created_at, entry.uuid));
    let mut index = Index::default();
    entries
        .into_iter()
        .for_each(|entry| index.insert(Arc::new(entry)));
    Ok(index)
}

fn read_folder(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(StoreError::io("list", folder))
}

fn is_shard(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) && path.is_dir()
}

/// One row, if it can be read and its content is there with the right length.
fn read_entry(path: &Path) -> Option<Entry> {
    let entry = fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let entry: Entry = entry.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "unreadable asset entry, left out")).ok()?;
    let content = path.with_extension("");
    if fs::metadata(&content).is_ok_and(|content| content.len() == entry.size) {
        return Some(entry);
    }
    tracing::warn!(path = %content.display(), "asset content is missing or has the wrong length, left out");
    None
}

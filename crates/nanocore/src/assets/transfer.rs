//! [`AssetTransfer`]: copies between the store and the asset servers of other orchestrators. spec: nanograph 17.6
//!
//! Contents pass through piece by piece. A copy into the store shows only once it is complete; one that is given up
//! leaves nothing here, and ends the request there.

mod parts;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::{StreamExt, TryStreamExt};
use nanograph::assets::{
    Asset, AssetClient, AssetClientConfig, AssetError, AssetFilter, AssetRef, Download, Upload,
};
use tokio::sync::Semaphore;

use super::entry::{Entry, NewAsset};
use super::error::StoreError;
use super::id::{AssetId, ContentHash};
use super::store::AssetStore;
pub use parts::{ForeignAssets, TransferCounters, TransferError, TransferOptions};

/// Asset servers whose connections are kept.
const CLIENTS_MAX: usize = 64;
/// Names of other servers whose content is remembered.
const KNOWN_MAX: usize = 10_000;

/// Copies assets, each once. Cloning shares limits and counts.
#[derive(Debug, Clone)]
pub struct AssetTransfer {
    shared: Arc<Shared>,
}

/// An asset server's address, and what stands for the asset there.
type CopyKey = (String, String);
type Turn = tokio::sync::Mutex<()>;

#[derive(Debug)]
struct Shared {
    store: AssetStore,
    options: TransferOptions,
    copies: Semaphore,
    counts: Counts,
    // Std mutexes: held for look-ups, never over an await.
    clients: Mutex<Vec<(ForeignAssets, AssetClient)>>,
    /// Held while an asset is copied, so that who wants it too waits and finds it there. One for each copy wanted now.
    turns: Mutex<HashMap<CopyKey, Weak<Turn>>>,
    /// The contents behind uuids of other servers.
    known: Mutex<HashMap<CopyKey, ContentHash>>,
}

#[derive(Debug, Default)]
struct Counts {
    imported: AtomicU64,
    exported: AtomicU64,
    present: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

impl AssetTransfer {
    /// Copies from and to `store`.
    #[must_use]
    pub fn new(store: AssetStore, options: TransferOptions) -> Self {
        let shared = Shared {
            store,
            options,
            copies: Semaphore::new(options.copies_max.max(1)),
            counts: Counts::default(),
            clients: Mutex::default(),
            turns: Mutex::default(),
            known: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What became of copies so far.
    #[must_use]
    pub fn counters(&self) -> TransferCounters {
        let counts = &self.shared.counts;
        TransferCounters {
            imported: counts.imported.load(Ordering::Relaxed),
            exported: counts.exported.load(Ordering::Relaxed),
            present: counts.present.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            cancelled: counts.cancelled.load(Ordering::Relaxed),
        }
    }

    /// The store copied from and to.
    #[must_use]
    pub fn store(&self) -> &AssetStore {
        &self.shared.store
    }

    /// The asset that a server names so, copied into the store unless its content is there; `server_uid` is noted as
    /// the one it came from.
    ///
    /// Cancel safety: if dropped, the asset is stored entirely or not at all.
    ///
    /// # Errors
    /// [`TransferError`], of which nothing is left in the store.
    pub async fn import(
        &self,
        from: &ForeignAssets,
        name: &AssetRef,
        server_uid: &str,
    ) -> Result<Arc<Entry>, TransferError> {
        let copy = self.shared.import(from, name, server_uid);
        self.shared.limited(from, name.id(), copy).await
    }

    /// How a server is to name this asset, which is copied there unless it has the content. With `by_uuid` the name is
    /// `nanocore://…`, if the server has such names; `domain` stands in those that have none of their own.
    ///
    /// Cancel safety: if dropped, the request is broken off; the server has the asset or not.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn export(
        &self,
        entry: &Entry,
        to: &ForeignAssets,
        by_uuid: bool,
        domain: &str,
    ) -> Result<String, TransferError> {
        let copy = self.shared.export(entry, to, by_uuid, domain);
        self.shared.limited(to, &entry.hash.to_string(), copy).await
    }
}

impl Shared {
    /// A copy in its turn, in its place, in its time, and counted.
    async fn limited<T>(
        &self,
        server: &ForeignAssets,
        id: &str,
        copy: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        let mut counted = Counted {
            counts: &self.counts,
            has_ended: false,
        };
        let turn = self.turn((server.endpoint.clone(), id.to_owned()));
        let _turn = turn.lock().await;
        // The semaphore is never closed.
        let _place = self.copies.acquire().await.ok();
        let limit = self.options.copy_timeout;
        let result = tokio::time::timeout(limit, copy).await.unwrap_or_else(|_| {
            Err(TransferError::TimedOut {
                limit_s: limit.as_secs(),
            })
        });
        counted.has_ended = true;
        if result.is_err() {
            add(&self.counts.failed, 1);
        }
        result
    }

    async fn import(
        &self,
        from: &ForeignAssets,
        name: &AssetRef,
        server_uid: &str,
    ) -> Result<Arc<Entry>, TransferError> {
        let key = (from.endpoint.clone(), name.id().to_owned());
        let wanted = match name.id().parse() {
            Ok(AssetId::Hash(hash)) => Some(hash),
            Ok(AssetId::Uuid(_)) | Err(_) => None,
        };
        let content = wanted.or_else(|| lock(&self.known).get(&key).copied());
        if let Some(entry) = content.and_then(|hash| self.store.touch(hash.into())) {
            add(&self.counts.present, 1);
            return Ok(entry);
        }
        let download = self.client(from)?.resolve(name).await?;
        let entry = self.receive(download, wanted, server_uid).await?;
        if wanted.is_none() {
            let mut known = lock(&self.known);
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(key, entry.hash);
        }
        add(&self.counts.imported, 1);
        add(&self.counts.bytes, entry.size);
        Ok(entry)
    }

    async fn receive(
        &self,
        mut download: Download,
        wanted: Option<ContentHash>,
        server_uid: &str,
    ) -> Result<Arc<Entry>, TransferError> {
        let limit = self.store.options().asset_bytes_max;
        if download
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(StoreError::TooLarge { limit }.into());
        }
        let mime = download.content_type().and_then(|mime| {
            let essence = mime.split(';').next()?.trim();
            Some(essence.to_ascii_lowercase())
        });
        let mut upload = self.store.upload()?;
        while let Some(piece) = download.next().await {
            upload.write(piece?).await?;
        }
        let asset = NewAsset {
            mime,
            uploaded_by: Some(server_uid.into()),
            ..NewAsset::default()
        };
        let stored = upload.finish_as(wanted, asset).await?;
        Ok(stored.ok_or(TransferError::OtherContent)?.entry)
    }

    async fn export(
        &self,
        entry: &Entry,
        to: &ForeignAssets,
        by_uuid: bool,
        domain: &str,
    ) -> Result<String, TransferError> {
        let client = self.client(to)?;
        let hash = entry.hash.to_string();
        if let Some(name) = found(&client, &hash, by_uuid, domain).await? {
            add(&self.counts.present, 1);
            return Ok(name);
        }
        let content = self.store.read(entry, 0..entry.size).await?;
        let upload = Upload::stream(content.map_err(io::Error::other), Some(entry.size))
            .named(&entry.name)
            .with_content_type(&entry.mime)
            .of_type(&entry.kind)
            .with_meta(entry.meta.clone());
        let stored = client.upload(upload).await?;
        if stored.hash.as_ref().is_some_and(|stored| *stored != hash) {
            return Err(TransferError::OtherContent);
        }
        add(&self.counts.exported, 1);
        add(&self.counts.bytes, entry.size);
        if by_uuid {
            return name_by_uuid(&stored, domain)
                .or(stored.hash)
                .ok_or(TransferError::NoName);
        }
        Ok(hash)
    }

    fn client(&self, server: &ForeignAssets) -> Result<AssetClient, AssetError> {
        let mut clients = lock(&self.clients);
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == server) {
            return Ok(client.clone());
        }
        let config = AssetClientConfig::new(&*server.endpoint, server.token.reveal());
        let client = AssetClient::new(config)?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.push((server.clone(), client.clone()));
        Ok(client)
    }

    fn turn(&self, key: CopyKey) -> Arc<Turn> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}

/// How a server names this content, if it has it. One that does not know the question is taken to have nothing.
async fn found(
    client: &AssetClient,
    hash: &str,
    by_uuid: bool,
    domain: &str,
) -> Result<Option<String>, AssetError> {
    let answer = if by_uuid {
        // Servers of the 0.1 generation have no `exists`, but list by hash.
        let filter = AssetFilter {
            hash: Some(hash.to_owned()),
            ..AssetFilter::default()
        };
        client.list(&filter).await.map(|assets| {
            let mut same = assets
                .iter()
                .filter(|asset| asset.hash.as_deref() == Some(hash));
            same.find_map(|asset| name_by_uuid(asset, domain))
        })
    } else {
        match hash.parse() {
            Ok(name) => client
                .exists(&name)
                .await
                .map(|exists| exists.then(|| hash.to_owned())),
            Err(error) => Err(AssetError::InvalidReference(error)),
        }
    };
    match answer {
        Err(AssetError::Status { .. } | AssetError::InvalidAnswer { .. }) => Ok(None),
        answer => answer,
    }
}

fn name_by_uuid(asset: &Asset, domain: &str) -> Option<String> {
    let is_name = |uri: &&str| uri.parse::<AssetRef>().is_ok_and(|name| !name.is_hash());
    let uri = asset.uri.as_deref().filter(is_name).map(str::to_owned);
    uri.or_else(|| {
        let uuid = asset.uuid.as_deref()?;
        let name = format!("nanocore://{domain}/asset/{uuid}");
        name.parse::<AssetRef>().is_ok().then_some(name)
    })
}

/// Notes a copy that is dropped before its end.
struct Counted<'c> {
    counts: &'c Counts,
    has_ended: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            add(&self.counts.cancelled, 1);
        }
    }
}

fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

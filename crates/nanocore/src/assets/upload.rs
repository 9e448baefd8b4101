//! [`Upload`]: bytes on their way into the store.
//!
//! A blocking thread hashes and writes while the network side reads on; between them is a short bounded channel, so
//! that a slow disk slows the sender down.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::entry::{Entry, NewAsset};
use super::error::StoreError;
use super::id::ContentHash;
use super::store::Shared;

/// Chunks between the reader and the writing thread.
const CHUNKS_MAX: usize = 8;

/// An upload that is going on. Dropping it removes what was written.
#[derive(Debug)]
pub struct Upload {
    store: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    writer: JoinHandle<Result<(), StoreError>>,
    size: u64,
    limit: u64,
}

/// The result of an upload.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The asset; the earlier one if its content was known.
    pub entry: Arc<Entry>,
    /// Whether the content was known.
    pub already_exists: bool,
}

/// A complete file that has no place yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) hash: ContentHash,
    pub(crate) size: u64,
    _permit: OwnedSemaphorePermit,
}

enum Command {
    Write(Bytes),
    Finish(oneshot::Sender<Staged>),
}

impl Upload {
    pub(crate) fn start(store: &Arc<Shared>) -> Result<Self, StoreError> {
        let limit = store.options.uploads_max;
        let permit = Arc::clone(&store.uploads)
            .try_acquire_owned()
            .map_err(|_| StoreError::Busy { limit })?;
        let (commands, received) = mpsc::channel(CHUNKS_MAX);
        let (path, durable) = (store.rows.incoming_path(), store.options.durable);
        let writer = tokio::task::spawn_blocking(move || {
            Incoming::create(path, permit)?.run(received, durable)
        });
        let limit = store.options.asset_bytes_max;
        Ok(Self {
            store: Arc::clone(store),
            commands,
            writer,
            size: 0,
            limit,
        })
    }

    /// Adds bytes, waiting while the disk is behind.
    ///
    /// Cancel safety: if dropped, these bytes are missing; give the upload up.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Io`]. The upload is of no more use then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limit {
            return Err(StoreError::TooLarge { limit: self.limit });
        }
        match self.commands.send(Command::Write(bytes)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Stores what was written.
    ///
    /// Cancel safety: if dropped, the asset is stored entirely or not at all.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Objects`].
    pub async fn finish(mut self, asset: NewAsset) -> Result<Stored, StoreError> {
        let staged = self.staged().await?;
        self.store.commit(staged, asset).await
    }

    /// As [`Self::finish`]; what has another hash than `wanted` is not stored.
    pub(crate) async fn finish_as(
        mut self,
        wanted: Option<ContentHash>,
        asset: NewAsset,
    ) -> Result<Option<Stored>, StoreError> {
        let staged = self.staged().await?;
        if wanted.is_some_and(|wanted| wanted != staged.hash) {
            return Ok(None);
        }
        self.store.commit(staged, asset).await.map(Some)
    }

    async fn staged(&mut self) -> Result<Staged, StoreError> {
        let (staged, result) = oneshot::channel();
        if self.commands.send(Command::Finish(staged)).await.is_err() {
            return Err(self.failure().await);
        }
        match result.await {
            Ok(staged) => Ok(staged),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Why the writing thread ended.
    async fn failure(&mut self) -> StoreError {
        let source = match (&mut self.writer).await {
            Ok(Err(error)) => return error,
            Ok(Ok(())) => std::io::Error::other("the writing thread ended early"),
            Err(error) => std::io::Error::other(error),
        };
        StoreError::Io {
            action: "write",
            path: PathBuf::new(),
            source,
        }
    }
}

/// The writing thread's side.
struct Incoming {
    staged: Staged,
    file: File,
    hasher: Sha256,
}

impl Incoming {
    fn create(path: PathBuf, permit: OwnedSemaphorePermit) -> Result<Self, StoreError> {
        let file = File::create_new(&path).map_err(StoreError::io("create", &path))?;
        let staged = Staged {
            path,
            hash: ContentHash::new([0; 32]),
            size: 0,
            _permit: permit,
        };
        Ok(Self {
            staged,
            file,
            hasher: Sha256::new(),
        })
    }

    fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        durable: bool,
    ) -> Result<(), StoreError> {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Write(bytes) => self.write(&bytes)?,
                Command::Finish(staged) => {
                    // If nobody waits any more, the file goes with what was not taken.
                    let _ = staged.send(self.finish(durable)?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.staged.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(StoreError::io("write", &self.staged.path))
    }

    fn finish(self, durable: bool) -> Result<Staged, StoreError> {
        let mut staged = self.staged;
        if durable {
            self.file
                .sync_all()
                .map_err(StoreError::io("sync", &staged.path))?;
        }
        staged.hash = ContentHash::new(self.hasher.finalize().into());
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already if the content got its place.
        let _ = fs::remove_file(&self.path);
    }
}

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
use super::id::ContentHash;
use super::store::{Shared, StoreError};

/// Chunks between the reader and the writing thread.
const CHUNKS_MAX: usize = 8;

/// An upload that is going on. Dropping it removes what was written.
#[derive(Debug)]
pub struct Upload {
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

enum Command {
    Write(Bytes),
    Finish(NewAsset, oneshot::Sender<Stored>),
}

impl Upload {
    pub(crate) fn start(store: &Arc<Shared>) -> Result<Self, StoreError> {
        let limit = store.options.uploads_max;
        let permit = Arc::clone(&store.uploads)
            .try_acquire_owned()
            .map_err(|_| StoreError::Busy { limit })?;
        let (commands, received) = mpsc::channel(CHUNKS_MAX);
        let store = Arc::clone(store);
        let limit = store.options.asset_bytes_max;
        let writer =
            tokio::task::spawn_blocking(move || Incoming::create(store, permit)?.run(received));
        Ok(Self {
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
    /// [`StoreError::Io`].
    pub async fn finish(mut self, asset: NewAsset) -> Result<Stored, StoreError> {
        let (stored, result) = oneshot::channel();
        if self
            .commands
            .send(Command::Finish(asset, stored))
            .await
            .is_err()
        {
            return Err(self.failure().await);
        }
        match result.await {
            Ok(stored) => Ok(stored),
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

/// The writing thread's side. The file is removed with it, unless it was moved to its place.
struct Incoming {
    store: Arc<Shared>,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
    _permit: OwnedSemaphorePermit,
}

impl Incoming {
    fn create(store: Arc<Shared>, permit: OwnedSemaphorePermit) -> Result<Self, StoreError> {
        let path = store.incoming_path();
        let file = File::create_new(&path).map_err(StoreError::io("create", &path))?;
        Ok(Self {
            store,
            path,
            file,
            hasher: Sha256::new(),
            size: 0,
            _permit: permit,
        })
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), StoreError> {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Write(bytes) => self.write(&bytes)?,
                Command::Finish(asset, stored) => {
                    // Whoever no longer waits finds the asset in the store.
                    let _ = stored.send(self.finish(&asset)?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(StoreError::io("write", &self.path))
    }

    fn finish(&mut self, asset: &NewAsset) -> Result<Stored, StoreError> {
        if self.store.options.durable {
            self.file
                .sync_all()
                .map_err(StoreError::io("sync", &self.path))?;
        }
        let hash = ContentHash::new(self.hasher.finalize_reset().into());
        self.store.commit(&self.path, hash, self.size, asset)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already if the content got its place.
        let _ = fs::remove_file(&self.path);
    }
}

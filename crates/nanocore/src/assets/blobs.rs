//! The contents by hash, in a folder or elsewhere, all through `object_store`.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, WriteMultipart,
};

use super::contents::Contents;
use super::error::StoreError;
use super::id::ContentHash;
use super::outage::{NoAnswer, ObjectsFailure, Seen, code};

/// How much of a file is read at once. Two such pieces of a download are in memory.
const CHUNK_BYTES: usize = 512 << 10;
/// How much goes to an object store at once; what is not longer goes in one request.
const PART_BYTES: usize = 8 << 20;
/// Parts of one upload on their way to an object store at the same time, besides the one being read.
const PARTS_MAX: usize = 2;

/// The bytes of an asset, or of a part of it. Dropping it ends the reading.
pub type ContentStream = BoxStream<'static, Result<Bytes, StoreError>>;

#[derive(Debug)]
pub(crate) struct Blobs {
    objects: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
    seen: Arc<Seen>,
}

/// Asks for a content that nobody has, which costs next to nothing and is no sign of trouble.
pub(super) async fn ask(objects: &dyn ObjectStore, timeout: Duration) -> Result<(), StoreError> {
    let key = key(ContentHash::new([0; 32]));
    let asked = tokio::time::timeout(timeout, objects.get(&key)).await;
    let answer = asked.unwrap_or_else(|_| {
        Err(object_store::Error::Generic {
            store: "object store",
            source: NoAnswer {
                after_s: timeout.as_secs(),
            }
            .into(),
        })
    });
    match answer {
        Ok(_) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(failed("ask for", key.as_ref())(error)),
    }
}

impl Blobs {
    pub(crate) fn new(
        folder: &Path,
        contents: &Contents,
        durable: bool,
    ) -> Result<Self, StoreError> {
        Ok(match contents {
            Contents::Objects(objects) => Self {
                objects: Arc::clone(objects),
                folder: None,
                seen: Arc::default(),
            },
            Contents::Folder => {
                let local = LocalFileSystem::new_with_prefix(folder).map_err(failed("open", ""))?;
                Self {
                    objects: Arc::new(local.with_fsync(durable)),
                    folder: Some(folder.to_owned()),
                    seen: Arc::default(),
                }
            }
        })
    }

    /// The file of a content, if contents are files.
    pub(crate) fn path(&self, hash: ContentHash) -> Option<PathBuf> {
        let hex = hash.hex();
        Some(self.folder.as_ref()?.join(&hex[..2]).join(hex))
    }

    /// What was seen of the object store.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether contents are in an object store, not in a folder.
    pub(crate) fn is_remote(&self) -> bool {
        self.folder.is_none()
    }

    /// Asks the object store, if there is one, whether it can be used.
    pub(crate) async fn check(&self, timeout: Duration) -> Result<(), StoreError> {
        if !self.is_remote() {
            return Ok(());
        }
        let asked = ask(self.objects.as_ref(), timeout).await;
        self.noted(asked)
    }

    /// Notes how a request ended, if it went to an object store.
    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if self.is_remote() {
            note(&self.seen, &result);
        }
        result
    }

    /// Whether the content is there with this length.
    pub(crate) async fn has(&self, hash: ContentHash, size: u64) -> Result<bool, StoreError> {
        let key = key(hash);
        self.noted(match self.objects.head(&key).await {
            Ok(found) => Ok(found.size == size),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(failed("look for", key.as_ref())(error)),
        })
    }

    /// Gives a complete file, which is on disk if it has to be, its place under its hash; all of it or nothing is seen
    /// there. In a folder it is moved, so that only its name is new.
    pub(crate) async fn put(&self, staged: &Path, hash: ContentHash) -> Result<(), StoreError> {
        let to = key(hash);
        if let Some(folder) = &self.folder {
            let from = staged.strip_prefix(folder).unwrap_or(staged);
            let from = Key::from_iter(from.iter().filter_map(|part| part.to_str()));
            let moved = self.objects.rename(&from, &to).await;
            return moved.map_err(failed("store", to.as_ref()));
        }
        let sent = self.send(staged, &to).await;
        self.noted(sent)
    }

    async fn send(&self, staged: &Path, to: &Key) -> Result<(), StoreError> {
        let file = fs::File::open(staged).map_err(StoreError::io("open", staged))?;
        let (first, mut file) = read_part(file, staged).await?;
        if first.len() < PART_BYTES {
            let put = self.objects.put(to, first.into()).await;
            return put.map(drop).map_err(failed("store", to.as_ref()));
        }
        let parts = self.objects.put_multipart(to).await;
        let parts = parts.map_err(failed("store", to.as_ref()))?;
        let mut upload = WriteMultipart::new_with_chunk_size(parts, PART_BYTES);
        let mut part = first;
        while !part.is_empty() {
            upload.put(part);
            let sent = upload.wait_for_capacity(PARTS_MAX).await;
            let read = match sent {
                Ok(()) => read_part(file, staged).await,
                Err(error) => Err(failed("store", to.as_ref())(error)),
            };
            match read {
                Ok(read) => (part, file) = read,
                Err(error) => {
                    // What was sent costs money until the bucket's own rule removes it; a failure adds nothing to ours.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
        }
        let done = upload.finish().await;
        done.map(drop).map_err(failed("store", to.as_ref()))
    }

    /// The bytes in `range`, which must lie within the content.
    pub(crate) async fn read(
        &self,
        hash: ContentHash,
        range: Range<u64>,
    ) -> Result<ContentStream, StoreError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let key = key(hash);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let found = match self.objects.get_opts(&key, options).await {
            Ok(found) => Ok(found),
            Err(error) if is_missing(&error) => return Err(StoreError::NotFound),
            Err(error) => Err(failed("read", key.as_ref())(error)),
        };
        let found = self.noted(found)?;
        let seen = Arc::clone(&self.seen);
        Ok(match found.payload {
            GetResultPayload::File(file, path) => file_stream(file, path, found.range),
            GetResultPayload::Stream(stream) => stream
                .map(move |piece| {
                    let piece = piece.map_err(failed("read", key.as_ref()));
                    if piece.is_err() {
                        note(&seen, &piece);
                    }
                    piece
                })
                .boxed(),
        })
    }

    pub(crate) async fn delete(&self, hash: ContentHash) -> Result<(), StoreError> {
        let key = key(hash);
        self.noted(match self.objects.delete(&key).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failed("delete", key.as_ref())(error)),
        })
    }
}

fn key(hash: ContentHash) -> Key {
    let hex = hash.hex();
    Key::from_iter([&hex[..2], &hex])
}

fn failed(action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> StoreError {
    let key = key.to_owned();
    move |source| StoreError::Objects {
        failure: ObjectsFailure::of(&source),
        action,
        key,
        source,
    }
}

/// Whether the content is not there, but its bucket is.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && code(error).as_deref() != Some("NoSuchBucket")
}

/// What is wrong with a file of ours says nothing of the object store.
fn note<T>(seen: &Seen, result: &Result<T, StoreError>) {
    match result {
        Ok(_) => seen.note(None),
        Err(StoreError::Objects { source, .. }) => seen.note(Some(source)),
        Err(
            StoreError::TooLarge { .. }
            | StoreError::Busy { .. }
            | StoreError::Locked { .. }
            | StoreError::NotFound
            | StoreError::Io { .. },
        ) => {}
    }
}

async fn read_part(file: fs::File, path: &Path) -> Result<(Bytes, fs::File), StoreError> {
    let read = tokio::task::spawn_blocking(move || {
        let part = read_some(&file, PART_BYTES);
        part.map(|part| (part, file))
    });
    let read = read.await.map_err(StoreError::ended)?;
    read.map_err(StoreError::io("read", path))
}

/// Reads a file on the blocking pool, one piece ahead of what is sent.
fn file_stream(file: fs::File, path: PathBuf, range: Range<u64>) -> ContentStream {
    let begin = move || {
        let mut file = file;
        file.seek(SeekFrom::Start(range.start))?;
        read_piece(file, range.end - range.start)
    };
    let first = tokio::task::spawn_blocking(begin);
    let pieces = stream::try_unfold(Some(first), move |reading| {
        let path = path.clone();
        async move {
            let Some(reading) = reading else {
                return Ok(None);
            };
            let read = reading.await.map_err(StoreError::ended)?;
            let (piece, file, rest) = read.map_err(StoreError::io("read", &path))?;
            let next =
                (rest > 0).then(|| tokio::task::spawn_blocking(move || read_piece(file, rest)));
            Ok(Some((piece, next)))
        }
    });
    pieces.boxed()
}

/// The next piece of `length` bytes that are still wanted, and how many are wanted after it.
fn read_piece(file: fs::File, length: u64) -> io::Result<(Bytes, fs::File, u64)> {
    let wanted = usize::try_from(length).map_or(CHUNK_BYTES, |length| length.min(CHUNK_BYTES));
    let piece = read_some(&file, wanted)?;
    if piece.len() < wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((piece, file, length - wanted as u64))
}

/// So many bytes, fewer at the end.
fn read_some(file: &fs::File, length: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

//! What is known about each asset, as a JSON file: `<first 2 hex digits>/<hash>.json`. Everything here blocks.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::contents::Contents;
use super::entry::Entry;
use super::error::StoreError;
use super::id::ContentHash;
use super::index::Index;

#[derive(Debug, Clone)]
pub(crate) struct Rows {
    folder: PathBuf,
    durable: bool,
}

impl Rows {
    /// Makes the folders and removes what unfinished uploads left.
    pub(crate) fn open(folder: PathBuf, durable: bool) -> Result<Self, StoreError> {
        let incoming = folder.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(StoreError::io("empty", &incoming))?;
        }
        fs::create_dir_all(&incoming).map_err(StoreError::io("create", &incoming))?;
        Ok(Self { folder, durable })
    }

    /// A name for a file that is not complete yet, within the same file system as its later place.
    pub(crate) fn incoming_path(&self) -> PathBuf {
        let name = Uuid::new_v4().to_string();
        self.folder.join("incoming").join(name)
    }

    /// Writes a row whole: who reads it sees the earlier one or this.
    pub(crate) fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        let (path, temporary) = (self.path(entry.hash), self.incoming_path());
        let written = self.write_new(entry, &temporary).and_then(|()| {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
            fs::rename(&temporary, &path).map_err(StoreError::io("create", &path))?;
            self.sync_folder(folder)
        });
        if written.is_err() {
            // It may never have come to be.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    pub(crate) fn remove(&self, hash: ContentHash) -> Result<(), StoreError> {
        let path = self.path(hash);
        fs::remove_file(&path).map_err(StoreError::io("delete", &path))
    }

    /// Reads all rows. If the contents are here too, those that have no row are removed, and rows whose content is not
    /// here are left out.
    pub(crate) fn load(&self, contents: &Contents) -> Result<Index, StoreError> {
        let here = matches!(contents, Contents::Folder);
        let mut index = Index::default();
        for shard in read_folder(&self.folder)?.iter().filter(|at| is_shard(at)) {
            for path in read_folder(shard)? {
                if path.extension().is_some_and(|kind| kind == "json") {
                    let entry = read(&path).filter(|entry| !here || has_content(&path, entry));
                    entry.into_iter().for_each(|entry| {
                        let created_at = entry.created_at;
                        index.insert(Arc::new(entry), created_at);
                    });
                } else if here && !path.with_extension("json").exists() {
                    fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                }
            }
        }
        Ok(index)
    }

    fn write_new(&self, entry: &Entry, path: &Path) -> Result<(), StoreError> {
        let write = || {
            let mut file = File::create_new(path)?;
            file.write_all(&serde_json::to_vec(entry)?)?;
            if self.durable {
                file.sync_all()?;
            }
            Ok(())
        };
        write().map_err(StoreError::io("write", path))
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        if !self.durable {
            return Ok(());
        }
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(StoreError::io("sync", folder))
    }

    fn path(&self, hash: ContentHash) -> PathBuf {
        let hex = hash.hex();
        self.folder.join(&hex[..2]).join(format!("{hex}.json"))
    }
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

fn read(path: &Path) -> Option<Entry> {
    let entry = fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    entry
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "unreadable asset entry, left out");
        })
        .ok()
}

/// Whether the content beside this row is there with the right length.
fn has_content(row: &Path, entry: &Entry) -> bool {
    let content = row.with_extension("");
    let right = fs::metadata(&content).is_ok_and(|content| content.len() == entry.size);
    if !right {
        tracing::warn!(path = %content.display(), "asset content is missing or has the wrong length, left out");
    }
    right
}

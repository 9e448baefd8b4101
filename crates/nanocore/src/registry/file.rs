//! [`Registry`]: the file.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::entries::Entries;
use super::entry::Entry;
use super::error::RegistryError;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How long a writer waits for another one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at the lock.
const LOCK_PERIOD: Duration = Duration::from_millis(10);

/// The registry file. Cloning gives another handle to the same file; there is no state but the file's.
///
/// All methods block on the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    path: PathBuf,
}

impl Registry {
    /// The registry in this file, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says; nothing if it does not exist.
    ///
    /// # Errors
    /// It cannot be read (at most 4 MiB are), or says something that cannot be meant: everything at once.
    pub fn load(&self) -> Result<Entries, RegistryError> {
        let bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::default()),
            Err(error) => return Err(self.error("read", error)),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(RegistryError::TooLarge {
                path: self.path.clone(),
                limit_bytes: FILE_BYTES_MAX,
            });
        }
        let text = String::from_utf8(bytes).map_err(|_| vec!["the text is not UTF-8".to_owned()]);
        let read = text.and_then(Entries::read);
        read.map_err(|problems| RegistryError::Invalid {
            path: self.path.clone(),
            problems,
        })
    }

    /// Reads, changes and replaces the file, under the lock. A file that would say the same is left alone, as is one
    /// that cannot be read.
    ///
    /// # Errors
    /// As [`Self::load`]; the file cannot be written; another process holds the lock for more than 10 s.
    pub fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> Result<T, RegistryError> {
        let _lock = self.lock()?;
        remove_leftover(&self.path).map_err(|error| self.error("write beside", error))?;
        let mut entries = self.load()?;
        let before = entries.clone();
        let result = change(&mut entries);
        if entries != before {
            // What is written must be readable again.
            let text = entries.write();
            Entries::read(text.clone()).map_err(|problems| RegistryError::Invalid {
                path: self.path.clone(),
                problems,
            })?;
            replace_file(&self.path, text.as_bytes())
                .map_err(|error| self.error("write", error))?;
        }
        Ok(result)
    }

    /// Adds an entry, or puts it in place of the one with the same uid.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn put(&self, entry: Entry) -> Result<(), RegistryError> {
        self.change(|entries| entries.put(entry))
    }

    /// Removes the entry with this uid; it, if it was there.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn remove(&self, server_uid: &str) -> Result<Option<Entry>, RegistryError> {
        self.change(|entries| entries.remove(server_uid))
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The lock ends with the file that this gives.
    fn lock(&self) -> Result<File, RegistryError> {
        let path = beside(&self.path, ".lock");
        let error = |source| RegistryError::Io {
            action: "lock",
            path: path.clone(),
            source,
        };
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(error)?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(error)?;
        let end = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(LOCK_PERIOD);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(RegistryError::Locked {
                        path,
                        after: LOCK_TIMEOUT,
                    });
                }
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
        }
    }

    fn error(&self, action: &'static str, source: io::Error) -> RegistryError {
        RegistryError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// Replaces a file, so that whatever happens it has the old content or the new one, as a whole. Its mode is kept; a new
/// one is its owner's only. What a process left that was killed meanwhile is removed.
/// Only one process may do so with the same file at a time.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    remove_leftover(path)?;
    let path = &real(path);
    let temporary = temporary(path);
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The new name has to last, too.
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

/// Removes what a process left that was killed while it replaced this file. Nobody may be replacing it now.
fn remove_leftover(path: &Path) -> io::Result<()> {
    match fs::remove_file(temporary(&real(path))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A link is followed: people may keep the file elsewhere.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Where the new content is until it is complete.
fn temporary(path: &Path) -> PathBuf {
    beside(path, ".new")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    name.into()
}

//! The data folder: what a daemon keeps on disk, one daemon per folder. spec: nanograph 12.2, 12.6
//!
//! | Name | What |
//! |---|---|
//! | `lock` | held by the running daemon; names its process and its address |
//! | `token` | the master token, readable by its owner only |
//! | `nodeservers.json` | the registry |
//! | `nanocore.db` | runs, steps, cached results |
//! | `processes` | the processes of node servers, to be ended if the daemon was killed |
//! | `assets/`, `logs/` | contents of assets; what node servers print |

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::assets::Token;

/// How often the lock is tried, and how long between: who only looks at it holds it for a moment.
const LOCK_TRIES: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Longest lock or token file read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 10;

/// Who holds a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The daemon's process.
    pub pid: u32,
    /// Where its HTTP server listens; `None` while it starts.
    pub address: Option<SocketAddr>,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Another daemon runs on it.
    #[error(
        "{} is in use by {}; stop that daemon or choose another data folder",
        folder.display(), say_holder(holder.as_ref())
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who holds it, if the lock file says so.
        holder: Option<Holder>,
    },
    /// The file with the token has none.
    #[error("{} is empty; delete it and a new token is made", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// The file system says no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn say_holder(holder: Option<&Holder>) -> String {
    match holder {
        None => "another process".to_owned(),
        Some(Holder { pid, address: None }) => format!("process {pid}"),
        Some(Holder {
            pid,
            address: Some(address),
        }) => format!("process {pid}, which listens on {address}"),
    }
}

/// A data folder that this process holds. Dropping it lets go of it.
#[derive(Debug)]
pub struct DataFolder {
    folder: PathBuf,
    lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, for its owner only, and takes it. Blocks, a fifth of a second at most.
    ///
    /// # Errors
    /// [`HomeError::InUse`] names the daemon that holds it.
    pub fn open(folder: &Path) -> Result<Self, HomeError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.map_err(failed("make", folder))?;
        let folder = folder.canonicalize().map_err(failed("find", folder))?;
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options
            .mode(0o600)
            .open(&path)
            .map_err(failed("open", &path))?;
        take(&lock, &folder, &path)?;
        let this = Self { folder, lock };
        this.write_holder(None)?;
        Ok(this)
    }

    /// Writes into the lock file where the daemon listens, so that clients find it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_address(&self, address: SocketAddr) -> Result<(), HomeError> {
        self.write_holder(Some(address))
    }

    /// The token of the folder; made and kept there at the first call. It is never logged.
    ///
    /// # Errors
    /// The file is empty, or cannot be read or written.
    pub fn token(&self) -> Result<Token, HomeError> {
        let path = self.folder.join("token");
        if let Some(token) = read_token(&self.folder)? {
            keep_private(&path)?;
            return Ok(token);
        }
        let token = Token::random();
        // Whole or not there at all, and never readable by others.
        let part = self.folder.join("token.part");
        let _ = fs::remove_file(&part);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&part).map_err(failed("make", &part))?;
        let written = file
            .write_all(token.reveal().as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(failed("write", &part))?;
        fs::rename(&part, &path).map_err(failed("rename", &part))?;
        Ok(token)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The registry of node servers.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        registry(&self.folder)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        database(&self.folder)
    }

    /// The assets.
    #[must_use]
    pub fn assets(&self) -> PathBuf {
        self.folder.join("assets")
    }

    /// What node servers print, a folder each.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The processes of node servers that run.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.folder.join("processes")
    }

    fn write_holder(&self, address: Option<SocketAddr>) -> Result<(), HomeError> {
        let pid = std::process::id();
        let text = serde_json::to_string(&Holder { pid, address }).unwrap_or_default();
        let mut file = &self.lock;
        let written = file
            .rewind()
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.set_len(u64::try_from(text.len()).unwrap_or_default()));
        written.map_err(failed("write", &self.folder.join("lock")))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A lock file without a holder names nobody.
        let _ = self.lock.set_len(0);
    }
}

/// Where the registry of a data folder lies, held or not.
#[must_use]
pub fn registry(folder: &Path) -> PathBuf {
    folder.join("nodeservers.json")
}

/// Where the database of a data folder lies, held or not.
#[must_use]
pub fn database(folder: &Path) -> PathBuf {
    folder.join("nanocore.db")
}

/// The daemon that runs on a data folder, if one does.
///
/// # Errors
/// The lock file cannot be read.
pub fn running(folder: &Path) -> Result<Option<Holder>, HomeError> {
    let path = folder.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open", &path)(source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => read_holder(&file).map_err(failed("read", &path)),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

/// The token of a data folder, if it has one.
///
/// # Errors
/// The file is empty or cannot be read.
pub fn read_token(folder: &Path) -> Result<Option<Token>, HomeError> {
    let path = folder.join("token");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open", &path)(source)),
    };
    let text = read_short(&file).map_err(failed("read", &path))?;
    match text.trim() {
        "" => Err(HomeError::NoToken { path }),
        token => Ok(Some(Token::new(token))),
    }
}

fn take(lock: &File, folder: &Path, path: &Path) -> Result<(), HomeError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed("lock", path)(source)),
        }
    }
    let (folder, holder) = (folder.to_owned(), read_holder(lock).ok().flatten());
    Err(HomeError::InUse { folder, holder })
}

/// What the lock file says; `None` if it is just being written.
fn read_holder(mut lock: &File) -> io::Result<Option<Holder>> {
    lock.rewind()?;
    Ok(serde_json::from_str(&read_short(lock)?).ok())
}

fn read_short(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn keep_private(path: &Path) -> Result<(), HomeError> {
    let mode = fs::metadata(path)
        .map_err(failed("read", path))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "others could read the token; they no longer can, but may know it");
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("protect", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A process that another test is just starting has a copy of every open file, locks included, for a moment.
    fn opened_again(folder: &Path) -> DataFolder {
        loop {
            match DataFolder::open(folder) {
                Err(HomeError::InUse { .. }) => {}
                opened => return opened.unwrap(),
            }
        }
    }

    #[test]
    fn one_daemon_per_folder_and_the_error_names_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        assert_eq!(running(&folder).unwrap(), None);
        let first = DataFolder::open(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        let pid = std::process::id();
        assert_eq!(
            running(&folder).unwrap(),
            Some(Holder { pid, address: None })
        );
        let address = "127.0.0.1:3001".parse().unwrap();
        first.set_address(address).unwrap();
        let message = DataFolder::open(&folder).unwrap_err().to_string();
        assert!(
            message.contains(&format!("process {pid}, which listens on 127.0.0.1:3001")),
            "{message}"
        );
        let address = Some(address);
        assert_eq!(running(&folder).unwrap(), Some(Holder { pid, address }));
        drop(first);
        opened_again(&folder);
    }

    #[test]
    fn the_token_is_made_once_and_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        assert!(read_token(parent.path()).unwrap().is_none());
        let token = folder.token().unwrap();
        let path = parent.path().join("token");
        assert_eq!(mode(&path), 0o600);
        assert!(token.matches(folder.token().unwrap().reveal()));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(token.matches(folder.token().unwrap().reveal()));
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, " \n").unwrap();
        assert!(matches!(folder.token(), Err(HomeError::NoToken { .. })));
    }
}

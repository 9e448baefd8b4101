//! Finding node servers below a folder.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use nanograph::config::{ConfigError, FILE_NAME, ServerConfig};

/// Folders looked at in one scan; beyond, the scan ends.
const FOLDERS_MAX: usize = 10_000;

/// Folders that hold what servers are made of, never servers.
const SKIPPED: [&str; 5] = [
    "venv",
    "node_modules",
    "target",
    "__pycache__",
    "site-packages",
];

/// A folder with a `nanoserver.json` that can be used.
#[derive(Debug, Clone)]
pub struct ServerFolder {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// Its settings, without those of any environment.
    pub config: ServerConfig,
}

/// How a graph names a server; the uid counts more, since several servers may be of one package. spec: nanograph 14.1
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The `serverUid`.
    pub server_uid: Option<String>,
    /// The `serverPackageId`.
    pub package_id: Option<String>,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Found {
    /// The servers, those nearest to the roots first.
    pub servers: Vec<ServerFolder>,
    /// Files that look like servers and cannot be used.
    pub unusable: Vec<ConfigError>,
}

impl Wanted {
    /// Whether this is how the graph would name that server.
    #[must_use]
    pub fn matches(&self, server_uid: &str, package_id: Option<&str>) -> bool {
        self.server_uid.as_deref() == Some(server_uid)
            || (self.package_id.is_some() && self.package_id.as_deref() == package_id)
    }
}

impl Found {
    /// The server with the wanted uid, else one of the wanted package.
    #[must_use]
    pub fn find(&self, wanted: &Wanted) -> Option<&ServerFolder> {
        let by_uid = |server: &&ServerFolder| {
            wanted.server_uid.as_deref() == Some(server.config.server_uid.as_str())
        };
        let by_package = |server: &&ServerFolder| {
            wanted.package_id.as_deref() == Some(server.config.server_package_id.as_str())
        };
        self.servers
            .iter()
            .find(by_uid)
            .or_else(|| self.servers.iter().find(by_package))
    }
}

/// Looks for node servers in the folders `roots` and at most `depth` levels below. Blocks on the file system.
///
/// Links to folders are not followed, hidden folders not entered; nor is the inside of a server's folder.
#[must_use]
pub fn scan(roots: &[PathBuf], depth: usize) -> Found {
    let mut found = Found::default();
    let mut queue: VecDeque<(PathBuf, usize)> =
        roots.iter().map(|root| (root.clone(), 0)).collect();
    let mut looked_at = 0;
    while let Some((folder, level)) = queue.pop_front() {
        looked_at += 1;
        if looked_at > FOLDERS_MAX {
            tracing::warn!(
                limit = FOLDERS_MAX,
                "too many folders to look for node servers in; name them with --servers"
            );
            break;
        }
        if folder.join(FILE_NAME).is_file() {
            found.add(&folder);
        } else if level < depth {
            queue.extend(
                folders_in(&folder)
                    .into_iter()
                    .map(|inner| (inner, level + 1)),
            );
        }
    }
    found
}

impl Found {
    fn add(&mut self, folder: &Path) {
        // Read where it is, so that a missing package id becomes the folder's own name.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if self.servers.iter().any(|known| known.folder == folder) {
            return;
        }
        match ServerConfig::load(&folder, |_| None) {
            Ok(config) => self.servers.push(ServerFolder { folder, config }),
            Err(error) => self.unusable.push(error),
        }
    }
}

/// The folders in this one, in the order of their names.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && !SKIPPED.contains(&name.as_ref())
        })
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(folder: &Path, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(FILE_NAME), text).unwrap();
    }

    #[test]
    fn servers_are_found_by_uid_then_package_and_no_deeper_than_asked() {
        let root = tempfile::tempdir().unwrap();
        server(
            &root.path().join("a"),
            r#"{"serverUid": "u1", "serverPackageId": "p"}"#,
        );
        server(
            &root.path().join("b"),
            r#"{"serverUid": "u2", "serverPackageId": "p"}"#,
        );
        server(
            &root.path().join("1/2/3/4"),
            r#"{"serverUid": "deep", "serverPackageId": "deep"}"#,
        );
        server(
            &root.path().join("a/inner"),
            r#"{"serverUid": "inner", "serverPackageId": "inner"}"#,
        );
        server(
            &root.path().join("node_modules/x"),
            r#"{"serverUid": "module", "serverPackageId": "module"}"#,
        );
        server(&root.path().join("bad"), "{");
        let found = scan(&[root.path().to_owned()], 3);
        let uids: Vec<_> = found
            .servers
            .iter()
            .map(|server| server.config.server_uid.as_str())
            .collect();
        assert_eq!(uids, ["u1", "u2"]);
        assert_eq!(found.unusable.len(), 1);
        let find = |uid: &str, package: &str| {
            let wanted = Wanted {
                server_uid: Some(uid.to_owned()),
                package_id: Some(package.to_owned()),
            };
            found
                .find(&wanted)
                .map(|server| server.config.server_uid.clone())
        };
        assert_eq!(find("u2", "p").as_deref(), Some("u2"));
        assert_eq!(find("elsewhere", "p").as_deref(), Some("u1"));
        assert_eq!(find("elsewhere", "q"), None);
    }
}

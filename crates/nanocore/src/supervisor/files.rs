//! Which of a server's files have changed. spec: nanograph 12.6, 18

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nanograph::config::FILE_NAME;
use sha2::{Digest, Sha256};

/// Files looked at below a server's nodes; what lies beyond is not noticed.
const FILES_MAX: usize = 10_000;
/// Folders within folders.
const DEPTH_MAX: usize = 32;
/// Bytes hashed of one file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Folders that hold no nodes of the server's author.
const SKIPPED: [&str; 4] = ["venv", "node_modules", "__pycache__", "target"];

/// The content of what a server is made of, as far as a change of it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// `nanoserver.json`
    pub(super) config: Option<[u8; 32]>,
    /// `requirements.txt`, else `pyproject.toml`
    pub(super) requirements: Option<[u8; 32]>,
    /// `.env`
    pub(super) env: Option<[u8; 32]>,
    /// The nodes' files, if these are watched.
    pub(super) nodes: Option<String>,
}

impl Content {
    /// Reads it; blocks on the file system.
    pub(super) fn read(folder: &Path, nodes: Option<&Path>) -> Self {
        Self {
            config: hash(&folder.join(FILE_NAME)),
            requirements: hash(&folder.join("requirements.txt"))
                .or_else(|| hash(&folder.join("pyproject.toml"))),
            env: hash(&folder.join(".env")),
            nodes: nodes.map(|nodes| code_hash(&folder.join(nodes))),
        }
    }
}

/// What a server's code is made of. spec: nanograph 18
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// The folder of its nodes.
    pub(super) nodes: PathBuf,
    /// The entry point, which may have nodes of its own, and the program that runs.
    pub(super) others: Vec<PathBuf>,
    pub(super) sdk_version: Option<String>,
}

impl Code {
    /// Changes with the code. Blocks on the file system.
    pub(super) fn epoch(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(code_hash(&self.nodes));
        for other in &self.others {
            hasher.update(hash(other).unwrap_or_default());
        }
        hasher.update(self.sdk_version.as_deref().unwrap_or_default());
        crate::assets::hex(&hasher.finalize())
    }
}

fn hash(path: &Path) -> Option<[u8; 32]> {
    let metadata = fs::metadata(path).ok()?;
    let length = metadata.len();
    if length > FILE_BYTES_MAX {
        // Too much to read each time; that it was written is noticed.
        let stamp = format!("{length} {} {}", metadata.mtime(), metadata.mtime_nsec());
        return Some(Sha256::digest(stamp).into());
    }
    Some(Sha256::digest(fs::read(path).ok()?).into())
}

/// The hash of all files below `nodes`, with their names. Blocks on the file system.
fn code_hash(nodes: &Path) -> String {
    let mut files = Vec::new();
    collect(nodes, &mut Vec::new(), &mut files);
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        let name = path.strip_prefix(nodes).unwrap_or(&path).as_os_str();
        let content = hash(&path).unwrap_or_default();
        hasher.update(name.len().to_be_bytes());
        hasher.update(name.as_encoded_bytes());
        hasher.update(content);
    }
    crate::assets::hex(&hasher.finalize())
}

/// Links are followed as SDKs follow them; a folder that links back to where we are is met once, and what is no plain
/// file is not opened.
fn collect(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) {
    let Ok(real) = folder.canonicalize() else {
        return;
    };
    if above.len() >= DEPTH_MAX || above.contains(&real) {
        return;
    }
    above.push(real);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if files.len() >= FILES_MAX {
            break;
        }
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
            collect(&path, above, files);
        } else if metadata.is_file() && !name.to_string_lossy().ends_with(".pyc") {
            files.push(path);
        }
    }
    above.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_content_are_told_and_touches_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let read = || Content::read(folder.path(), Some(Path::new("nodes")));
        write("nanoserver.json", "{}");
        write("nodes/a/node.py", "one");
        let first = read();
        write("nanoserver.json", "{}");
        write("nodes/__pycache__/x.py", "cache");
        write("nodes/a/node.pyc", "cache");
        write("other.py", "no node");
        assert_eq!(read(), first);
        write("nanoserver.json", "{ }");
        assert_ne!(read().config, first.config);
        write("requirements.txt", "");
        assert_ne!(read().requirements, first.requirements);
        write("nodes/a/node.py", "two");
        let second = read().nodes;
        assert_ne!(second, first.nodes);
        fs::rename(folder.path().join("nodes/a"), folder.path().join("nodes/b")).unwrap();
        assert_ne!(read().nodes, second);
    }

    #[test]
    fn files_and_folders_behind_links_count_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let (nodes, common) = (folder.path().join("nodes"), folder.path().join("common"));
        fs::create_dir_all(&nodes).unwrap();
        fs::create_dir_all(&common).unwrap();
        fs::write(common.join("one.py"), "one").unwrap();
        fs::write(folder.path().join("two.py"), "two").unwrap();
        std::os::unix::fs::symlink("../two.py", nodes.join("two.py")).unwrap();
        std::os::unix::fs::symlink("../common", nodes.join("common")).unwrap();
        std::os::unix::fs::symlink("../nodes", common.join("back")).unwrap();
        let first = code_hash(&nodes);
        fs::write(folder.path().join("two.py"), "changed").unwrap();
        let second = code_hash(&nodes);
        assert_ne!(second, first);
        fs::write(common.join("one.py"), "changed").unwrap();
        assert_ne!(code_hash(&nodes), second);
        let mut files = Vec::new();
        collect(&nodes, &mut Vec::new(), &mut files);
        assert_eq!(files.len(), 2, "{files:?}");
    }
}

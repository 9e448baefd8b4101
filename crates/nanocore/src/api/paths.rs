//! Model files, by kind: what `filepicker` parameters and `model:<kind>` ports offer. spec: nanograph 12.2

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path as FilePath, PathBuf};

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::document::{Operation, Routes};
use crate::refusal::ApiError;
use crate::request::Path;

/// Most files listed, most entries looked at, most of these told as skipped, and most folders deep.
const FILES_MAX: usize = 10_000;
const ENTRIES_MAX: usize = 100_000;
const SKIPPED_MAX: usize = 100;
const DEPTH_MAX: usize = 8;

pub(super) fn add(routes: &mut Routes) {
    let folders = routes.schema::<BTreeMap<String, PathBuf>>();
    routes.add(
        Operation::get(
            "/api/v1/paths",
            "paths",
            "The folders of model files, by kind",
        )
        .answer(200, "Folders by kind.", folders),
        get(list),
    );
    let files = routes.schema::<Files>();
    routes.add(
        Operation::get(
            "/api/v1/paths/{kind}",
            "pathFiles",
            "The files below one of the folders",
        )
        .answer(200, "Files, sorted.", files),
        get(show),
    );
}

/// The files below a folder.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Files {
    /// The folder.
    path: PathBuf,
    /// Relative to it, sorted. Links are followed to what is below one of the folders of model files.
    files: Vec<String>,
    /// Whether there are more than these, or deeper ones.
    truncated: bool,
    /// What could not be looked at, 100 at most.
    skipped: Vec<Skipped>,
}

/// A file or folder that is not among the files.
#[derive(Debug, Serialize, JsonSchema)]
struct Skipped {
    /// Relative to the folder; empty for itself.
    path: String,
    why: String,
}

async fn list(State(api): State<Api>) -> Json<BTreeMap<String, PathBuf>> {
    Json(api.options.model_paths.clone())
}

async fn show(State(api): State<Api>, Path(kind): Path<String>) -> Result<Json<Files>, ApiError> {
    let path = api.options.model_paths.get(&kind).cloned().ok_or_else(|| {
        ApiError::not_found(format!("the paths file names no folder for \"{kind}\""))
    })?;
    let folders: Vec<_> = api.options.model_paths.values().cloned().collect();
    let looked = tokio::task::spawn_blocking(move || Files::below(path, &folders)).await;
    looked.map(Json).map_err(|error| ApiError::internal(&error))
}

impl Files {
    /// What is below `path`; links are followed to what is below one of the `folders`.
    fn below(path: PathBuf, folders: &[PathBuf]) -> Self {
        let real = |folder: &PathBuf| folder.canonicalize().ok();
        let mut look = Look {
            folders: folders.iter().filter_map(real).collect(),
            above: Vec::new(),
            entries: 0,
            found: Self::default(),
        };
        match path.canonicalize() {
            Ok(root) => look.folder(root, FilePath::new(""), DEPTH_MAX),
            Err(error) => look.skip(FilePath::new(""), &error),
        }
        look.found.files.sort();
        look.found.path = path;
        look.found
    }
}

/// A look through folders.
struct Look {
    /// Where links may lead, without links themselves.
    folders: Vec<PathBuf>,
    /// The folders from the first to the one that is looked at, without links.
    above: Vec<PathBuf>,
    /// How many entries were looked at.
    entries: usize,
    found: Files,
}

impl Look {
    /// Looks at the folder `real`, which is seen as `shown`.
    fn folder(&mut self, real: PathBuf, shown: &FilePath, depth: usize) {
        if self.above.contains(&real) {
            return self.skip(shown, &"it leads back to a folder above it");
        }
        let entries = match real.read_dir() {
            Ok(entries) => entries,
            Err(error) => return self.skip(shown, &error),
        };
        self.above.push(real);
        for entry in entries {
            self.entries += 1;
            if self.entries > ENTRIES_MAX || self.found.files.len() >= FILES_MAX {
                self.found.truncated = true;
                break;
            }
            match entry {
                Ok(entry) => self.entry(&entry, shown, depth),
                Err(error) => self.skip(shown, &error),
            }
        }
        self.above.pop();
    }

    fn entry(&mut self, entry: &DirEntry, below: &FilePath, depth: usize) {
        let shown = below.join(entry.file_name());
        let (real, kind) = match self.follow(entry) {
            Ok(Some(target)) => target,
            Ok(None) => return self.skip(&shown, &"it leads out of the folders of model files"),
            Err(error) => return self.skip(&shown, &error),
        };
        match (kind.is_dir(), depth) {
            (true, 0) => self.found.truncated = true,
            (true, _) => self.folder(real, &shown, depth - 1),
            (false, _) if kind.is_file() => match shown.to_str() {
                Some(name) => self.found.files.push(name.to_owned()),
                None => self.skip(&shown, &"its name is not UTF-8"),
            },
            (false, _) => {}
        }
    }

    /// What an entry is or leads to; nothing if that is somewhere else.
    fn follow(&self, entry: &DirEntry) -> io::Result<Option<(PathBuf, FileType)>> {
        let kind = entry.file_type()?;
        if !kind.is_symlink() {
            return Ok(Some((entry.path(), kind)));
        }
        let target = entry.path().canonicalize()?;
        if !self.folders.iter().any(|folder| target.starts_with(folder)) {
            return Ok(None);
        }
        let kind = target.metadata()?.file_type();
        Ok(Some((target, kind)))
    }

    fn skip(&mut self, shown: &FilePath, why: &dyn fmt::Display) {
        if self.found.skipped.len() < SKIPPED_MAX {
            let path = shown.to_string_lossy().into_owned();
            let why = why.to_string();
            self.found.skipped.push(Skipped { path, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn skipped(files: &Files) -> Vec<(&str, &str)> {
        let mut skipped: Vec<_> = files
            .skipped
            .iter()
            .map(|skipped| (&*skipped.path, &*skipped.why))
            .collect();
        skipped.sort_unstable();
        skipped
    }

    #[test]
    fn links_are_followed_within_the_folders_and_not_in_circles() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["lora/sub", "shared", "elsewhere"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["lora/a", "lora/sub/b", "shared/c", "elsewhere/d"] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("shared/c"), at("lora/linked")).unwrap();
        symlink(at("shared"), at("lora/more")).unwrap();
        symlink(at("elsewhere/d"), at("lora/out")).unwrap();
        symlink("..", at("lora/sub/up")).unwrap();
        symlink("nothing", at("lora/broken")).unwrap();
        // One of the folders is behind a link itself.
        symlink(at("shared"), at("behind")).unwrap();
        let files = Files::below(at("lora"), &[at("lora"), at("behind"), at("gone")]);
        assert_eq!(files.files, ["a", "linked", "more/c", "sub/b"]);
        let expected = [
            ("broken", "No such file or directory (os error 2)"),
            ("out", "it leads out of the folders of model files"),
            ("sub/up", "it leads back to a folder above it"),
        ];
        assert_eq!(skipped(&files), expected);
        assert!(!files.truncated);
    }

    /// Root may read everything, so that only the length of its path keeps a folder from being read.
    #[test]
    fn a_folder_that_cannot_be_read_hides_no_other() {
        let root = tempfile::tempdir().unwrap();
        let name = "x".repeat(250);
        let short = root.path().join("short");
        fs::create_dir_all(short.join(&name).join(&name).join(&name)).unwrap();
        let mut long = root.path().to_owned();
        while long.as_os_str().len() < 3_300 {
            long.push(&name);
        }
        fs::create_dir_all(&long).unwrap();
        fs::write(long.join("a"), "x").unwrap();
        fs::rename(short, long.join("b")).unwrap();
        let files = Files::below(long.clone(), &[long]);
        assert_eq!(files.files, ["a"]);
        let skipped = skipped(&files);
        assert_eq!(skipped.len(), 1, "{skipped:?}");
        assert!(skipped[0].1.contains("too long"), "{skipped:?}");
    }
}

//! Model files, by kind: what `filepicker` parameters and `model:<kind>` ports offer. spec: nanograph 12.2

use std::collections::BTreeMap;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::document::{Operation, Routes};
use crate::refusal::ApiError;

/// Most files listed, and most folders deep.
const FILES_MAX: usize = 10_000;
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
    /// Relative to it, sorted.
    files: Vec<PathBuf>,
    /// Whether there are more than these, or deeper ones.
    truncated: bool,
}

async fn list(State(api): State<Api>) -> Json<BTreeMap<String, PathBuf>> {
    Json(api.options.model_paths.clone())
}

async fn show(State(api): State<Api>, Path(kind): Path<String>) -> Result<Json<Files>, ApiError> {
    let path = api.options.model_paths.get(&kind).cloned().ok_or_else(|| {
        ApiError::not_found(format!("the paths file names no folder for \"{kind}\""))
    })?;
    let looked = tokio::task::spawn_blocking(move || Files::below(path)).await;
    let files = looked.map_err(|error| ApiError::internal(&error))?;
    files.map(Json).map_err(|error| ApiError::internal(&error))
}

impl Files {
    fn below(path: PathBuf) -> io::Result<Self> {
        let mut files = Self::default();
        files.look(&path, FilePath::new(""), DEPTH_MAX)?;
        files.files.sort();
        files.path = path;
        Ok(files)
    }

    fn look(&mut self, root: &FilePath, below: &FilePath, depth: usize) -> io::Result<()> {
        for entry in root.join(below).read_dir()? {
            let entry = entry?;
            let relative = below.join(entry.file_name());
            if self.files.len() >= FILES_MAX {
                self.truncated = true;
                return Ok(());
            }
            // Links are not followed: they may lead anywhere, in circles too.
            let kind = entry.file_type()?;
            match (kind.is_dir(), depth) {
                (true, 0) => self.truncated = true,
                (true, _) => self.look(root, &relative, depth - 1)?,
                (false, _) if kind.is_file() => self.files.push(relative),
                (false, _) => {}
            }
        }
        Ok(())
    }
}

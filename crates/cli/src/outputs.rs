//! Results: files in a folder, or lines on standard output.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use nanocore::assets::{AssetId, AssetStore};
use nanocore::workflow::{Graph, NodeResult, RunResult};
use nodewire_json::{Json, Kind};

use crate::failure::Failure;
use crate::inputs::is_reference;

/// One port's values that are a result of the run.
#[derive(Debug)]
pub(crate) struct Output {
    /// Name of the node.
    pub(crate) node: String,
    /// The port.
    pub(crate) port: String,
    /// Its list.
    values: Vec<Json>,
}

/// The results: what the targets gave, what viewers got, and what nobody else took.
pub(crate) fn of(graph: &Graph, targets: &[u64], result: &RunResult) -> Vec<Output> {
    let is_source = |id: u64| graph.links.iter().any(|link| link.source == id);
    let is_result = |node: &&NodeResult| {
        targets.contains(&node.node_id) || node.inputs.is_some() || !is_source(node.node_id)
    };
    result
        .nodes
        .iter()
        .filter(is_result)
        .flat_map(ports)
        .collect()
}

fn ports(node: &NodeResult) -> Vec<Output> {
    let name = node
        .name
        .clone()
        .unwrap_or_else(|| format!("{}-{}", node.uid, node.node_id));
    let shown = node.inputs.as_ref().or(node.outputs.as_ref());
    let entries = shown.and_then(Json::entries).unwrap_or_default();
    let output = |(port, value): (String, Json)| {
        let values = value.elements().unwrap_or_else(|| vec![value.clone()]);
        Output {
            node: name.clone(),
            port,
            values,
        }
    };
    entries.into_iter().map(output).collect()
}

/// Writes results to a folder, never twice to one name.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    folder: &'a Path,
    store: &'a AssetStore,
    taken: HashSet<String>,
}

impl<'a> Folder<'a> {
    pub(crate) fn create(folder: &'a Path, store: &'a AssetStore) -> Result<Self, Failure> {
        make_folder(folder)?;
        Ok(Self {
            folder,
            store,
            taken: HashSet::new(),
        })
    }

    /// Writes one output: assets under their own names, texts as text, everything else as one JSON file.
    pub(crate) fn write(&mut self, output: &Output) -> Result<Vec<PathBuf>, Failure> {
        let texts: Vec<String> = output
            .values
            .iter()
            .filter(|value| value.kind() == Kind::String)
            .filter_map(|value| value.decode().ok())
            .collect();
        let stem = format!("{}.{}", output.node, output.port);
        if texts.len() < output.values.len() || texts.is_empty() {
            let value = match output.values.as_slice() {
                [single] => single.clone(),
                values => Json::array(values),
            };
            return Ok(vec![self.write_bytes(
                &format!("{stem}.json"),
                format!("{value}\n").as_bytes(),
            )?]);
        }
        let write = |text: &String| {
            if is_reference(text) {
                self.copy_asset(text)
            } else {
                self.write_bytes(&format!("{stem}.txt"), text.as_bytes())
            }
        };
        texts.iter().map(write).collect()
    }

    fn copy_asset(&mut self, reference: &str) -> Result<PathBuf, Failure> {
        let missing = || {
            Failure::node(format!(
                "the result {reference} is not in this run's asset store; its server uses another one"
            ))
        };
        let reference: nanograph::assets::AssetRef = reference.parse().map_err(|_| missing())?;
        let id: AssetId = reference.id().parse().map_err(|_| missing())?;
        let entry = self.store.find(id).ok_or_else(missing)?;
        let path = self.free_path(&entry.name);
        std::fs::copy(self.store.path(&entry), &path).map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    fn write_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.free_path(name);
        std::fs::write(&path, bytes).map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    /// A name that no other result of this run has; files of earlier runs are replaced.
    fn free_path(&mut self, name: &str) -> PathBuf {
        let name: String = name
            .chars()
            .map(|c| {
                if matches!(c, '/' | '\\' | '\0') {
                    '_'
                } else {
                    c
                }
            })
            .collect();
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => {
                (stem.to_owned(), format!(".{extension}"))
            }
            _ => (name.clone(), String::new()),
        };
        let numbered = (2_u32..).map(|number| format!("{stem}-{number}{extension}"));
        let free = std::iter::once(name)
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(free.clone());
        self.folder.join(free)
    }
}

/// One line per value for standard output.
pub(crate) fn lines(output: &Output) -> impl Iterator<Item = String> {
    output.values.iter().map(move |value| {
        let text = (value.kind() == Kind::String)
            .then(|| value.decode::<String>().ok())
            .flatten();
        format!(
            "{}.{}: {}",
            output.node,
            output.port,
            text.unwrap_or_else(|| value.to_string())
        )
    })
}

/// Makes sure that there is a folder for results.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::node(format!("cannot write {}: {error}", path.display()))
}

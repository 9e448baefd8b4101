//! Results: files in a folder, or lines on standard output.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use nanocore::assets::{AssetId, AssetStore};
use nanocore::workflow::{Graph, NodeResult, RunResult};
use nodewire_json::{Json, Kind};
use serde_json::json;

use crate::failure::Failure;
use crate::inputs::is_reference;
use crate::terminal;

/// File systems take names of 255 bytes; there is room for a number between the two.
const STEM_BYTES_MAX: usize = 200;
const EXTENSION_BYTES_MAX: usize = 40;

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
    let is_result =
        |node: &&NodeResult| is_result(graph, targets, node.node_id, node.inputs.is_some());
    let ports = |node: &NodeResult| {
        let name = node
            .name
            .clone()
            .unwrap_or_else(|| format!("{}-{}", node.uid, node.node_id));
        ports(&name, node.inputs.as_ref().or(node.outputs.as_ref()))
    };
    result
        .nodes
        .iter()
        .filter(is_result)
        .flat_map(ports)
        .collect()
}

/// Whether what a node gave is a result of the run.
pub(crate) fn is_result(graph: &Graph, targets: &[u64], node_id: u64, is_viewer: bool) -> bool {
    let is_source = graph.links.iter().any(|link| link.source == node_id);
    targets.contains(&node_id) || is_viewer || !is_source
}

/// The ports of what a node gave.
pub(crate) fn ports(name: &str, shown: Option<&Json>) -> Vec<Output> {
    let entries = shown.and_then(Json::entries).unwrap_or_default();
    let output = |(port, value): (String, Json)| {
        let values = value.elements().unwrap_or_else(|| vec![value.clone()]);
        Output {
            node: name.to_owned(),
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
    assets: AssetFiles<'a>,
    taken: HashSet<String>,
}

/// Where the files of assets are.
#[derive(Debug)]
pub(crate) enum AssetFiles<'a> {
    /// In a store of our own.
    Store(&'a AssetStore),
    /// Fetched from elsewhere: names and files by reference.
    Fetched(&'a HashMap<String, (String, PathBuf)>),
}

impl AssetFiles<'_> {
    /// The asset's own name, and its file.
    fn find(&self, reference: &str) -> Option<(String, PathBuf)> {
        match self {
            Self::Store(store) => {
                let reference: nanograph::assets::AssetRef = reference.parse().ok()?;
                let id: AssetId = reference.id().parse().ok()?;
                let entry = store.find(id)?;
                let path = store.path(&entry)?;
                Some((entry.name.clone(), path))
            }
            Self::Fetched(files) => files.get(reference).cloned(),
        }
    }
}

impl<'a> Folder<'a> {
    pub(crate) fn create(folder: &'a Path, assets: AssetFiles<'a>) -> Result<Self, Failure> {
        make_folder(folder)?;
        Ok(Self {
            folder,
            assets,
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
        let (name, file) = self.assets.find(reference).ok_or_else(|| {
            Failure::node(format!(
                "the result {reference} is not in this run's asset store; its server uses another one"
            ))
        })?;
        let path = self.free_path(&name);
        std::fs::copy(file, &path).map_err(|error| failed(&path, &error))?;
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
                if matches!(c, '/' | '\\' | '\n') || terminal::steers(c) {
                    '_'
                } else {
                    c
                }
            })
            .collect();
        let dot = name.rfind('.').filter(|dot| *dot > 0);
        let dot = dot.filter(|dot| name.len() - dot <= EXTENSION_BYTES_MAX);
        let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
        let stem = &stem[..stem.floor_char_boundary(STEM_BYTES_MAX)];
        let numbered = (2_u32..).map(|number| format!("{stem}-{number}{extension}"));
        let free = std::iter::once(format!("{stem}{extension}"))
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(free.clone());
        self.folder.join(free)
    }
}

impl Output {
    /// The assets that [`Folder::write`] wants.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        let texts = self
            .values
            .iter()
            .filter_map(|value| value.decode::<String>().ok());
        texts.filter(|text| is_reference(text))
    }
}

/// Writes all results to a folder, and tells where they are.
pub(crate) fn write_all(
    outputs: &[Output],
    folder: &Path,
    assets: AssetFiles<'_>,
    json: bool,
) -> Result<(), Failure> {
    let mut folder = Folder::create(folder, assets)?;
    for output in outputs {
        for path in folder.write(output)? {
            let path = path.display().to_string();
            if json {
                terminal::json(
                    json!({"type": "output", "node": output.node, "port": output.port, "path": path}),
                );
            } else {
                terminal::result(terminal::plain(&path));
            }
        }
    }
    Ok(())
}

/// One line per value for standard output.
pub(crate) fn lines(output: &Output) -> impl Iterator<Item = String> {
    output.values.iter().map(move |value| {
        let text = (value.kind() == Kind::String)
            .then(|| value.decode::<String>().ok())
            .flatten();
        format!(
            "{}.{}: {}",
            terminal::name(&output.node),
            terminal::name(&output.port),
            terminal::plain(&text.unwrap_or_else(|| value.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_steer_no_terminal_and_forge_no_line() {
        let output = Output {
            node: "a\u{1b}[31m\nb".to_owned(),
            port: "out".to_owned(),
            values: vec![Json::from("x\u{7}")],
        };
        let told: Vec<_> = lines(&output).collect();
        assert_eq!(told, ["a\u{fffd}[31m\u{fffd}b.out: x\u{fffd}"]);
    }

    #[test]
    fn files_have_names_that_can_be_written_and_are_unique() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = HashMap::new();
        let mut folder = Folder::create(folder.path(), AssetFiles::Fetched(&nothing)).unwrap();
        let mut name = |name: &str| {
            let path = folder.write_bytes(name, b"x").unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name("a/b\u{1b}\n.json"), "a_b__.json");
        assert_eq!(name("a/b\u{1b}\n.json"), "a_b__-2.json");
        let long = format!("{}.out.json", "ü".repeat(300));
        assert_eq!(name(&long), format!("{}.json", "ü".repeat(100)));
        assert_eq!(name(&long), format!("{}-2.json", "ü".repeat(100)));
        // What is behind the last dot need not be an extension.
        let dotted = format!("a.{}", "b".repeat(300));
        assert_eq!(name(&dotted).len(), STEM_BYTES_MAX);
    }
}

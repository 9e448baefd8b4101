//! Files, variables and flags, without a process.

mod exported;
mod layering;
mod properties;
mod shown;
mod troubles;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Layers, NodewireConfig, Problems, Surroundings, flags, join, wires};
use crate::server::{Parts, ServeError};

/// A program's start, as far as settings go.
#[derive(Debug, Default)]
struct Start {
    file: &'static str,
    variables: HashMap<&'static str, &'static str>,
    flags: Vec<&'static str>,
    folder: Option<PathBuf>,
}

impl Start {
    fn file(file: &'static str) -> Self {
        Self {
            file,
            ..Self::default()
        }
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    fn layers(&self, problems: &mut Problems) -> Layers {
        let path = Path::new("conf/nodewire.toml");
        let file = super::toml_file::parse(self.file, path, problems);
        let flags = flags::parse(self.flags.iter().map(OsString::from), problems);
        join(file, &|name| self.lookup(name), &flags, problems)
    }

    fn lookup(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    /// What a program whose code says `parts` would serve.
    fn apply_to(&self, parts: Parts) -> Result<Parts, ServeError> {
        self.apply_as(wires::apply, parts)
    }

    /// The same, as a server of MCP on standard input and output.
    fn apply_mcp_stdio(&self) -> Result<Parts, ServeError> {
        self.apply_as(wires::apply_mcp_stdio, Parts::default())
    }

    fn apply_as(
        &self,
        apply: fn(&mut Parts, &Layers, Surroundings<'_>, Problems) -> Result<(), ServeError>,
        mut parts: Parts,
    ) -> Result<Parts, ServeError> {
        let mut problems = Problems::default();
        let layers = self.layers(&mut problems);
        let around = Surroundings {
            lookup: &|name| self.lookup(name),
            folder: self.folder.as_deref(),
            name: "my program",
            nodes: &["a", "b", "greet", "x", "y"].map(Arc::from),
        };
        apply(&mut parts, &layers, around, problems)?;
        Ok(parts)
    }

    fn apply(&self) -> Parts {
        self.apply_to(Parts::default()).unwrap()
    }

    /// What is wrong, a line each.
    fn problems(&self) -> Vec<String> {
        let text = self.apply_to(Parts::default()).unwrap_err().to_string();
        text.lines()
            .skip(1)
            .map(|line| line.trim().to_owned())
            .collect()
    }
}

/// The file of the documentation.
#[test]
fn a_file_can_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodewire.toml");
    std::fs::write(&path, "[http]\nopen = true\n").unwrap();
    let config = NodewireConfig::load(&path).unwrap();
    assert!(config.layers.in_file.contains_key(&super::Table::Http));

    let missing = NodewireConfig::load(folder.path().join("other.toml")).unwrap_err();
    assert!(missing.to_string().contains("other.toml: cannot be read"));
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    let large = NodewireConfig::load(&path).unwrap_err();
    assert!(large.to_string().contains("larger than"), "{large}");
}

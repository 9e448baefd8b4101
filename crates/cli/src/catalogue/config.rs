//! `[catalogue]` of `nodewire.toml`. Its other tables are the servers', and are not looked at.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;

/// Where it is looked for without `--config`.
const FILE: &str = "nodewire.toml";

/// Bytes of the file.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
struct File {
    catalogue: Option<Catalogue>,
}

/// Where to look; paths are as they are in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Catalogue {
    pub(super) nanograph: Vec<String>,
    pub(super) nats: Vec<String>,
    pub(super) nats_credentials: Option<PathBuf>,
    pub(super) autotrainer: Vec<String>,
    pub(super) nnrp: Vec<String>,
    pub(super) nnrp_ca: Option<PathBuf>,
    pub(super) nnrp_insecure: bool,
    pub(super) http: Vec<String>,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) daemon: Option<bool>,
}

/// Reads the table; `None` if there is no file, or no such table in it.
///
/// # Errors
/// The file that was named is not there; or it cannot be read, or the table is wrong.
pub(super) fn read(named: Option<&Path>) -> Result<Option<Catalogue>, Failure> {
    let path = named.unwrap_or_else(|| Path::new(FILE));
    let failed = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(failed(format!("cannot read it: {error}"))),
    };
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(failed(format!("it has more than {BYTES_MAX} bytes")));
    }
    let file: File = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    Ok(file.catalogue.map(|catalogue| {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        catalogue.beside(folder)
    }))
}

impl Catalogue {
    /// Relative paths start at the file's folder.
    fn beside(mut self, folder: &Path) -> Self {
        for path in [
            &mut self.nats_credentials,
            &mut self.nnrp_ca,
            &mut self.http_token_file,
        ] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    pub(super) fn names_targets(&self) -> bool {
        let lists = [
            &self.nanograph,
            &self.nats,
            &self.autotrainer,
            &self.nnrp,
            &self.http,
        ];
        lists.iter().any(|list| !list.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodewire.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn tables_of_others_are_left_and_paths_start_at_the_file() {
        let text = "[server]\nname = \"x\"\n[catalogue]\nnats = [\"a:1\"]\nnnrp_ca = \"ca.pem\"\n";
        let (folder, path) = written(text);
        let read = read(Some(&path)).unwrap().unwrap();
        assert_eq!(read.nats, ["a:1"]);
        assert_eq!(read.nnrp_ca.unwrap(), folder.path().join("ca.pem"));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        for text in ["[catalogue]\nnast = []\n", "[catalogue]\nnats = 1\n", "["] {
            let (_folder, path) = written(text);
            let error = read(Some(&path)).unwrap_err().to_string();
            assert!(error.contains("nodewire.toml"), "{error}");
        }
        let (_folder, path) = written("[server]\n");
        assert!(read(Some(&path)).unwrap().is_none());
        assert!(read(Some(&path.with_extension("none"))).is_err());
    }
}

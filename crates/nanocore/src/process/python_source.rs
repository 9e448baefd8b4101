//! What a Python server's packages are installed from: `requirements.txt`, else `pyproject.toml`.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::ProcessError;
use super::launch::Install;
use super::python::{Say, pip};
use super::scan::ServerFolder;

/// Longest `pyproject.toml` read, in bytes.
const PROJECT_BYTES_MAX: u64 = 1 << 20;
/// In the stamp, behind the hash: the project itself was asked for, and is from then on.
const WITH_PROJECT: &str = " project";

#[derive(Debug, PartialEq, Eq)]
enum What {
    Nothing,
    Requirements,
    /// Those that `pyproject.toml` lists; the project itself is not needed to run `main.py`.
    Dependencies(Vec<String>),
    /// It was asked for, or only its build tells what it needs.
    Project,
}

/// What is to be installed.
#[derive(Debug)]
pub(super) struct Source {
    what: What,
    hash: String,
    with_project: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    project: Option<Project>,
    build_system: Option<toml::Table>,
}

#[derive(Debug, Deserialize)]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    dynamic: Vec<String>,
}

impl Source {
    /// Looks into the folder; `stamp` is where [`Self::stamp`] is kept.
    pub(super) fn of(
        server: &ServerFolder,
        stamp: &Path,
        extra: Install,
    ) -> Result<Self, ProcessError> {
        let read = |name: &str| match fs::read(server.folder.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ProcessError::Io {
                action: format!("read {}", server.folder.join(name).display()),
                source,
            }),
        };
        if let Some(content) = read("requirements.txt")? {
            return Ok(Self::new(What::Requirements, &content, false));
        }
        let length =
            fs::metadata(server.folder.join("pyproject.toml")).map_or(0, |file| file.len());
        if length > PROJECT_BYTES_MAX {
            let problem = format!("pyproject.toml is longer than {PROJECT_BYTES_MAX} bytes");
            return Err(server.problem(problem));
        }
        let Some(content) = read("pyproject.toml")? else {
            return Ok(Self::new(What::Nothing, b"", false));
        };
        let had_project =
            fs::read_to_string(stamp).is_ok_and(|stamp| stamp.ends_with(WITH_PROJECT));
        if extra.project || had_project {
            return Ok(Self::new(What::Project, &content, true));
        }
        let what =
            wanted(&content).map_err(|error| server.problem(format!("pyproject.toml: {error}")))?;
        Ok(Self::new(what, &content, false))
    }

    fn new(what: What, content: &[u8], with_project: bool) -> Self {
        let hash = crate::assets::hex(&Sha256::digest(content));
        Self {
            what,
            hash,
            with_project,
        }
    }

    /// Says what was installed.
    pub(super) fn stamp(&self) -> String {
        let project = if self.with_project { WITH_PROJECT } else { "" };
        format!("{}{project}", self.hash)
    }

    pub(super) fn is_installed(&self, stamp: &Path) -> bool {
        fs::read_to_string(stamp).is_ok_and(|installed| installed == self.stamp())
    }

    pub(super) async fn install(
        &self,
        server: &ServerFolder,
        python: &Path,
        say: Say<'_>,
    ) -> Result<(), ProcessError> {
        match &self.what {
            What::Nothing => Ok(()),
            What::Requirements => {
                say("installing requirements.txt");
                pip(server, python, &["-r", "requirements.txt"], say).await
            }
            What::Dependencies(dependencies) if dependencies.is_empty() => {
                say(
                    "pyproject.toml lists no dependencies; the project itself is installed only with --install-project",
                );
                Ok(())
            }
            What::Dependencies(dependencies) => {
                say(
                    "installing the dependencies of pyproject.toml; the project itself is installed only with --install-project",
                );
                let words = ["--"].into_iter();
                let words: Vec<_> = words
                    .chain(dependencies.iter().map(String::as_str))
                    .collect();
                pip(server, python, &words, say).await
            }
            What::Project => {
                say("installing the project of pyproject.toml with its dependencies");
                pip(server, python, &["-e", "."], say).await
            }
        }
    }
}

fn wanted(content: &[u8]) -> Result<What, String> {
    let document: Document = toml::from_slice(content).map_err(|error| error.to_string())?;
    Ok(match document {
        Document {
            project: Some(project),
            ..
        } if !project.dynamic.iter().any(|field| field == "dependencies") => {
            What::Dependencies(project.dependencies)
        }
        Document {
            project: None,
            build_system: None,
        } => What::Dependencies(Vec::new()),
        Document { .. } => What::Project,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_follows_from_the_file() {
        let listed = |words: &[&str]| {
            Ok(What::Dependencies(
                words.iter().map(|word| (*word).to_owned()).collect(),
            ))
        };
        for (text, expected) in [
            ("", listed(&[])),
            ("[tool.ruff]\nline-length = 1\n", listed(&[])),
            (
                "[project]\nname = 'x'\ndependencies = ['a>=1', 'b']\n",
                listed(&["a>=1", "b"]),
            ),
            (
                "[project]\nname = 'x'\ndynamic = ['dependencies']\n",
                Ok(What::Project),
            ),
            (
                "[project]\nname = 'x'\ndynamic = ['version']\n",
                listed(&[]),
            ),
            (
                "[build-system]\nrequires = ['poetry-core']\n[tool.poetry]\nname = 'x'\n",
                Ok(What::Project),
            ),
        ] {
            assert_eq!(wanted(text.as_bytes()), expected, "{text}");
        }
        assert!(wanted(b"[project\n").is_err());
    }
}

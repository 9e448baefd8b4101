//! The checks, all of them at once. spec: nanograph 12.3

use std::fs;
use std::path::{Path, PathBuf};

use nanograph::config::{
    ConfigError, ConfigFile, DEFAULT_DOMAIN, FILE_NAME, Language, ServerConfig, Severity,
};
use uuid::Uuid;

use super::error::RegisterError;
use super::finding::{Finding, Level};
use crate::process::ServerFolder;
use crate::registry::{Entries, Entry, Registry};

/// A folder that was looked at.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The folder, absolute and without links.
    pub folder: PathBuf,
    /// What was found, in the order of the file.
    pub findings: Vec<Finding>,
    /// Its settings with everything filled in, as the server is to get them; `None` if the file cannot be read.
    pub config: Option<ServerConfig>,
    /// `nanoserver.json` as plain JSON, if it is something that the Python SDK does not read (quirk N1).
    pub plain_json: Option<String>,
}

impl Checked {
    /// Whether nothing keeps the server from being registered.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.config.is_some()
            && self
                .findings
                .iter()
                .all(|finding| finding.level < Level::Error)
    }

    /// The folder with its settings, to be prepared and started.
    #[must_use]
    pub fn server_folder(&self) -> Option<ServerFolder> {
        Some(ServerFolder {
            folder: self.folder.clone(),
            config: self.config.clone()?,
        })
    }
}

/// Looks at a folder as `register` does, without changing anything. Blocks on the file system.
///
/// # Errors
/// The folder has no `nanoserver.json`, or the registry cannot be read. What is wrong with the file is no error here,
/// but among the findings.
pub fn check(path: &Path, registry: &Registry) -> Result<Checked, RegisterError> {
    check_among(path, &registry.load()?)
}

/// The same, with the registry read already.
pub(crate) fn check_among(path: &Path, entries: &Entries) -> Result<Checked, RegisterError> {
    let problem = |problem: &str| RegisterError::Folder {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let folder = path
        .canonicalize()
        .map_err(|_| problem("does not exist; name the folder of a node server"))?;
    if !folder.is_dir() {
        return Err(problem("is no folder; name the folder of a node server"));
    }
    let file = match ConfigFile::load(&folder) {
        Ok(file) => file,
        Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(problem(&format!(
                "has no {FILE_NAME}, so it is no node server"
            )));
        }
        Err(error) => return Ok(unreadable(folder, &error)),
    };
    let mut checker = Checker {
        findings: file.problems.iter().map(Finding::from).collect(),
        folder: &folder,
        file: &file,
        entries,
    };
    let plain_json = checker.strict_json();
    let config = checker.settings();
    let findings = checker.findings;
    Ok(Checked {
        folder,
        findings,
        config,
        plain_json,
    })
}

fn unreadable(folder: PathBuf, error: &ConfigError) -> Checked {
    let mut findings: Vec<_> = error.problems().iter().map(Finding::from).collect();
    if findings.is_empty() {
        findings.push(Finding::error(FILE_NAME, error.to_string()));
    }
    Checked {
        folder,
        findings,
        config: None,
        plain_json: None,
    }
}

struct Checker<'a> {
    findings: Vec<Finding>,
    folder: &'a Path,
    file: &'a ConfigFile,
    entries: &'a Entries,
}

impl Checker<'_> {
    /// Python's parser takes no comments, trailing commas or byte order marks. spec: nanograph N1
    fn strict_json(&mut self) -> Option<String> {
        let is_lax = |problem: &&nanograph::config::Problem| {
            problem.severity == Severity::Warning && problem.key.is_none()
        };
        self.file.problems.iter().find(is_lax)?;
        if self.file.language.unwrap_or_default() == Language::Python {
            self.findings.push(Finding::error(
                FILE_NAME,
                "is no plain JSON, and the Python SDK refuses to start with it; correct it, or have it corrected with --fix",
            ));
        }
        Some(self.file.plain_json.clone())
    }

    fn settings(&mut self) -> Option<ServerConfig> {
        let known = self.entries.at(self.folder);
        self.names(known);
        let server_uid = self.server_uid(known);
        self.files();
        let display_name = self
            .file
            .server_display_name
            .clone()
            .unwrap_or_else(|| self.folder_name());
        let kept = known.filter(|_| self.file.server_package_id.is_none());
        let config = ServerConfig::load(self.folder, |variable| match variable {
            "SERVER_UID" => Some(server_uid.clone()),
            "SERVER_DISPLAY_NAME" => Some(display_name.clone()),
            "SERVER_PACKAGE_ID" => kept.map(|entry| entry.server_package_id.clone()),
            "DOMAIN" if self.file.domain.is_none() => known?.domain.clone(),
            _ => None,
        });
        config
            .map_err(|error| {
                self.findings
                    .push(Finding::error(FILE_NAME, error.to_string()))
            })
            .ok()
    }

    fn folder_name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(
            || "node-server".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// What the file leaves out.
    fn names(&mut self, known: Option<&Entry>) {
        let file = self.file;
        if file.language.is_none() {
            let reason = "is missing; taking \"python\"";
            self.findings.push(Finding::warning("language", reason));
        }
        if file.domain.is_none() {
            let domain = known.and_then(|entry| entry.domain.as_deref());
            let reason = format!("is missing; taking {:?}", domain.unwrap_or(DEFAULT_DOMAIN));
            self.findings.push(Finding::note("domain", reason));
        }
        if file.server_display_name.is_none() {
            let reason = format!(
                "is missing; taking the folder's name {:?}",
                self.folder_name()
            );
            self.findings
                .push(Finding::warning("serverDisplayName", reason));
        }
        if file.server_package_id.is_none() {
            let reason = "is missing; making one of the folder's name. Graphs find the server by it, so it should not depend on where the folder is";
            self.findings
                .push(Finding::warning("serverPackageId", reason));
        }
    }

    /// The file's, else the one it was registered with, else a new one. spec: nanograph N2
    fn server_uid(&mut self, known: Option<&Entry>) -> String {
        let known = known.map(|entry| &entry.server_uid);
        let Some(server_uid) = &self.file.server_uid else {
            let reason = match known {
                Some(uid) => format!("is missing; keeping {uid:?} from the registry"),
                None => "is missing; making one, which the registry keeps".to_owned(),
            };
            self.findings.push(Finding::note("serverUid", reason));
            return known.cloned().unwrap_or_else(|| Uuid::new_v4().to_string());
        };
        if let Some(known) = known.filter(|known| *known != server_uid) {
            let reason = format!("was {known:?} when the server was registered; it changes");
            self.findings.push(Finding::note("serverUid", reason));
        }
        let elsewhere = self.entries.get(server_uid).filter(|entry| {
            let path = entry
                .path
                .as_ref()
                .and_then(|path| path.canonicalize().ok());
            path.as_deref() != Some(self.folder)
        });
        if let Some(entry) = elsewhere {
            let place = entry
                .path
                .as_ref()
                .map(|path| path.display().to_string())
                .or_else(|| entry.url.clone())
                .or_else(|| Some(format!("the NATS service {}", entry.nats.as_ref()?.service)));
            let reason = format!(
                "{server_uid:?} is registered at {}; unregister that first, or leave out the uid here and get one",
                place.unwrap_or_default()
            );
            self.findings.push(Finding::error("serverUid", reason));
        }
        server_uid.clone()
    }

    fn files(&mut self) {
        let nodes = self.file.nodes_path.clone();
        let nodes = nodes.unwrap_or_else(|| PathBuf::from("nodes"));
        match self.file.language.unwrap_or_default() {
            Language::Python => {
                self.needs(
                    "main.py",
                    "is missing; it is what a Python node server is started with",
                );
            }
            Language::Javascript => self.package_json(),
            Language::Rust => {
                self.needs(
                    "Cargo.toml",
                    "is missing; a Rust node server is a cargo package",
                );
                // Rust nodes are compiled in.
                return;
            }
        }
        if !self.folder.join(&nodes).is_dir() {
            let reason = format!(
                "{:?} is no folder; the server will have no nodes from files",
                nodes.display().to_string()
            );
            self.findings.push(Finding::warning("nodesPath", reason));
        }
    }

    fn needs(&mut self, name: &str, reason: &str) {
        if !self.folder.join(name).is_file() {
            self.findings.push(Finding::error(name, reason));
        }
    }

    fn package_json(&mut self) {
        let Ok(text) = fs::read(self.folder.join("package.json")) else {
            let reason = "is missing; it says how a JavaScript node server is started";
            return self.findings.push(Finding::error("package.json", reason));
        };
        let reason = match serde_json::from_slice::<serde_json::Value>(&text) {
            Ok(package) if package["scripts"]["start"].is_string() => return,
            Ok(_) => "has no script \"start\"".to_owned(),
            Err(error) => format!("is no JSON: {error}"),
        };
        self.findings.push(Finding::error("package.json", reason));
    }
}

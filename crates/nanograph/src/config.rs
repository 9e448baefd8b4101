//! `nanoserver.json`: what a node server says about itself. spec: nanograph 1, 12.3
//!
//! [`ConfigFile`] is the file as written, [`ServerConfig`] what results once the environment and the defaults are
//! applied. The file is read leniently (comments, trailing commas, a byte order mark); what the Python SDK would refuse
//! becomes a warning. All problems are reported at once.
//!
//! ```
//! use nanograph::config::{ConfigFile, ServerConfig};
//!
//! let file = ConfigFile::parse(r#"{
//!     "serverUid": "tools-1",          // who we are
//!     "serverPackageId": "tools",
//!     "serverDisplayName": "Tools",
//!     "language": "rust",
//! }"#)?;
//! let config = ServerConfig::resolve(file, |variable| (variable == "PORT").then(|| "4000".to_owned()))?;
//! assert_eq!((config.server_uid.as_str(), config.port), ("tools-1", 4000));
//! assert_eq!(config.problems.len(), 2, "the comment, the trailing comma");
//! # Ok::<(), nanograph::config::ConfigError>(())
//! ```

mod file;
mod lenient;
mod problem;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use file::{ConfigFile, Language};
pub use problem::{ConfigError, Position, Problem, Severity};

/// The name of the file.
pub const FILE_NAME: &str = "nanoserver.json";
/// The domain of a server that names none.
pub const DEFAULT_DOMAIN: &str = "nanocore.local";
/// The port of a server that names none.
pub const DEFAULT_PORT: u16 = 3017;
/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A node server's settings, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// Groups servers that share one asset server; `DOMAIN` wins over the file.
    pub domain: String,
    /// For people; `SERVER_DISPLAY_NAME` wins over the file.
    pub server_display_name: String,
    /// Identifies this installation; `SERVER_UID` wins over the file, which may leave it out (quirk N2): the package id
    /// then stands in, with a warning.
    pub server_uid: String,
    /// Identifies the package; `SERVER_PACKAGE_ID` wins over the file, without both it is the directory's name.
    pub server_package_id: String,
    /// What the nodes are written in.
    pub language: Language,
    /// `PORT`, else the file's port, else 3017. `PORT=0` lets the system choose.
    pub port: u16,
    /// Where node files are; relative paths start at the configuration's directory.
    pub nodes_path: PathBuf,
    /// Whether changes of the nodes are picked up while the server runs.
    pub auto_watch: bool,
    /// How long changes must have stopped before they are picked up.
    pub watch_debounce: Duration,
    /// `NANOCORE_HTTP_ENDPOINT` as it is (it is echoed unmodified in handshake and status page); empty when unset.
    pub nanocore_http_endpoint: String,
    /// Warnings and notes, in the order of the file.
    pub problems: Vec<Problem>,
}

impl ServerConfig {
    /// Reads `nanoserver.json` in `dir` and applies `env`, which stands for the process environment.
    ///
    /// # Errors
    /// The file cannot be read, or anything in it or in the environment is wrong: everything at once.
    pub fn load(dir: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let path = dir.join(FILE_NAME);
        let file = ConfigFile::load(dir)?;
        Self::resolve_in(file, &directory_name(dir), env).map_err(|error| error.in_file(&path))
    }

    /// Applies `env` and the defaults to a file that was read before. A missing package id becomes `node-server`.
    ///
    /// # Errors
    /// A value in the environment is wrong, or the file left out what has no default.
    pub fn resolve(
        file: ConfigFile,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::resolve_in(file, "node-server", env)
    }

    fn resolve_in(
        file: ConfigFile,
        directory: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut problems = file.problems;
        // An empty variable falls through to the file. spec: nanograph 1
        let pick = |variable: &str, value: Option<String>| {
            env(variable).filter(|text| !text.is_empty()).or(value)
        };
        let port = resolve_port(env("PORT"), file.port, &mut problems);
        let domain = pick("DOMAIN", file.domain).unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        if !file::is_domain(&domain) {
            problems.push(Problem::error("domain", file::DOMAIN_RULE).in_environment("DOMAIN"));
        }
        let server_package_id =
            pick("SERVER_PACKAGE_ID", file.server_package_id).unwrap_or_else(|| {
                let message =
                    format!("is missing here and in SERVER_PACKAGE_ID; using {directory:?}");
                problems.push(Problem::warning("serverPackageId", message));
                directory.to_owned()
            });
        let server_uid = pick("SERVER_UID", file.server_uid).unwrap_or_else(|| {
            let message = format!(
                "is missing here and in SERVER_UID; using the package id {server_package_id:?}"
            );
            problems.push(Problem::warning("serverUid", message));
            server_package_id.clone()
        });
        let config = Self {
            domain,
            server_display_name: pick("SERVER_DISPLAY_NAME", file.server_display_name)
                .unwrap_or_else(|| directory.to_owned()),
            server_uid,
            server_package_id,
            language: file.language.unwrap_or_default(),
            port,
            nodes_path: file.nodes_path.unwrap_or_else(|| PathBuf::from("nodes")),
            auto_watch: file.auto_watch.unwrap_or(true),
            watch_debounce: file.watch_debounce.unwrap_or(Duration::from_millis(500)),
            nanocore_http_endpoint: env("NANOCORE_HTTP_ENDPOINT").unwrap_or_default(),
            problems: Vec::new(),
        };
        let problems = ConfigError::check(problems)?;
        Ok(Self { problems, ..config })
    }
}

/// spec: nanograph 1: `PORT` wins; empty or not a number is fatal. N3: our own servers honour the file's port.
fn resolve_port(variable: Option<String>, file: Option<u16>, problems: &mut Vec<Problem>) -> u16 {
    let Some(text) = variable else {
        return file.unwrap_or(DEFAULT_PORT);
    };
    text.trim().parse().unwrap_or_else(|_| {
        let message = format!("must be a number from 0 to 65535, not {text:?}");
        problems.push(Problem::error("port", message).in_environment("PORT"));
        DEFAULT_PORT
    })
}

/// The last part of the directory's path, in the letters an id may have.
fn directory_name(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = full
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() {
        "node-server".to_owned()
    } else {
        slug.to_owned()
    }
}

#[cfg(test)]
mod tests;

//! From a folder to a command: whatever the server's language needs first.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use nanograph::config::{Language, ServerConfig};

use super::error::ProcessError;
use super::lines::LineSink;
use super::scan::ServerFolder;
use super::{javascript, python, rust};
use crate::assets::Token;

/// Programs that servers are prepared and run with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The interpreter that virtual environments are made with. Default `python3`.
    pub python: PathBuf,
    /// Default `npm`.
    pub npm: PathBuf,
    /// Default `cargo`.
    pub cargo: PathBuf,
    /// The `PATH` that children find programs on; a virtual environment goes before it. `None` passes on the
    /// process's own.
    pub path: Option<OsString>,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            python: "python3".into(),
            npm: "npm".into(),
            cargo: "cargo".into(),
            path: None,
        }
    }
}

/// How long each step of stopping may take. spec: nanograph 12.6
#[derive(Debug, Clone, Copy)]
pub struct StopTimes {
    /// From SIGINT to SIGTERM; 10 s.
    pub interrupt: Duration,
    /// From SIGTERM to SIGKILL; 5 s.
    pub terminate: Duration,
}

impl Default for StopTimes {
    fn default() -> Self {
        Self {
            interrupt: Duration::from_secs(10),
            terminate: Duration::from_secs(5),
        }
    }
}

/// How servers are started.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// Programs.
    pub tools: Tools,
    /// What children get as `NANOCORE_HTTP_ENDPOINT`.
    pub asset_endpoint: String,
    /// What children get as `NANOCORE_TOKEN`.
    pub asset_token: Token,
    /// What children get as `NANOSDK_LOG_LEVEL`; `None` leaves it to them.
    pub log_level: Option<String>,
    /// Variables that the user has for the server. They never replace those it needs, except for log levels.
    pub env: Vec<(String, String)>,
    /// Where each line goes that the server writes, besides the rings; `None` for nowhere.
    pub lines: Option<LineSink>,
    /// The port; `None` takes a free one.
    pub port: Option<u16>,
    /// How long a server may take to become ready; 300 s, since it may load models. spec: nanograph 12.5
    pub ready_timeout: Duration,
    /// Stopping.
    pub stop: StopTimes,
    /// Lines kept of each output; 200.
    pub lines_kept: usize,
}

impl LaunchOptions {
    /// The usual bounds, with this asset server.
    pub fn new(asset_endpoint: impl Into<String>, asset_token: impl Into<String>) -> Self {
        Self {
            tools: Tools::default(),
            asset_endpoint: asset_endpoint.into(),
            asset_token: Token::new(asset_token),
            log_level: None,
            env: Vec::new(),
            lines: None,
            port: None,
            ready_timeout: Duration::from_secs(300),
            stop: StopTimes::default(),
            lines_kept: 200,
        }
    }
}

/// A server that only needs to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub(super) folder: PathBuf,
    pub(super) config: ServerConfig,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// What the language needs in the environment.
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// The threshold of the SDKs' logs; the first of the variables that they look at. spec: nanograph 2.4
const LOG_LEVEL: &str = "NANOSDK_LOG_LEVEL";

/// What each server gets with a value of its own, so that nobody else's word for it counts. spec: nanograph 12.4
pub const RESERVED_VARIABLES: [&str; 10] = [
    "NANOCORE_HTTP_ENDPOINT",
    "NANOCORE_ENDPOINT",
    "NANOCORE_TOKEN",
    "PORT",
    "SERVER_UID",
    "SERVER_PACKAGE_ID",
    "SERVER_DISPLAY_NAME",
    "SERVER_NAME",
    "DOMAIN",
    "PYTHONUNBUFFERED",
];

impl Launch {
    /// The same with another command, whose program is looked up on the `PATH`. spec: nanograph 12.2
    #[must_use]
    pub fn with_command(mut self, program: &str, arguments: &[String]) -> Self {
        self.program = program.into();
        self.arguments = arguments.iter().map(OsString::from).collect();
        self
    }

    /// The program that will be started.
    #[must_use]
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// The environment of the child, beyond what it inherits. spec: nanograph 12.4
    pub(super) fn environment(
        &self,
        options: &LaunchOptions,
        port: u16,
    ) -> Vec<(OsString, OsString)> {
        let config = &self.config;
        let port = port.to_string();
        // In the order of their names.
        let values = [
            options.asset_endpoint.as_str(),
            &options.asset_endpoint,
            options.asset_token.reveal(),
            &port,
            &config.server_uid,
            &config.server_package_id,
            &config.server_display_name,
            &config.server_display_name,
            &config.domain,
            "1",
        ];
        let variables = RESERVED_VARIABLES
            .into_iter()
            .zip(values)
            .map(|(name, value)| (name.into(), value.into()));
        let level = options
            .log_level
            .iter()
            .map(|level| (LOG_LEVEL.into(), level.into()));
        // Of two with the same name the later one counts, so that the user's are replaced by what the server needs.
        let user = options
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        level
            .chain(user)
            .chain(self.environment.iter().cloned())
            .chain(variables)
            .collect()
    }
}

/// What is done beyond the usual when a Python server is prepared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Install {
    /// Bring pip up to date first.
    pub upgrade_pip: bool,
    /// Install the project itself, not only what it depends on, if it has `pyproject.toml` and no `requirements.txt`.
    /// It is then each time that it has to be installed again.
    pub project: bool,
}

/// Makes a server ready to be started: installs what it depends on, or builds it. Lines for people go to `say`.
///
/// Cancel safety: if dropped, the programs at work are killed; the next call begins again.
///
/// # Errors
/// The folder lacks its entry point, or a program failed; its last lines are in the error.
pub async fn prepare(
    server: &ServerFolder,
    tools: &Tools,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Launch, ProcessError> {
    prepare_with(server, tools, Install::default(), say).await
}

/// As [`prepare`], with what is done beyond the usual.
///
/// # Errors
/// As [`prepare`].
pub async fn prepare_with(
    server: &ServerFolder,
    tools: &Tools,
    install: Install,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Launch, ProcessError> {
    match server.config.language {
        Language::Python => python::prepare(server, tools, install, say).await,
        Language::Javascript => javascript::prepare(server, tools, say).await,
        Language::Rust => rust::prepare(server, tools, say).await,
    }
}

impl ServerFolder {
    pub(super) fn problem(&self, problem: impl Into<String>) -> ProcessError {
        ProcessError::Folder {
            folder: self.folder.clone(),
            problem: problem.into(),
        }
    }

    pub(super) fn launch(&self, program: PathBuf, arguments: &[&str]) -> Launch {
        let arguments = arguments.iter().map(OsString::from).collect();
        Launch {
            folder: self.folder.clone(),
            config: self.config.clone(),
            program,
            arguments,
            environment: Vec::new(),
        }
    }
}

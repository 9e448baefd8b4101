//! [`register`]: from a folder to an entry of the registry.

use std::fs;
use std::path::{Path, PathBuf};

use nanograph::config::{FILE_NAME, Language};

use super::check::{Checked, check};
use super::error::RegisterError;
use super::finding::Finding;
use super::sdk::{Sdk, installed_sdk};
use crate::process::{Install, ServerFolder, Tools, prepare_with};
use crate::registry::{Entries, Entry, Registry, replace_file};

/// How a server is registered.
#[derive(Debug, Clone, Default)]
pub struct RegisterOptions {
    /// Write a `nanoserver.json` that the Python SDK cannot read anew, as plain JSON; the original stays as
    /// `nanoserver.json.bak`.
    pub fix: bool,
    /// Bring pip up to date first.
    pub upgrade: bool,
    /// Of a Python project that has `pyproject.toml` and no `requirements.txt`, install the project itself, not only what
    /// it depends on.
    pub install_project: bool,
    /// The programs used, with the Python interpreter for the virtual environment.
    pub tools: Tools,
}

/// What `register` is up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The folder was checked; what was found.
    Checked(Vec<Finding>),
    /// `nanoserver.json` was written anew; where the original is.
    Fixed(PathBuf),
    /// A line about installing, or of the program that does it.
    Installing(String),
    /// The SDK that was found.
    Sdk(Sdk),
}

/// A server that is registered now.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its entry.
    pub entry: Entry,
    /// Whether it was not there before.
    pub is_new: bool,
    /// What the checks found, without errors.
    pub findings: Vec<Finding>,
}

/// Checks a folder, installs what its server depends on, and adds or updates its entry. What happens is given to `say`.
///
/// Cancel safety: if dropped, the programs at work are killed and the registry is as it was; the next call begins again.
///
/// # Errors
/// The folder is none of a node server, the checks found errors, or something could not be installed. There is no
/// entry then that was not there before.
pub async fn register(
    path: &Path,
    registry: &Registry,
    options: RegisterOptions,
    say: &(dyn Fn(Step) + Sync),
) -> Result<Registered, RegisterError> {
    let mut checked = check(path, registry)?;
    if options.fix && fix(&checked, say)? {
        checked = check(path, registry)?;
    }
    say(Step::Checked(checked.findings.clone()));
    let server = match checked.server_folder() {
        Some(server) if checked.is_usable() => server,
        Some(_) | None => {
            return Err(RegisterError::Refused {
                path: checked.folder,
                findings: checked.findings,
            });
        }
    };
    let install = Install {
        upgrade_pip: options.upgrade,
        project: options.install_project,
    };
    prepare_with(&server, &options.tools, install, &|line| {
        say(Step::Installing(line.to_owned()));
    })
    .await
    .map_err(RegisterError::Install)?;
    let sdk = installed_sdk(&server.folder, server.config.language);
    match &sdk {
        Some(sdk) => say(Step::Sdk(sdk.clone())),
        None => checked.findings.extend(no_sdk(&server)),
    }
    enter(checked, sdk.as_ref(), registry)
}

/// Writes the file anew if the Python SDK cannot read it; whether it did.
fn fix(checked: &Checked, say: &(dyn Fn(Step) + Sync)) -> Result<bool, RegisterError> {
    let Some(plain) = &checked.plain_json else {
        return Ok(false);
    };
    let path = checked.folder.join(FILE_NAME);
    let backup = checked.folder.join(format!("{FILE_NAME}.bak"));
    let error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| RegisterError::Io {
            action,
            path,
            source,
        }
    };
    fs::copy(&path, &backup).map_err(error("write", &backup))?;
    replace_file(&path, plain.as_bytes()).map_err(error("write", &path))?;
    say(Step::Fixed(backup));
    Ok(true)
}

fn no_sdk(server: &ServerFolder) -> Option<Finding> {
    let has_requirements = server.folder.join("requirements.txt").exists();
    let (key, reason) = match server.config.language {
        Language::Python if !has_requirements && server.folder.join("pyproject.toml").exists() => (
            "pyproject.toml",
            "did not install nanograph-sdk; name it in the dependencies of the project. How the server names assets is not known, nor whether it starts",
        ),
        Language::Python => (
            "requirements.txt",
            "did not install nanograph-sdk; how the server names assets is not known, nor whether it starts",
        ),
        Language::Javascript => (
            "package.json",
            "did not install @nanograph/sdk; how the server names assets is not known, nor whether it starts",
        ),
        Language::Rust => return None,
    };
    Some(Finding::warning(key, reason))
}

/// Adds or updates the entry. What was registered meanwhile counts, too.
fn enter(
    checked: Checked,
    sdk: Option<&Sdk>,
    registry: &Registry,
) -> Result<Registered, RegisterError> {
    let changed = registry.change(|entries| {
        let now = super::check::check_among(&checked.folder, entries)?;
        let done = if now.is_usable() {
            update(entries, &now, sdk)
        } else {
            None
        };
        done.ok_or(RegisterError::Refused {
            path: now.folder,
            findings: now.findings,
        })
    })?;
    let (entry, is_new) = changed?;
    Ok(Registered {
        entry,
        is_new,
        findings: checked.findings,
    })
}

/// Puts the entry; it, and whether it is a new one. One with another uid at the same place is taken out.
fn update(entries: &mut Entries, checked: &Checked, sdk: Option<&Sdk>) -> Option<(Entry, bool)> {
    let config = checked.config.as_ref()?;
    let known = entries.at(&checked.folder).cloned();
    let is_new = known.is_none();
    let mut entry = known.unwrap_or_else(|| Entry::new(&config.server_uid));
    if entry.server_uid != config.server_uid {
        entries.remove(&entry.server_uid);
        entry.server_uid.clone_from(&config.server_uid);
    }
    entry
        .server_package_id
        .clone_from(&config.server_package_id);
    entry
        .server_display_name
        .clone_from(&config.server_display_name);
    entry.language = config.language;
    entry.path = Some(checked.folder.clone());
    if let Some(sdk) = sdk {
        entry.sdk_version = Some(sdk.version.clone());
        entry.asset_refs = Some(sdk.asset_refs);
    }
    entries.put(entry.clone());
    Some((entry, is_new))
}

//! Where the daemon keeps its things, and what is set there: flags win over variables, variables over `config.json`.
//! spec: nanograph 12.2

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nanocore::home;
use nanocore::registry::Registry;
use serde::Deserialize;
use serde_json::Value;

use super::args::PlaceArgs;
use crate::failure::{Failure, chain};

/// Longest settings file read, in bytes.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

/// A data folder as clients see it: nothing is made or locked.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder; it may not exist yet.
    pub(super) data: PathBuf,
    /// What `config.json` says.
    pub(super) settings: Settings,
}

/// `config.json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    /// Where clients find the daemon.
    pub(super) url: Option<String>,
    /// The token.
    pub(super) token: Option<String>,
    /// Where the daemon listens.
    pub(super) bind: Option<String>,
    /// The file with folders of models.
    pub(super) paths: Option<PathBuf>,
    /// The Python interpreter for virtual environments.
    pub(super) python: Option<PathBuf>,
    /// What node servers log.
    pub(super) server_log_level: Option<String>,
    /// The bucket for the contents of assets, in place of the data folder.
    pub(super) s3: Option<Bucket>,
    /// The NATS to look for servers on.
    pub(super) nats: Option<NatsSetting>,
    /// The daemon's limits.
    #[serde(default)]
    pub(super) limits: LimitSettings,
}

/// A NATS: `embedded`, `off` or an address; or an address and who we are there.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "nats must be embedded, off, an address, or an object with a url"
)]
pub(super) enum NatsSetting {
    Word(String),
    Place(NatsPlace),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NatsPlace {
    pub(super) url: String,
    pub(super) credentials: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    pub(super) tls_ca: Option<PathBuf>,
}

/// Without secrets.
impl std::fmt::Debug for NatsPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsPlace").finish_non_exhaustive()
    }
}

/// Limits: numbers, or sizes such as `"4GiB"`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitSettings {
    pub(super) active_runs: Option<Value>,
    pub(super) queued_runs: Option<Value>,
    pub(super) nodes_in_flight: Option<Value>,
    pub(super) nodes_in_flight_per_server: Option<Value>,
    pub(super) history_runs: Option<Value>,
    pub(super) history_bytes: Option<Value>,
    pub(super) max_asset_size: Option<Value>,
}

/// A bucket; its secret key is in the environment only.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bucket {
    pub(super) bucket: String,
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) access_key_id: Option<String>,
}

impl Place {
    pub(super) fn find(args: &PlaceArgs) -> Result<Self, Failure> {
        let data = args
            .data
            .clone()
            .or_else(|| variable("NANOCORE_HOME").map(Into::into));
        let data = match data {
            Some(data) => std::path::absolute(data)
                .map_err(|error| Failure::usage(format!("--data: {error}")))?,
            None => usual()?,
        };
        let settings = Settings::read(&data.join("config.json"))?;
        Ok(Self { data, settings })
    }

    pub(super) fn registry(&self) -> Registry {
        let path = variable("NANOCORE_CONFIG").map(PathBuf::from);
        Registry::new(path.unwrap_or_else(|| home::registry(&self.data)))
    }

    /// The daemon that has the folder, if one does.
    pub(super) fn holder(&self) -> Result<Option<home::Holder>, Failure> {
        home::running(&self.data).map_err(|error| Failure::servers(chain(&error)))
    }

    pub(super) fn python(&self, flag: Option<&Path>) -> PathBuf {
        flag.map(Path::to_owned)
            .or_else(|| variable("NODEWIRE_PYTHON").map(Into::into))
            .or_else(|| self.settings.python.clone())
            .unwrap_or_else(|| "python3".into())
    }
}

impl Settings {
    fn read(path: &Path) -> Result<Self, Failure> {
        let wrong =
            |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(&error)),
            Ok(file) if file.len() > SETTINGS_BYTES_MAX => {
                return Err(wrong(&format_args!(
                    "is longer than {SETTINGS_BYTES_MAX} bytes"
                )));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }
}

/// A variable; an empty one is as good as none.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `nanocore` in the user's data directory, else `~/.nanocore`.
fn usual() -> Result<PathBuf, Failure> {
    let user_data = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        // As its specification has it, a path that is not absolute is ignored.
        .filter(|path| path.is_absolute());
    if let Some(user_data) = user_data {
        return Ok(user_data.join("nanocore"));
    }
    match std::env::home_dir().filter(|home| !home.as_os_str().is_empty()) {
        Some(home) => Ok(home.join(".nanocore")),
        None => Err(Failure::usage(
            "there is no home directory; name the data folder with --data or NANOCORE_HOME",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(Settings::read(&path).unwrap().bind.is_none());
        fs::write(
            &path,
            r#"{"bind": "127.0.0.1:0", "serverLogLevel": "info"}"#,
        )
        .unwrap();
        let settings = Settings::read(&path).unwrap();
        assert_eq!(settings.bind.as_deref(), Some("127.0.0.1:0"));
        assert_eq!(settings.server_log_level.as_deref(), Some("info"));
        fs::write(&path, r#"{"bnid": "127.0.0.1:0"}"#).unwrap();
        let message = Settings::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("config.json") && message.contains("bnid"),
            "{message}"
        );
        fs::write(&path, " ".repeat(70_000)).unwrap();
        assert!(
            Settings::read(&path)
                .unwrap_err()
                .to_string()
                .contains("longer than")
        );
    }
}

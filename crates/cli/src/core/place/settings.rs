//! `config.json`

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nanocore::nats::{NatsAddress, NatsAuth};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// Longest settings file read, in bytes.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

/// What the SDKs know, in any case. spec: nanograph 2.4
const LEVELS: [&str; 6] = ["error", "warn", "warning", "info", "success", "debug"];

/// What the keys of S3 are called, here and there, without `aws`, in small letters alone.
const S3_KEYS: [&str; 6] = [
    "accesskey",
    "accesskeyid",
    "secretaccesskey",
    "secretkey",
    "securitytoken",
    "sessiontoken",
];

/// `config.json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::core) struct Settings {
    /// Where clients find the daemon.
    pub(in crate::core) url: Option<String>,
    /// The token.
    pub(in crate::core) token: Option<String>,
    /// Where the daemon listens.
    pub(in crate::core) bind: Option<String>,
    /// The file with folders of models.
    pub(in crate::core) paths: Option<PathBuf>,
    /// The Python interpreter for virtual environments.
    pub(in crate::core) python: Option<PathBuf>,
    /// What node servers log.
    pub(in crate::core) server_log_level: Option<String>,
    /// The bucket for the contents of assets, in place of the data folder.
    pub(in crate::core) s3: Option<Bucket>,
    /// The NATS to look for servers on.
    pub(in crate::core) nats: Option<NatsSetting>,
    /// The daemon's limits.
    #[serde(default)]
    pub(in crate::core) limits: LimitSettings,
}

/// A NATS: `embedded`, `off` or an address; or an address and who we are there.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "nats must be embedded, off, an address, or an object with a url"
)]
pub(in crate::core) enum NatsSetting {
    Word(String),
    Place(NatsPlace),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::core) struct NatsPlace {
    pub(in crate::core) url: String,
    pub(in crate::core) credentials: Option<PathBuf>,
    pub(in crate::core) user: Option<String>,
    pub(in crate::core) password: Option<String>,
    pub(in crate::core) token: Option<String>,
    pub(in crate::core) tls_ca: Option<PathBuf>,
}

impl NatsPlace {
    /// `None` if it says more than one way, or half of one, to be known there.
    pub(in crate::core) fn address(&self) -> Option<NatsAddress> {
        let auth = match (&self.credentials, &self.user, &self.password, &self.token) {
            (None, None, None, None) => NatsAuth::Url,
            (Some(file), None, None, None) => NatsAuth::Credentials(file.clone()),
            (None, Some(user), Some(password), None) => NatsAuth::User {
                user: user.clone(),
                password: password.clone(),
            },
            (None, None, None, Some(token)) => NatsAuth::Token(token.clone()),
            _ => return None,
        };
        Some(NatsAddress {
            url: self.url.clone(),
            auth,
            tls_ca: self.tls_ca.clone(),
        })
    }
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
pub(in crate::core) struct LimitSettings {
    pub(in crate::core) active_runs: Option<Value>,
    pub(in crate::core) queued_runs: Option<Value>,
    pub(in crate::core) nodes_in_flight: Option<Value>,
    pub(in crate::core) nodes_in_flight_per_server: Option<Value>,
    pub(in crate::core) history_runs: Option<Value>,
    pub(in crate::core) history_bytes: Option<Value>,
    pub(in crate::core) max_asset_size: Option<Value>,
}

/// A bucket; its secret key is in the environment only.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::core) struct Bucket {
    pub(in crate::core) bucket: String,
    #[serde(default)]
    pub(in crate::core) prefix: String,
    pub(in crate::core) endpoint: Option<String>,
    pub(in crate::core) region: Option<String>,
    pub(in crate::core) access_key_id: Option<String>,
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
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
        let value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        if let Some(kind) = other_than_object(&value) {
            return Err(wrong(&format_args!(
                "must be an object, such as {{\"bind\": \"127.0.0.1:3001\"}}; it is {kind}"
            )));
        }
        let settings: Self = serde_json::from_str(&text).map_err(|error| {
            let error = error.to_string();
            wrong(&format_args!("{error}{}", hint(&error)))
        })?;
        if let Some(level) = &settings.server_log_level {
            checked_level(&format!("{}: serverLogLevel", path.display()), level)?;
        }
        Ok(settings)
    }
}

/// A level that node servers know; they take any other for `info`, without a word.
pub(super) fn checked_level(named_by: &str, level: &str) -> Result<String, Failure> {
    let is_known = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    if is_known {
        return Ok(level.to_owned());
    }
    Err(Failure::usage(format!(
        "{named_by}: {level:?} is no level; expected error, warn, info or debug"
    )))
}

/// What to do about a key that is refused, where people look for one that is elsewhere.
fn hint(refused: &str) -> &'static str {
    let named = refused.split_once("unknown field `");
    let name = named.and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let letters = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphabetic);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    match name.map(letters) {
        Some(name) if S3_KEYS.contains(&name.trim_start_matches("aws")) => {
            "; keys of S3 are taken from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        }
        _ => "",
    }
}

fn other_than_object(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) => None,
        Value::Array(_) => Some("a list"),
        Value::String(_) => Some("a text"),
        Value::Number(_) => Some("a number"),
        Value::Bool(_) => Some("true or false"),
        Value::Null => Some("null"),
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

    #[test]
    fn who_looks_for_the_keys_of_s3_is_told_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let refused = |text: String| {
            fs::write(&path, text).unwrap();
            Settings::read(&path).unwrap_err().to_string()
        };
        let names = [
            "secretAccessKey",
            "secret_access_key",
            "awsAccessKeyId",
            "AWS_SECRET_ACCESS_KEY",
            "awsSecretAccessKey",
            "SessionToken",
        ];
        for name in names {
            for text in [
                format!(r#"{{"{name}": "s3cr3t"}}"#),
                format!(r#"{{"s3": {{"bucket": "a", "{name}": "s3cr3t"}}}}"#),
            ] {
                let message = refused(text);
                assert!(
                    message.contains(name)
                        && message
                            .contains("environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
                        && !message.contains("s3cr3t"),
                    "{message}"
                );
            }
        }
        let message = refused(r#"{"accessKeyId": "AKID"}"#.to_owned());
        assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");
        for other in ["keys", "awsRegion", "tokens"] {
            let message = refused(format!(r#"{{"{other}": "a"}}"#));
            assert!(!message.contains("environment"), "{message}");
        }
    }

    #[test]
    fn other_json_than_an_object_is_told_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for (text, kind) in [("[]", "a list"), ("\"x\"", "a text"), ("null", "null")] {
            fs::write(&path, text).unwrap();
            let message = Settings::read(&path).unwrap_err().to_string();
            assert!(
                message.contains("must be an object") && message.ends_with(kind),
                "{message}"
            );
        }
    }

    #[test]
    fn levels_that_no_server_knows_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, r#"{"serverLogLevel": "WARNING"}"#).unwrap();
        assert!(Settings::read(&path).is_ok());
        fs::write(&path, r#"{"serverLogLevel": "verbose"}"#).unwrap();
        let message = Settings::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("serverLogLevel: \"verbose\" is no level"),
            "{message}"
        );
    }
}

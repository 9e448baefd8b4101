//! natscli's contexts: named sets of connection settings. spec: nats-micro 12

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::connection_flags::ConnectionFlags;
use super::environment::Lookup;
use crate::failure::Failure;
use crate::terminal;

/// Keys that say nothing about a connection.
const NOT_OURS: [&str; 4] = [
    "description",
    "jetstream_domain",
    "jetstream_api_prefix",
    "jetstream_event_prefix",
];

/// What a context says; the one named, else the one that is selected, else nothing.
pub(super) fn load(named: Option<&str>, lookup: Lookup<'_>) -> Result<ConnectionFlags, Failure> {
    let Some(folder) = folder(lookup) else {
        return match named {
            Some(_) => Err(Failure::usage(
                "there is no home folder with contexts in it",
            )),
            None => Ok(ConnectionFlags::default()),
        };
    };
    if let Some(name) = named {
        return read(&folder, name, lookup);
    }
    let Some(selected) = selected(&folder) else {
        return Ok(ConnectionFlags::default());
    };
    if !file(&folder, &selected).is_some_and(|file| file.exists()) {
        warn(&format!(
            "the selected context {selected:?} does not exist; it is left out"
        ));
        return Ok(ConnectionFlags::default());
    }
    read(&folder, &selected, lookup)
}

/// `nats` below the XDG configuration folder.
fn folder(lookup: Lookup<'_>) -> Option<PathBuf> {
    let config = lookup("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(Path::new(&lookup("HOME")?).join(".config")));
    Some(config?.join("nats"))
}

fn selected(folder: &Path) -> Option<String> {
    let name = std::fs::read_to_string(folder.join("context.txt")).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Where a context is; `None` for what cannot be a name.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_name = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
    is_name.then(|| folder.join("context").join(format!("{name}.json")))
}

fn read(folder: &Path, name: &str, lookup: Lookup<'_>) -> Result<ConnectionFlags, Failure> {
    let path = file(folder, name)
        .ok_or_else(|| Failure::usage(format!("{name:?} cannot be the name of a context")))?;
    if !path.exists() {
        return Err(Failure::usage(format!(
            "there is no context {name:?}: {} does not exist",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let keys: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    understand(keys, lookup)
        .map_err(|problem| Failure::usage(format!("{}: {problem}", path.display())))
}

fn understand(mut keys: Map<String, Value>, lookup: Lookup<'_>) -> Result<ConnectionFlags, String> {
    let tls_first = match keys.remove("tls_first") {
        Some(Value::Bool(tls_first)) => tls_first,
        Some(Value::Null) | None => false,
        Some(_) => return Err("tls_first must be true or false".to_owned()),
    };
    for key in NOT_OURS {
        keys.remove(key);
    }
    let mut text = |key: &str| match keys.remove(key) {
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Null) | None => Ok(None),
        Some(_) => Err(format!("{key} must be a text")),
    };
    let path = |text: Option<String>| text.map(|text| expand_home(&text, lookup));
    let flags = ConnectionFlags {
        server: text("url")?,
        token: text("token")?,
        username: text("user")?,
        password: text("password")?,
        creds: path(text("creds")?),
        nkey: path(text("nkey")?).map(|path| path.to_string_lossy().into_owned()),
        tls_cert: path(text("cert")?),
        tls_key: path(text("key")?),
        tls_ca: path(text("ca")?),
        inbox_prefix: text("inbox_prefix")?,
        jwt: text("user_jwt")?,
        seed: text("user_seed")?,
        tls_first,
        ..ConnectionFlags::default()
    };
    let is_empty = |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value == "";
    keys.retain(|_, value| !is_empty(value));
    if !keys.is_empty() {
        let unknown: Vec<_> = keys.keys().map(String::as_str).collect();
        warn(&format!(
            "the context has settings that are not supported and left out: {}",
            unknown.join(", ")
        ));
    }
    Ok(flags)
}

fn expand_home(text: &str, lookup: Lookup<'_>) -> PathBuf {
    match (text.strip_prefix("~/"), lookup("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(text),
    }
}

fn warn(message: &str) {
    terminal::say(format_args!(
        "{} {}",
        terminal::warning_word(),
        terminal::plain(message)
    ));
}

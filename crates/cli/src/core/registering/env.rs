//! `env`: variables that a node server gets. spec: nanograph 12.1, 12.4

use nanocore::process::RESERVED_VARIABLES;
use nanocore::registry::Registry;
use serde_json::json;

use super::super::args::EnvArgs;
use super::super::place::Place;
use super::{find, registry_failed};
use crate::failure::Failure;
use crate::terminal;

pub(in crate::core) fn env(args: &EnvArgs) -> Result<(), Failure> {
    let registry = Place::find(&args.place)?.registry();
    let entry = find(&registry, &args.name)?;
    match (&args.key, &args.value) {
        (None, _) => {
            if args.json {
                terminal::json(json!(entry.env));
            } else {
                let lines = entry
                    .env
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"));
                lines.for_each(|line| terminal::result(terminal::plain(&line)));
            }
        }
        (Some(key), None) if !args.unset => {
            let value = entry.env.get(key).ok_or_else(|| {
                Failure::usage(format!(
                    "{} has no variable {key}",
                    entry.server_display_name
                ))
            })?;
            if args.json {
                terminal::json(json!(value));
            } else {
                terminal::result(value);
            }
        }
        (Some(key), value) => {
            // What was set before there was this check can still be taken away.
            if let Some(value) = value {
                check_variable(key, value)?;
            }
            set(&registry, &entry.server_uid, key, value.as_deref())?;
        }
    }
    Ok(())
}

fn set(
    registry: &Registry,
    server_uid: &str,
    key: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    let change = registry.change(|entries| {
        let entry = entries.get_mut(server_uid)?;
        match value {
            Some(value) => entry.env.insert(key.to_owned(), value.to_owned()),
            None => entry.env.remove(key),
        };
        Some(())
    });
    let changed = change.map_err(|error| registry_failed(&error))?;
    changed.ok_or_else(|| Failure::failed("the server was unregistered meanwhile"))
}

/// What no process could be given, and what would not count.
fn check_variable(key: &str, value: &str) -> Result<(), Failure> {
    let is_odd = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    if key.is_empty() || key.contains(is_odd) {
        return Err(Failure::usage(format!(
            "{key:?} is no name of a variable: it is one word without ="
        )));
    }
    if RESERVED_VARIABLES.contains(&key) {
        return Err(Failure::usage(format!(
            "{key} is set by the daemon for each server, so that a value of yours would not count{}",
            instead(key)
        )));
    }
    if value.contains('\0') {
        return Err(Failure::usage(
            "a variable's value cannot have a NUL character",
        ));
    }
    Ok(())
}

/// Where it is said what the daemon sets.
fn instead(key: &str) -> &'static str {
    match key {
        "PORT" => "; set \"port\" in the server's nanoserver.json, or in the registry",
        "DOMAIN" | "SERVER_UID" | "SERVER_PACKAGE_ID" | "SERVER_DISPLAY_NAME" | "SERVER_NAME" => {
            "; set it in the server's nanoserver.json, then register the server again"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_not_count_are_refused() {
        let refused = |key: &str| check_variable(key, "x").unwrap_err().to_string();
        for odd in ["", "A B", "A=B", "A\tB", " A", "A\0"] {
            assert!(refused(odd).contains("is no name of a variable"), "{odd:?}");
        }
        for reserved in RESERVED_VARIABLES {
            assert!(refused(reserved).starts_with(reserved), "{reserved}");
        }
        assert!(refused("PORT").contains("\"port\" in the server's nanoserver.json"));
        for good in ["HF_HOME", "npm_config_//registry/:_token", "PATH", "port"] {
            assert!(check_variable(good, "").is_ok(), "{good}");
        }
    }
}

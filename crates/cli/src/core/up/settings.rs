//! What the daemon is started with: flags, else variables, else `config.json`. spec: nanograph 12.2

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanocore::assets::Token;
use nanocore::daemon::DaemonOptions;
use nanocore::process::Tools;
use serde::Deserialize;

use super::super::args::UpArgs;
use super::super::place::{Place, variable};
use crate::failure::Failure;

/// Longest file of model folders read, in bytes.
const PATHS_BYTES_MAX: u64 = 1 << 20;

pub(super) fn options(args: &UpArgs, place: &Place) -> Result<DaemonOptions, Failure> {
    let settings = &place.settings;
    let mut options = DaemonOptions::new(&place.data);
    let bind = args
        .bind
        .clone()
        .or_else(|| variable("NANOCORE_BIND"))
        .or_else(|| settings.bind.clone());
    if let Some(bind) = bind {
        options.bind = bind.parse().map_err(|_| {
            Failure::usage(format!(
                "--bind {bind}: expected an address and a port, such as 127.0.0.1:3001"
            ))
        })?;
    }
    options.token = place.token(args.token.as_deref())?.map(Token::new);
    options.registry = Some(place.registry().path().to_owned());
    options.tools = Tools {
        python: place.usable_python(args.python.as_deref())?,
        path: std::env::var_os("PATH"),
        ..Tools::default()
    };
    options.supervisor.log_level = place.server_log_level(args.server_log_level.as_deref())?;
    options.supervisor.watch = args.watch;
    options.supervisor.drain_timeout = Duration::from_secs(args.drain_timeout);
    options.runs.resume = args.resume;
    super::limits::apply(&args.limits, &settings.limits, &mut options)?;
    options.api.allow_origins.clone_from(&args.allow_origin);
    let paths = args
        .paths
        .clone()
        .or_else(|| variable("NANOCORE_PATHS").map(Into::into));
    if let Some(file) = paths.or_else(|| settings.paths.clone()) {
        let paths = model_paths(&file)?;
        options.supervisor.env = path_variables(&file, &paths);
        options.api.model_paths = paths;
    }
    if let Some(bucket) = place.bucket()? {
        options.assets.contents = bucket;
    }
    Ok(options)
}

/// The file with folders of models.
#[derive(Debug, Deserialize)]
struct PathsFile {
    paths: BTreeMap<String, PathBuf>,
}

fn model_paths(file: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let wrong =
        |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file)
        .map_err(|error| wrong(&error))?
        .len();
    if length > PATHS_BYTES_MAX {
        return Err(wrong(&format_args!(
            "is longer than {PATHS_BYTES_MAX} bytes"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let read: PathsFile = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    match read.paths.iter().find(|(_, path)| !path.is_absolute()) {
        Some((kind, _)) => Err(wrong(&format_args!(
            "the folder of {kind} must start with /"
        ))),
        None => Ok(read.paths),
    }
}

/// What servers get to know of them.
fn path_variables(file: &Path, paths: &BTreeMap<String, PathBuf>) -> Vec<(String, String)> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let named = |(kind, path): (&String, &PathBuf)| {
        let letter = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        let kind: String = kind.chars().map(letter).collect();
        (format!("NANOCORE_PATH_{kind}"), path.display().to_string())
    };
    let own = ("NANOCORE_PATHS".to_owned(), file.display().to_string());
    std::iter::once(own)
        .chain(paths.iter().map(named))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_models_are_read_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("paths.json");
        std::fs::write(&file, r#"{"paths": {"lo-ra": "/models/lora"}}"#).unwrap();
        let paths = model_paths(&file).unwrap();
        let variables = path_variables(&file, &paths);
        assert_eq!(
            variables[0],
            ("NANOCORE_PATHS".into(), file.display().to_string())
        );
        assert_eq!(
            variables[1],
            ("NANOCORE_PATH_LO_RA".into(), "/models/lora".into())
        );
        std::fs::write(&file, r#"{"paths": {"lora": "models"}}"#).unwrap();
        assert!(
            model_paths(&file)
                .unwrap_err()
                .to_string()
                .contains("must start with /")
        );
    }
}

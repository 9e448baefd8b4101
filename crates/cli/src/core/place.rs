//! Where the daemon keeps its things, and what is set there: flags win over variables, variables over `config.json`.
//! spec: nanograph 12.2

mod settings;

use std::path::{Path, PathBuf};

use nanocore::assets::{Contents, S3};
use nanocore::home;
use nanocore::registry::Registry;
use nix::unistd::{AccessFlags, access};

use super::args::PlaceArgs;
use crate::failure::{Failure, chain};
use settings::checked_level;
pub(super) use settings::{LimitSettings, NatsPlace, NatsSetting, Settings};

const LEVEL_VARIABLE: &str = "NODEWIRE_SERVER_LOG_LEVEL";

/// A data folder as clients see it: nothing is made or locked.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder; it may not exist yet.
    pub(super) data: PathBuf,
    /// What `config.json` says.
    pub(super) settings: Settings,
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

    /// The daemon's token, if somebody gives one.
    pub(super) fn token(&self, flag: Option<&str>) -> Result<Option<String>, Failure> {
        let given = flag
            .map(str::to_owned)
            .or_else(|| variable("NANOCORE_TOKEN"))
            .or_else(|| variable("ASSET_API_TOKEN"))
            .or_else(|| self.settings.token.clone());
        let is_usable = |token: &String| {
            !token.is_empty() && !token.contains(char::is_control) && token.trim() == token
        };
        if given.as_ref().is_some_and(|token| !is_usable(token)) {
            return Err(Failure::usage(
                "the token (--token, NANOCORE_TOKEN, ASSET_API_TOKEN or config.json) must have no control characters, and no blanks at its ends",
            ));
        }
        Ok(given)
    }

    pub(super) fn registry(&self) -> Registry {
        let path = variable("NANOCORE_CONFIG").map(PathBuf::from);
        Registry::new(path.unwrap_or_else(|| home::registry(&self.data)))
    }

    /// The daemon that has the folder, if one does.
    pub(super) fn holder(&self) -> Result<Option<home::Holder>, Failure> {
        home::running(&self.data).map_err(|error| Failure::servers(chain(&error)))
    }

    /// The Python interpreter for virtual environments, whether there is one or not.
    pub(super) fn python(&self, flag: Option<&Path>) -> PathBuf {
        let named = self.named_python(flag);
        named.map_or_else(|| "python3".into(), |(_, python)| python)
    }

    /// The same, checked if somebody named it: before a server needs it.
    pub(super) fn usable_python(&self, flag: Option<&Path>) -> Result<PathBuf, Failure> {
        let Some((named_by, python)) = self.named_python(flag) else {
            return Ok("python3".into());
        };
        program(&python).ok_or_else(|| {
            Failure::usage(format!(
                "{named_by}: there is no program {} that can be run",
                python.display()
            ))
        })
    }

    /// Where it is named, and what is named there.
    pub(super) fn named_python(&self, flag: Option<&Path>) -> Option<(&'static str, PathBuf)> {
        let set = || self.settings.python.clone();
        flag.map(|flag| ("--python", flag.to_owned()))
            .or_else(|| Some(("NODEWIRE_PYTHON", variable("NODEWIRE_PYTHON")?.into())))
            .or_else(|| Some(("python in config.json", set()?)))
    }

    /// What node servers are to log.
    pub(super) fn server_log_level(&self, flag: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(level) = flag {
            return checked_level("--server-log-level", level).map(Some);
        }
        match variable(LEVEL_VARIABLE) {
            Some(level) => checked_level(LEVEL_VARIABLE, &level).map(Some),
            None => Ok(self.settings.server_log_level.clone()),
        }
    }

    /// The bucket for the contents of assets, if one is set. Its keys come from the environment.
    pub(super) fn bucket(&self) -> Result<Option<Contents>, Failure> {
        let Some(bucket) = &self.settings.s3 else {
            return Ok(None);
        };
        let key = variable("AWS_ACCESS_KEY_ID").or_else(|| bucket.access_key_id.clone());
        let s3 = S3 {
            bucket: bucket.bucket.clone(),
            prefix: bucket.prefix.clone(),
            endpoint: bucket.endpoint.clone(),
            region: bucket.region.clone(),
            access_key_id: key.unwrap_or_default(),
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY").unwrap_or_default(),
            session_token: variable("AWS_SESSION_TOKEN"),
        };
        let contents = s3.contents();
        let contents = contents
            .map_err(|error| Failure::usage(format!("s3 in config.json: {}", chain(&error))))?;
        Ok(Some(contents))
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

/// Where a program is: on the `PATH`, unless it is named with a folder.
fn program(name: &Path) -> Option<PathBuf> {
    let can_run = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if name.components().count() > 1 {
        // Servers' folders are not ours.
        return std::path::absolute(name).ok().filter(|path| can_run(path));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&folders).any(|folder| can_run(&folder.join(name)));
    is_there.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_named_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = |python: &str| Place {
            data: folder.path().to_owned(),
            settings: Settings {
                python: Some(python.into()),
                ..Settings::default()
            },
        };
        // Programs that are there wherever tests run.
        for there in ["sh", "/bin/sh"] {
            assert_eq!(place(there).usable_python(None).unwrap(), Path::new(there));
        }
        for missing in ["/nowhere/python", "no-such-python", "/tmp"] {
            let refused = place("sh").usable_python(Some(missing.as_ref()));
            let message = refused.unwrap_err().to_string();
            assert!(
                message.starts_with("--python: ") && message.contains(missing),
                "{message}"
            );
        }
        let message = place("/nowhere/python").usable_python(None).unwrap_err();
        assert!(message.to_string().starts_with("python in config.json: "));
    }
}

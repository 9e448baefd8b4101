//! Programs that prepare a server: pip, npm, cargo.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};

use super::error::{Exit, ProcessError};
use super::lines::{Ring, read_lines};
use super::signals::with_default_signals;

/// How long a preparing program may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Last lines told when it fails.
const LINES_TOLD: usize = 25;
/// Longest line read; cargo's JSON lists all files of a crate in one.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Variables that the daemon and its commands take a token from.
const OWN_KEYS: [&str; 2] = ["ASSET_API_TOKEN", "NANOCORE_TOKEN"];

/// A child and its process group, which end together.
#[derive(Debug)]
pub(super) struct Group(pub(super) Box<dyn ChildWrapper>);

impl Group {
    /// Starts the program as leader of a new group, without standard input, with both outputs piped.
    pub(super) fn spawn(
        program: &OsStr,
        arguments: &[OsString],
        folder: &Path,
        environment: &[(OsString, OsString)],
    ) -> Result<Self, ProcessError> {
        let (first, rest) = with_default_signals(program, arguments);
        let mut command = CommandWrap::with_new(first, |command| {
            command.args(rest).current_dir(folder);
            set_environment(command.as_std_mut(), environment);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        let spawned = command.wrap(ProcessGroup::leader()).spawn();
        spawned.map(Self).map_err(|source| ProcessError::Spawn {
            program: program.to_string_lossy().into_owned(),
            source,
        })
    }
}

/// What the process itself has, but for its own keys: they open more than a server's token does.
fn set_environment(command: &mut std::process::Command, environment: &[(OsString, OsString)]) {
    for name in OWN_KEYS {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails if nothing is left of the group.
        let _ = self.0.start_kill();
    }
}

/// A program to run to its end.
pub(super) struct Tool<'a> {
    pub(super) program: &'a OsStr,
    pub(super) arguments: Vec<OsString>,
    pub(super) folder: &'a Path,
}

impl Tool<'_> {
    /// Runs it; every line it prints is given to `say`.
    ///
    /// Cancel safety: if dropped, the program and what it started are killed.
    pub(super) async fn run(&self, say: &(dyn Fn(&str) + Sync)) -> Result<(), ProcessError> {
        self.run_with(say, say).await
    }

    /// Runs it; lines of standard output are given to `take`, those of standard error to `say`.
    pub(super) async fn run_with(
        &self,
        mut take: impl FnMut(&str),
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), ProcessError> {
        let mut group = Group::spawn(self.program, &self.arguments, self.folder, &[])?;
        let ring = Ring::new(LINES_TOLD);
        let (stdout, stderr) = (group.0.stdout().take(), group.0.stderr().take());
        let read_stdout = async {
            if let Some(stdout) = stdout {
                read_lines(stdout, LINE_BYTES_MAX, &mut take).await;
            }
        };
        let read_stderr = async {
            if let Some(stderr) = stderr {
                let both = |line: &str| {
                    ring.push(line);
                    say(line);
                };
                read_lines(stderr, LINE_BYTES_MAX, both).await;
            }
        };
        let ended = async { tokio::join!(group.0.wait(), read_stdout, read_stderr).0 };
        let status = tokio::time::timeout(TOOL_TIMEOUT, ended)
            .await
            .map_err(|_| ProcessError::ToolTimeout {
                command: self.to_string(),
                after: TOOL_TIMEOUT,
            })?
            .map_err(|source| ProcessError::Io {
                action: format!("wait for `{self}`"),
                source,
            })?;
        if status.success() {
            return Ok(());
        }
        let exit = Exit {
            status: status.to_string(),
            success: false,
            last_lines: ring.last(LINES_TOLD),
        };
        Err(ProcessError::Tool {
            command: self.to_string(),
            exit,
        })
    }
}

impl std::fmt::Display for Tool<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program.to_string_lossy())?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_their_own_token_and_never_the_daemons() {
        let mut command = std::process::Command::new("true");
        set_environment(&mut command, &[("NANOCORE_TOKEN".into(), "own".into())]);
        let environment: Vec<_> = command.get_envs().collect();
        assert_eq!(
            environment,
            [
                (OsStr::new("ASSET_API_TOKEN"), None),
                (OsStr::new("NANOCORE_TOKEN"), Some(OsStr::new("own"))),
            ]
        );
    }
}

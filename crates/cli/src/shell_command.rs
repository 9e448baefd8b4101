//! A shell command that answers something: bounded in time and output, and killed with all that it started.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How much of its standard error is kept: the end.
const ERROR_BYTES_KEPT: usize = 4096;
/// How long a description may be.
const DESCRIPTION_CHARS_MAX: usize = 200;

/// A command line with its bounds.
#[derive(Debug, Clone)]
pub(crate) struct ShellCommand {
    /// What `sh -c` runs.
    pub(crate) line: String,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How much it may print.
    pub(crate) output_bytes_max: usize,
}

/// What a command is given.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    /// What its standard input is.
    pub(crate) input: &'a [u8],
    /// What the names of its variables begin with: others that do are taken away, since they say nothing of this.
    pub(crate) prefix: &'a str,
    /// Its variables, with their whole names.
    pub(crate) variables: &'a [(String, String)],
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    errors: Vec<u8>,
}

/// Why a command has not ended by itself.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error("the command printed more than {bytes_max} bytes")]
    TooMuch { bytes_max: usize },
    #[error("the command took longer than {} s", .0.as_secs_f64())]
    TooLong(Duration),
    #[error("the command cannot be run")]
    Io(#[from] io::Error),
}

impl ShellCommand {
    /// Runs it to its end. Dropping the future kills the command.
    pub(crate) async fn run(&self, given: &Given<'_>) -> Result<Ended, RunError> {
        let running = self.start(given)?;
        let ended = timeout(self.timeout, self.finish(running, given.input)).await;
        ended.map_err(|_| RunError::TooLong(self.timeout))?
    }

    fn start(&self, given: &Given<'_>) -> io::Result<Running> {
        let mut command = CommandWrap::with_new("sh", |command| {
            // What this process was started with, if it is itself such a command.
            std::env::vars_os()
                .filter(|(name, _)| name.as_encoded_bytes().starts_with(given.prefix.as_bytes()))
                .for_each(|(name, _)| {
                    command.env_remove(name);
                });
            command
                .args(["-c", &self.line])
                .envs(given.variables.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        command.wrap(ProcessGroup::leader()).spawn().map(Running)
    }

    /// Ends when the command and all that has its outputs have ended, or at once when it prints too much.
    async fn finish(&self, mut running: Running, input: &[u8]) -> Result<Ended, RunError> {
        let child = &mut running.0;
        let stdin = child.stdin().take();
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A command need not read its input.
                let _ = stdin.write_all(input).await;
            }
            Ok(())
        };
        let read = async {
            match stdout {
                Some(stdout) => read_at_most(stdout, self.output_bytes_max).await,
                None => Ok(Vec::new()),
            }
        };
        let errors = async {
            match stderr {
                Some(stderr) => Ok(read_end(stderr).await?),
                None => Ok(Vec::new()),
            }
        };
        let ((), output, errors) = tokio::try_join!(write, read, errors)?;
        Ok(Ended {
            status: child.wait().await?,
            output,
            errors,
        })
    }
}

impl Ended {
    /// The last line that it wrote on standard error and that says something.
    pub(crate) fn description(&self) -> String {
        let text = String::from_utf8_lossy(&self.errors);
        let mut lines = text.lines().rev().map(str::trim);
        lines.find(|line| !line.is_empty()).map_or_else(
            || format!("the command ended with {}", self.status),
            |line| {
                line.chars()
                    .filter(|c| !c.is_control())
                    .take(DESCRIPTION_CHARS_MAX)
                    .collect()
            },
        )
    }

    /// As shells have it: 128 and the number of the signal that ended it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        let signal = || self.status.signal().map(|signal| 128 + signal);
        self.status.code().or_else(signal)
    }
}

/// A running command. Dropping it kills all of its processes.
struct Running(Box<dyn ChildWrapper>);

impl Drop for Running {
    fn drop(&mut self) {
        // It fails when nothing is left.
        let _ = self.0.start_kill();
    }
}

async fn read_at_most(from: impl AsyncRead + Unpin, bytes_max: usize) -> Result<Vec<u8>, RunError> {
    let mut output = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut from = from.take(limit.saturating_add(1));
    from.read_to_end(&mut output).await?;
    if output.len() > bytes_max {
        return Err(RunError::TooMuch { bytes_max });
    }
    Ok(output)
}

/// The end of what there is.
async fn read_end(mut from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = [0; ERROR_BYTES_KEPT];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&chunk[..read]);
        kept.drain(..kept.len().saturating_sub(ERROR_BYTES_KEPT));
    }
}

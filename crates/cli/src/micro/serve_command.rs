//! A shell command that answers a request.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nats_micro::{HeaderMap, Reply, Request, ServiceError};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How much of its standard error is kept: the end.
const ERROR_BYTES_KEPT: usize = 4096;
/// How long a description may be.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// What headers may take in the command's environment; the system limits a variable to 128 KiB.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// What the variables of a request begin with.
const VARIABLES: &str = "NATS_REQUEST_";
/// The header of an error reply with the status that the command ended with.
const EXIT_CODE: &str = "Nodewire-Exit-Code";

/// A command line with its bounds.
#[derive(Debug)]
pub(super) struct ServedCommand {
    pub(super) line: String,
    pub(super) timeout: Duration,
    pub(super) output_bytes_max: usize,
}

/// A running command. Dropping it kills all of its processes.
struct Running(Box<dyn ChildWrapper>);

impl Drop for Running {
    fn drop(&mut self) {
        // It fails when nothing is left.
        let _ = self.0.start_kill();
    }
}

/// How a command ended.
struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Why a command has not ended by itself.
#[derive(Debug, Error)]
enum RunError {
    #[error("the command printed more than {bytes_max} bytes")]
    TooMuch { bytes_max: usize },
    #[error("the command cannot be run")]
    Io(#[from] io::Error),
}

impl From<RunError> for ServiceError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::TooMuch { .. } => Self::new(500, error.to_string()),
            RunError::Io(_) => Self::internal(error),
        }
    }
}

impl ServedCommand {
    /// Dropping the future kills the command.
    pub(super) async fn answer(&self, request: &Request) -> Result<Reply, ServiceError> {
        let environment = environment(request)?;
        let running = self.start(&environment).map_err(RunError::Io)?;
        let ended = timeout(self.timeout, self.finish(running, request.payload())).await;
        let Ok(ended) = ended else {
            let seconds = self.timeout.as_secs_f64();
            let description = format!("the command took longer than {seconds} s");
            return Err(ServiceError::new(504, description));
        };
        let Ended {
            status,
            output,
            errors,
        } = ended?;
        if status.success() {
            return Ok(Reply::new(output));
        }
        let error = ServiceError::new(500, description(&errors, status)).with_payload(output);
        Err(match exit_code(status) {
            Some(code) => error.with_header(EXIT_CODE, &code.to_string()),
            None => error,
        })
    }

    fn start(&self, environment: &[(String, String)]) -> io::Result<Running> {
        let mut command = CommandWrap::with_new("sh", |command| {
            // What this process was started with, if it is itself such a command, says nothing of the request.
            std::env::vars_os()
                .filter(|(name, _)| name.as_encoded_bytes().starts_with(VARIABLES.as_bytes()))
                .for_each(|(name, _)| {
                    command.env_remove(name);
                });
            command
                .args(["-c", &self.line])
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        command.wrap(ProcessGroup::leader()).spawn().map(Running)
    }

    /// Ends when the command and all that has its outputs have ended, or at once when it prints too much.
    async fn finish(&self, mut running: Running, payload: &[u8]) -> Result<Ended, RunError> {
        let child = &mut running.0;
        let stdin = child.stdin().take();
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A command need not read its input.
                let _ = stdin.write_all(payload).await;
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

/// The last line that says something.
fn description(errors: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(errors);
    let last = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    last.map_or_else(
        || format!("the command ended with {status}"),
        |line| {
            line.chars()
                .filter(|c| !c.is_control())
                .take(DESCRIPTION_CHARS_MAX)
                .collect()
        },
    )
}

/// As shells have it: 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> Option<i32> {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
}

fn environment(request: &Request) -> Result<Vec<(String, String)>, ServiceError> {
    let mut variables = vec![(format!("{VARIABLES}SUBJECT"), request.subject().to_owned())];
    let Some(headers) = request.headers() else {
        variables.push((format!("{VARIABLES}HEADERS"), "{}".to_owned()));
        return Ok(variables);
    };
    let all = all(headers);
    let bytes: usize = all
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| name.len() + value.len()))
        .sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(ServiceError::new(
            431,
            format!("the headers have more than {HEADER_BYTES_MAX} bytes"),
        ));
    }
    if all.values().flatten().any(|value| value.contains('\0')) {
        return Err(ServiceError::bad_request("a header has a NUL character"));
    }
    for (name, values) in &all {
        let value = values.first().map(|value| (*value).to_owned());
        variables.push((variable(name), value.unwrap_or_default()));
    }
    variables.push((
        format!("{VARIABLES}HEADERS"),
        serde_json::to_string(&all).map_err(ServiceError::internal)?,
    ));
    Ok(variables)
}

fn all(headers: &HeaderMap) -> BTreeMap<&str, Vec<&str>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        all.entry(name)
            .or_default()
            .extend(values.iter().map(|value| value.as_str()));
    }
    all
}

fn variable(header: &str) -> String {
    let name = header.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    format!("{VARIABLES}HEADER_{}", name.collect::<String>())
}

//! Autotrainer services and clients of the real `auto-trainer-api`, and its console.

mod client;
mod service;

use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

pub use client::{AutotrainerClient, ZmqMessage};
pub use service::{AutotrainerService, AutotrainerServiceOptions};

use crate::{PeerProcess, installed, scripts};

/// Longer than a service takes, which answers within 50 ms unless its delegate waits.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// Which release of `auto-trainer-api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub enum AutotrainerVersion {
    V0_9_11,
    V0_12_0,
}

impl AutotrainerVersion {
    /// All that are tested against.
    pub const ALL: [Self; 2] = [Self::V0_9_11, Self::V0_12_0];

    /// As on the package index, and in its heartbeats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_9_11 => "0.9.11",
            Self::V0_12_0 => "0.12.0",
        }
    }

    fn python(self, script: &str) -> anyhow::Result<Command> {
        let python = format!("auto-trainer-{}/bin/python", self.as_str());
        let mut command = Command::new(installed(&python)?);
        command
            .arg(scripts("autotrainer").join(script))
            .env_clear()
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

/// The interactive console of 0.9.11, rebuilt with the commands of a release. Dropping it kills it.
#[derive(Debug)]
pub struct AutotrainerConsole {
    process: PeerProcess,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl AutotrainerConsole {
    /// Starts it for the service whose command endpoint this is, which need not be there yet.
    ///
    /// # Errors
    /// The release is not installed.
    pub fn start(version: AutotrainerVersion, command_endpoint: &str) -> anyhow::Result<Self> {
        let mut command = version.python("console.py")?;
        command.arg(command_endpoint);
        let (process, input, output) = PeerProcess::spawn_dialogue(command)?;
        Ok(Self {
            process,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// Enters a line and returns what it prints: `start` and `stop` print the reply as it came, `configuration` and
    /// `status` the parsed reply.
    ///
    /// When the future is dropped, what the line causes is printed at the next call.
    ///
    /// # Errors
    /// It has ended, as after `quit`, or the service does not answer.
    pub async fn enter(&mut self, line: &str) -> anyhow::Result<String> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        let printed = tokio::time::timeout(LINE_TIMEOUT, self.output.next_line()).await;
        printed
            .context("the console does not answer")??
            .with_context(|| format!("the console has ended; it printed:\n{}", self.logs()))
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        &mut self.process
    }

    /// What it printed to its standard error so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }
}

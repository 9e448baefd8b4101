//! The programs that are measured. All take the same arguments: `serve TRANSPORT CERTIFICATE`, `load LOAD`, `idle IDLE`; only
//! our own program also `publish FAN-OUT` and `receive FAN-OUT`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nodewire_testkit::peers_dir;

use super::{FanOut, Idle, Load, Outcome, Transport};
use crate::process::{ServerProcess, pinned};

/// A program for both ends, and what stands before its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    /// Of its row.
    pub name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    patience: Duration,
}

/// Shorter than what QUIC takes for a lost connection, so that what has stalled is told from what has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// One round trip may take 17 s.
const PATIENCE_WITH_PYTHON: Duration = Duration::from_secs(45);

impl Program {
    /// This program, with what it has to be told.
    ///
    /// # Errors
    /// Its own path is unknown.
    pub fn own(name: &'static str, args: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            name,
            program,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            patience: PATIENCE,
        })
    }

    /// The reference.
    #[must_use]
    pub fn nnrp_py() -> Self {
        let args = ["-I", "-B", "-c", include_str!("peer.py")];
        Self {
            name: "nnrp-py 1.0.0rc2",
            program: peers_dir().join("nnrp-py-1.0.0rc2/bin/python"),
            args: args.map(str::to_owned).into(),
            patience: PATIENCE_WITH_PYTHON,
        }
    }

    /// The later preview's runtime, built on its own by `cargo xtask bench`.
    #[must_use]
    pub fn nnrp_runtime() -> Self {
        let target = peers_dir().with_file_name("nnrp-runtime");
        Self {
            name: "nnrp-runtime preview.4.26",
            program: target.join("release/nnrp-runtime-peer"),
            args: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Whether it is this program, which can do more.
    #[must_use]
    pub fn is_own(&self) -> bool {
        std::env::current_exe().is_ok_and(|own| own == self.program)
    }

    /// Starts a server on a free port.
    ///
    /// # Errors
    /// It does not start.
    pub fn serve(
        &self,
        transport: Transport,
        certificate: &Path,
        core: Option<u32>,
    ) -> anyhow::Result<ServerProcess> {
        let transport = serde_json::to_value(transport)?;
        let mut command = self.command("serve", core);
        command
            .arg(transport.as_str().unwrap_or_default())
            .arg(certificate);
        self.start(command, "listening ")
    }

    /// Starts a program that goes on, and waits for the line that begins like this.
    fn start(&self, mut command: Command, line: &str) -> anyhow::Result<ServerProcess> {
        // What it says when the other end has left is of no interest.
        command.stderr(Stdio::null());
        ServerProcess::told(command, |said| said.strip_prefix(line).map(str::to_owned))
            .with_context(|| format!("{} does not start", self.name))
    }

    /// Puts load on a server; `None` if it is not done in time.
    ///
    /// # Errors
    /// It has failed.
    pub fn load(&self, load: &Load, core: Option<u32>) -> anyhow::Result<Option<Outcome>> {
        let mut command = self.command("load", core);
        command.arg(serde_json::to_string(load)?);
        self.finish(command)
    }

    /// Opens sessions, and keeps them until it is dropped.
    ///
    /// # Errors
    /// It has failed.
    pub fn open_idle(&self, idle: &Idle) -> anyhow::Result<ServerProcess> {
        let mut command = self.command("idle", None);
        command.arg(serde_json::to_string(idle)?);
        self.start(command, "open")
    }

    /// Starts a sender.
    ///
    /// # Errors
    /// It does not start.
    pub fn publish(&self, fan_out: &FanOut) -> anyhow::Result<ServerProcess> {
        let mut command = self.command("publish", None);
        command.arg(serde_json::to_string(fan_out)?);
        self.start(command, "listening ")
    }

    /// Receives what a sender sends; `None` if it is not done in time.
    ///
    /// # Errors
    /// It has failed.
    pub fn receive(&self, fan_out: &FanOut) -> anyhow::Result<Option<Outcome>> {
        let mut command = self.command("receive", None);
        command.arg(serde_json::to_string(fan_out)?);
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> anyhow::Result<Option<Outcome>> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let deadline = Instant::now() + self.patience;
        while child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{} has failed", self.name);
        Ok(Some(serde_json::from_slice(&output.stdout)?))
    }

    fn command(&self, what: &str, core: Option<u32>) -> Command {
        let mut command = pinned(&self.program, core);
        command.args(&self.args).arg(what);
        command
    }
}

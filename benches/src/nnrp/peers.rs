//! The programs that are measured. All take the same arguments: `serve TRANSPORT CERTIFICATE`, `load LOAD`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nodewire_testkit::peers_dir;

use super::{Load, Outcome, Transport};
use crate::process::{ServerProcess, pinned};

/// A program for both ends, and what stands before its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    /// Of its row.
    pub name: &'static str,
    program: PathBuf,
    args: Vec<String>,
}

impl Program {
    /// This program.
    ///
    /// # Errors
    /// Its own path is unknown.
    pub fn own(name: &'static str, role: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            name,
            program,
            args: vec![role.to_owned()],
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
        }
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
        let mut command = self.command(core);
        command
            .args(["serve", transport.as_str().unwrap_or_default()])
            .arg(certificate);
        // What it says when its client has left is of no interest.
        command.stderr(Stdio::null());
        ServerProcess::told(command, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })
        .with_context(|| format!("{} does not start", self.name))
    }

    /// Puts load on a server; `None` if it is not done in time.
    ///
    /// # Errors
    /// It has failed.
    pub fn load(
        &self,
        load: &Load,
        core: Option<u32>,
        patience: Duration,
    ) -> anyhow::Result<Option<Outcome>> {
        let mut command = self.command(core);
        command.arg("load").arg(serde_json::to_string(load)?);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let deadline = Instant::now() + patience;
        while child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}: the load failed", self.name);
        Ok(Some(serde_json::from_slice(&output.stdout)?))
    }

    fn command(&self, core: Option<u32>) -> Command {
        let mut command = pinned(&self.program, core);
        command.args(&self.args);
        command
    }
}

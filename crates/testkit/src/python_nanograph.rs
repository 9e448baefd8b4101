//! A node server made with the real Python SDK.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{PeerProcess, copy_dir, free_port, peers_dir, scripts};

/// Loading the SDK takes a second or two, more on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Which release of `nanograph-sdk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub enum SdkVersion {
    V0_1_22,
    V0_2_3,
}

impl SdkVersion {
    /// All that are tested against.
    pub const ALL: [Self; 2] = [Self::V0_1_22, Self::V0_2_3];

    /// As on the package index.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_22 => "0.1.22",
            Self::V0_2_3 => "0.2.3",
        }
    }

    /// The interpreter of the environment that has this release.
    ///
    /// # Errors
    /// The environment is not there.
    pub fn python(self) -> anyhow::Result<PathBuf> {
        let python = peers_dir().join(format!("nanograph-{}/bin/python", self.as_str()));
        ensure!(
            python.exists(),
            "nanograph-sdk {} is not installed ({} is missing): run `cargo xtask test`, which installs it",
            self.as_str(),
            python.display()
        );
        Ok(python)
    }
}

/// A running server with the nodes in `peers/nanograph`, in its own copy of that folder.
#[derive(Debug)]
pub struct PythonNodeServer {
    version: SdkVersion,
    process: PeerProcess,
    project: TempDir,
    port: u16,
}

impl PythonNodeServer {
    /// Starts a server on a free loopback port and waits until it is ready.
    ///
    /// # Errors
    /// The SDK is not installed, or the server does not start.
    pub async fn start(version: SdkVersion) -> anyhow::Result<Self> {
        let project = tempfile::tempdir()?;
        copy_dir(&scripts("nanograph"), project.path())?;
        let mut attempts = 0;
        loop {
            let port = free_port()?;
            attempts += 1;
            match launch(version, project.path(), port).await {
                Ok(process) => {
                    return Ok(Self {
                        version,
                        process,
                        project,
                        port,
                    });
                }
                // Somebody else may take the port between the choice and the start.
                Err(error)
                    if attempts < 3 && error.to_string().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts it again after its end, in the same place and on the same port.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = launch(self.version, self.project.path(), self.port).await?;
        Ok(())
    }

    /// Its WebSocket address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Its folder, with `nodes/<uid>/node.py`.
    #[must_use]
    pub fn project(&self) -> &Path {
        self.project.path()
    }

    /// What it printed so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut PeerProcess {
        &mut self.process
    }

    /// Kills it without warning and waits for its end.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.signal("KILL")?;
        self.process.wait(Duration::from_secs(10)).await?;
        Ok(())
    }
}

async fn launch(version: SdkVersion, project: &Path, port: u16) -> anyhow::Result<PeerProcess> {
    let mut command = Command::new(version.python()?);
    command.arg("main.py").current_dir(project).env_clear();
    command
        .env("PORT", port.to_string())
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
        .env("NANOCORE_HTTP_ENDPOINT", "http://127.0.0.1:3001")
        .env("NANOCORE_TOKEN", "tok");
    let mut process = PeerProcess::spawn(command)?;
    // spec: nanograph 2.2
    process
        .wait_for_output("[NANOSERVER_READY]", START_TIMEOUT)
        .await?;
    Ok(process)
}

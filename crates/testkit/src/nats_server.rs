//! The real `nats-server`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::{PeerProcess, find_program, peers_dir};

/// It starts within milliseconds, but not on a machine that is busy compiling.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that ends gently closes its connections first.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a port that was ours is tried again while somebody else has it.
const PORT_ATTEMPTS: usize = 20;

/// What it prints when a port is taken.
const PORT_TAKEN: &str = "address already in use";

/// What it prints before the address it listens on.
const LISTENING: &str = "Listening for client connections on 127.0.0.1:";

/// How a server is to be started; made by [`NatsServer::options`].
#[derive(Debug, Clone, Default)]
pub struct NatsServerOptions {
    config: String,
}

impl NatsServerOptions {
    /// Clients must give this name and password.
    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Self {
        self.config(&format!(
            "authorization {{ user: \"{name}\", password: \"{password}\" }}"
        ))
    }

    /// Clients must give this token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.config(&format!("authorization {{ token: \"{token}\" }}"))
    }

    /// The largest message, headers included, that it takes.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.config(&format!("max_payload: {bytes}"))
    }

    /// More lines of its configuration file. Of a setting given twice, the last one holds.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Starts a server on a port that it chooses, and waits until it is ready.
    ///
    /// # Errors
    /// It is not installed, or does not start. A dropped future kills what it started.
    pub async fn start(self) -> anyhow::Result<NatsServer> {
        NatsServer::launch(self, None).await
    }

    /// Starts a server on a given port, and waits until it is ready.
    ///
    /// # Errors
    /// It is not installed, or does not start; somebody else may have the port. A dropped future kills what it started.
    pub async fn start_on(self, port: u16) -> anyhow::Result<NatsServer> {
        NatsServer::launch(self, Some(port)).await
    }
}

/// A running server on the loopback interface. Dropping it kills it.
#[derive(Debug)]
pub struct NatsServer {
    process: PeerProcess,
    /// Has its configuration file.
    folder: TempDir,
    port: u16,
}

impl NatsServer {
    /// Starts a server with its defaults on a port that it chooses, and waits until it is ready.
    ///
    /// # Errors
    /// As [`NatsServerOptions::start`].
    pub async fn start() -> anyhow::Result<Self> {
        Self::options().start().await
    }

    /// Starts a server with its defaults on a given port, and waits until it is ready.
    ///
    /// # Errors
    /// As [`NatsServerOptions::start_on`].
    pub async fn start_on(port: u16) -> anyhow::Result<Self> {
        Self::options().start_on(port).await
    }

    /// How to start one otherwise.
    #[must_use]
    pub fn options() -> NatsServerOptions {
        NatsServerOptions::default()
    }

    /// Its address, `nats://127.0.0.1:4222` for instance, without user or token.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port; a restart keeps it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it printed since its last start.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Its process, to stop (`STOP`) and continue (`CONT`) it for instance.
    pub const fn process(&mut self) -> &mut PeerProcess {
        &mut self.process
    }

    /// Kills it without warning and waits for its end.
    ///
    /// # Errors
    /// It has ended already, or cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.end_with("KILL").await
    }

    /// Ends it as its administrator would, and waits for its end.
    ///
    /// # Errors
    /// It has ended already, or does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end_with("INT").await
    }

    /// Starts it again on the same port, after killing it if it still runs.
    ///
    /// # Errors
    /// It does not start; somebody else may have taken its port. A dropped future leaves no server running.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.process.is_running() {
            self.kill().await?;
        }
        for _ in 1..PORT_ATTEMPTS {
            match spawn(self.folder.path()).await {
                Ok((process, _)) => {
                    self.process = process;
                    return Ok(());
                }
                // A client may have got it as the local port of a connection.
                Err(error) if error.to_string().contains(PORT_TAKEN) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.process = spawn(self.folder.path()).await?.0;
        Ok(())
    }

    /// Makes it ask its clients to go elsewhere: it accepts no more of them, sends `INFO` with `ldm`, closes each
    /// connection after a second, and ends. Returns once it was told.
    ///
    /// # Errors
    /// It has ended already.
    pub fn lame_duck(&self) -> anyhow::Result<()> {
        self.process.signal("USR2")
    }

    async fn launch(options: NatsServerOptions, port: Option<u16>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        write_config(folder.path(), &options, port)?;
        let (process, port) = spawn(folder.path()).await?;
        // From here on, restarts use the port that it chose.
        write_config(folder.path(), &options, Some(port))?;
        Ok(Self {
            process,
            folder,
            port,
        })
    }

    async fn end_with(&mut self, signal: &str) -> anyhow::Result<()> {
        self.process.signal(signal)?;
        self.process.wait(STOP_TIMEOUT).await?;
        self.process.wait_for_end_of_output(STOP_TIMEOUT).await
    }
}

/// Where the server's program is: the one that `cargo xtask peers` installed, else the machine's own.
///
/// # Errors
/// There is none.
pub fn nats_server_path() -> anyhow::Result<PathBuf> {
    let installed = peers_dir().join("nats-server/usr/sbin/nats-server");
    if installed.is_file() {
        return Ok(installed);
    }
    find_program("nats-server")
        .context("nats-server is not installed: run `cargo xtask peers`, which installs it")
}

fn write_config(
    folder: &Path,
    options: &NatsServerOptions,
    port: Option<u16>,
) -> anyhow::Result<()> {
    // -1 is its word for a port of its own choice.
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\n\
         lame_duck_grace_period: \"1s\"\n\
         lame_duck_duration: \"30s\"\n\
         {}",
        options.config
    );
    std::fs::write(folder.join("nats.conf"), text)?;
    Ok(())
}

/// Starts the server configured in a folder, and returns it once it is ready, with its port.
async fn spawn(folder: &Path) -> anyhow::Result<(PeerProcess, u16)> {
    let mut command = Command::new(nats_server_path()?);
    command
        .args(["--config", "nats.conf"])
        .current_dir(folder)
        .env_clear();
    let mut process = PeerProcess::spawn(command)?;
    process
        .wait_for_output("Server is ready", START_TIMEOUT)
        .await?;
    let port = port_in(&process.logs())?;
    tokio::time::timeout(START_TIMEOUT, read_info(port))
        .await
        .context("nats-server does not greet")??;
    Ok((process, port))
}

fn port_in(logs: &str) -> anyhow::Result<u16> {
    let port = logs
        .split_once(LISTENING)
        .and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    port.with_context(|| format!("nats-server does not say its port; it printed:\n{logs}"))
}

/// Connects and reads the server's greeting.
async fn read_info(port: u16) -> anyhow::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    ensure!(
        line.starts_with("INFO "),
        "nats-server greets with {line:?}"
    );
    Ok(())
}

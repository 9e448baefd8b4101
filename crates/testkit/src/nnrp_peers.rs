//! Clients and servers of the real `nnrp-py`.

mod certificate;
mod smoke;
mod traces;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::process::Command;

pub use certificate::SelfSignedCertificate;
pub use smoke::NnrpSmokeCommand;
pub use traces::{NnrpTrace, NnrpTraceEvent, NnrpTraceStep, nnrp_traces};

use crate::dialogue::{Dialogue, succeeded};
use crate::{PeerProcess, from_hex, installed, scripts, to_hex};

/// Where it is installed.
const ENVIRONMENT: &str = "nnrp-py-1.0.0rc2";

/// What a connection is called unless its command names it.
const MAIN: &str = "main";

/// What a connection of NNRP is carried by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say all")]
pub enum NnrpTransport {
    Tcp,
    Quic,
}

impl NnrpTransport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Quic];

    /// The peer's name of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Quic => "QUIC",
        }
    }

    /// The other one, to migrate to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Quic,
            Self::Quic => Self::Tcp,
        }
    }

    /// The key of a client's commands for the port of a server.
    #[must_use]
    pub const fn port_key(self) -> &'static str {
        match self {
            Self::Tcp => "tcp_port",
            Self::Quic => "quic_port",
        }
    }
}

/// How a server is set up.
#[derive(Debug, Clone, Copy)]
pub struct NnrpServerOptions<'certificate> {
    /// What it shows over QUIC; without one it listens on TCP only.
    pub certificate: Option<&'certificate SelfSignedCertificate>,
    /// Where it listens, on TCP and QUIC; 0: any port that is free for both.
    pub port: u16,
    /// After so long without a byte a connection over TCP ends; 0: never.
    pub tcp_idle_timeout_s: f64,
    /// After so long without a packet a connection over QUIC ends.
    pub quic_idle_timeout_s: f64,
}

impl Default for NnrpServerOptions<'_> {
    /// TCP only, on any port, with the package's timeouts.
    fn default() -> Self {
        Self {
            certificate: None,
            port: 0,
            tcp_idle_timeout_s: 120.0,
            quic_idle_timeout_s: 120.0,
        }
    }
}

impl NnrpServerOptions<'_> {
    fn to_json(self) -> Value {
        let mut options = json!({
            "transports": ["TCP"], "tcp_port": self.port, "quic_port": self.port,
            "tcp": {"idle_timeout": self.tcp_idle_timeout_s},
        });
        if let Some(certificate) = self.certificate {
            options["transports"] = json!(["TCP", "QUIC"]);
            options["quic"] = json!({
                "certificate": certificate.certificate_path(), "private_key": certificate.key_path(),
                "idle_timeout": self.quic_idle_timeout_s,
            });
        }
        options
    }
}

/// How a command failed: an exception of the package, or of Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NnrpFailure {
    /// The name of its class, `NnrpTcpConnectionClosedError` for instance.
    pub kind: String,
    /// Its text.
    pub message: String,
}

/// A process with the package's client or server, on the loopback interface only. Dropping it kills it.
///
/// It has any number of connections, each under a name, which is `main` unless a command says `on`. What a connection
/// has received waits in the package until it is asked for. Commands are carried out one after the other.
#[derive(Debug)]
pub struct NnrpPeer {
    dialogue: Dialogue,
    /// Of a server: what it tells of itself.
    ports: Value,
}

impl NnrpPeer {
    /// Starts a client, without connections.
    ///
    /// # Errors
    /// The package is not installed. A dropped future kills what it started.
    pub async fn client() -> anyhow::Result<Self> {
        Self::start(python("client.py")?).await
    }

    /// Starts a server and waits until it has bound its ports.
    ///
    /// # Errors
    /// The package is not installed, or the port is in use. A dropped future kills what it started.
    pub async fn server(options: NnrpServerOptions<'_>) -> anyhow::Result<Self> {
        let mut command = python("server.py")?;
        command.arg(options.to_json().to_string());
        Self::start(command).await
    }

    async fn start(command: Command) -> anyhow::Result<Self> {
        let (dialogue, ready) = Dialogue::start(command).await?;
        let ports = succeeded(ready)?;
        Ok(Self { dialogue, ports })
    }

    /// Where a server listens.
    ///
    /// # Errors
    /// It does not listen on this transport.
    pub fn port(&self, transport: NnrpTransport) -> anyhow::Result<u16> {
        port(&self.ports[transport.as_str()])
    }

    /// Has it do something and returns the result. `peers/README.md` lists what it can do.
    ///
    /// When the future is dropped the command is still carried out; its result is then skipped.
    ///
    /// # Errors
    /// It fails with an exception (the error has its standard error too), has ended, or does not answer.
    pub async fn call(&mut self, command: Value) -> anyhow::Result<Value> {
        let answer = self.dialogue.call(command).await?;
        succeeded(answer).with_context(|| format!("it printed:\n{}", self.dialogue.logs()))
    }

    /// Has it do something that fails.
    ///
    /// # Errors
    /// It does not fail, has ended, or does not answer.
    pub async fn failure(&mut self, command: Value) -> anyhow::Result<NnrpFailure> {
        let answer = self.dialogue.call(command).await?;
        let text = |key: &str| answer["error"][key].as_str().map(str::to_owned);
        let failure = text("type").zip(text("message"));
        let (kind, message) = failure.with_context(|| format!("it did not fail: {answer}"))?;
        Ok(NnrpFailure { kind, message })
    }

    /// As a client: connects to this port, with more keys of `connect`, and tells of the session.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn connect(
        &mut self,
        transport: NnrpTransport,
        port: u16,
        mut options: Value,
    ) -> anyhow::Result<Value> {
        options["op"] = json!("connect");
        options[transport.port_key()] = json!(port);
        self.call(options).await
    }

    /// As a server: accepts the next session of a transport, with more keys of `accept`, and tells of it.
    ///
    /// # Errors
    /// None comes within 30 s; or as [`Self::call`].
    pub async fn accept(
        &mut self,
        transport: NnrpTransport,
        mut options: Value,
    ) -> anyhow::Result<Value> {
        options["op"] = json!("accept");
        options["transport"] = json!(transport.as_str());
        self.call(options).await
    }

    /// As a client: submits a frame through `main`, with the package's names (`frame_id` at least).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn submit(&mut self, mut frame: Value) -> anyhow::Result<()> {
        frame["op"] = json!("submit");
        self.call(frame).await.map(drop)
    }

    /// As a server: sends a result through `main`, with the package's names (`frame_id` at least).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn result(&mut self, mut result: Value) -> anyhow::Result<()> {
        result["op"] = json!("result");
        self.call(result).await.map(drop)
    }

    /// The next submit or result of `main`, decoded by the package.
    ///
    /// # Errors
    /// None comes within 30 s; or as [`Self::call`].
    pub async fn receive(&mut self) -> anyhow::Result<Value> {
        self.call(json!({"op": "receive"})).await
    }

    /// The bytes of the next packet of a queue (`control`, `submit`, `result`) of a connection.
    ///
    /// # Errors
    /// None comes within 30 s; or as [`Self::call`].
    pub async fn packet(&mut self, on: &str, queue: &str) -> anyhow::Result<Vec<u8>> {
        let packet = self
            .call(json!({"op": "packet", "on": on, "queue": queue}))
            .await?;
        from_hex(packet["hex"].as_str().context("a packet has bytes")?)
    }

    /// Sends bytes as they are, whether or not they are a packet: on the control path (`control`), or as what QUIC has a
    /// stream of its own for, which then ends (`submit`, `result`).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn send_raw(&mut self, on: &str, queue: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let command = json!({"op": "raw", "on": on, "queue": queue, "data": to_hex(bytes)});
        self.call(command).await.map(drop)
    }

    /// Waits until the package says that `main` has ended, and returns in which of its words.
    ///
    /// # Errors
    /// It does not end within 30 s; or as [`Self::call`].
    pub async fn wait_for_end(&mut self) -> anyhow::Result<NnrpFailure> {
        let end = self.call(json!({"op": "end"})).await?;
        let text = |key: &str| end[key].as_str().unwrap_or_default().to_owned();
        Ok(NnrpFailure {
            kind: text("type"),
            message: text("message"),
        })
    }

    /// Closes `main`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn close(&mut self) -> anyhow::Result<()> {
        self.call(json!({"op": "close", "on": MAIN}))
            .await
            .map(drop)
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        self.dialogue.process()
    }

    /// What it printed to its standard error so far: tracebacks of what failed.
    #[must_use]
    pub fn logs(&self) -> String {
        self.dialogue.logs()
    }
}

/// The port that a command tells.
fn port(value: &Value) -> anyhow::Result<u16> {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.context("the peer does not listen there")
}

fn python(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(installed(&format!("{ENVIRONMENT}/bin/python"))?);
    command
        .arg(scripts("nnrp").join(script))
        .env_clear()
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

//! NATS services and clients made with the libraries of others.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::dialogue::Dialogue;
use crate::{PeerProcess, find_program, installed, scripts};

/// Loading a library takes a second or two, more on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Some libraries wait for their handlers.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// What a service prints before its instance id, once the broker has its subscriptions.
const READY: &str = "READY ";

/// A library that NATS services are made with, installed by `cargo xtask peers`.
pub trait NatsLibrary: std::fmt::Debug {
    /// What is called with the address of the broker, and a name when it is not to be `demo-service`.
    ///
    /// # Errors
    /// It is not installed.
    fn service() -> anyhow::Result<Command>;
}

/// A library that has a client for services too.
pub trait NatsClientLibrary: NatsLibrary {
    /// What is called with the address of the broker.
    ///
    /// # Errors
    /// It is not installed.
    fn client() -> anyhow::Result<Command>;
}

/// `nats-micro` 0.0.5 for Python.
#[derive(Debug)]
pub enum PythonMicro {}

impl NatsLibrary for PythonMicro {
    fn service() -> anyhow::Result<Command> {
        python("service.py")
    }
}

impl NatsClientLibrary for PythonMicro {
    fn client() -> anyhow::Result<Command> {
        python("client.py")
    }
}

/// The module `nats.micro` of `nats-py` 2.16.0. It has no client; [`PythonMicroClient`] decodes with its types.
#[derive(Debug)]
pub enum OfficialNatsPy {}

impl NatsLibrary for OfficialNatsPy {
    fn service() -> anyhow::Result<Command> {
        python("official_service.py")
    }
}

/// `@nats-io/services` 3.0.0-25 for JavaScript, on Node.js.
#[derive(Debug)]
pub enum NatsJs {}

impl NatsLibrary for NatsJs {
    fn service() -> anyhow::Result<Command> {
        node("service.mjs")
    }
}

impl NatsClientLibrary for NatsJs {
    fn client() -> anyhow::Result<Command> {
        node("client.mjs")
    }
}

/// The service of the recorded exchanges, made with `nats-micro` for Python.
pub type PythonMicroService = PeerService<PythonMicro>;
/// The service of the recorded exchanges, made with `nats-py`.
pub type OfficialNatsPyService = PeerService<OfficialNatsPy>;
/// The service of the recorded exchanges, made with `@nats-io/services`.
pub type JsService = PeerService<NatsJs>;
/// The client of `nats-micro` for Python.
pub type PythonMicroClient = PeerClient<PythonMicro>;
/// The client of `@nats-io/services`.
pub type JsClient = PeerClient<NatsJs>;

/// The service of the recorded exchanges, running. Dropping it kills it.
///
/// Its endpoints are listed in `peers/README.md`.
#[derive(Debug)]
pub struct PeerService<L> {
    process: PeerProcess,
    id: String,
    library: PhantomData<fn() -> L>,
}

impl<L: NatsLibrary> PeerService<L> {
    /// Starts `demo-service` and waits until the broker has its subscriptions.
    ///
    /// # Errors
    /// The library is not installed, or the service does not start. A dropped future kills what it started.
    pub async fn start(broker_url: &str) -> anyhow::Result<Self> {
        Self::start_as(broker_url, "demo-service").await
    }

    /// Starts it under another name.
    ///
    /// # Errors
    /// As [`PeerService::start`].
    pub async fn start_as(broker_url: &str, name: &str) -> anyhow::Result<Self> {
        let mut command = L::service()?;
        command.args([broker_url, name]);
        let mut process = PeerProcess::spawn(command)?;
        process.wait_for_output(READY, START_TIMEOUT).await?;
        let logs = process.logs();
        let id = logs.lines().find_map(|line| line.strip_prefix(READY));
        Ok(Self {
            id: id
                .with_context(|| format!("the service tells no id:\n{logs}"))?
                .to_owned(),
            process,
            library: PhantomData,
        })
    }

    /// The id of the instance.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it printed so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        &mut self.process
    }

    /// Kills it without warning and waits for its end.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.signal("KILL")?;
        self.process.wait(STOP_TIMEOUT).await?;
        self.process.wait_for_end_of_output(STOP_TIMEOUT).await
    }

    /// Has it stop its service as the library does that, which needs the broker, and waits for its end.
    ///
    /// # Errors
    /// It has ended already, or does not end without a failure.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.signal("TERM")?;
        let status = self.process.wait(STOP_TIMEOUT).await?;
        self.process.wait_for_end_of_output(STOP_TIMEOUT).await?;
        ensure!(status.success(), "{status}; it printed:\n{}", self.logs());
        Ok(())
    }
}

/// A connected client. Dropping it kills it.
#[derive(Debug)]
pub struct PeerClient<L> {
    dialogue: Dialogue,
    library: PhantomData<fn() -> L>,
}

impl<L: NatsClientLibrary> PeerClient<L> {
    /// Starts a client and waits until it is connected.
    ///
    /// # Errors
    /// The library is not installed, or the client does not connect. A dropped future kills what it started.
    pub async fn connect(broker_url: &str) -> anyhow::Result<Self> {
        let mut command = L::client()?;
        command.arg(broker_url);
        let (dialogue, _ready) = Dialogue::start(command).await?;
        Ok(Self {
            dialogue,
            library: PhantomData,
        })
    }

    /// Has it do something, such as `json!({"op": "ping", "service": "demo-service"})`, and returns `{"ok": …}` or
    /// `{"error": {"type": …, "message": …}}`, whichever its library returns. `peers/README.md` lists what it can do.
    ///
    /// When the future is dropped the command is still carried out; its result is then skipped.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub async fn call(&mut self, command: Value) -> anyhow::Result<Value> {
        self.dialogue.call(command).await
    }

    /// Has it send a request; what it returns is as from [`PeerClient::call`].
    ///
    /// # Errors
    /// As [`PeerClient::call`].
    pub async fn request(&mut self, subject: &str, data: &str) -> anyhow::Result<Value> {
        self.call(json!({"op": "request", "subject": subject, "data": data}))
            .await
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        self.dialogue.process()
    }

    /// What it printed to its standard error so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.dialogue.logs()
    }
}

/// Where the `micro` command of `nats-micro` for Python is.
///
/// # Errors
/// It is not installed.
pub fn python_micro_cli() -> anyhow::Result<PathBuf> {
    installed("nats-micro-0.0.5/bin/micro")
}

/// The folder of the scripts that use `nats-micro` for Python; `micro run` can run its `service.py`.
#[must_use]
pub fn python_micro_scripts() -> PathBuf {
    scripts("nats-micro")
}

fn python(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("nats-micro-0.0.5/bin/python")?);
    command
        .arg(python_micro_scripts().join(script))
        .env_clear()
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn node(script: &str) -> anyhow::Result<Command> {
    let packages = installed("nats-js")?;
    let node = find_program("node")
        .context("Node.js is not installed: install it, then run `cargo xtask peers`")?;
    let mut command = Command::new(node);
    command
        .arg(scripts("nats-js").join(script))
        .current_dir(packages)
        .env_clear();
    Ok(command)
}

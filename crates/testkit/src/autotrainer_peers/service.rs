//! The real service.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{AutotrainerClient, AutotrainerVersion};
use crate::PeerProcess;
use crate::dialogue::{Dialogue, succeeded};

/// A service stops within 50 ms, unless its delegate waits.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A topic that no service uses.
const MARKER: u32 = 0x6b72_614d;

/// How many markers are tried, 100 ms each.
const MAX_MARKERS: usize = 300;

/// How many other messages, such as heartbeats, may come before a marker.
const MAX_BEFORE_MARKER: usize = 20;

/// How a service is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct AutotrainerServiceOptions {
    /// Where it publishes; 0: any port that is free.
    pub event_port: u16,
    /// Where it takes commands; 0: any port that is free.
    pub command_port: u16,
    /// Time to the first heartbeat and between heartbeats.
    pub heartbeat_interval_s: f64,
    /// What its heartbeats tell.
    pub identifier: String,
    /// Whether it has the delegate that `peers/README.md` describes.
    pub delegate: bool,
}

impl Default for AutotrainerServiceOptions {
    /// As the real options, but on free ports and with a delegate.
    fn default() -> Self {
        Self {
            event_port: 0,
            command_port: 0,
            heartbeat_interval_s: 5.0,
            identifier: "autotrainer-device".to_owned(),
            delegate: true,
        }
    }
}

/// A running service, on the loopback interface only. Dropping it kills it.
#[derive(Debug)]
pub struct AutotrainerService {
    dialogue: Dialogue,
    version: AutotrainerVersion,
    event_port: u16,
    command_port: u16,
}

impl AutotrainerService {
    /// Starts a service and waits until it has bound its ports.
    ///
    /// # Errors
    /// The release is not installed, or a port is in use. A dropped future kills what it started.
    pub async fn start(
        version: AutotrainerVersion,
        options: AutotrainerServiceOptions,
    ) -> anyhow::Result<Self> {
        let mut command = version.python("service.py")?;
        let options = json!({
            "event_port": options.event_port,
            "command_port": options.command_port,
            "heartbeat_interval_s": options.heartbeat_interval_s,
            "identifier": options.identifier,
            "delegate": options.delegate,
        });
        command.arg(options.to_string());
        let (dialogue, ready) = Dialogue::start(command).await?;
        let ready = succeeded(ready)?;
        Ok(Self {
            event_port: port(&ready["event_port"])?,
            command_port: port(&ready["command_port"])?,
            dialogue,
            version,
        })
    }

    /// Its release.
    #[must_use]
    pub const fn version(&self) -> AutotrainerVersion {
        self.version
    }

    /// Where it publishes.
    #[must_use]
    pub const fn event_port(&self) -> u16 {
        self.event_port
    }

    /// Where it takes commands.
    #[must_use]
    pub const fn command_port(&self) -> u16 {
        self.command_port
    }

    /// Where it publishes, in ZeroMQ's words.
    #[must_use]
    pub fn event_endpoint(&self) -> String {
        endpoint(self.event_port)
    }

    /// Where it takes commands, in ZeroMQ's words.
    #[must_use]
    pub fn command_endpoint(&self) -> String {
        endpoint(self.command_port)
    }

    /// Has it do something and returns the result. `peers/README.md` lists what it can do.
    ///
    /// When the future is dropped the command is still carried out; its result is then skipped.
    ///
    /// # Errors
    /// It fails with an exception, has ended, or does not answer.
    pub async fn call(&mut self, command: Value) -> anyhow::Result<Value> {
        succeeded(self.dialogue.call(command).await?)
    }

    /// Publishes an event as it is; returns what the library does.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn publish(&mut self, event: Value) -> anyhow::Result<bool> {
        let queued = self
            .call(json!({"op": "publish", "message": event}))
            .await?;
        queued.as_bool().context("the library returns no bool")
    }

    /// Publishes an event many times, its `index` counting from 0; returns when they are queued.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn publish_many(&mut self, event: Value, count: usize) -> anyhow::Result<()> {
        let command = json!({"op": "publish_many", "message": event, "count": count});
        self.call(command).await.map(drop)
    }

    /// Sends the result of a request that was answered with 201: `nonce`, `command`, and optionally `result` (100),
    /// `data`, `error_code`, `error_message`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn finish(&mut self, mut result: Value) -> anyhow::Result<()> {
        result["op"] = json!("finish");
        self.call(result).await.map(drop)
    }

    /// Waits until its delegate has got so many more requests, and returns them as it saw them: `command` by name,
    /// `custom_command`, `nonce`, `data`.
    ///
    /// # Errors
    /// They do not come within 50 s; or as [`Self::call`].
    pub async fn seen(&mut self, count: usize) -> anyhow::Result<Vec<Value>> {
        let seen = self.call(json!({"op": "seen", "count": count})).await?;
        let seen = seen.as_array().cloned().unwrap_or_default();
        ensure!(seen.len() == count, "the delegate saw only {seen:?}");
        Ok(seen)
    }

    /// Waits until what a client's socket subscribed to so far is in effect here. What comes meanwhile is dropped.
    ///
    /// # Errors
    /// It does not come into effect, the socket not being connected to this service for instance.
    pub async fn join(
        &mut self,
        client: &mut AutotrainerClient,
        socket: &str,
    ) -> anyhow::Result<()> {
        let prefix = MARKER.to_le_bytes();
        // Subscriptions arrive in order: when this one works, so do those before it.
        client.subscribe(socket, &prefix).await?;
        for number in 0..MAX_MARKERS {
            let text = format!("{number:04}");
            self.call(json!({"op": "publish_bytes", "topic": MARKER, "text": text}))
                .await?;
            // Only behind the last marker there is no other on its way.
            if comes(client, socket, &[&prefix, text.as_bytes()]).await? {
                return client.unsubscribe(socket, &prefix).await;
            }
        }
        bail!("no message of the service reaches {socket}")
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        self.dialogue.process()
    }

    /// What the library logged so far, tracebacks included.
    #[must_use]
    pub fn logs(&self) -> String {
        self.dialogue.logs()
    }

    /// Kills it without warning and waits for its end.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process().signal("KILL")?;
        self.process().wait(STOP_TIMEOUT).await.map(drop)
    }

    /// Has it stop its service as the library does that, and waits for the end of the process.
    ///
    /// # Errors
    /// It does not end without a failure.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.dialogue.close();
        let status = self.process().wait(STOP_TIMEOUT).await?;
        ensure!(status.success(), "{status}; it printed:\n{}", self.logs());
        Ok(())
    }
}

/// Whether this is among the next messages.
async fn comes(
    client: &mut AutotrainerClient,
    socket: &str,
    marker: &[&[u8]],
) -> anyhow::Result<bool> {
    for _ in 0..MAX_BEFORE_MARKER {
        match client.receive_within(socket, 1, 0.1).await?.pop() {
            Some(message) if message == marker => return Ok(true),
            Some(_) => {}
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn endpoint(port: u16) -> String {
    format!("tcp://127.0.0.1:{port}")
}

fn port(value: &Value) -> anyhow::Result<u16> {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.context("the service tells no port")
}

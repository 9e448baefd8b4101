//! Sockets of pyzmq.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::AutotrainerVersion;
use crate::dialogue::{Dialogue, succeeded};
use crate::{PeerProcess, from_hex, to_hex};

const END_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a message may take.
const RECEIVE_TIMEOUT_S: f64 = 50.0;

/// The frames of a message.
pub type ZmqMessage = Vec<Vec<u8>>;

/// A process with sockets of pyzmq, each under a name, beside a release of `auto-trainer-api`. Dropping it kills it.
///
/// What a socket has received waits in it until it is asked for, so one that is never asked is a slow reader.
#[derive(Debug)]
pub struct AutotrainerClient {
    dialogue: Dialogue,
}

impl AutotrainerClient {
    /// Starts it; it has no sockets yet.
    ///
    /// # Errors
    /// The release is not installed. A dropped future kills what it started.
    pub async fn start(version: AutotrainerVersion) -> anyhow::Result<Self> {
        let (dialogue, ready) = Dialogue::start(version.python("client.py")?).await?;
        succeeded(ready)?;
        Ok(Self { dialogue })
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

    /// Opens a socket of a kind such as `DEALER` and waits until it is connected.
    ///
    /// # Errors
    /// It is not connected within 50 s; or as [`Self::call`].
    pub async fn connect(
        &mut self,
        socket: &str,
        kind: &str,
        endpoint: &str,
    ) -> anyhow::Result<()> {
        let command = json!({"op": "open", "socket": socket, "kind": kind, "connect": endpoint});
        self.call(command).await.map(drop)
    }

    /// Opens a socket of a kind such as `PUB` on a free port and returns its endpoint.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn bind(&mut self, socket: &str, kind: &str) -> anyhow::Result<String> {
        let any = "tcp://127.0.0.1:0";
        let command = json!({"op": "open", "socket": socket, "kind": kind, "bind": any});
        let opened = self.call(command).await?;
        let endpoint = opened["endpoint"].as_str();
        Ok(endpoint.context("the socket has no endpoint")?.to_owned())
    }

    /// Opens a `SUB` socket with these prefixes and waits until it is connected. That does not mean that the publisher
    /// has the prefixes; [`AutotrainerService::join`](super::AutotrainerService::join) waits for that.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_subscriber(
        &mut self,
        socket: &str,
        endpoint: &str,
        prefixes: &[&[u8]],
    ) -> anyhow::Result<()> {
        let prefixes: Vec<String> = prefixes.iter().map(|prefix| to_hex(prefix)).collect();
        let command = json!({"op": "open", "socket": socket, "kind": "SUB", "connect": endpoint, "prefixes": prefixes});
        self.call(command).await.map(drop)
    }

    /// Closes a socket at once; what it has not sent is lost.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn close(&mut self, socket: &str) -> anyhow::Result<()> {
        self.call(json!({"op": "close", "socket": socket}))
            .await
            .map(drop)
    }

    /// Adds a prefix to a `SUB` socket.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn subscribe(&mut self, socket: &str, prefix: &[u8]) -> anyhow::Result<()> {
        self.call(json!({"op": "subscribe", "socket": socket, "prefix": to_hex(prefix)}))
            .await
            .map(drop)
    }

    /// Takes a prefix from a `SUB` socket.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn unsubscribe(&mut self, socket: &str, prefix: &[u8]) -> anyhow::Result<()> {
        self.call(json!({"op": "unsubscribe", "socket": socket, "prefix": to_hex(prefix)}))
            .await
            .map(drop)
    }

    /// Sends frames as they are, so a `DEALER` needs an empty one before a request.
    ///
    /// # Errors
    /// The socket cannot send now; or as [`Self::call`].
    pub async fn send(&mut self, socket: &str, frames: &[&[u8]]) -> anyhow::Result<()> {
        let frames: Vec<String> = frames.iter().map(|frame| to_hex(frame)).collect();
        self.call(json!({"op": "send", "socket": socket, "frames": frames}))
            .await
            .map(drop)
    }

    /// Receives so many messages.
    ///
    /// # Errors
    /// They do not come within 50 s; or as [`Self::call`].
    pub async fn receive(&mut self, socket: &str, count: usize) -> anyhow::Result<Vec<ZmqMessage>> {
        let messages = self
            .receive_within(socket, count, RECEIVE_TIMEOUT_S)
            .await?;
        ensure!(
            messages.len() == count,
            "{socket} received only {messages:?}"
        );
        Ok(messages)
    }

    /// Receives at most so many messages, fewer if no more come in time.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn receive_within(
        &mut self,
        socket: &str,
        max_count: usize,
        timeout_s: f64,
    ) -> anyhow::Result<Vec<ZmqMessage>> {
        let command =
            json!({"op": "receive", "socket": socket, "count": max_count, "timeout_s": timeout_s});
        let messages = self.call(command).await?;
        let messages = messages.as_array().context("no messages")?;
        messages.iter().map(message).collect()
    }

    /// Sends a request and returns its reply, both as JSON.
    ///
    /// # Errors
    /// As [`Self::exchange`], and the reply is not JSON, as one of 0.9.11 with `NaN` is not.
    pub async fn request(&mut self, socket: &str, request: &Value) -> anyhow::Result<Value> {
        let reply = self
            .exchange(socket, request.to_string().as_bytes())
            .await?;
        serde_json::from_slice(&reply)
            .with_context(|| format!("the reply is {:?}", String::from_utf8_lossy(&reply)))
    }

    /// Sends a request of one frame through a `REQ` or `DEALER` socket and returns its reply.
    ///
    /// # Errors
    /// There is none within 50 s, and a `REQ` socket can then only be closed; it has several frames; or as
    /// [`Self::call`].
    pub async fn exchange(&mut self, socket: &str, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let command = json!({"op": "request", "socket": socket, "hex": to_hex(request)});
        let mut frames = message(&self.call(command).await?)?;
        ensure!(frames.len() == 1, "the reply has frames {frames:?}");
        Ok(frames.remove(0))
    }

    /// What the real package's class reads from a request, with `command` by name.
    ///
    /// # Errors
    /// It cannot read it.
    pub async fn parse_request(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        self.call(json!({"op": "parse", "hex": to_hex(request)}))
            .await
    }

    /// What happened to a socket so far, in libzmq's words such as `DISCONNECTED`, after waiting until this has.
    ///
    /// # Errors
    /// It has not happened within 50 s; or as [`Self::call`].
    pub async fn wait_for_event(
        &mut self,
        socket: &str,
        event: &str,
    ) -> anyhow::Result<Vec<String>> {
        let command = json!({"op": "monitor", "socket": socket, "until": event});
        Ok(serde_json::from_value(self.call(command).await?)?)
    }

    /// What happened to a socket so far.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn events(&mut self, socket: &str) -> anyhow::Result<Vec<String>> {
        let events = self
            .call(json!({"op": "monitor", "socket": socket}))
            .await?;
        Ok(serde_json::from_value(events)?)
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

    /// Kills it with all its sockets, between a request and its reply for instance, and waits for its end.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process().signal("KILL")?;
        self.process().wait(END_TIMEOUT).await.map(drop)
    }
}

fn message(frames: &Value) -> anyhow::Result<ZmqMessage> {
    let frames = frames.as_array().context("a message has frames")?;
    let frames = frames.iter();
    frames
        .map(|frame| from_hex(frame.as_str().context("a frame is text")?))
        .collect()
}

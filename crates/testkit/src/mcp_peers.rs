//! A client of the official SDK for MCP.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::dialogue::Dialogue;
use crate::{PeerProcess, installed, scripts};

/// Where `cargo xtask peers` installs the package `mcp`.
const ENVIRONMENT: &str = "mcp-2.3.0";

/// A client made with the package `mcp` 2.3.0 for Python, connected to one server. Dropping it kills it, and a server
/// that it has started.
#[derive(Debug)]
pub struct McpClient {
    dialogue: Dialogue,
    connected: Value,
}

impl McpClient {
    /// Connects over streamable HTTP. The mode is `auto`, `legacy` or a version of the protocol.
    ///
    /// # Errors
    /// The package is not installed, or the server is not one that it can use.
    pub async fn http(url: &str, token: &str, mode: &str) -> anyhow::Result<Self> {
        Self::connect(json!({"op": "http", "url": url, "token": token, "mode": mode})).await
    }

    /// Starts a program as a server over stdio.
    ///
    /// # Errors
    /// As [`Self::http`].
    pub async fn stdio(program: &str, arguments: &[&str], mode: &str) -> anyhow::Result<Self> {
        Self::connect(json!({"op": "stdio", "command": program, "args": arguments, "mode": mode}))
            .await
    }

    /// What it was told when it connected: `version`, of the protocol, and `server`.
    #[must_use]
    pub fn connected(&self) -> &Value {
        &self.connected
    }

    /// Has it carry out a command: see `peers/README.md`. The answer is `{"ok": …}` or `{"error": …}`.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub async fn call(&mut self, command: Value) -> anyhow::Result<Value> {
        self.dialogue.call(command).await
    }

    /// Has it carry out a command that must not fail.
    ///
    /// # Errors
    /// As [`Self::call`], or it fails.
    pub async fn ok(&mut self, command: Value) -> anyhow::Result<Value> {
        let mut answer = self.call(command).await?;
        let Some(ok) = answer.get_mut("ok") else {
            bail!(
                "the MCP client has failed: {answer}\n{}",
                self.dialogue.logs()
            );
        };
        Ok(ok.take())
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        self.dialogue.process()
    }

    async fn connect(command: Value) -> anyhow::Result<Self> {
        let mut python = Command::new(installed(&format!("{ENVIRONMENT}/bin/python"))?);
        python
            .arg(scripts("mcp").join("client.py"))
            .env_clear()
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let (dialogue, _) = Dialogue::start(python).await?;
        let mut client = Self {
            dialogue,
            connected: Value::Null,
        };
        let connected = client.ok(command).await;
        client.connected = connected.context("the MCP client cannot connect")?;
        Ok(client)
    }
}

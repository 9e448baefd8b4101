//! Foreign clients: scripts of `clients/`, each with the real package of its wire.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nodewire::capability::Wire;
use nodewire_testkit::{Dialogue, PeerProcess, peers_dir};
use serde_json::Value;
use tokio::process::Command;

use crate::Addresses;

/// A foreign client in a process of its own, which is killed when this is dropped.
#[derive(Debug)]
pub struct Door {
    wire: Wire,
    dialogue: Dialogue,
}

impl Door {
    /// Starts the client and waits until it is connected.
    ///
    /// # Errors
    /// Its packages are not installed (`cargo xtask peers`), or it cannot connect.
    pub async fn open(wire: Wire, addresses: &Addresses) -> anyhow::Result<Self> {
        let (environment, script) = client(wire);
        let python = peers_dir().join(environment).join("bin/python");
        ensure!(
            python.exists(),
            "{} is missing: run `cargo xtask peers`, which installs it",
            python.display()
        );
        let mut command = Command::new(python);
        command
            .arg(scripts().join(script))
            .arg(addresses.of(wire).to_string())
            .env_clear()
            // Where curl is.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let (dialogue, _) = Dialogue::start(command).await?;
        Ok(Self { wire, dialogue })
    }

    /// Which wire it speaks.
    #[must_use]
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// Has it do something and returns what came of it; the commands are listed in `clients/door.py`.
    ///
    /// # Errors
    /// The client fails, which is not the same as an execution that does; its traceback is in the error.
    pub async fn ask(&mut self, command: Value) -> anyhow::Result<Value> {
        let mut answer = self.dialogue.call(command).await?;
        let done = answer.get_mut("ok").map(Value::take);
        done.with_context(|| format!("the client of {}: {}", self.wire, self.dialogue.logs()))
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        self.dialogue.process()
    }
}

/// The environment that has the package, and the script that uses it.
const fn client(wire: Wire) -> (&'static str, &'static str) {
    match wire {
        Wire::Nanograph => ("nanograph-0.2.3", "nanograph_door.py"),
        Wire::Nats => ("nats-micro-0.0.5", "nats_door.py"),
        Wire::Autotrainer => ("auto-trainer-0.12.0", "autotrainer_door.py"),
        Wire::Nnrp => ("nnrp-py-1.0.0rc2", "nnrp_door.py"),
        // Any Python will do: it runs curl.
        Wire::Http => ("nanograph-0.2.3", "http_door.py"),
        Wire::Mcp => ("mcp-2.3.0", "mcp_door.py"),
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

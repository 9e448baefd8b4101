//! What is measured, as processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use nodewire_testkit::peers_dir;
use serde_json::{Value, json};

use super::libzmq::Libzmq;
use super::load::event_context;
use crate::process::{ServerProcess, pinned, this_program};

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// `autotrainer_api::Service`.
    Ours,
    /// The service of `auto-trainer-api` 0.9.11.
    Reference,
    /// A REP socket that echoes and a PUB socket that sends bytes.
    Libzmq,
}

/// A running service.
#[derive(Debug)]
pub struct Subject {
    /// Which.
    pub kind: SubjectKind,
    /// Where it publishes.
    pub event_endpoint: String,
    /// Where it takes commands.
    pub command_endpoint: String,
    /// The last one publishes when it is told to.
    processes: Vec<ServerProcess>,
}

/// What `publish_bytes` of the reference's script and all others use to tell that a subscription works.
pub const MARKER_TOPIC: u32 = u32::from_le_bytes(*b"Mark");

/// `deviceCommandSend`, the same number at all levels; its context is none that is documented for it.
pub(super) const EVENT_KIND: i64 = 2001;

impl SubjectKind {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Reference, Self::Libzmq];

    /// In the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Reference => "reference",
            Self::Libzmq => "libzmq",
        }
    }

    /// What every reply to the load's requests contains, beside the nonce.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::Ours => r#""result": 100,"#,
            // It takes all spaces out of its responses.
            Self::Reference => r#""result":100,"#,
            Self::Libzmq => r#""mode": "echo""#,
        }
    }
}

impl Subject {
    /// Starts it, on one core if asked to; only ours has a choice of threads.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        kind: SubjectKind,
        libzmq: &Libzmq,
        heartbeat_interval: Duration,
        threads: usize,
        core: Option<u32>,
    ) -> anyhow::Result<Self> {
        match kind {
            SubjectKind::Ours => ours(heartbeat_interval, threads, core),
            SubjectKind::Reference => reference(heartbeat_interval, core),
            SubjectKind::Libzmq => bare(libzmq, core),
        }
    }

    /// Has it publish something that is no event.
    ///
    /// # Errors
    /// It has ended.
    pub fn publish_marker(&mut self) -> anyhow::Result<()> {
        self.tell(match self.kind {
            SubjectKind::Ours | SubjectKind::Libzmq => "marker".to_owned(),
            SubjectKind::Reference => {
                command(&json!({"op": "publish_bytes", "topic": MARKER_TOPIC, "text": "-"}))
            }
        })
    }

    /// Has it publish so many events, as fast as it can.
    ///
    /// # Errors
    /// It has ended.
    pub fn publish_events(&mut self, count: usize) -> anyhow::Result<()> {
        self.tell(match self.kind {
            SubjectKind::Ours | SubjectKind::Libzmq => format!("events {count}"),
            SubjectKind::Reference => {
                let context = event_context();
                let event =
                    json!({"kind": EVENT_KIND, "when": 1_735_787_045.678_901, "context": context});
                command(&json!({"op": "publish_many", "message": event, "count": count}))
            }
        })
    }

    fn tell(&mut self, line: String) -> anyhow::Result<()> {
        let publisher = self
            .processes
            .last_mut()
            .context("a subject has a process")?;
        publisher.tell(&line)
    }

    /// Seconds of processor time it has used.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.processes
            .iter()
            .map(ServerProcess::threads_cpu_seconds)
            .sum()
    }
}

fn ours(
    heartbeat_interval: Duration,
    threads: usize,
    core: Option<u32>,
) -> anyhow::Result<Subject> {
    let interval_ms = heartbeat_interval.as_millis().to_string();
    let command = this_program(&["service", &interval_ms, &threads.to_string()], core)?;
    let process = ServerProcess::told(command, |line| {
        line.strip_prefix("listening ").map(str::to_owned)
    })?;
    let (events, commands) = process
        .address
        .split_once(' ')
        .context("our service tells two addresses")?;
    Ok(Subject {
        kind: SubjectKind::Ours,
        event_endpoint: format!("tcp://{events}"),
        command_endpoint: format!("tcp://{commands}"),
        processes: vec![process],
    })
}

/// The test kit's script, which `crates/testkit/peers/README.md` describes.
fn reference(heartbeat_interval: Duration, core: Option<u32>) -> anyhow::Result<Subject> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/testkit/peers/autotrainer/service.py");
    let options = json!({
        "event_port": 0,
        "command_port": 0,
        "heartbeat_interval_s": heartbeat_interval.as_secs_f64(),
        "identifier": "bench",
        "delegate": true,
    });
    let mut command = pinned(peers_dir().join("auto-trainer-0.9.11/bin/python"), core);
    command
        .arg(script)
        .arg(options.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stderr(Stdio::null());
    let process = ServerProcess::told(command, |line| Some(line.to_owned()))
        .context("the reference does not start; `cargo xtask peers` installs it")?;
    let ready: Value = serde_json::from_str(&process.address)?;
    let endpoint = |name| format!("tcp://127.0.0.1:{}", ready["ok"][name]);
    Ok(Subject {
        kind: SubjectKind::Reference,
        event_endpoint: endpoint("event_port"),
        command_endpoint: endpoint("command_port"),
        processes: vec![process],
    })
}

fn bare(libzmq: &Libzmq, core: Option<u32>) -> anyhow::Result<Subject> {
    let start = |role| {
        let mut command = libzmq.command(&[role], core);
        command.stderr(Stdio::inherit());
        ServerProcess::told(command, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })
    };
    let (commands, events) = (start("reply")?, start("publish")?);
    Ok(Subject {
        kind: SubjectKind::Libzmq,
        event_endpoint: events.address.clone(),
        command_endpoint: commands.address.clone(),
        processes: vec![commands, events],
    })
}

/// A line that the reference's script understands.
fn command(operation: &Value) -> String {
    let mut operation = operation.clone();
    operation["id"] = json!(1);
    operation.to_string()
}

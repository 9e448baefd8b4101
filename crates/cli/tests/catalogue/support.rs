//! A server on all wires in this process, and the command as a process.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nats_broker::Broker;
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::nanograph::NanographConfig;
use nodewire::nats::NatsConfig;
use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;
use nodewire::telemetry::Telemetry;
use nodewire::{NodeDefinition, NodeServer, Outputs as CoreOutputs, RunningServer, node_fn};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longer than anything takes; only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TOKEN: &str = "a-token-for-tests";

pub(crate) const WIRES: [&str; 5] = ["nanograph", "nats", "autotrainer", "nnrp", "http"];

/// Prefixes each text.
#[node(output = "text")]
pub(crate) async fn echo(
    text: Vec<String>,
    #[param(default = "> ")] prefix: String,
) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Bytes in reverse.
#[node(output = "data")]
async fn reverse(data: Bytes) -> Bytes {
    data.iter().rev().copied().collect()
}

/// Reports three steps, with a preview.
#[node(output = "n")]
pub(crate) async fn progress(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    let preview = CoreOutputs::new().with("n", Json::parse("2").unwrap());
    context.partial(preview).await;
    3
}

pub(crate) struct Served {
    server: RunningServer,
    _broker: Broker,
    pub(crate) folder: TempDir,
    /// What finds each wire.
    pub(crate) flags: Vec<(&'static str, Vec<String>)>,
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) told_to_stop: Arc<AtomicUsize>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Box::pin(Self::started(None)).await
    }

    /// With its spans exported so.
    pub(crate) async fn traced(telemetry: &Telemetry) -> Self {
        Box::pin(Self::started(Some(telemetry))).await
    }

    async fn started(telemetry: Option<&Telemetry>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::builder().start().await.unwrap();
        let (nnrp, certificate_pem) = NnrpConfig::self_signed(0).unwrap();
        let mut autotrainer = AutotrainerConfig::new("device");
        (autotrainer.event_port, autotrainer.command_port) = (0, 0);
        let (begun, told_to_stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&begun), Arc::clone(&told_to_stop));
        let wait = node_fn(
            NodeDefinition::builder("wait").build().unwrap(),
            move |context| {
                let (begun, told_to_stop) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    context.cancelled().await;
                    told_to_stop.fetch_add(1, Ordering::SeqCst);
                    Ok(CoreOutputs::new())
                }
            },
        );
        let builder = NodeServer::builder();
        let builder = match telemetry {
            Some(telemetry) => builder.telemetry(telemetry),
            None => builder,
        };
        let server = builder
            .node(echo())
            .node(reverse())
            .node(progress())
            .node(wait)
            .nanograph(nanograph_config(folder.path()))
            .nats(NatsConfig::new("served", "1.2.3", broker.url()))
            .autotrainer(autotrainer)
            .nnrp(nnrp)
            .http(HttpConfig::new().access(HttpToken::new(TOKEN)))
            .build()
            .unwrap()
            .start()
            .await
            .unwrap();
        let (ca, token) = (
            folder.path().join("ca.pem"),
            folder.path().join("http.token"),
        );
        std::fs::write(&ca, certificate_pem).unwrap();
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let flags = flags(&server, &broker.url(), &ca, &token);
        Self {
            server,
            _broker: broker,
            folder,
            flags,
            begun,
            told_to_stop,
        }
    }

    /// The command with these arguments, told of one wire.
    pub(crate) fn on(&self, wire: &str, arguments: &[&str]) -> Command {
        let (_, flags) = self.flags.iter().find(|(name, _)| *name == wire).unwrap();
        let mut command = nodewire(self.folder.path(), arguments);
        command.args(flags);
        command
    }

    /// Told of all wires.
    pub(crate) fn on_all(&self, arguments: &[&str]) -> Command {
        let mut command = nodewire(self.folder.path(), arguments);
        command.args(self.flags.iter().flat_map(|(_, flags)| flags));
        command
    }

    pub(crate) async fn stop(self) {
        let executor = self.server.executor().clone();
        until("nothing is in flight", || {
            executor.counters().in_flight == 0
        })
        .await;
        tokio::time::timeout(PATIENCE, self.server.stop())
            .await
            .unwrap();
        assert!(executor.counters().is_balanced());
    }
}

fn flags(
    server: &RunningServer,
    broker: &str,
    ca: &Path,
    token: &Path,
) -> Vec<(&'static str, Vec<String>)> {
    let device = server.autotrainer_address().unwrap();
    let nnrp = server.nnrp_address().unwrap().port();
    let text = |text: &str| text.to_owned();
    vec![
        (
            "nanograph",
            vec![
                text("--nanograph"),
                server.nanograph_address().unwrap().to_string(),
            ],
        ),
        ("nats", vec![text("--nats"), format!("{broker}/served")]),
        (
            "autotrainer",
            vec![
                text("--autotrainer"),
                format!("{},{}", device.events[0], device.commands[0]),
            ],
        ),
        (
            "nnrp",
            vec![
                text("--nnrp"),
                format!("localhost:{nnrp}"),
                text("--nnrp-ca"),
                ca.display().to_string(),
            ],
        ),
        (
            "http",
            vec![
                text("--http"),
                server.http_address().unwrap().to_string(),
                text("--http-token-file"),
                token.display().to_string(),
            ],
        ),
    ]
}

fn nanograph_config(folder: &Path) -> NanographConfig {
    let described = r#"{"serverUid": "served", "serverPackageId": "served", "port": 1}"#;
    std::fs::write(folder.join("nanoserver.json"), described).unwrap();
    let mut server = nanograph::config::ServerConfig::load(folder, |_| None).unwrap();
    server.port = 0;
    NanographConfig::new(server)
}

/// A command of the catalogue in this folder, with no environment that says where to look.
pub(crate) fn nodewire(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = any_command(folder, arguments);
    // Answers take as long as a busy machine makes them take.
    command.args(["--wait", "30"]);
    command
}

/// Any command in this folder. A daemon has its data there, too.
pub(crate) fn any_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("NANOCORE_HOME", folder.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) async fn ended(mut command: Command) -> Ended {
    end_of(command.spawn().unwrap()).await
}

pub(crate) async fn end_of(child: Child) -> Ended {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("the command ends").unwrap().into()
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect(what);
}

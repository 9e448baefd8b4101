//! A daemon whose registry has one service, and instances of it as processes.

use std::path::PathBuf;
use std::time::Duration;

use nanocore::daemon::{Daemon, DaemonOptions};
use nanocore::nats::NatsAddress;
use nanocore::registry::{Entry, NatsService, Registry};
use nanocore::runs::RunRequest;
use nanocore::supervisor::{ServerState, ServerStatus};
use nodewire_testkit::PeerProcess;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than anything takes; only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const SERVER: &str = "nats-workers";

pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    folder: TempDir,
    url: String,
}

impl Scene {
    /// A daemon on the NATS at this address, with up to 24 steps at a time on the service.
    pub(crate) async fn on(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = DaemonOptions::new(folder.path().join("home"));
        options.bind = "127.0.0.1:0".parse().unwrap();
        options.supervisor.nats.broker = Some(NatsAddress::new(url));
        let mut entry = Entry::new(SERVER);
        entry.nats = Some(NatsService::new("workers"));
        entry.max_concurrency = Some(24);
        let registry = Registry::new(nanocore::home::registry(&options.data_folder));
        registry.put(entry).unwrap();
        Self {
            daemon: Daemon::start(options).await.unwrap(),
            folder,
            url: url.to_owned(),
        }
    }

    /// Starts an instance of the service.
    pub(crate) fn instance(&self, name: &str) -> PeerProcess {
        let tests = std::env::current_exe().unwrap();
        // Cargo builds a package's examples together with its tests.
        let program = tests.ancestors().nth(2).unwrap().join("examples/nats_node");
        assert!(
            program.exists(),
            "{} is missing; run `cargo build -p nanocore --examples`",
            program.display()
        );
        let mut command = Command::new(program);
        command.arg(&self.url).arg(name).arg(self.folder.path());
        PeerProcess::spawn(command).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a file that a node writes.
    pub(crate) async fn noted(&self, name: &str) {
        until(name, || self.file(name).exists()).await;
    }

    pub(crate) fn server(&self) -> ServerStatus {
        self.daemon.supervisor().get(SERVER).unwrap()
    }

    /// Waits until the server has so many instances.
    pub(crate) async fn instances(&self, number: usize) {
        until(&format!("{number} instances"), || {
            let server = self.server();
            let instances = server.nats.map(|nats| nats.instances);
            instances == Some(number) && (number == 0 || server.state == ServerState::Ready)
        })
        .await;
    }

    /// Submits nodes that are not linked, with the ids 1, 2, ...; the run.
    pub(crate) async fn submit(&self, nodes: &[&str]) -> String {
        let node =
            |(id, uid): (usize, &&str)| json!({"id": id + 1, "uid": uid, "serverUid": SERVER});
        let nodes: Vec<Value> = nodes.iter().enumerate().map(node).collect();
        self.submit_graph(json!({"nodes": nodes, "links": []}))
            .await
    }

    pub(crate) async fn submit_graph(&self, graph: Value) -> String {
        // Without the cache, in which equal nodes are one.
        let request = json!({"graph": graph, "cache": "off"});
        let request: RunRequest = serde_json::from_value(request).unwrap();
        let submitted = self.daemon.runs().submit(request, None).await.unwrap();
        submitted.run_id
    }

    pub(crate) async fn record(&self, run_id: &str) -> Value {
        serde_json::to_value(self.daemon.runs().get(run_id).await.unwrap()).unwrap()
    }

    /// Waits for the end of a run; its record.
    pub(crate) async fn finished(&self, run_id: &str) -> Value {
        let ending = async {
            loop {
                let record = self.record(run_id).await;
                if !matches!(record["status"].as_str(), Some("queued" | "running")) {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ending).await;
        match ended {
            Ok(record) => record,
            Err(_) => panic!("the run never ended: {:#}", self.record(run_id).await),
        }
    }

    pub(crate) async fn end(self) {
        self.daemon.shutdown().await;
    }
}

/// How many nodes of a run this instance executed.
pub(crate) fn done_by(record: &Value, name: &str) -> usize {
    let nodes = record["nodes"].as_array().unwrap().iter();
    nodes
        .filter(|node| node["outputs"]["who"][0] == name)
        .count()
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The nodes' uid, so many times.
pub(crate) fn many(uid: &str, number: usize) -> Vec<&str> {
    vec![uid; number]
}

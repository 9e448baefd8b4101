//! A daemon over a temporary folder, and a client of it.

use std::time::Duration;

use nanocore::daemon::{Daemon, DaemonOptions};
use nanocore::process::Tools;
use nanocore::registry::{Entry, Registry};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::Client;

/// More than anything here takes; only a failure waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Setup {
    pub(crate) daemon: Daemon,
    pub(crate) client: Client,
    pub(crate) root: TempDir,
}

pub(crate) async fn start() -> Setup {
    start_with(|_| {}).await
}

/// A daemon whose options were changed by `change`.
pub(crate) async fn start_with(change: impl FnOnce(&mut DaemonOptions)) -> Setup {
    let root = tempfile::tempdir().unwrap();
    let mut options = options(&root);
    change(&mut options);
    let daemon = Daemon::start(options).await.unwrap();
    let client = Client {
        address: daemon.address(),
        token: daemon.tokens().master().reveal().to_owned(),
    };
    Setup {
        daemon,
        client,
        root,
    }
}

pub(crate) fn options(root: &TempDir) -> DaemonOptions {
    let mut options = DaemonOptions::new(root.path().join("home"));
    options.bind = "127.0.0.1:0".parse().unwrap();
    options.tools = Tools {
        path: std::env::var_os("PATH"),
        ..Tools::default()
    };
    options
}

/// Registers a JavaScript server that is not to be started by itself.
pub(crate) fn register_javascript(options: &mut DaemonOptions) {
    let folder = options.data_folder.join("js");
    std::fs::create_dir_all(&options.data_folder).unwrap();
    nodewire_testkit::javascript_server_folder(&folder).unwrap();
    let mut entry = Entry::new("counting-server");
    entry.server_package_id = "counting-server-package".to_owned();
    entry.server_display_name = "JavaScript".to_owned();
    entry.language = nanograph::config::Language::Javascript;
    entry.path = Some(folder);
    entry.enabled = false;
    let registry = Registry::new(nanocore::home::registry(&options.data_folder));
    registry.put(entry).unwrap();
}

impl Setup {
    pub(crate) async fn post(&self, path: &str, body: &Value) -> crate::http::Answer {
        let body = body.to_string();
        let headers = [("Content-Type", "application/json")];
        self.client
            .send("POST", path, &headers, body.as_bytes())
            .await
    }

    /// The id of a run that was accepted.
    pub(crate) async fn submit(&self, request: &Value) -> String {
        let answer = self.post("/api/v1/runs", request).await;
        assert_eq!(answer.status, 202, "{}", answer.json());
        answer.json()["runId"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.client.get(path).await.json();
                if is_so(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answer = tokio::time::timeout(LIMIT, asking).await;
        answer.unwrap_or_else(|_| panic!("{path} never was as wanted"))
    }

    pub(crate) async fn finished(&self, run_id: &str) -> Value {
        self.until(&format!("/api/v1/runs/{run_id}"), |run| {
            !matches!(run["status"].as_str(), Some("queued" | "running"))
        })
        .await
    }
}

/// A text that reaches a viewer.
pub(crate) fn texts(text: &str) -> Value {
    json!({
        "meta": { "name": "Texts" },
        "nodes": [
            { "id": 1, "uid": "text-input", "serverUid": "builtin",
              "params": [{ "name": "text", "type": "text", "value": text }] },
            { "id": 2, "uid": "viewer", "serverUid": "builtin" },
        ],
        "links": [{ "id": 1, "link": [1, "text", 2, "value"] }],
    })
}

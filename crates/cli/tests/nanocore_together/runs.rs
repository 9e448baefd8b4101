//! Graphs over the JavaScript server, and their runs.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::daemon::{Daemon, until};

pub(crate) const SERVER: &str = "counting-server";

/// A node of the JavaScript server.
pub(crate) fn node(id: u64, uid: &str, parameters: &Value) -> Value {
    json!({"id": id, "uid": uid, "serverUid": SERVER, "params": parameters})
}

/// A graph of one node.
pub(crate) fn single(uid: &str, parameters: &Value) -> Value {
    json!({"nodes": [node(1, uid, parameters)], "links": []})
}

/// Lanes of nodes that count themselves in `file`, by their id; each takes from the one before it in its lane.
pub(crate) fn counting_lanes(steps: u64, lanes: u64, file: &Path) -> Value {
    let count = |id: u64| {
        let parameters = json!({"file": file, "label": id.to_string(), "milliseconds": 4});
        node(id, "count", &parameters)
    };
    let link = |id: u64| json!({"id": id, "link": [id - lanes, "label", id, "in"]});
    json!({
        "nodes": (1..=steps).map(count).collect::<Vec<_>>(),
        "links": (lanes + 1..=steps).map(link).collect::<Vec<_>>(),
    })
}

impl Daemon {
    /// Submits a run; its id.
    pub(crate) async fn submit(&self, request: &Value) -> String {
        let answer = self.call(Method::POST, "/runs", Some(request)).await;
        answer["runId"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a run; what is told of it then.
    pub(crate) async fn finished(&self, run_id: &str) -> Value {
        let path = format!("/runs/{run_id}");
        until(&format!("run {run_id} ends\n{}", self.log()), async || {
            let run = self.get(&path).await;
            let goes_on = ["queued", "running"].contains(&run["status"].as_str().unwrap());
            (!goes_on).then_some(run)
        })
        .await
    }

    /// Runs a graph; what is told of the run when it has ended.
    pub(crate) async fn run(&self, graph: Value) -> Value {
        let run_id = self.submit(&json!({"graph": graph, "cache": "off"})).await;
        self.finished(&run_id).await
    }

    /// What is told of a node of a run.
    pub(crate) async fn node(&self, run_id: &str, node_id: u64) -> Value {
        self.get(&format!("/runs/{run_id}/nodes/{node_id}")).await
    }

    /// Waits until a node is executed by its server.
    pub(crate) async fn running(&self, run_id: &str, node_id: u64) {
        let path = format!("/runs/{run_id}/nodes/{node_id}");
        until(
            &format!("node {node_id} runs\n{}", self.log()),
            async || {
                // Of a run that waits for its turn no node is known.
                let (_, node) = self.try_call(Method::GET, &path, None).await.unwrap();
                (node["state"] == "running").then_some(())
            },
        )
        .await;
    }
}

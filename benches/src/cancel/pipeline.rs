//! A node that runs a workflow on a node server of its own, and passes its cancellation on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use nanocore::workflow::{Engine, Graph, RunOptions, ServerPool, ServerSettings};
use nanograph::client::{Client, ClientConfig};
use nanograph::config::{ConfigFile, ServerConfig};
use nodewire::nanograph::NanographConfig;
use nodewire::{
    Context, Node, NodeDefinition, NodeError, NodeServer, Outputs, RunningServer, node_fn,
};

use super::STEPS;
use super::nodes::{Watch, step};

/// The engine, and the node server that it runs steps on.
#[derive(Debug)]
pub(super) struct Pipeline {
    steps: RunningServer,
    pool: Arc<ServerPool>,
    late_reports: Arc<AtomicU64>,
}

impl Pipeline {
    pub(super) async fn start(watch: &Watch) -> anyhow::Result<Self> {
        let file = ConfigFile::parse(r#"{"serverUid": "steps", "serverPackageId": "bench"}"#)?;
        let port = |variable: &str| (variable == "PORT").then(|| "0".to_owned());
        let config = NanographConfig::new(ServerConfig::resolve(file, port)?);
        let steps = NodeServer::builder()
            .node(step()?)
            .node(watch.hold("hold-step")?)
            .nanograph(config)
            .build()?;
        let steps = Box::pin(steps.start()).await?;
        let address = steps.nanograph_address().context("no address")?;
        let url = format!("ws://{address}/");
        let client = Client::connect(&url, ClientConfig::default()).await?;
        let pool = ServerPool::new();
        pool.add(client, ServerSettings::default());
        Ok(Self {
            steps,
            pool: Arc::new(pool),
            late_reports: Arc::default(),
        })
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.steps.executor().counters().in_flight
    }

    pub(super) fn late_reports(&self) -> u64 {
        self.late_reports.load(Ordering::Relaxed)
    }

    /// The node `workflow`.
    pub(super) fn node(&self) -> anyhow::Result<impl Node + use<>> {
        let graph = Arc::new(Graph::parse(&chain())?);
        let (pool, late) = (Arc::clone(&self.pool), Arc::clone(&self.late_reports));
        let definition = NodeDefinition::builder("workflow").build()?;
        Ok(node_fn(definition, move |context| {
            let (pool, graph, late) = (Arc::clone(&pool), Arc::clone(&graph), Arc::clone(&late));
            async move { run(pool, &graph, &late, context).await }
        }))
    }
}

async fn run(
    pool: Arc<ServerPool>,
    graph: &Graph,
    late: &AtomicU64,
    context: Context,
) -> Result<Outputs, NodeError> {
    let started = Engine::new(pool).start(graph, RunOptions::default());
    let run = started.map_err(|error| NodeError::internal(error.to_string()))?;
    let abort = run.abort_handle();
    let result = async {
        let result = run.result().await;
        result.map_err(|error| NodeError::internal(error.to_string()))
    };
    let mut result = std::pin::pin!(result);
    let result = tokio::select! {
        result = &mut result => result?,
        () = context.cancelled() => {
            abort.abort();
            result.await?
        }
    };
    late.fetch_add(result.late_reports, Ordering::Relaxed);
    Ok(Outputs::new())
}

/// One step after the other; the third holds.
fn chain() -> String {
    let nodes = (0..STEPS).map(|id| {
        let uid = if id == STEPS / 2 { "hold-step" } else { "step" };
        format!(r#"{{"id": {id}, "uid": "{uid}", "serverUid": "steps"}}"#)
    });
    let links = (1..STEPS).map(|id| {
        let from = id - 1;
        format!(r#"{{"id": {id}, "link": [{from}, "out", {id}, "a"]}}"#)
    });
    let (nodes, links): (Vec<_>, Vec<_>) = (nodes.collect(), links.collect());
    format!(
        r#"{{"nodes": [{}], "links": [{}]}}"#,
        nodes.join(", "),
        links.join(", ")
    )
}

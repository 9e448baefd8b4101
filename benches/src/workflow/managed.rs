//! Runs as the daemon has them: kept in a database, told as events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use nanocore::db::{Database, DatabaseOptions};
use nanocore::events::{EventHub, EventHubOptions, Item};
use nanocore::runs::{
    RequestCache, RunManager, RunManagerOptions, RunManagerParts, RunRequest, RunState,
};
use nanocore::workflow::NodeInvoker;
use nodewire_json::Json;

use super::{RunTime, Timed};

/// A run manager over nodes that note when they are executed.
#[derive(Debug)]
pub struct Managed<I> {
    nodes: Arc<Timed<I>>,
    events: EventHub,
    manager: RunManager,
}

impl<I: NodeInvoker + 'static> Managed<I> {
    /// With a new database in this file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn start(database: PathBuf, nodes: Arc<Timed<I>>) -> anyhow::Result<Self> {
        let events = EventHub::new(EventHubOptions::default());
        let parts = RunManagerParts {
            nodes: Arc::clone(&nodes) as Arc<dyn NodeInvoker>,
            db: Database::open(&database, DatabaseOptions::default())?,
            events: events.clone(),
            assets: None,
            tracer: None,
            options: RunManagerOptions::default(),
        };
        let manager = RunManager::start(parts).await?;
        Ok(Self {
            nodes,
            events,
            manager,
        })
    }

    /// Runs a graph file, without the result cache.
    ///
    /// # Errors
    /// The graph is refused, or does not complete.
    pub async fn run(&self, graph: &str, durable: bool) -> anyhow::Result<RunTime> {
        let request = RunRequest {
            graph: Json::parse(graph)?,
            cache: RequestCache::Off,
            durable,
            ..RunRequest::default()
        };
        self.nodes.forget();
        let begin = Instant::now();
        let run_id = self.manager.submit(request, None).await?.run_id;
        let start = begin.elapsed();
        self.end(&run_id).await;
        let steps = begin.elapsed() - start;
        let run = self.manager.get(&run_id).await?;
        ensure!(
            run.summary.status == RunState::Complete,
            "the run did not complete"
        );
        Ok(RunTime {
            start,
            steps,
            between: self.nodes.between(),
        })
    }

    async fn end(&self, run_id: &str) {
        let mut events = self.events.subscribe_run(run_id);
        loop {
            match events.next().await {
                Item::Event(event) if event.type_name == "run_finished" => return,
                Item::Event(_) | Item::Reset | Item::TooSlow { .. } => {}
            }
        }
    }
}

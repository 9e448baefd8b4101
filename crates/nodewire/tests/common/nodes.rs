//! Nodes to try, shared by the tests of several wires.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nodewire::prelude::*;
use nodewire::{NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, RunningServer, node_fn};
use tokio::sync::Semaphore;

/// Longer than anything takes; only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Prefixes each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "> ")] prefix: String) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Reports three steps, with a preview.
#[node(output = "n")]
async fn progress(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    let preview = CoreOutputs::new().with("n", Json::parse("2").unwrap());
    context.partial(preview).await;
    3
}

/// What the wire brought besides values.
#[node(output = "about")]
async fn about(context: Context) -> Vec<String> {
    let parent = context.trace_parent().unwrap_or("none").to_owned();
    vec![parent, context.caller_id().to_owned()]
}

/// Panics.
#[node]
async fn panic() {
    panic!("a defect");
}

/// What waiting nodes do.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) told_to_stop: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Probe {
    /// A server of the nodes here, `wait/here` and `narrow` (one at a time, one waiting) among them, that is not built yet.
    pub(crate) fn builder() -> (NodeServerBuilder, Self) {
        let probe = Self {
            begun: Arc::default(),
            told_to_stop: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let waiting = |definition: NodeDefinition| {
            let probe = probe.clone();
            node_fn(definition, move |context| probe.clone().wait(context))
        };
        let narrow = NodeDefinition::builder("narrow").concurrency(1).queue(1);
        let builder = NodeServer::builder()
            .node(echo())
            .node(progress())
            .node(about())
            .node(panic())
            .node(waiting(
                NodeDefinition::builder("wait/here").build().unwrap(),
            ))
            .node(waiting(narrow.build().unwrap()));
        (builder, probe)
    }

    pub(crate) async fn wait_until_begun(&self, executions: usize) {
        until("handlers have begun", || {
            self.begun.load(Ordering::SeqCst) >= executions
        })
        .await;
    }

    /// Lets everything through, from now on.
    pub(crate) fn open(&self) {
        self.gate.close();
    }

    /// Waits until the gate is open, or it is told to stop.
    async fn wait(self, context: Context) -> Result<CoreOutputs, NodeError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        tokio::select! {
            _ = self.gate.acquire() => Ok(CoreOutputs::new().with("done", Json::from("yes"))),
            () = context.cancelled() => {
                self.told_to_stop.fetch_add(1, Ordering::SeqCst);
                Ok(CoreOutputs::new())
            }
        }
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect(what);
}

/// Stops a server; everything was counted exactly once.
pub(crate) async fn stop(server: RunningServer) {
    let executor = server.executor().clone();
    let stopped = tokio::time::timeout(PATIENCE, server.stop()).await;
    stopped.expect("the server stops");
    let counters = executor.counters();
    assert!(counters.is_balanced(), "{counters:?}");
    assert_eq!(counters.in_flight, 0);
}

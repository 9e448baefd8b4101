//! The nodes that all wires serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nodewire::prelude::*;
use nodewire::{
    Node, NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, Port, Value, node_fn,
};
use tokio::sync::Semaphore;

/// The longest that the node `linger` runs, in milliseconds.
pub const MAX_LINGER_MS: u64 = 40;

/// Between the steps of `slow`: a wire that holds one preview at a time has sent it by then.
const STEP: Duration = Duration::from_millis(15);

/// Prefixes each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "> ")] prefix: String) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Three steps, with a preview after the second.
#[node(output = "n")]
async fn slow(context: Context) -> u32 {
    for step in 1..=3_u32 {
        tokio::time::sleep(STEP).await;
        context.progress(step.into(), 3, format!("step {step}"));
        if step == 2 {
            tokio::time::sleep(STEP).await;
            let preview = CoreOutputs::new().with("n", Json::from(serde_json::json!(2)));
            context.partial(preview).await;
        }
    }
    3
}

/// Turns bytes round.
#[node(output = "data")]
async fn reverse(data: Bytes) -> Bytes {
    data.iter().rev().copied().collect::<Vec<_>>().into()
}

/// Panics.
#[node]
async fn panic() {
    panic!("a defect");
}

/// What the nodes with state do, seen from outside.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    seen: Arc<Seen>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Seen {
    begun: AtomicU64,
    ended: AtomicU64,
    told_to_stop: AtomicU64,
}

#[derive(Debug)]
struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

/// Counts the end of a handler, however it ends.
struct Handler(Arc<Seen>);

impl Handler {
    fn begin(seen: &Arc<Seen>) -> Self {
        seen.begun.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Probe {
    /// Handlers of `wait`, `narrow` and `linger` that have begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.seen.begun.load(Ordering::SeqCst)
    }

    /// Those of them that have ended, also by being dropped.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.seen.ended.load(Ordering::SeqCst)
    }

    /// Those that were told to stop.
    #[must_use]
    pub fn told_to_stop(&self) -> u64 {
        self.seen.told_to_stop.load(Ordering::SeqCst)
    }

    /// The node set, in a builder to which wires can be added.
    ///
    /// # Errors
    /// Never, as long as the definitions in here are right.
    pub fn add_to(&self, builder: NodeServerBuilder) -> anyhow::Result<NodeServerBuilder> {
        let narrow = NodeDefinition::builder("narrow").concurrency(1).queue(1);
        Ok(builder
            .node(echo())
            .node(slow())
            .node(reverse())
            .node(panic())
            .node(self.gated(NodeDefinition::builder("wait").build()?))
            .node(self.gated(narrow.build()?))
            .node(self.linger()?)
            .node(self.open()?))
    }

    /// Reports that it has begun, and runs until the gate lets it through or it is told to stop.
    fn gated(&self, definition: NodeDefinition) -> impl Node + use<> {
        let probe = self.clone();
        node_fn(definition, move |context| {
            let probe = probe.clone();
            async move {
                let _handler = Handler::begin(&probe.seen);
                context.progress(0, 1, "waiting");
                tokio::select! {
                    permit = probe.gate.0.acquire() => {
                        permit.map_err(|_| NodeError::internal("the gate is gone"))?.forget();
                    }
                    () = context.cancelled() => probe.stopped(),
                }
                Ok(CoreOutputs::new())
            }
        })
    }

    /// Runs for so many milliseconds, or until it is told to stop.
    fn linger(&self) -> anyhow::Result<impl Node + use<>> {
        let ms = Port::new("ms", "number");
        let definition = NodeDefinition::builder("linger").input(ms).build()?;
        let probe = self.clone();
        Ok(node_fn(definition, move |context| {
            let probe = probe.clone();
            async move {
                let _handler = Handler::begin(&probe.seen);
                let ms = whole_number(&context, "ms").min(MAX_LINGER_MS);
                context.progress(0, 1, "lingering");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                    () = context.cancelled() => probe.stopped(),
                }
                Ok(CoreOutputs::new())
            }
        }))
    }

    /// Lets so many through the gate.
    fn open(&self) -> anyhow::Result<impl Node + use<>> {
        let permits = Port::new("permits", "number");
        let definition = NodeDefinition::builder("open").input(permits).build()?;
        let gate = Arc::clone(&self.gate);
        Ok(node_fn(definition, move |context| {
            let gate = Arc::clone(&gate);
            async move {
                let permits = whole_number(&context, "permits");
                gate.0.add_permits(usize::try_from(permits).unwrap_or(0));
                Ok(CoreOutputs::new())
            }
        }))
    }

    fn stopped(&self) {
        self.seen.told_to_stop.fetch_add(1, Ordering::SeqCst);
    }
}

/// 0 if there is none.
fn whole_number(context: &Context, input: &str) -> u64 {
    match context.inputs().first(input) {
        Some(Value::Json(json)) => json.decode().unwrap_or(0),
        Some(Value::Bytes(_) | Value::Asset(_)) | None => 0,
    }
}

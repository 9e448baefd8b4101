//! What is served.

use std::sync::Arc;

use bytes::Bytes;
use nodewire::prelude::*;
use nodewire::{Node, NodeDefinition, Outputs as CoreOutputs, node_fn};
use tokio::sync::Semaphore;

/// Prefixes each text.
#[node(output = "text")]
pub(crate) async fn echo(
    text: Vec<String>,
    #[param(default = "> ")] prefix: String,
) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Says something on its way.
#[node]
pub(crate) async fn blip(context: Context) {
    context.message("blip");
}

/// Reports three steps, with a preview.
#[node(output = "n")]
pub(crate) async fn steps(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    let preview = CoreOutputs::new().with("n", Json::from("so far"));
    context.partial(preview).await;
    3
}

/// Panics.
#[node]
pub(crate) async fn panic() {
    panic!("a defect");
}

/// Reverses bytes.
#[node(output = "bytes")]
pub(crate) async fn reverse(bytes: Bytes) -> Bytes {
    bytes.iter().rev().copied().collect()
}

/// Gives bytes of these lengths.
#[node(output = "bytes")]
pub(crate) async fn grow(lengths: Vec<usize>) -> Vec<Bytes> {
    lengths
        .into_iter()
        .map(|length| vec![0; length].into())
        .collect()
}

/// Tells its trace and its caller.
#[node(output = "told")]
pub(crate) async fn tell(context: Context) -> Vec<String> {
    let trace = context.trace_parent().unwrap_or_default().to_owned();
    vec![trace, context.caller_id().to_owned()]
}

/// Gives a long text, and shows it before.
#[node(output = "text")]
pub(crate) async fn long(#[param(default = 200_000)] length: u32, context: Context) -> String {
    let text = "x".repeat(length as usize);
    let preview = CoreOutputs::new().with("text", Json::from(text.as_str()));
    context.partial(preview).await;
    text
}

/// Runs until it is told to stop, and tells that it started and that it was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting {
    pub(crate) started: Arc<Signal>,
    pub(crate) stopped: Arc<Signal>,
    /// Lets it end by itself.
    pub(crate) finish: Arc<Signal>,
}

/// Counts what is not waited for yet.
#[derive(Debug)]
pub(crate) struct Signal(Semaphore);

impl Default for Signal {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Signal {
    pub(crate) fn give(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn taken(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

impl Waiting {
    /// One at a time, and one that waits for it.
    pub(crate) fn narrow(&self) -> impl Node + use<> {
        self.node(
            NodeDefinition::builder("narrow")
                .concurrency(1)
                .queue(1)
                .build()
                .unwrap(),
        )
    }

    pub(crate) fn wide(&self) -> impl Node + use<> {
        self.node(NodeDefinition::builder("wait").build().unwrap())
    }

    fn node(&self, definition: NodeDefinition) -> impl Node + use<> {
        let this = self.clone();
        node_fn(definition, move |context: Context| {
            let this = this.clone();
            async move {
                this.started.give();
                tokio::select! {
                    () = this.finish.taken() => Ok(CoreOutputs::new().with("done", "by itself")),
                    () = context.cancelled() => {
                        this.stopped.give();
                        Err("stopped".into())
                    }
                }
            }
        })
    }
}

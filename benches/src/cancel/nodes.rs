//! Nodes that tell when they hear of a cancellation.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use nodewire::{Context, Json, Node, NodeDefinition, Outputs, Port, Value, node_fn};
use tokio::sync::mpsc;

use super::PATIENCE;

/// More than are ever under way.
const SEEN_MAX: usize = 16;

/// What a handler tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    Begun,
    Stopped(Instant),
}

/// Where handlers tell it.
#[derive(Debug)]
pub(super) struct Watch {
    tell: mpsc::Sender<Seen>,
    told: mpsc::Receiver<Seen>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(SEEN_MAX);
        Self { tell, told }
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Seen> {
        let next = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        next.context("no handler tells anything")?
            .context("there are no handlers")
    }

    /// Runs until it is told to stop. It can be a step of a workflow.
    pub(super) fn hold(&self, uid: &str) -> anyhow::Result<impl Node + use<>> {
        let tell = self.tell.clone();
        Ok(node_fn(step_definition(uid)?, move |context: Context| {
            let tell = tell.clone();
            async move {
                // Without a receiver the bench is over.
                let _ = tell.send(Seen::Begun).await;
                context.cancelled().await;
                let _ = tell.send(Seen::Stopped(Instant::now())).await;
                Ok(Outputs::new())
            }
        }))
    }
}

/// Ends by itself after so many microseconds, unless it is told to stop before.
pub(super) fn brief() -> anyhow::Result<impl Node + use<>> {
    let us = Port::new("us", "number");
    let definition = NodeDefinition::builder("brief").input(us).build()?;
    Ok(node_fn(definition, async |context: Context| {
        let us = match context.inputs().first("us") {
            Some(Value::Json(json)) => json.decode().unwrap_or(0),
            Some(Value::Bytes(_) | Value::Asset(_)) | None => 0,
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_micros(us)) => {}
            () = context.cancelled() => {}
        }
        Ok(Outputs::new())
    }))
}

/// Hands something on at once.
pub(super) fn step() -> anyhow::Result<impl Node + use<>> {
    Ok(node_fn(step_definition("step")?, async |_: Context| {
        Ok(Outputs::new().with("out", Json::from("done")))
    }))
}

fn step_definition(uid: &str) -> anyhow::Result<NodeDefinition> {
    let definition = NodeDefinition::builder(uid)
        .input(Port::new("a", "any").optional())
        .output(Port::new("out", "any"));
    Ok(definition.build()?)
}

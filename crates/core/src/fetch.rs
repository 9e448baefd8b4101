//! References to assets at inputs that take bytes: what they refer to is fetched before the node is called, on whichever
//! wire they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::assets::Assets;
use crate::definition::NodeDefinition;
use crate::error::{NodeError, NodeErrorKind};
use crate::executor::ExecutorConfig;
use crate::running::Running;
use crate::value::{Inputs, PortValue, Value};

/// Whether an input that takes bytes has a reference.
pub(crate) fn is_needed(inputs: &Inputs, definition: &NodeDefinition) -> bool {
    let takes_bytes = definition.inputs.iter().filter(|port| port.kind == BYTES);
    takes_bytes
        .filter_map(|port| inputs.get(&port.name))
        .any(|value| value.values().iter().any(is_reference))
}

/// Bounds what is fetched for inputs, over all executions.
#[derive(Debug)]
pub(crate) struct Fetches {
    places: Semaphore,
    bytes_max: usize,
    held_max: usize,
    held: Arc<AtomicUsize>,
    time: Duration,
}

impl Fetches {
    pub(crate) fn new(config: &ExecutorConfig) -> Self {
        let places = config.asset_fetches_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places),
            bytes_max: config.asset_bytes_max,
            held_max: config.asset_bytes_held_max,
            held: Arc::default(),
            time: config.asset_timeout,
        }
    }

    /// Fetches for one execution; ends when that should stop.
    pub(crate) async fn fetch(
        &self,
        running: &Running,
        definition: &NodeDefinition,
    ) -> Result<(), NodeError> {
        let fetched = tokio::select! {
            biased;
            () = running.stopping() => return Err(stopped()),
            fetched = tokio::time::timeout(self.time, self.inputs(running, definition)) => fetched,
        };
        let inputs = fetched.map_err(|_| too_slow(self.time))??;
        // Nobody else sets it.
        let _ = running.fetched.set(inputs);
        Ok(())
    }

    async fn inputs(
        &self,
        running: &Running,
        definition: &NodeDefinition,
    ) -> Result<Fetched, NodeError> {
        // It is never closed.
        let _place = self.places.acquire().await;
        let mut held = Held {
            all: Arc::clone(&self.held),
            bytes: 0,
        };
        let mut fetched = running.request.inputs.clone();
        for port in definition.inputs.iter().filter(|port| port.kind == BYTES) {
            let Some(given) = running.request.inputs.get(&port.name) else {
                continue;
            };
            let mut values = Vec::with_capacity(given.values().len());
            for value in given.values() {
                values.push(self.value(value, &running.assets, &mut held).await?);
            }
            fetched.insert(port.name.as_str(), PortValue::List(values));
        }
        Ok(Fetched {
            inputs: fetched,
            _held: held,
        })
    }

    async fn value(
        &self,
        value: &Value,
        assets: &Assets,
        held: &mut Held,
    ) -> Result<Value, NodeError> {
        let Value::Asset(asset) = value else {
            return Ok(value.clone());
        };
        let left = self.bytes_max - held.bytes;
        let content = assets.fetch_within(asset, left).await?;
        if content.len() > left {
            return Err(too_large(self.bytes_max));
        }
        if held.add(content.len()) > self.held_max {
            return Err(too_much());
        }
        Ok(Value::Bytes(content))
    }
}

/// Inputs with what their references refer to.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) inputs: Inputs,
    _held: Held,
}

/// Bytes that one execution holds, given back when this is dropped.
#[derive(Debug)]
struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// What all executions hold then.
    fn add(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The type of ports that take bytes.
const BYTES: &str = "bytes";

fn is_reference(value: &Value) -> bool {
    matches!(value, Value::Asset(_))
}

fn stopped() -> NodeError {
    let message = "the execution was stopped while the assets at its inputs were fetched";
    NodeError::new(NodeErrorKind::Cancelled, message)
}

fn too_slow(time: Duration) -> NodeError {
    let message = format!(
        "the assets at the inputs did not come within {} ms; is the asset store slow, or busy?",
        time.as_millis()
    );
    NodeError::new(NodeErrorKind::Unavailable, message)
}

fn too_much() -> NodeError {
    let message = "the server holds as many bytes of assets as it may; try again later";
    NodeError::new(NodeErrorKind::Overloaded, message)
}

fn too_large(bytes_max: usize) -> NodeError {
    NodeError::invalid_input(format!(
        "the assets at the inputs have more than the {bytes_max} bytes that are fetched for one execution"
    ))
}

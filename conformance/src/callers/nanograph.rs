//! Nanograph.

use std::sync::atomic::{AtomicU64, Ordering};

use nanograph::client::{Client, ClientConfig, Execution, ExecutionError};
use nanograph::message::{ExecutionRequest, NodeId};
use nodewire::Json;
use serde_json::{Value, json};

use super::{End, lost, text};

/// Instance ids are unique over all callers, as a stop is for all of one id.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Caller(Client);

#[derive(Debug)]
pub(super) struct Call(Execution);

impl Caller {
    pub(super) async fn connect(address: &Value) -> anyhow::Result<Self> {
        let config = ClientConfig {
            // Whoever is lost says so at once.
            reconnect: None,
            ..ClientConfig::default()
        };
        Ok(Self(Client::connect(text(address, "url"), config).await?))
    }

    pub(super) async fn begin(&self, node: &str, inputs: &Value) -> Result<Call, End> {
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let graph_node = json!({"id": 1, "uid": node, "parameters": []});
        let request = ExecutionRequest::new(
            format!("caller.{instance}"),
            NodeId::from(1),
            node,
            Json::from(inputs.clone()),
            Json::from(graph_node),
        );
        let execution = self.0.execute(request).await;
        execution.map(Call).map_err(|error| lost(&error))
    }
}

impl Call {
    pub(super) async fn cancel(&self) {
        // Its end says whether it came.
        let _ = self.0.stop().await;
    }

    pub(super) async fn end(self) -> End {
        match self.0.outcome().await {
            Ok(_) => End::Completed,
            Err(
                error @ (ExecutionError::Failed { .. }
                | ExecutionError::Stopped { .. }
                | ExecutionError::InvalidOutputs { .. }),
            ) => End::Told(error.to_string()),
            Err(error) => lost(&error),
        }
    }
}

//! The Nanograph wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nanograph::client::{
    Client, ClientConfig, ConnectError, ExecuteError, Execution, ExecutionError, ExecutionEvent,
    MAX_REQUEST_BYTES,
};
use nanograph::message::{self as message, ExecutionRequest, NodeDefinition, NodeId, Status};
use nodewire_core::{AssetRef, BoxFuture, Outputs, PortValue, Progress, Value};
use nodewire_json::{Json, Member};
use uuid::Uuid;

use super::RemoteOptions;
use super::call::Call;
use super::description::{
    NodeDescription, ParameterDescription, PortDescription, ServerDescription,
};
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::wire::{Told, Wire};
use crate::capability::Wire as WireName;

/// What every server says before a node starts.
const STARTING: &str = "Starting execution...";

/// What every server says of a node that was stopped.
const STOPPED: &str = "Execution cancelled";

/// A node server.
#[derive(Debug)]
pub(super) struct Nanograph {
    client: Client,
    options: Arc<RemoteOptions>,
}

impl Nanograph {
    pub(super) async fn connect(
        url: &str,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let config = ClientConfig {
            connect_timeout: options.connect_timeout,
            handshake_timeout: options.connect_timeout,
            max_message_bytes: options.message_bytes_max,
            max_queued_statuses: options.events_max,
            ..ClientConfig::default()
        };
        let client = Client::connect(url, config).await.map_err(|error| {
            let kind = match &error {
                ConnectError::InvalidUrl { .. } | ConnectError::NoTlsProvider { .. } => {
                    RemoteErrorKind::Unsupported
                }
                ConnectError::NotWebSocket { .. } | ConnectError::WrongServer { .. } => {
                    RemoteErrorKind::Protocol
                }
                ConnectError::Unreachable { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::NoHandshake { .. }
                | ConnectError::ClosedEarly { .. } => RemoteErrorKind::Unreachable,
            };
            RemoteError::of(kind, error)
        })?;
        Ok(Self {
            client,
            options: Arc::clone(options),
        })
    }

    async fn described(&self, within: Duration) -> Result<Vec<ServerDescription>, RemoteError> {
        // A stop of what nobody has is a message with an answer that changes nothing.
        let begun = Instant::now();
        let nothing = format!("nodewire-{}", Uuid::new_v4());
        let asked = self.client.stop_instance(nothing);
        let answered = tokio::time::timeout(within, asked).await;
        let is_answered = answered.is_ok_and(|answer| answer.is_ok());
        let round_trip = is_answered.then(|| begun.elapsed());
        if !is_answered && !self.is_connected() {
            let text = "the connection to the node server was lost";
            return Err(RemoteError::new(RemoteErrorKind::Lost, text));
        }
        let handshake = self.client.handshake();
        Ok(vec![ServerDescription {
            version: handshake.sdk.clone(),
            round_trip,
            nodes: handshake.node_definitions.iter().map(described).collect(),
            ..ServerDescription::new(WireName::Nanograph, handshake.server_uid.clone())
        }])
    }

    fn is_connected(&self) -> bool {
        matches!(
            self.client.state(),
            nanograph::client::ConnectionState::Connected
        )
    }

    async fn executed(&self, call: Call, told: &Told) -> RemoteEvent {
        let handshake = self.client.handshake();
        let mut definitions = handshake.node_definitions.iter();
        let Some(definition) = definitions.find(|each| *each.uid == *call.node) else {
            return RemoteEvent::Failed(RemoteError::unknown_node(&call.node));
        };
        let request = match request(&call, definition) {
            Ok(request) => request,
            Err(error) => return RemoteEvent::Failed(error),
        };
        match self.client.execute(request).await {
            Ok(execution) => follow(execution, told).await,
            Err(error) => RemoteEvent::Failed(not_sent(error)),
        }
    }
}

impl Wire for Nanograph {
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described(at_most.min(self.options.answer_timeout)))
    }

    fn carries(&self, call: &Call) -> Result<(), RemoteError> {
        for (port, values) in call.inputs.iter() {
            for value in values.values() {
                input(port, value)?;
            }
        }
        // A request is a little longer than this; what is too long by less is refused when it is sent.
        let bytes = plain::request_bytes(call);
        if bytes > MAX_REQUEST_BYTES as u64 {
            return Err(too_large(bytes));
        }
        Ok(())
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move { self.executed(call, &told).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.client.close())
    }
}

fn described(definition: &NodeDefinition) -> NodeDescription {
    let ports = |ports: &[message::Port]| {
        let ports = ports.iter().map(|port| PortDescription {
            name: port.name.clone(),
            kind: port.kind.clone(),
            optional: Some(port.optional),
        });
        Some(ports.collect())
    };
    let parameters = definition.parameters.iter();
    let parameters = parameters.map(|parameter| ParameterDescription {
        name: parameter.name.clone(),
        kind: parameter.kind.clone(),
        default: set_value(parameter),
    });
    NodeDescription {
        name: Some(definition.name.clone()),
        version: Some(definition.version.clone()),
        description: Some(definition.description.clone()).filter(|text| !text.is_empty()),
        inputs: ports(&definition.inputs),
        outputs: ports(&definition.outputs),
        parameters: Some(parameters.collect()),
        ..NodeDescription::new(definition.uid.as_str())
    }
}

/// What a parameter is unless it is set.
fn set_value(parameter: &message::Parameter) -> Json {
    if parameter.value.is_null() {
        parameter.default.clone()
    } else {
        parameter.value.clone()
    }
}

/// The request as an orchestrator writes it: with all parameters, as some servers know no defaults.
fn request(call: &Call, definition: &NodeDefinition) -> Result<ExecutionRequest, RemoteError> {
    let mut inputs: Vec<(&str, Member)> = Vec::new();
    for (port, values) in call.inputs.iter() {
        let values: Result<Vec<_>, _> = values
            .values()
            .iter()
            .map(|each| input(port, each))
            .collect();
        inputs.push((port, Member::List(values?)));
    }
    let of_node = definition
        .parameters
        .iter()
        .filter(|parameter| call.parameters.get(&parameter.name).is_none())
        .map(|parameter| named(&parameter.name, &set_value(parameter)));
    let set = call
        .parameters
        .iter()
        .map(|(name, value)| named(name, value));
    let parameters = of_node.chain(set).collect();
    let graph_node = Json::object([
        ("id", Member::Value(Json::from(serde_json::json!(1)))),
        ("uid", Member::Value(Json::from(&*call.node))),
        ("parameters", Member::List(parameters)),
    ]);
    let mut request = ExecutionRequest::new(
        Uuid::new_v4().to_string(),
        NodeId::from(1),
        call.node.clone(),
        Json::object(inputs),
        graph_node,
    );
    request.trace_parent = call.trace_parent.as_deref().map(Into::into);
    Ok(request)
}

fn named(name: &str, value: &Json) -> Json {
    Json::object([("name", Json::from(name)), ("value", value.clone())])
}

fn input(port: &str, value: &Value) -> Result<Json, RemoteError> {
    match value {
        Value::Json(json) => Ok(json.clone()),
        Value::Asset(asset) => Ok(Json::from(asset.as_str())),
        Value::Bytes(_) => Err(RemoteError::new(
            RemoteErrorKind::Unsupported,
            format!(
                "input `{port}`: bytes travel as assets on the Nanograph wire; give a reference, or use another wire"
            ),
        )),
    }
}

fn too_large(bytes: u64) -> RemoteError {
    RemoteError::too_large(WireName::Nanograph, bytes, MAX_REQUEST_BYTES as u64)
}

fn not_sent(error: ExecuteError) -> RemoteError {
    let kind = match error {
        ExecuteError::InputTooLarge { size, .. } => return too_large(size as u64),
        ExecuteError::TooManyOutstanding { .. } => RemoteErrorKind::TooManyInFlight,
        ExecuteError::NotConnected | ExecuteError::Closed => RemoteErrorKind::Unreachable,
        ExecuteError::Duplicate { .. } => RemoteErrorKind::InvalidInput,
    };
    RemoteError::of(kind, error)
}

async fn follow(mut execution: Execution, told: &Told) -> RemoteEvent {
    let mut is_asked = false;
    loop {
        let event = tokio::select! {
            biased;
            () = told.cancel.cancelled(), if !is_asked => {
                is_asked = true;
                // Without an answer the end may come nevertheless.
                let _ = execution.stop().await;
                continue;
            }
            event = execution.next() => event,
        };
        match event {
            Some(ExecutionEvent::Status(status)) => take(&status, told).await,
            Some(ExecutionEvent::End(Ok(completion))) => {
                return RemoteEvent::Completed(outputs(&completion.outputs));
            }
            Some(ExecutionEvent::End(Err(error))) => return ended(error),
            None => return RemoteEvent::failed(RemoteErrorKind::Lost, "the client was closed"),
        }
    }
}

async fn take(status: &Status, told: &Told) {
    if let Some(some) = &status.outputs {
        told.partial(outputs(some)).await;
        return;
    }
    let message = status.message.clone().unwrap_or_default();
    if status.progress.is_some() || message != STARTING {
        told.progress(Progress {
            step: status.progress.map(|progress| progress.step),
            total: status.progress.map(|progress| progress.total),
            message,
        });
    }
}

fn ended(error: ExecutionError) -> RemoteEvent {
    let kind = match &error {
        ExecutionError::Failed { message } if message == STOPPED => return RemoteEvent::Cancelled,
        ExecutionError::Stopped { .. } => return RemoteEvent::Cancelled,
        ExecutionError::Failed { .. } => RemoteErrorKind::Failed,
        ExecutionError::InvalidOutputs { .. } => RemoteErrorKind::Protocol,
        ExecutionError::TimedOut { .. } => RemoteErrorKind::Deadline,
        ExecutionError::ServerLost { .. } | ExecutionError::Closed => RemoteErrorKind::Lost,
    };
    RemoteEvent::Failed(RemoteError::of(kind, error))
}

/// Lists by port. References look like any text, but for their form.
fn outputs(json: &Json) -> Outputs {
    let told = plain::outputs(json);
    let ports = told.into_iter().map(|(port, values)| {
        let values = values.into_values().into_iter().map(reference).collect();
        (port, PortValue::List(values))
    });
    ports.collect()
}

fn reference(value: Value) -> Value {
    let text = match &value {
        Value::Json(json) => json.string(),
        Value::Bytes(_) | Value::Asset(_) => None,
    };
    let is_reference = |text: &str| text.parse::<nanograph::assets::AssetRef>().is_ok();
    match text.filter(|text| is_reference(text)) {
        Some(text) => Value::Asset(AssetRef::new(text)),
        None => value,
    }
}

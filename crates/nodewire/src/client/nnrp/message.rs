//! Frames as requests, and results as outputs.

use nnrp_wire::body::{PayloadKind, TypedPayload};
use nnrp_wire::build::SubmitOptions;
use nnrp_wire::{BudgetPolicy, FrameSubmit, ResultBody, ResultPush, SubmitBody, WireError};
use nodewire_core::{Inputs, Outputs, PortValue, Value};
use nodewire_json::Json;

use super::super::call::Call;
use super::super::description::{NodeDescription, PortDescription};
use super::super::plain;

/// The names of a node's inputs and outputs: payloads have their places, counted from 1, as profiles.
#[derive(Debug, Default)]
pub(super) struct Ports {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Ports {
    pub(super) fn of(node: &NodeDescription) -> Self {
        let names = |ports: &Option<Vec<PortDescription>>| {
            let ports = ports.iter().flatten();
            ports.map(|port| port.name.clone()).collect()
        };
        Self {
            inputs: names(&node.inputs),
            outputs: names(&node.outputs),
        }
    }
}

/// Bytes are payloads of their own, of their port; everything else is in the request.
pub(super) fn submit(call: &Call, ports: &Ports) -> Result<FrameSubmit, WireError> {
    let mut inputs = Inputs::new();
    let mut pieces = Vec::new();
    for (port, values) in call.inputs.iter() {
        let place = ports.inputs.iter().position(|name| name == port);
        let place = place.and_then(|place| u16::try_from(place + 1).ok());
        match (place, only_bytes(values)) {
            (Some(place), Some(bytes)) => {
                let payloads = bytes.into_iter();
                pieces.extend(
                    payloads.map(|bytes| TypedPayload::opaque_bytes(bytes).with_profile(place)),
                );
            }
            _ => inputs.insert(port, values.clone()),
        }
    }
    let request = TypedPayload::structured_event(plain::request(call, &inputs).into_bytes());
    let mut payloads = vec![request];
    payloads.append(&mut pieces);
    let budget_ms = call
        .timeout
        .and_then(|time| u16::try_from(time.as_millis()).ok());
    let options = SubmitOptions {
        budget_policy: if call.wants_events {
            BudgetPolicy::ALLOW_PARTIAL
        } else {
            BudgetPolicy::empty()
        },
        latency_budget_ms: budget_ms.unwrap_or(0),
        ..SubmitOptions::default()
    };
    FrameSubmit::builder()
        .options(options)
        .payloads(payloads)
        .build()
}

/// How long a frame's body is.
pub(super) fn body_bytes(message: &FrameSubmit) -> Result<u64, WireError> {
    Ok(match &message.body {
        // Of a tensor alone, which no request is.
        SubmitBody::Flat(_) => 0,
        SubmitBody::Composed(composed) => composed.body().prelude()?.body_bytes(),
    })
}

fn only_bytes(values: &PortValue) -> Option<Vec<bytes::Bytes>> {
    let values = values.values();
    let bytes = values.iter().map(|value| match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::Json(_) | Value::Asset(_) => None,
    });
    bytes
        .collect::<Option<Vec<_>>>()
        .filter(|all| !all.is_empty())
}

pub(super) fn payloads(result: &ResultPush) -> Vec<TypedPayload> {
    match &result.body {
        ResultBody::Composed(composed) => composed.body().typed.iter().collect(),
        ResultBody::Empty | ResultBody::Flat(_) => Vec::new(),
    }
}

/// The event, if the result is one of progress.
pub(super) fn progress(result: &ResultPush) -> Option<Json> {
    let payloads = payloads(result);
    let [payload] = payloads.as_slice() else {
        return None;
    };
    if payload.kind != PayloadKind::StructuredEvent || payload.profile_id != 0 {
        return None;
    }
    let event = Json::parse_bytes(payload.payload.clone()).ok()?;
    (plain::text(&event, "event").as_deref() == Some("progress")).then_some(event)
}

/// A result's payloads, each at the output whose place its profile is.
pub(super) fn read(result: &ResultPush, ports: &Ports) -> Outputs {
    let mut lists: Vec<Vec<Value>> = ports.outputs.iter().map(|_| Vec::new()).collect();
    let mut outputs = Outputs::new();
    for payload in payloads(result) {
        let place = usize::from(payload.profile_id).checked_sub(1);
        match place.and_then(|place| lists.get_mut(place)) {
            Some(list) => list.push(output(&payload)),
            None => {
                let json = Json::parse_bytes(payload.payload).unwrap_or_default();
                for (port, values) in plain::outputs(&json.get("outputs").unwrap_or_default()) {
                    outputs.insert(port, values);
                }
            }
        }
    }
    for (name, list) in ports.outputs.iter().zip(lists) {
        if !list.is_empty() {
            outputs.insert(name.as_str(), PortValue::List(list));
        }
    }
    outputs
}

fn output(payload: &TypedPayload) -> Value {
    let bytes = || Value::Bytes(payload.payload.clone());
    match payload.kind {
        PayloadKind::TokenChunk => match std::str::from_utf8(&payload.payload) {
            Ok(text) => Value::Json(Json::from(text)),
            Err(_) => bytes(),
        },
        PayloadKind::StructuredEvent | PayloadKind::ToolDelta => {
            Json::parse_bytes(payload.payload.clone()).map_or_else(|_| bytes(), plain::value)
        }
        PayloadKind::Tensor
        | PayloadKind::AudioChunk
        | PayloadKind::VideoChunk
        | PayloadKind::OpaqueBytes => bytes(),
    }
}

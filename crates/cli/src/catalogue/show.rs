//! What was found, as JSON and in words.

use std::time::Duration;

use nodewire::client::{Load, NodeDescription, PortDescription, ServerDescription, Target};
use nodewire_json::Json;
use serde_json::{Value, json};

use super::found::Unreached;
use crate::nnrp::micros;

/// As many microseconds as fit.
pub(super) fn as_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time in words; `-` where there is none.
pub(super) fn time(time_us: Option<u64>) -> String {
    time_us.map_or_else(dash, micros)
}

/// A number in words; `-` where there is none.
pub(super) fn count(count: Option<u64>) -> String {
    count.map_or_else(dash, |count| count.to_string())
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

pub(super) fn server(target: &Target, server: &ServerDescription) -> Value {
    let nodes: Vec<_> = server.nodes.iter().map(node).collect();
    json!({
        "wire": server.wire.name(),
        "target": target.to_string(),
        "name": server.name,
        "instance": server.instance,
        "version": server.version,
        "callable": server.is_callable,
        "round_trip_us": server.round_trip.map(as_micros),
        "nodes": nodes,
    })
}

pub(super) fn unreached(target: &Target, unreached: &Unreached) -> Value {
    json!({
        "wire": target.wire().name(),
        "target": target.to_string(),
        "kind": unreached.kind.name(),
        "error": unreached.text,
    })
}

fn node(node: &NodeDescription) -> Value {
    let parameters = node.parameters.as_ref().map(|parameters| {
        let parameters = parameters.iter().map(|parameter| {
            json!({
                "name": parameter.name, "type": parameter.kind, "default": decoded(&parameter.default),
            })
        });
        parameters.collect::<Vec<_>>()
    });
    json!({
        "uid": node.uid,
        "name": node.name,
        "version": node.version,
        "description": node.description,
        "address": node.address,
        "inputs": node.inputs.as_deref().map(ports),
        "outputs": node.outputs.as_deref().map(ports),
        "parameters": parameters,
        "schema": node.schema.as_ref().map(decoded),
        "load": node.load.as_ref().map(load),
    })
}

fn decoded(json: &Json) -> Value {
    json.to_strict().decode().unwrap_or_default()
}

fn ports(ports: &[PortDescription]) -> Vec<Value> {
    let ports = ports.iter();
    ports
        .map(|port| json!({"name": port.name, "type": port.kind, "optional": port.optional}))
        .collect()
}

pub(super) fn load(load: &Load) -> Value {
    json!({
        "running": load.running,
        "waiting": load.waiting,
        "completed": load.completed,
        "failed": load.failed,
        "cancelled": load.cancelled,
        "dropped": load.dropped,
        "refused": load.refused,
        "run_mean_us": load.run_mean_us,
        "run_p50_us": load.run_p50_us,
        "run_p99_us": load.run_p99_us,
    })
}

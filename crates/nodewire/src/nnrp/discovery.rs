//! What is served, told over the wire itself.

use ::nnrp::server::Responder;
use nnrp_wire::ResultPush;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nodewire_core::{Executor, NodeDefinition, NodeStats, Port};
use serde_json::{Map, Value, json};

use super::counts::Counted;
use super::outputs;
use crate::capability::{Support, Wire, capabilities};
use crate::plain;
use crate::server::{Identity, SOFTWARE};

/// The node that is asked for what is served. Its answer is a structured event:
/// `{"wire": "nnrp", "name": …, "version": …, "software": …, "results": {"keptAsAssets": 0, "tooLong": 0}, "capabilities": {"progress": {"support": "as", "reason": "…"}, …}, "nodes": [{"uid": …, "version": …,
/// "inputs": [{"name", "type"}], "outputs": […], "schema": …, "running": 0, "waiting": 0,
/// "stats": …}]}`; the statistics are those of [`plain`].
pub const DISCOVERY_NODE: &str = "$nodes";

pub(super) fn answer(
    answer: Responder,
    executor: &Executor,
    identity: &Identity,
    counted: &Counted,
) {
    let told = json!({
        "wire": Wire::Nnrp.name(),
        "name": identity.name(),
        "version": identity.version(),
        "software": SOFTWARE,
        "results": counted.told(),
        "capabilities": wire_capabilities(),
        "nodes": nodes(executor),
    });
    let event = TypedPayload::structured_event(told.to_string());
    let result = ResultPush::builder(ResultWorth::COMPLETE)
        .payload(event)
        .build();
    outputs::complete(answer, result);
}

fn wire_capabilities() -> Map<String, Value> {
    let told = capabilities(Wire::Nnrp).map(|(feature, support)| {
        let name = match support {
            Support::Full => "full",
            Support::As(_) => "as",
            Support::No(_) => "no",
        };
        let told = json!({"support": name, "reason": support.reason()});
        (feature.name().to_owned(), told)
    });
    told.into_iter().collect()
}

fn nodes(executor: &Executor) -> Vec<Value> {
    let stats = executor.registry().stats();
    let definitions = executor.registry().definitions();
    let told = definitions.iter().map(|definition| {
        let stats = stats.iter().find(|stats| *stats.uid == *definition.uid);
        node(definition, stats)
    });
    told.collect()
}

fn node(definition: &NodeDefinition, stats: Option<&NodeStats>) -> Value {
    json!({
        "uid": &*definition.uid,
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "inputs": ports(&definition.inputs),
        "outputs": ports(&definition.outputs),
        "schema": plain::schema(definition).decode::<Value>().unwrap_or_default(),
        "running": stats.map_or(0, |stats| stats.running),
        "waiting": stats.map_or(0, |stats| stats.waiting),
        "stats": stats.map(told_stats),
    })
}

fn told_stats(stats: &NodeStats) -> Value {
    plain::stats(stats).decode().unwrap_or_default()
}

fn ports(ports: &[Port]) -> Vec<Value> {
    let told = ports
        .iter()
        .map(|port| json!({"name": port.name, "type": port.kind}));
    told.collect()
}

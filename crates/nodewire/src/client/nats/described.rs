//! What services tell of themselves.

use nats_micro::document::{EndpointInfo, EndpointStats, Info, Stats};
use nats_micro::schema;
use nodewire_json::Json;

use super::super::description::{Load, NodeDescription, ServerDescription};
use super::{CAPABILITY, DEFINITION, NODE};
use crate::capability::Wire;

pub(super) fn server(info: &Info, stats: Option<&Stats>) -> ServerDescription {
    let is_ours = info.metadata.keys().any(|key| key.starts_with(CAPABILITY));
    let endpoints = info.endpoints.iter();
    let nodes = endpoints
        .filter(|endpoint| !is_ours || endpoint.metadata.contains_key(NODE))
        .map(|endpoint| {
            let stats = stats.and_then(|stats| {
                let mut all = stats.endpoints.iter();
                all.find(|each| each.subject == endpoint.subject && each.name == endpoint.name)
            });
            node(endpoint, stats)
        });
    ServerDescription {
        instance: Some(info.id.clone()),
        version: Some(info.version.clone()),
        nodes: nodes.collect(),
        is_callable: is_ours,
        ..ServerDescription::new(Wire::Nats, info.name.clone())
    }
}

fn node(endpoint: &EndpointInfo, stats: Option<&EndpointStats>) -> NodeDescription {
    let metadata = |key: &str| endpoint.metadata.get(key);
    let json = |key: &str| metadata(key).and_then(|text| Json::parse(text.as_str()).ok());
    let definition = json(DEFINITION);
    let described = definition
        .as_ref()
        .and_then(NodeDescription::from_definition);
    let uid = metadata(NODE).unwrap_or(&endpoint.name);
    let mut node = described.unwrap_or_else(|| NodeDescription::new(uid.as_str()));
    node.description = node
        .description
        .or_else(|| metadata(schema::DESCRIPTION).cloned());
    node.schema = json(schema::REQUEST_SCHEMA);
    node.address = Some(endpoint.subject.clone());
    node.load = stats.map(load);
    node
}

/// What the executor counts, where it does; else what every service counts.
fn load(stats: &EndpointStats) -> Load {
    let data = Json::from(stats.data.clone());
    Load::from_stats(&data).unwrap_or_else(|| Load {
        completed: Some(stats.num_requests.saturating_sub(stats.num_errors)),
        failed: Some(stats.num_errors),
        run_mean_us: Some(stats.average_processing_time / 1_000),
        ..Load::default()
    })
}

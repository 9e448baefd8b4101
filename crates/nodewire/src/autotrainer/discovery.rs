//! What the wire tells of its nodes and of itself.

use std::collections::HashMap;

use nodewire_core::{NodeDefinition, Registry};
use nodewire_json::{Json, Member};
use serde_json::{Map, Value, json};

use super::AutotrainerConfig;
use super::numbers::Numbers;
use crate::capability::{Losses, Support, Wire, capabilities};
use crate::plain;
use crate::server::Identity;

/// What the answer is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) config: &'a AutotrainerConfig,
    pub(super) identity: &'a Identity,
    pub(super) numbers: &'a Numbers,
    pub(super) losses: &'a Losses,
}

impl Told<'_> {
    /// The nodes, all or the one of this uid, and what else a client needs to know; `None` if there is no such node.
    pub(super) fn nodes(self, registry: &Registry, uid: Option<&str>) -> Option<Json> {
        let Self {
            config,
            identity,
            numbers,
            losses,
        } = self;
        let definitions = match uid {
            Some(uid) => vec![registry.get(uid)?.definition().clone()],
            None => registry.definitions(),
        };
        let stats = registry.stats();
        let stats: HashMap<_, _> = stats
            .iter()
            .map(|stats| (stats.uid.as_str(), plain::stats(stats)))
            .collect();
        let nodes = definitions.iter().map(|definition| {
            let number = numbers.of_node(&definition.uid, registry);
            // One that was registered in between has done nothing yet.
            let stats = stats.get(&*definition.uid).cloned().unwrap_or_default();
            node(config, number, definition, stats)
        });
        let json = |value: Value| Member::Value(value.into());
        Some(Json::object([
            ("identifier", json(json!(config.identifier))),
            ("server", json(identity.told())),
            ("nodesCommand", json(json!(config.nodes_command))),
            ("cancelCommand", json(json!(config.cancel_command))),
            ("messageBytesMax", json(json!(config.message_bytes_max()))),
            ("capabilities", Member::Value(told_capabilities())),
            ("lost", json(lost(losses))),
            ("nodes", Member::List(nodes.collect())),
        ]))
    }
}

fn node(
    config: &AutotrainerConfig,
    number: Option<i64>,
    definition: &NodeDefinition,
    stats: Json,
) -> Json {
    let json = |value: Value| Json::from(value);
    Json::object([
        ("node", json(json!(&*definition.uid))),
        ("command", json(json!(number))),
        ("name", json(json!(definition.name))),
        ("version", json(json!(definition.version))),
        ("description", json(json!(definition.description))),
        (
            "isQuick",
            json(json!(!config.wait_of(&definition.uid).is_zero())),
        ),
        ("schema", plain::schema(definition)),
        ("stats", stats),
    ])
}

/// By feature: `full`, or how, or why not.
fn told_capabilities() -> Json {
    let told = capabilities(Wire::Autotrainer).map(|(feature, support)| {
        let support = match support {
            Support::Full => "full".to_owned(),
            Support::As(form) => format!("as: {form}"),
            Support::No(reason) => format!("no: {reason}"),
        };
        (feature.name(), Json::from(support.as_str()))
    });
    Json::object(told)
}

/// How many executions of this wire lost which feature.
fn lost(losses: &Losses) -> Value {
    let lost = losses.snapshot().into_iter();
    let lost: Map<_, _> = lost
        .filter(|lost| lost.wire == Wire::Autotrainer)
        .map(|lost| (lost.feature.name().to_owned(), json!(lost.executions)))
        .collect();
    lost.into()
}

//! What the wire tells of its nodes and of itself.

use nodewire_core::{NodeDefinition, Registry};
use nodewire_json::{Json, Member};
use serde_json::{Value, json};

use super::AutotrainerConfig;
use super::numbers::Numbers;
use crate::capability::{Support, Wire, capabilities};
use crate::plain;

/// The nodes, all or the one of this uid, and what else a client needs to know; `None` if there is no such node.
pub(super) fn nodes(
    config: &AutotrainerConfig,
    numbers: &Numbers,
    registry: &Registry,
    uid: Option<&str>,
) -> Option<Json> {
    let definitions = match uid {
        Some(uid) => vec![registry.get(uid)?.definition().clone()],
        None => registry.definitions(),
    };
    let nodes = definitions.iter().map(|definition| {
        node(
            config,
            numbers.of_node(&definition.uid, registry),
            definition,
        )
    });
    let json = |value: Value| Member::Value(value.into());
    Some(Json::object([
        ("identifier", json(json!(config.identifier))),
        ("nodesCommand", json(json!(config.nodes_command))),
        ("cancelCommand", json(json!(config.cancel_command))),
        ("messageBytesMax", json(json!(config.message_bytes_max()))),
        ("capabilities", Member::Value(told_capabilities())),
        ("nodes", Member::List(nodes.collect())),
    ]))
}

fn node(config: &AutotrainerConfig, number: Option<i64>, definition: &NodeDefinition) -> Json {
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
    ])
}

/// By feature: `full`, or how, or why not.
fn told_capabilities() -> Json {
    let told = capabilities(Wire::Autotrainer).map(|(feature, support)| {
        let support = match support {
            Support::Full => json!({"support": "full"}),
            Support::As(form) => json!({"support": "as", "form": form}),
            Support::No(reason) => json!({"support": "no", "reason": reason}),
        };
        (feature.name(), Json::from(support))
    });
    Json::object(told)
}

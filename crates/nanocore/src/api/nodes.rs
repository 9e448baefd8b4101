//! The nodes that servers offer, and those that need no server. spec: nanograph 13.2, 17.5, 19.3

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use nanograph::message::NodeDefinition;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::document::{Operation, Routes};
use crate::refusal::ApiError;
use crate::request::Path;
use crate::supervisor::Offer;
use crate::workflow::{BUILTIN_SERVER, Builtin, GraphNode};

pub(super) fn add(routes: &mut Routes) {
    let nodes = routes.schema::<Nodes>();
    routes.add(
        Operation::get(
            "/api/v1/nodes",
            "nodes",
            "All nodes, of every server, also of those that are away",
        )
        .answer(200, "Nodes by server.", nodes.clone()),
        get(list),
    );
    routes.add(
        Operation::get(
            "/api/v1/nodes/{uid}",
            "node",
            "One node, by its uid, as every server that has it offers it",
        )
        .answer(200, "At least one.", nodes),
        get(show),
    );
}

#[derive(Debug, Serialize, JsonSchema)]
struct Nodes {
    nodes: Vec<Node>,
}

/// A node as a server offers it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Node {
    /// Identifies the kind of node.
    uid: String,
    server_uid: String,
    server_package_id: String,
    domain: String,
    /// How many instances of the server share the load, if it is reached over NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<usize>,
    /// Whether it can be run now.
    available: bool,
    /// As the server announced it.
    #[schemars(with = "serde_json::Value")]
    definition: nodewire_json::Json,
}

async fn list(State(api): State<Api>) -> Json<Nodes> {
    Json(nodes(&api, |_| true))
}

async fn show(State(api): State<Api>, Path(uid): Path<String>) -> Result<Json<Nodes>, ApiError> {
    let nodes = nodes(&api, |offered| offered == uid);
    if nodes.nodes.is_empty() {
        let absence = api.supervisor.absence(&GraphNode::new(0, &uid));
        let message = format!("no server offers a node \"{uid}\"; {absence}");
        return Err(ApiError::not_found(message));
    }
    Ok(Json(nodes))
}

fn nodes(api: &Api, wanted: impl Fn(&str) -> bool) -> Nodes {
    let builtin = Builtin::ALL.map(|builtin| Node {
        uid: builtin.uid().to_owned(),
        server_uid: BUILTIN_SERVER.to_owned(),
        server_package_id: BUILTIN_SERVER.to_owned(),
        domain: api.domain.clone(),
        instances: None,
        available: true,
        definition: builtin.definition().to_json(),
    });
    let offers = api.supervisor.offers();
    let offered = offers.iter().flat_map(|offer| of_server(api, offer));
    let all = builtin.into_iter().chain(offered);
    Nodes {
        nodes: all.filter(|node| wanted(&node.uid)).collect(),
    }
}

fn of_server<'a>(api: &'a Api, offer: &'a Offer) -> impl Iterator<Item = Node> + 'a {
    let handshakes = offer.handshake.iter();
    handshakes.flat_map(move |handshake| {
        // A server without a domain is in ours. spec: nanograph 17.6
        let domain = handshake.domain.as_ref().unwrap_or(&api.domain);
        let node = move |definition: &NodeDefinition| Node {
            uid: definition.uid.clone(),
            server_uid: offer.server.server_uid.clone(),
            server_package_id: offer.server.server_package_id.clone(),
            domain: domain.clone(),
            instances: offer.server.nats.as_ref().map(|nats| nats.instances),
            available: offer.available,
            definition: definition.to_json(),
        };
        handshake.node_definitions.iter().map(node)
    })
}

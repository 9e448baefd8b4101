//! What discovery tells of the service and its nodes.

use std::collections::BTreeMap;

use nats_micro::{Endpoint, MAX_METADATA_BYTES, schema};
use nodewire_core::NodeDefinition;

use crate::capability::{Support, Wire, capabilities};
use crate::plain;

/// The metadata key of a node's uid.
pub(super) const NODE: &str = "nodewire.node";

/// The metadata key of a node's definition.
const DEFINITION: &str = "nodewire.definition";

/// The metadata key of what had no room.
const LEFT_OUT: &str = "nodewire.left-out";

/// The endpoint that executes the node that a request names.
pub(super) const EXECUTE: &str = "execute";

/// Bytes of descriptions of all nodes together, so that `INFO` fits into a message of 1 MiB, its quotes escaped.
const ALL_BYTES_MAX: usize = 384 * 1024;

/// The part of a subject, and the name of an endpoint, that stands for a node.
pub(super) fn token(uid: &str) -> String {
    let safe = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte),
        _ => '_',
    };
    uid.bytes().map(safe).collect()
}

/// What the wire can express, by feature.
pub(super) fn wire_metadata() -> BTreeMap<String, String> {
    capabilities(Wire::Nats)
        .into_iter()
        .map(|(feature, support)| {
            let text = match support {
                Support::Full => "full".to_owned(),
                Support::As(form) => format!("as: {form}"),
                Support::No(reason) => format!("no: {reason}"),
            };
            (format!("nodewire.capability.{feature}"), text)
        })
        .collect()
}

/// How many bytes of description one of so many nodes may have.
pub(super) fn node_bytes_max(nodes: usize) -> usize {
    (ALL_BYTES_MAX / nodes.max(1)).min(MAX_METADATA_BYTES / 2)
}

/// Adds a node's uid, and of its description what has room.
pub(super) fn describe(
    endpoint: Endpoint,
    definition: &NodeDefinition,
    bytes_max: usize,
) -> Endpoint {
    let mut endpoint = endpoint
        .metadata(NODE, &*definition.uid)
        .metadata(schema::REQUEST_CONTENT_TYPE, schema::JSON)
        .metadata(schema::RESPONSE_CONTENT_TYPE, schema::JSON);
    let mut room = bytes_max;
    let mut left_out = Vec::new();
    let described = [
        (schema::DESCRIPTION, definition.description.clone()),
        (
            schema::REQUEST_SCHEMA,
            plain::schema(definition).to_string(),
        ),
        (DEFINITION, plain::definition(definition).to_string()),
    ];
    for (key, text) in described.into_iter().filter(|(_, text)| !text.is_empty()) {
        match room.checked_sub(key.len() + text.len()) {
            Some(rest) => {
                room = rest;
                endpoint = endpoint.metadata(key, text);
            }
            None => left_out.push(key),
        }
    }
    if left_out.is_empty() {
        return endpoint;
    }
    let left_out = left_out.join(", ");
    tracing::warn!(
        node = &*definition.uid,
        left_out,
        "the endpoint's metadata has no room for all of the description"
    );
    endpoint.metadata(LEFT_OUT, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_becomes_one_token() {
        assert_eq!(token("image.resize/v2-a_b"), "image_resize_v2-a_b");
        assert_eq!(token("é *>"), "_____");
    }

    #[test]
    fn many_nodes_share_the_room() {
        assert_eq!(node_bytes_max(0), MAX_METADATA_BYTES / 2);
        assert_eq!(node_bytes_max(1_000), ALL_BYTES_MAX / 1_000);
    }
}

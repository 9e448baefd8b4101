//! Executions as plain JSON: for wires that have no form of their own, and for their clients.
//!
//! A request ([`PlainRequest`]); every member may be left out, others are refused by name:
//! ```json
//! {"node": "echo", "inputs": {"text": ["a", "b"]}, "parameters": {"prefix": "> "},
//!  "timeoutMs": 5000, "priority": 1, "callerId": "mine", "traceparent": "00-…",
//!  "tracestate": "…"}
//! ```
//! An array at an input is its list of values; anything else is one value. Inputs and parameters that the node does not
//! have are refused, by the executor, with the kind `invalid_input` and the names of those that it has: on all wires but
//! Nanograph, whose orchestrators send what a graph says that may be older than the node.
//!
//! An answer ([`answer`], [`failure`], [`refusal`]):
//! ```json
//! {"outputs": {"text": ["> a", "> b"]}}
//! {"error": {"kind": "invalid_input", "message": "input `text` is missing"}}
//! ```
//! An event ([`event`]), the last four of which end the execution:
//! ```json
//! {"event": "progress", "step": 1, "total": 3, "message": "one"}
//! {"event": "partial", "outputs": {"text": ["> a"]}}
//! {"event": "completed", "outputs": {"text": ["> a", "> b"]}}
//! {"event": "failed", "error": {"kind": "internal", "message": "boom"}}
//! {"event": "cancelled", "abandoned": false}
//! {"event": "dropped", "reason": "shutdown"}
//! ```
//! Values are JSON, but for bytes, `{"$bytes": "<base64>"}`, and references to assets, `{"$asset": "<reference>"}`: these
//! are read at inputs of type `bytes`, `asset` and `asset:…`, where a plain string is a reference too. In what is
//! written, `NaN` and infinities become `null`.

mod answer;
mod definition;
mod request;
mod schema;
mod stats;

pub use answer::{answer, event, failure, output_value, outputs, refusal};
pub use definition::definition;
pub use request::{PlainRequest, input_value};
pub use schema::schema;
#[cfg(feature = "mcp")]
pub(crate) use schema::{input_schema, parameter_schema};
pub use stats::{counters, stats};
#[cfg(feature = "nats")]
pub(crate) use stats::{counters_by_name, node_by_name};

/// The member that marks bytes.
const BYTES: &str = "$bytes";

/// The member that marks a reference to an asset.
const ASSET: &str = "$asset";

/// What a port's type means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortType {
    Bytes,
    Asset,
    Json,
}

impl PortType {
    fn of(kind: &str) -> Self {
        match kind {
            "bytes" => Self::Bytes,
            "asset" => Self::Asset,
            _ if kind.starts_with("asset:") => Self::Asset,
            _ => Self::Json,
        }
    }
}

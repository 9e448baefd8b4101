//! Nodes on the NATS wire: one service per server, one endpoint per node, in one queue group, so that several servers of
//! the same service share the load. spec: nats-micro
//!
//! # Subjects
//! | Subject | What it does |
//! |---|---|
//! | `<group>.<uid>` | executes the node; bytes of the uid other than letters, digits, `_` and `-` are `_` |
//! | `<group>.$execute` | executes the node that the request names, in `node` or in the header `Nodewire-Node` |
//! | `<group>.$cancel.<id>` | cancels the execution that was sent with the header `Nodewire-Execution: <id>`, on whichever server it is |
//! | `<group>.$cancel.<instance>.<id>` | cancels an execution on one server; the first reply of a stream names it |
//!
//! The group is the service's name, unless the configuration says otherwise. An answer to a cancellation is
//! `{"cancelled": true}`, or `false` where the execution was ending already. Where no server has it, the first form has no
//! answer, and the second has 404.
//!
//! # Requests
//! The JSON of [`plain`](crate::plain) (nothing is `{}`); or bytes, with `Content-Type: application/octet-stream`, for the
//! one input of the node that takes bytes. Other inputs and parameters are in headers then; with JSON, they may be.
//!
//! | Header | Meaning |
//! |---|---|
//! | `Nodewire-Input-<name>`, `Nodewire-Param-<name>` | a value that the body does not have: JSON, or else a text; once |
//! | `Nodewire-Stream: 1` | progress and partial outputs are wanted |
//! | `Accept: application/octet-stream` | the one output that has bytes is wanted as the reply's body |
//! | `Nodewire-Timeout-Ms` | time from now; the shorter one counts if the JSON has one too |
//! | `Nodewire-Priority` | where the JSON has none |
//! | `Nodewire-Execution` | an id of the caller's: letters, digits, `-` and, except at the beginning, `_`; at most 128 |
//! | `traceparent`, `tracestate` | W3C, where the JSON has no `traceparent` |
//!
//! # Replies
//! One, the JSON of [`plain`](crate::plain); or bytes with their `Content-Type`, and the other outputs as JSON in the
//! header `Nodewire-Outputs`. The output must have exactly one value for that, or all of it is JSON.
//!
//! Outputs that are larger than the broker takes are kept as assets, if the server has a store: their longest bytes, each
//! with `{"$asset": "<reference>"}` in its place; or, where that is not enough, all of them as one JSON document,
//! `{"outputs": {"$asset": "<reference>"}}`. References at inputs of type `bytes` are fetched by the executor.
//!
//! A stream has many, each with the header `Nodewire-Event`: `accepted`, with `Nodewire-Cancel: <subject>`; then `progress`
//! and `partial`; and at the end one of `completed`, `failed`, `cancelled` and `dropped`. Their bodies are events as
//! in [`plain`](crate::plain), or bytes. Where the broker is slow, partial outputs wait in their handler: an execution holds
//! what [`ExecutorConfig`](crate::ExecutorConfig) says of events, the connection
//! [`NatsConfig::unwritten_bytes_max`]; progress that has no room is dropped, and counted.
//!
//! # Errors
//! `Nats-Service-Error-Code` and `Nats-Service-Error`, with the error as JSON in the body:
//!
//! | Code | When |
//! |---|---|
//! | 400 | `invalid_input`, also an input or a parameter that the node does not have |
//! | 404 | `not_found`, and a node that does not exist |
//! | 408 | `deadline`, also one that passed while waiting or on arrival |
//! | 429 | `overloaded`; the node's queue or the server is full |
//! | 499 | `cancelled` |
//! | 500 | `internal`; outputs that are larger than the broker takes, without an asset store |
//! | 501 | `unsupported` |
//! | 503 | `unavailable`; the server shuts down |
//!
//! The wire does not learn that a caller has gone: give executions a timeout. The nodes are those that the server starts
//! with; a node that is taken out of the registry later is answered with 404, one that is put in can be had by `$execute`.
//! Node definitions and the JSON Schema of requests are in the endpoints' metadata, as far as these have room; statistics of
//! the executor are in the `data` of `STATS`.

mod answer;
mod cancel;
mod config;
mod describe;
mod error;
mod headers;
mod node;
mod read;
mod running;
mod stats;

pub use ::async_nats;
pub use nats_micro::ConnectOptions;

pub use self::config::{NatsConfig, NatsConnection};
pub use self::error::NatsError;
pub use self::running::NatsAddress;
pub(crate) use self::running::start;

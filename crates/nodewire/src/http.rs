//! Nodes over plain HTTP/1.1: for curl, browsers' `fetch` through a proxy, and whatever speaks JSON.
//!
//! | Route | What it does |
//! |---|---|
//! | `GET /nodes` | the server's name and version; all nodes: definition, JSON Schema of requests; and what the wire can express |
//! | `GET /nodes/{uid}` | one of them |
//! | `POST /nodes/{uid}/execute` | executes it |
//! | `GET /openapi.json` | all of it as OpenAPI 3.1, made of the definitions there are now |
//! | `GET /stats` | what the executor, its nodes and this wire count |
//! | `GET /metrics` | the same for Prometheus; see [`metrics`](crate::metrics) |
//! | `GET /healthz` | 200, or 503 once the server is stopping; needs no token |
//!
//! Every other request needs `Authorization: Bearer <token>`, unless everybody is taken
//! ([`Access::Open`]); then requests that a browser's page sends (`Origin`) are refused. There is no TLS: it
//! listens on loopback by default; put a proxy before it for others.
//!
//! # Requests
//! The JSON of [`plain`](crate::plain) (nothing is `{}`); or `multipart/form-data`, with a part per value. A part with a
//! file name, or for an input of type `bytes`, is bytes; one with `Content-Type: application/json` is JSON; one for an
//! input of type `string` is that text; any other is JSON or else a text. Parts of the same name are a list of values.
//! The part `parameters` is the JSON object of parameters.
//!
//! | Header | Meaning |
//! |---|---|
//! | `Request-Timeout-Ms` | time from now; the shorter one counts if the JSON has `timeoutMs` too |
//! | `traceparent`, `tracestate` | W3C, where the JSON has no `traceparent` |
//! | `Accept: text/event-stream` | progress and partial outputs are wanted |
//! | `Accept: application/octet-stream` | the bytes of a node whose one output is of type `bytes` |
//!
//! # Answers
//! The JSON of [`plain`](crate::plain); or bytes, where these were asked for and there is exactly one value (else JSON); or
//! server-sent events, each with its name in `event` and the JSON of an event in `data`. The last one is `completed`,
//! `failed`, `cancelled` or `dropped`. A reader that is slow makes the node wait at its next partial outputs, once there are
//! as many events or bytes as [`ExecutorConfig`](crate::ExecutorConfig) says; progress that has no room is dropped, and
//! counted. A comment every 15 s keeps the connection in use. A client that takes nothing
//! for [`HttpConfig::write_timeout`] is disconnected.
//!
//! **A client that disconnects cancels its execution**, in any of these forms. A connection has one execution at a time.
//!
//! # Errors
//! Always `{"error": {"kind": "…", "message": "…"}}`, except for what is no HTTP at all:
//!
//! | Status | When |
//! |---|---|
//! | 400 | `invalid_input`, also an input or a parameter that the node does not have; a body that cannot be read |
//! | 401, 403 | no token or a wrong one; a page in a browser, where there is no token |
//! | 404, 405 | `not_found`, a node or route that does not exist; another method |
//! | 406, 415 | a form of answer that this node does not have; a form of request that is not known |
//! | 408 | the body took too long to arrive |
//! | 413 | the body is too large |
//! | 429 | `overloaded`; the node's queue, the server, or the room for bodies is full; `Retry-After` |
//! | 499 | `cancelled` |
//! | 500 | `internal` |
//! | 501 | `unsupported` |
//! | 503 | `unavailable`; the server shuts down; `Retry-After` |
//! | 504 | `deadline`, also one that passed while waiting or on arrival |
//!
//! In a stream, what happens after an execution was accepted is an event, and the status is 200.

mod access;
mod admission;
mod answer;
mod bodies;
mod config;
mod counts;
mod error;
mod form;
mod listener;
mod openapi;
mod read;
mod routes;
mod running;
mod shared;
mod token;

pub use self::access::Access;
pub use self::config::HttpConfig;
pub use self::error::HttpError;
pub(crate) use self::running::start;
pub(crate) use self::shared::Shown;
pub use self::token::HttpToken;
#[cfg(feature = "mcp")]
pub(crate) use self::{
    bodies::{Bodies, Room},
    error::{Problem, dropped},
    listener::{ConnectionCounts, ConnectionLimits, Listening},
};

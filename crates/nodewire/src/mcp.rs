//! Nodes as tools of the Model Context Protocol (MCP): for assistants and agents, over streamable HTTP and stdio.
//!
//! [`NodeServerBuilder::mcp`](crate::NodeServerBuilder::mcp) serves HTTP at `/mcp`;
//! [`NodeServer::serve_mcp_stdio`](crate::NodeServer::serve_mcp_stdio) serves a pair of streams, and
//! [`NodeServer::run_mcp_stdio`](crate::NodeServer::run_mcp_stdio) the process's own, which is what MCP clients start as a
//! command. Messages, versions (2024-11-05 to 2026-07-28) and sessions are those of the official SDK, `rmcp`.
//!
//! | Model | MCP |
//! |---|---|
//! | node | tool, named by the node's uid; other characters than letters, digits, `.`, `_`, `-` become `_` |
//! | inputs and parameters | members of one object, `arguments`, by their names; a parameter named like an input is `parameter_<name>`. An array at an input is its list of values; `null` is left out |
//! | definition | `inputSchema`, `outputSchema`; `_meta`: `nodewire/node`, `nodewire/version`, `nodewire/category` |
//! | completed | `structuredContent`: one list per output; the same as text in the first item of `content` |
//! | bytes | at inputs `{"$bytes": "<base64>"}`; at outputs `{"$content": n}`, which is item `n` of `content`: an image where the bytes are PNG, JPEG, GIF or WebP, else an embedded resource |
//! | assets | `{"$asset": "<reference>"}`; at inputs a string, too |
//! | failed, dropped, cancelled by the server | a result with `isError`, the text `<kind>: <message>`, and `_meta`: `nodewire/error` with `kind` and `message` |
//! | progress | `notifications/progress`, where the request has a `progressToken`. MCP wants each to be more than the last: a report that is not is told as 1/1024 more |
//! | partial outputs | none: a call has one result. They are counted as lost |
//! | cancel | `notifications/cancelled`, or the end of the request's connection |
//! | deadline, priority, caller's name | `_meta` of the request: `nodewire/timeoutMs`, `nodewire/priority`, `nodewire/callerId` (else the client's name) |
//! | trace context | `_meta` of the request: `traceparent`, `tracestate` |
//!
//! # Errors
//! What a caller can mend by calling differently is a result with `isError`, as MCP says, so that a model sees it: a missing
//! input, an argument that is not known, a parameter out of range. What is no call of a tool is an error of the protocol:
//!
//! | Code | When |
//! |---|---|
//! | -32602 | an unknown tool; `arguments` that are no object; a member of `_meta` that cannot be read |
//! | -32010 | refused: the node's queue, the server, the session is full, or the server stops; `data` has the `kind`, and `retryAfterMs` where coming again helps |
//! | -32700, -32600 | no JSON; JSON that is no message of MCP. Over stdio the session goes on after them |
//!
//! Over HTTP, what comes before MCP is answered as by [`http`](crate::http), `{"error": {"kind": "…", "message": "…"}}`: 401
//! without the token, 403 for a page's `Origin` or a `Host` that is not allowed, 408, 413, 415, 429 where bodies have no
//! room, 503 where there is no room for a session.
//!
//! # Connections that end
//! A request over HTTP whose connection ends is cancelled, in sessions too: nothing is kept to be fetched later. At the end
//! of standard input what runs has 5 s to end before it is cancelled.
//!
//! # Bounds
//! | Bound | Default | Beyond it |
//! |---|---|---|
//! | [`McpOptions::in_flight_max`], per session | 64 | -32010; over stdio, 64 further requests on nothing is read until answers are taken |
//! | [`McpOptions::message_bytes_max`] | 32 MiB | 413; over stdio the line is passed over and answered with -32600 |
//! | [`McpOptions::timeout_max`] | 1 h | the deadline passes |
//! | [`McpOptions::tools_per_page`] | 256 | `nextCursor` |
//! | [`McpConfig::sessions_max`] | 256 | the session longest unused is closed; 503 if all are in use |
//! | [`McpConfig::idle_timeout`] | 10 min | a session that nobody uses is closed |
//! | [`McpConfig::connections_max`] | 1,024 | they wait in the system's queue |
//! | [`McpConfig::bodies_bytes_max`] | 256 MiB | 429 |
//! | [`McpConfig::body_timeout`], [`McpConfig::head_timeout`], [`McpConfig::write_timeout`] | 60 s | 408; the connection is closed |
//!
//! The tools are those that the executor has when they are asked for, in order of their names, page by page; clients are
//! not told of changes.

mod arguments;
mod calls;
mod catalogue;
mod config;
mod counts;
mod error;
mod lines;
mod listener;
mod progress;
mod result;
mod routes;
mod sessions;
mod stdio;
mod tool;
mod tools;

pub use self::config::{McpConfig, McpOptions};
pub use self::counts::McpCounts;
pub use self::error::McpError;
pub(crate) use self::listener::{Counted, Prepared, prepare};
pub(crate) use self::stdio::{StdioStreams, start_stdio};

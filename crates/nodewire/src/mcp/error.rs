//! What can go wrong, and how the wire says it. The tables are in the [module](super).

use nodewire_core::{DropReason, NodeError, NodeErrorKind, Refusal, RefusalKind};
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, MetaObject};
use serde_json::json;

use crate::http::HttpError;

/// Why MCP did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McpError {
    /// The address cannot be listened on, or the token is empty.
    #[error("MCP cannot start")]
    Http(#[source] HttpError),
    /// It was to be served beside plain HTTP.
    #[error(
        "MCP is to be served beside plain HTTP, which is not: call `http(config)`, or give MCP an address"
    )]
    NoHttp,
}

/// What is refused has this code.
const REFUSED: ErrorCode = ErrorCode(-32010);

/// When to come again.
const RETRY_AFTER_MS: u64 = 1_000;

/// A request that was not accepted.
pub(super) fn refused(refusal: &Refusal) -> ErrorData {
    let kind = refusal.kind();
    let message = refusal.to_string();
    let data = match kind {
        RefusalKind::UnknownNode => return unknown_tool(&message),
        RefusalKind::QueueFull | RefusalKind::TooManyInFlight => {
            json!({"kind": kind.name(), "retryAfterMs": RETRY_AFTER_MS})
        }
        RefusalKind::ShuttingDown | RefusalKind::DeadlinePassed | RefusalKind::InvalidInput => {
            json!({"kind": kind.name()})
        }
    };
    ErrorData::new(REFUSED, message, Some(data))
}

/// A session has as many calls in flight as it may have.
pub(super) fn session_full(limit: usize) -> ErrorData {
    let message =
        format!("this session has {limit} calls in flight, as many as it may; try again later");
    let data = json!({"kind": "session_full", "retryAfterMs": RETRY_AFTER_MS});
    ErrorData::new(REFUSED, message, Some(data))
}

/// There is no such tool.
pub(super) fn unknown_tool(name: &str) -> ErrorData {
    let shown: String = name.chars().take(100).collect();
    let message = format!("Unknown tool: {shown}");
    ErrorData::invalid_params(message, Some(json!({"kind": "unknown_node"})))
}

/// A failed execution, as a result that a model can read. The cause is for the log only.
pub(super) fn failed(error: &NodeError) -> CallToolResult {
    let (kind, message) = (error.kind().name(), error.message());
    let mut result = CallToolResult::error(vec![ContentBlock::text(format!("{kind}: {message}"))]);
    let mut meta = MetaObject::new();
    let error = json!({"kind": kind, "message": message});
    meta.insert("nodewire/error".to_owned(), error);
    result.meta = Some(meta);
    result
}

/// An execution that was cancelled, though not by its caller.
pub(super) fn cancelled() -> CallToolResult {
    failed(&NodeError::new(
        NodeErrorKind::Cancelled,
        "the execution was cancelled",
    ))
}

/// An execution that ended without having been started.
pub(super) fn dropped(reason: DropReason) -> CallToolResult {
    failed(&crate::http::dropped(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let full = refused(&Refusal::TooManyInFlight(3));
        assert_eq!(full.code.0, -32010);
        let told = json!({"kind": "too_many_in_flight", "retryAfterMs": 1000});
        assert_eq!(full.data, Some(told));
        let stopping = refused(&Refusal::ShuttingDown);
        assert_eq!(stopping.data, Some(json!({"kind": "shutting_down"})));
        let unknown = refused(&Refusal::UnknownNode("x".to_owned()));
        assert_eq!(unknown.code, ErrorCode::INVALID_PARAMS);
    }

    #[test]
    fn a_failure_is_a_result_with_its_kind() {
        let result = failed(&NodeError::invalid_input("no"));
        let result = serde_json::to_value(&result).unwrap();
        assert_eq!(result["isError"], true);
        assert_eq!(result["content"][0]["text"], "invalid_input: no");
        let error = json!({"kind": "invalid_input", "message": "no"});
        assert_eq!(result["_meta"]["nodewire/error"], error);
    }
}

//! The headers of requests and replies; see the [module](super).

use nats_micro::Request;

pub(super) const ACCEPT: &str = "Accept";
pub(super) const CANCEL: &str = "Nodewire-Cancel";
pub(super) const CONTENT_TYPE: &str = "Content-Type";
pub(super) const EVENT: &str = "Nodewire-Event";
pub(super) const EXECUTION: &str = "Nodewire-Execution";
pub(super) const INPUT_PREFIX: &str = "Nodewire-Input-";
pub(super) const NODE: &str = "Nodewire-Node";
pub(super) const OUTPUTS: &str = "Nodewire-Outputs";
pub(super) const PARAMETER_PREFIX: &str = "Nodewire-Param-";
pub(super) const PRIORITY: &str = "Nodewire-Priority";
pub(super) const STREAM: &str = "Nodewire-Stream";
pub(super) const TIMEOUT_MS: &str = "Nodewire-Timeout-Ms";
pub(super) const TRACE_PARENT: &str = "traceparent";
pub(super) const TRACE_STATE: &str = "tracestate";

/// The media type of bytes that are nothing but bytes.
pub(super) const OCTET_STREAM: &str = "application/octet-stream";

/// Whether the caller wants progress and partial outputs.
pub(super) fn wants_stream(request: &Request) -> bool {
    request.header(STREAM).is_some_and(|value| value != "0")
}

/// Whether a header has this media type; parameters after `;` do not matter.
pub(super) fn is_octet_stream(request: &Request, header: &str) -> bool {
    request.header(header).is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(OCTET_STREAM)
    })
}

//! MCP.

use super::{Making, http};
use crate::config::problem::Problems;
use crate::config::setting::Table;
use crate::mcp::{McpConfig, McpOptions};

/// What counts over stdio, too.
pub(super) fn options(making: &Making<'_>, options: &mut McpOptions) {
    let view = making.view(Table::Mcp);
    view.set("in_flight_max", &mut options.in_flight_max);
    view.set("message_bytes_max", &mut options.message_bytes_max);
    options.timeout_max = view.get("timeout_max_ms").or(options.timeout_max);
}

pub(super) fn make(
    making: &Making<'_>,
    base: Option<McpConfig>,
    problems: &mut Problems,
) -> McpConfig {
    let view = making.view(Table::Mcp);
    let is_in_code = base.is_some();
    let mut config = base.unwrap_or_default();
    config.address = view.get("listen").or(config.address);
    if view.get("beside_http") == Some(true) {
        config.address = None;
    }
    view.set("origins", &mut config.origins);
    view.set("hosts", &mut config.hosts);
    view.set("sessions_max", &mut config.sessions_max);
    view.set("idle_timeout_ms", &mut config.idle_timeout);
    view.set("bodies_bytes_max", &mut config.bodies_bytes_max);
    view.set("body_timeout_ms", &mut config.body_timeout);
    view.set("head_timeout_ms", &mut config.head_timeout);
    view.set("write_timeout_ms", &mut config.write_timeout);
    view.set("connections_max", &mut config.connections_max);
    let access = &mut config.access;
    http::access(making, Table::Mcp, access, is_in_code, problems);
    config
}

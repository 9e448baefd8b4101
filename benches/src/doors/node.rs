//! The node, as an author serves it.

use anyhow::Context;
use nanograph::config::{ConfigFile, ServerConfig};
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::capability::Wire;
use nodewire::http::{Access, HttpConfig};
use nodewire::mcp::McpConfig;
use nodewire::nanograph::NanographConfig;
use nodewire::nats::NatsConfig;
use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;

use super::Addresses;

/// Nothing in, nothing done, nothing out.
#[node]
async fn nothing() {}

/// Serves the node on all wires until the process is killed.
///
/// # Errors
/// A wire cannot start.
pub async fn serve(broker_url: &str, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let file = ConfigFile::parse(r#"{"serverUid": "bench", "serverPackageId": "bench"}"#)?;
    let port = |variable: &str| (variable == "PORT").then(|| "0".to_owned());
    let mut autotrainer = AutotrainerConfig::new("bench").quick("nothing");
    (autotrainer.event_port, autotrainer.command_port) = (0, 0);
    let server = NodeServer::builder()
        .node(nothing())
        .nanograph(NanographConfig::new(ServerConfig::resolve(file, port)?))
        .nats(NatsConfig::new("doors", "1.0.0", broker_url))
        .autotrainer(autotrainer)
        .nnrp(NnrpConfig::insecure_loopback(0))
        .http(HttpConfig::new().access(Access::Open))
        .mcp(McpConfig::new().access(Access::Open));
    let running = Box::pin(server.build()?.start()).await?;
    let nanograph = running.nanograph_address().context("no Nanograph")?;
    let autotrainer = running.autotrainer_address().context("no Autotrainer")?;
    let commands = autotrainer.commands.first().context("no port")?;
    let nnrp = running.nnrp_address().context("no NNRP")?;
    let http = running.http_address().context("no HTTP")?;
    let mcp = running.mcp_address().context("no MCP")?;
    let addresses = Addresses::new([
        (Wire::Nanograph, nanograph.to_string()),
        (Wire::Nats, broker_url.to_owned()),
        (Wire::Autotrainer, format!("tcp://{commands}")),
        (Wire::Nnrp, nnrp.to_string()),
        (Wire::Http, http.to_string()),
        (Wire::Mcp, mcp.to_string()),
    ]);
    addresses.announce(announce)?;
    std::future::pending().await
}

//! One node as a tool for assistants, over MCP. A client that starts its servers gets this command:
//! `cargo run -q -p nodewire --example mcp -- --mcp-stdio`; any other gets `http://127.0.0.1:8090/mcp` and the token, once
//! this runs: `cargo run -p nodewire --example mcp`.

use nodewire::http::HttpToken;
use nodewire::mcp::McpConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(
    context: Context,
    names: Vec<String>,
    #[param(default = "Hello")] word: String,
) -> Vec<String> {
    context.message(format!("greeting {}", names.len()));
    names
        .iter()
        .map(|name| format!("{word}, {name}!"))
        .collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = McpConfig::new()
        .address("127.0.0.1:8090".parse()?)
        .access(HttpToken::new("a secret of yours"));
    Ok(NodeServer::builder()
        .node(greet())
        .mcp(config)
        .run()
        .await?)
}

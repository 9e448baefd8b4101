//! A node over plain HTTP. Run it, and call it with curl:
//! ```sh
//! GREETER_TOKEN=secret cargo run -p nodewire --example http
//! curl -H 'Authorization: Bearer secret' -H 'Content-Type: application/json' \
//!   -d '{"inputs": {"names": ["Ada"]}}' http://127.0.0.1:8080/nodes/greet/execute
//! ```

use nodewire::config::NodewireConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
    let greet = |name: &String| format!("{word}, {name}!");
    names.iter().map(greet).collect()
}

/// What could as well be in a `nodewire.toml`.
const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:8080"
token_env = "GREETER_TOKEN"
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = NodewireConfig::parse(CONFIG, "http.rs")?;
    let server = NodeServer::builder().node(greet()).config(config);
    Ok(server.run().await?)
}

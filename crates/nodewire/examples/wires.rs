//! One node on several wires; with `--nats-url nats://127.0.0.1:4222` it is a NATS service, too:
//! ```sh
//! cargo run -p nodewire --example wires
//! curl -H 'Authorization: Bearer a secret of yours' -H 'Content-Type: application/json' \
//!   -d '{"inputs": {"names": ["Ada", "Grace"]}}' http://127.0.0.1:8080/nodes/greet/execute
//! ```
//! All of it could as well be in a `nodewire.toml`; what there is can be changed by one, by variables and by flags (`--help`).

use nodewire::autotrainer::AutotrainerConfig;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
    names
        .iter()
        .map(|name| format!("{word}, {name}!"))
        .collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // What NNRP's clients have to trust is `_certificate_pem`.
    let (nnrp, _certificate_pem) = NnrpConfig::self_signed(7443)?;
    let http = HttpConfig::new()
        .address("127.0.0.1:8080".parse()?)
        .access(HttpToken::new("a secret of yours"));
    let server = NodeServer::builder()
        .name("greeter")
        .version("1.0.0")
        .node(greet())
        .autotrainer(AutotrainerConfig::new("greeter").command("greet", 1001))
        .nnrp(nnrp)
        .http(http);
    Ok(server.run().await?)
}

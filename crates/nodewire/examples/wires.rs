//! One node on several wires. With the address of a NATS broker as its argument it is a NATS service, too:
//! `cargo run -p nodewire --example wires nats://127.0.0.1:4222`.

use nodewire::autotrainer::AutotrainerConfig;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::nats::NatsConfig;
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
        .token(HttpToken::new("a secret of yours"));
    let mut server = NodeServer::builder()
        .node(greet())
        .autotrainer(AutotrainerConfig::new("greeter").command("greet", 1001))
        .nnrp(nnrp)
        .http(http);
    if let Some(broker) = std::env::args().nth(1) {
        server = server.nats(NatsConfig::new("greeter", "1.0.0", broker.as_str()));
    }
    Ok(server.run().await?)
}

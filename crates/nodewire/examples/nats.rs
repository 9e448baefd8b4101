//! A node as a NATS service. Run it where a broker is, and call it with any NATS client:
//! ```sh
//! cargo run -p nodewire --example nats -- --nats-url nats://127.0.0.1:4222
//! nats request greeter.greet '{"inputs": {"names": ["Ada"]}}'
//! nats micro info greeter
//! ```
//! Run it twice, on as many machines as you like: they share the load.

use nodewire::nats::NatsConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
    let greet = |name: &String| format!("{word}, {name}!");
    names.iter().map(greet).collect()
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let nats = NatsConfig::new("greeter", "1.0.0", "nats://127.0.0.1:4222");
    NodeServer::builder().node(greet()).nats(nats).run().await
}

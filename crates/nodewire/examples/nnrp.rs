//! A node over NNRP, on plain TCP, as clients of the reference (`nnrp-py`) speak it: they connect to 127.0.0.1:7443, and
//! submit frames with a structured event such as `{"node": "greet", "inputs": {"names": ["Ada"]}}`.
//! ```sh
//! cargo run -p nodewire --example nnrp
//! nodewire nnrp probe nnrp+tcp://127.0.0.1:7443
//! ```
//! With `--nnrp-security self-signed --nnrp-tls-cert-out-file greeter.pem` it is QUIC, and TLS over TCP.

use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
    let greet = |name: &String| format!("{word}, {name}!");
    names.iter().map(greet).collect()
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let nnrp = NnrpConfig::insecure_loopback(7443);
    NodeServer::builder().node(greet()).nnrp(nnrp).run().await
}

//! A node server of one node. Run it beside a `nanoserver.json`.

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
async fn main() -> Result<(), ServeError> {
    NodeServer::builder().node(greet()).run().await
}

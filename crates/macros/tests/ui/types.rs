#![allow(unused, reason = "only what the macros say matters here")]

use nodewire::{NodeError, node};

#[node]
async fn no_outputs() -> Result<String, NodeError> {
    Ok(String::new())
}

fn main() {}

//! Nodes served over plain HTTP, over sockets: asked by a bare client, and by curl.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod asking;
mod assets;
mod curl;
mod discovery;
mod ending;
mod forms;
mod limits;
#[path = "../common/assets.rs"]
mod memory;
#[path = "../common/nodes.rs"]
mod nodes;
mod streams;
mod support;

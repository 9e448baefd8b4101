//! Nodes served over MCP, over sockets and pipes: asked by a bare client, and by the official SDK for Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod asking;
mod assets;
mod ending;
mod limits;
#[path = "../common/assets.rs"]
mod memory;
#[path = "../common/nodes.rs"]
mod nodes;
mod program;
mod python;
mod sessions;
mod stdio;
mod support;

//! Nodes served on the NATS wire, over sockets: asked by the bare client, and by the real Python one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod assets;
mod bytes;
mod cancel;
mod discovery;
mod limits;
#[path = "../common/assets.rs"]
mod memory;
#[path = "../common/nodes.rs"]
mod nodes;
mod python;
mod requests;
mod slow;
mod stop;
mod streams;
mod support;

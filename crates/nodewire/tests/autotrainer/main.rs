//! Nodes served on the Autotrainer wire, asked over sockets: by our client, and by pyzmq with the real request class.

#![cfg(feature = "autotrainer")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod assets;
mod commands;
mod executions;
mod limits;
#[path = "../common/assets.rs"]
mod memory;
mod nodes;
mod python;
mod support;

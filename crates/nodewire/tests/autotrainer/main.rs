//! Nodes served on the Autotrainer wire, asked over sockets: by our client, and by pyzmq with the real request class.

#![cfg(feature = "autotrainer")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod commands;
mod executions;
mod limits;
mod nodes;
mod python;
mod support;

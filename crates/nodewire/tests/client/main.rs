//! One client on every wire: what it sees of one server, and of servers that others wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod calls;
mod carrying;
mod describing;
mod foreign;
#[path = "../common/nodes.rs"]
mod nodes;
mod support;
mod unreachable;

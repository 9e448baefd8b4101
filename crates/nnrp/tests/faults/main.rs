//! Our client and our server over links that behave badly: nothing hangs, and each frame ends exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod echo;
mod migration;
mod network;
mod relay;
mod streams;
mod udp;

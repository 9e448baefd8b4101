//! Links between our own ends, and to ends that misbehave, over loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod dialing;
mod exchange;
mod handshakes;
mod probing;
mod streams;
mod support;

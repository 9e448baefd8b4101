//! Servers over pipes, with clients that say what a test wants them to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod basics;
mod cache;
mod connections;
mod frames;
mod moves;
mod pace;
mod sockets;
mod stop;
mod submits;
mod support;

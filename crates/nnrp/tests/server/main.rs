//! Servers over pipes, with clients that say what a test wants them to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod basics;
mod budgets;
mod cache;
mod connections;
mod frames;
mod hooks;
mod input;
mod moves;
mod output;
mod pace;
mod serving;
mod sockets;
mod stop;
mod submits;
mod support;

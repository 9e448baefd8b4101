//! The daemon with real node servers: in four languages together, killed, changed, aborted; and the daemon killed.
//!
//! Everything goes through the command and the HTTP API, as users have it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod daemon;
mod four_languages;
mod killed_daemon;
mod one_server;
mod processes;
mod runs;

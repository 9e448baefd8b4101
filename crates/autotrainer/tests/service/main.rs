//! The device service, through its sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a handler of a test knows few of the commands"
)]

mod anomalies;
mod clients;
mod commands;
mod hostile;
mod lifecycle;
mod peers;
mod pending;
mod publishing;
mod recorded;
#[path = "../traces/recording.rs"]
mod recording;
mod security;

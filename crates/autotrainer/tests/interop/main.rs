//! A remote with our service and with the real ones, and the real clients with our service.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a handler of a test knows few of the commands"
)]

mod calls;
mod curve;
mod killed;
mod python_clients;
mod python_services;
#[path = "../traces/recording.rs"]
mod recording;
mod restarts;
mod streams;
mod support;

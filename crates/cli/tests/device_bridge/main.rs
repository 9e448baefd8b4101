//! `nodewire device bridge`, between real devices and real brokers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a handler of a test knows few of the commands"
)]

mod commands;
mod events;
mod large;
mod peers;
mod setup;
mod troubles;

//! The session machines: each row and rule, arbitrary operations, whole conversations, and the recorded exchanges.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and looks at what it is about"
)]

mod client;
mod conversation;
mod limits;
mod make;
mod parts;
mod properties;
mod server;
mod traces;
mod world;

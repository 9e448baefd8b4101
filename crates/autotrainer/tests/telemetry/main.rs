//! Telemetry, as a collector sees it.

#![cfg(feature = "telemetry")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a handler of a test knows few of the commands"
)]

mod collector;
mod exported;
mod options;
mod troubles;

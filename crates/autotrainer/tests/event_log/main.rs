//! The event log, replays, and subscriptions that miss nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod failures;
mod killed;
mod property;
mod replay;
mod resume;
mod support;

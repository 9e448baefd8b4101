//! Steps of workflows over NATS: node servers as processes in one queue group, killed, cancelled, away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod runs;
mod support;

//! Supervised servers as real processes: JavaScript without packages, shell scripts, the Python SDK.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod changes;
mod failures;
mod killed;
mod living;
mod python;
mod support;

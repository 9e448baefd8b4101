//! `nodewire nnrp`: packets shown, vectors checked, sizes compared, by the command itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod comparing;
mod lines;
mod manifest;
mod streams;
mod support;

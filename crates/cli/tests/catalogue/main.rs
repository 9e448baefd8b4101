//! `nodewire ls`, `call`, `top` and `bench` against servers on every wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod calling;
mod carrying;
mod daemon;
mod foreign;
mod listing;
mod measuring;
mod places;
mod support;
mod tracing;

//! `nodewire device`, its commands against each other and against the real `auto-trainer-api` of both releases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod app;
mod calls;
mod console;
mod keys;
mod listening;
mod peers;
mod replaying;
mod support;
mod terminal;
mod watching;

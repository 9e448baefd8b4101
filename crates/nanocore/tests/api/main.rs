//! The daemon over HTTP: what each address answers, whom it lets in, and how events are told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod about;
mod access;
mod connections;
mod events;
#[path = "../assets/http.rs"]
mod http;
mod openapi;
mod refusals;
mod runs;
mod servers;
mod support;
mod transfer;

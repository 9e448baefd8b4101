//! Services over real connections, each test on `nats-server` and on the embedded broker. spec: nats-micro 18

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod control;
mod endpoints;
mod limits;
mod loss;
mod replies;
mod statistics;
mod stop;
mod support;

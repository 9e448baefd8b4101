//! Services over real connections, each test on `nats-server` and on the embedded broker. spec: nats-micro 18

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod control;
mod cut_off;
mod endpoints;
mod limits;
mod loss;
mod races;
mod replies;
mod runtimes;
mod statistics;
mod stop;
mod support;

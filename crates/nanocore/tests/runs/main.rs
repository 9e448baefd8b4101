//! Runs from the outside: queue, history, durable runs, reruns, result cache, over nodes in process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod durable;
mod failures;
mod history;
#[path = "../common/log.rs"]
mod log;
mod queue;
mod results;
mod sequences;
mod support;
mod waiting;

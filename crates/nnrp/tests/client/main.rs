//! Client sessions over pipes, with a server by script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod basics;
mod control;
mod credit;
mod dialled;
mod extremes;
mod faults;
mod moving;
mod ordered;
mod peer;
mod random;
mod reconnecting;
mod results;

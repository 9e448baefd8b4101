//! The real `nnrp-py` and ours, in both roles, over TCP and QUIC: the matrix of spec nnrp-session 12.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test panics at what it does not expect"
)]

mod broken;
mod content;
mod control;
mod ending;
mod frames;
mod hello;
mod limits;
mod moving;
#[path = "../common/ours.rs"]
mod ours;
#[path = "../common/raw.rs"]
mod raw;
mod smoke;
mod support;
mod volume;

//! The daemon's commands as a person or a script uses them, with real node servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod arguments;
mod bucket;
mod conversation;
mod disk;
mod embedded;
mod faults;
mod nats;
mod place;
mod refusals;
mod registering;
mod signals;
mod waiting;

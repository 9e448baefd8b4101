//! Every recorded exchange of the reference with itself, over real sockets, in both roles: our server with the recorded
//! client, and our client with the recorded server. What differs from the recording, and why, is listed.
//! spec: nnrp-session 12.12, 13

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test panics at what it does not expect"
)]

mod client;
mod client_moves;
mod compare;
#[path = "../common/ours.rs"]
mod ours;
#[path = "../common/raw.rs"]
mod raw;
mod recorded;
mod server;
mod server_moves;

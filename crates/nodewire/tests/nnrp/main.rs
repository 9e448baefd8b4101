//! Nodes served on the NNRP wire, asked over sockets by our client and by the reference's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "nnrp")]

mod asking;
mod assets;
mod ending;
#[path = "../common/assets.rs"]
mod memory;
mod peer;
mod stopping;
mod streaming;
mod support;

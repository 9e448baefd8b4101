//! `nodewire nnrp`, its commands against each other and against the real `nnrp-py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod measuring;
mod peers;
mod recording;
mod smoke;
mod stopping;
mod support;
mod troubles;

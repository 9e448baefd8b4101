//! The server against scripted clients: recorded exchanges of the Python SDK, and what clients should never do.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod backend;
mod client;
mod http;
mod limits;
mod malformed;
mod replies;
mod shutdown;
mod traces;

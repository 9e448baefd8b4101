//! The recorded exchanges of the real package, read and written again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod published;
mod recording;
mod unreadable;

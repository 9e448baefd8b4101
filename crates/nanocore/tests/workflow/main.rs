//! Workflows from the outside: graph files, checks, runs over servers that follow a script.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod graph_file;
mod reuse;
mod runs;
mod sharing;
mod support;
mod validation;
mod wire;

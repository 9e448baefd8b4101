//! Workflows from the outside: graph files, checks, runs over servers that follow a script.

mod graph_file;
mod runs;
mod support;
mod validation;
mod wire;

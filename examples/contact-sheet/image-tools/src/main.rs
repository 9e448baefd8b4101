//! Example node server.

fn main() {}

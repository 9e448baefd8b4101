//! The nodewire command.

fn main() {}

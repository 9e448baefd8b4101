//! Typed access to inputs, parameters and outputs, as `#[node]` uses it.

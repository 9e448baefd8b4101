//! NNRP packets written and read, beside the reference and the later preview's crate.
//!
//! Inputs are the same for all: a tensor of 1 KiB has 4 tiles, one of 64 KiB 16, one of 1 MiB 64, with raw tile ids and
//! one section; a typed packet has one payload. Times are of whole operations, from parts or a message to a packet in
//! one reused buffer, and from a packet to a message that owns (or shares) what it has. Rates are per second of
//! processor time, so that other programs disturb them little.

pub mod inputs;
pub mod operation;
pub mod ours;
pub mod python;
pub mod rust_peer;

pub use operation::Operation;

/// Names of the subjects.
pub const OURS: &str = "ours";
/// The reference, `nnrp-py`.
pub const PYTHON: &str = "python";
/// `nnrp-core`, with a copy of what it reads, so that it outlives the packet as ours does.
pub const CORE: &str = "core";
/// `nnrp-core`, with what it reads left in the packet.
pub const CORE_BORROWED: &str = "core borrowed";
/// As many bytes copied into a reused buffer.
pub const MEMCPY: &str = "memcpy";

/// A case for each operation on a kind of packet.
#[must_use]
pub fn case(kind: &str, operation: &str) -> String {
    format!("{kind}, {operation}")
}

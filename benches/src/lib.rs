//! Load benches: ours, the real peer and the bare limit of the transport, measured in turn in one run.
//!
//! Each server is its own process, and so is the load, which is the same for all. A round measures every server in
//! every case; results are medians over the rounds, so that whatever else the machine does hits all alike.

#![forbid(unsafe_code)]

pub mod cancel;
pub mod device;
pub mod doors;
pub mod nanograph;
pub mod nats;
pub mod nnrp;
pub mod nnrp_wire;
pub mod process;
pub mod report;
pub mod workflow;

//! One node set and one table of expectations for every wire, asked by foreign clients as they are.
//!
//! [`Served`] is one node server with all wires. [`Door`] is a foreign client of one of them, a script of `clients/` with
//! the real package: the SDK's own functions and a WebSocket for Nanograph, `nats-py`, pyzmq with the types of
//! `auto-trainer-api`, `nnrp-py`, curl, the official SDK for MCP. [`CASES`] says what each is asked and what must come of it; where a wire has other
//! words for it, [`told`] has them. What a wire cannot express is no gap in the table: such a case checks that
//! [`support`](nodewire::capability::support) says so.
//!
//! [`callers`] are clients of ours for the same wires, for load that has to be random.
//!
//! ```no_run
//! use nodewire::capability::Wire;
//! use nodewire_conformance::{CASES, Door, Served, check};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let served = Served::start().await?;
//! let mut door = Door::open(Wire::Nats, &served.addresses).await?;
//! for case in CASES {
//!     check(case, &mut door, &served).await?;
//! }
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

pub mod callers;
mod cases;
mod check;
mod door;
mod nodes;
mod served;

pub use cases::{CALLERS, CASES, Case, Counts, Expected, Failure, Told, cannot, told};
pub use check::check;
pub use door::Door;
pub use nodes::{MAX_LINGER_MS, Probe};
pub use served::{Addresses, Served, on_all_wires, serve, until};

/// Longer than anything takes; only a hang runs into it.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

//! Node servers on the Nanograph wire: an echo node, one request and two replies (`running`, `complete`) per execution.

mod limit;
mod load;
mod ours;

pub use limit::serve as serve_limit;
pub use load::{Load, Outcome};
pub use ours::{serve as serve_ours, serve_without_executor};

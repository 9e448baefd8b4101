//! Nodes, and the one execution model under every wire.
//!
//! A [`Node`] is a [`NodeDefinition`] and an async handler. An [`Executor`] holds registered nodes and runs
//! [`ExecutionRequest`]s: it admits or refuses, queues, runs, cancels, enforces deadlines, survives panics and counts.
//! Whoever submits follows an execution by its [`ExecutionEvent`]s. Wires speak to the executor and to nothing deeper;
//! this crate knows no wire, reads no environment and opens no socket.
//!
//! ```
//! use nodewire_core::{Context, ExecutionRequest, Executor, Inputs, NodeDefinition, Outputs, Port, Value, node_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let definition = NodeDefinition::builder("echo").input(Port::new("text", "string")).build()?;
//! let executor = Executor::default();
//! executor.registry().insert(node_fn(definition, async |context: Context| {
//!     Ok(Outputs::new().with("text", context.inputs().get("text").cloned().ok_or("no text")?))
//! }))?;
//!
//! let request = ExecutionRequest::new("echo").inputs(Inputs::new().with("text", "hello"));
//! let outputs = executor.submit(request)?.outputs().await?;
//! assert_eq!(outputs.first("text"), Some(&Value::from("hello")));
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//! - At all times accepted = completed + failed + cancelled + dropped + in flight, in every snapshot of [`Counters`].
//! - Every accepted execution gets exactly one terminal event, and no event after it.
//! - A node never has more executions running than its concurrency limit, abandoned blocking handlers included, nor
//!   more waiting than its queue limit; what is beyond is refused with a typed, counted [`Refusal`].
//! - A cancellation that [`CancelHandle::cancel`] took (it returned true) ends in [`ExecutionEvent::Cancelled`], whatever
//!   the handler does.
//! - A panic ends one execution.

#![forbid(unsafe_code)]

mod assets;
mod context;
mod definition;
mod error;
mod event;
mod event_queue;
mod execution;
mod executor;
mod fetch;
mod live;
mod node;
mod observe;
mod origin;
mod parameter;
mod queue;
mod registry;
mod request;
mod runners;
mod running;
mod shared;
mod shutdown;
mod sink;
mod stats;
mod task;
pub mod typed;
mod unknown;
mod value;

pub use assets::{AssetStore, Assets, NewAsset};
pub use context::Context;
pub use definition::{
    DefinitionError, NodeDefinition, NodeDefinitionBuilder, NodeLimits, Port, SizeHint,
};
pub use error::{NodeError, NodeErrorKind, Refusal, RefusalKind};
pub use event::{DropReason, ExecutionEvent, ExecutionId, Progress};
pub use execution::{CancelHandle, Execution, ExecutionError};
pub use executor::{Executor, ExecutorConfig};
pub use node::{BoxFuture, DynNode, Node, blocking_node_fn, node_fn, run_blocking};
pub use observe::{Ended, Observer, Submission, Watch};
pub use origin::{Durations, OriginRefusals, OriginStats};
pub use parameter::{NumberRange, Parameter, ParameterError, ParameterKind, SelectOption};
pub use registry::{Registry, RegistryError};
pub use request::ExecutionRequest;
pub use running::SlotGuard;
pub use sink::EventSink;
pub use stats::{Counters, NodeStats, TimeStats};
pub use unknown::{ArgumentKind, UnknownArgument};
pub use value::{AssetRef, Inputs, Outputs, Parameters, PortValue, Value};

//! Workflows: graphs of nodes, checked and run over node servers.

mod builtin;
mod catalog;
mod engine;
mod event;
pub mod graph;
mod in_process;
mod invoker;
mod object;
mod plan;
mod pool;
mod problem;
mod request;
mod result;
mod scheduler;
mod state;
mod topology;
mod types;
mod validate;

pub use builtin::{BUILTIN_SERVER, Builtin};
pub use catalog::{Catalog, InputStyle, Resolved, Server, ServerSet};
pub use engine::{AbortHandle, Engine, Run, RunLost, RunOptions};
pub use event::{Event, EventKind};
pub use graph::{
    CacheMode, Exec, FindError, Graph, GraphNode, GraphParam, Link, OnError, SavedPort,
};
pub use in_process::InProcess;
pub use invoker::{Call, NodeInvoker, Report};
pub use pool::{ServerPool, ServerSettings};
pub use problem::{InvalidGraph, Level, Problem, ProblemCode};
pub use result::{Counts, NodeResult, RunResult};
pub use scheduler::Limits;
pub use state::{NodeError, NodeErrorCode, NodeState, RunStatus};
pub use types::{Fit, TypeCheck, port_types_fit};
pub use validate::{ValidateOptions, validate};

//! Workflows: graphs of nodes, checked and run over node servers.
//!
//! [`Graph::parse`] reads a graph file (its schema is `docs/schemas/graph.schema.json`), [`validate`] reports everything
//! that is wrong with it, and an [`Engine`] runs it over a [`NodeInvoker`]: a [`ServerPool`] of connected node servers,
//! or [`InProcess`] nodes.
//!
//! ```
//! # use std::sync::Arc;
//! use nanocore::workflow::{Engine, EventKind, Graph, RunOptions, ServerPool};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::parse(r#"{
//!     "nodes": [{"id": 1, "name": "greeting", "uid": "text-input", "serverUid": "builtin"},
//!               {"id": 2, "uid": "viewer", "serverUid": "builtin"}],
//!     "links": [{"id": 1, "link": [1, "text", 2, "value"]}]}"#)?;
//! graph.find_mut("greeting")?.set_param("text", "hello".into());
//!
//! let mut run = Engine::new(Arc::new(ServerPool::new())).start(&graph, RunOptions::default())?;
//! while let Some(event) = run.next_event().await {
//!     if let EventKind::NodeError { node_id, error, .. } = event.kind {
//!         eprintln!("node {node_id}: {error}");
//!     }
//! }
//! let result = run.result().await?;
//! assert_eq!(result.node(2).unwrap().inputs.as_ref().unwrap().as_str(), r#"{"value": ["hello"]}"#);
//! # Ok(())
//! # }
//! ```
//!
//! Inside: `topology` (the graph as indices) and `catalog` (who offers what) feed `validate`; `plan` is a checked graph
//! made ready to run; `scheduler` is a pure state machine over it; `engine` drives that with real time and real nodes.
//!
//! Invariants: what nodes pass to each other keeps its text to the letter; nothing runs before the whole graph was
//! checked; every node ends in exactly one state; a slow watcher never slows a run.

mod asset_links;
mod builtin;
mod cache;
mod capacity;
mod catalog;
mod copying;
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
mod step_log;
mod topology;
mod types;
mod validate;

pub(crate) use asset_links::all_exist;
pub use asset_links::{AssetLinks, AssetNames, AssetStyle, StoreLinks};
pub use builtin::{BUILTIN_SERVER, Builtin};
pub use cache::{BadCacheKey, CacheKey, ResultCache, RunCacheMode};
pub use capacity::{Capacity, CapacityUsage};
pub use catalog::{Catalog, InputStyle, Resolved, Server, ServerSet};
pub use copying::CopyingInvoker;
pub use engine::{AbortHandle, Engine, Run, RunLost, RunOptions};
pub(crate) use event::EventFields;
pub use event::{Event, EventKind};
pub use graph::{
    CacheMode, Exec, FindError, Graph, GraphNode, GraphParam, Link, OnError, SavedPort,
};
pub use in_process::InProcess;
pub use invoker::{Call, NodeInvoker, Report};
pub(crate) use object::ObjectWriter;
pub use pool::{ServerPool, ServerSettings};
pub(crate) use pool::{StepCount, StepCounts};
pub(crate) use problem::lacks_offers_only;
pub use problem::{InvalidGraph, Level, Problem, ProblemCode};
pub use result::{Counts, NodeResult, RunResult};
pub use scheduler::Limits;
pub use state::{NodeError, NodeErrorCode, NodeState, RunStatus};
pub use step_log::{FinishedStep, StepLog, StepLogError};
pub use types::{Fit, TypeCheck, port_types_fit};
pub use validate::{ValidateOptions, validate};

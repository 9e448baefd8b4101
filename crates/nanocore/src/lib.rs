//! The orchestrator: workflows, node-server processes, assets.
//!
//! [`workflow`] parses a graph, checks it, and runs it over node servers; [`process`] starts those servers;
//! [`assets`] keeps the files their nodes exchange. [`daemon`] is all of it in one process that goes on: [`registry`]
//! and [`register`] know which servers there are, [`supervisor`] keeps them running, [`runs`] queues, notes and resumes
//! runs in a [`db`], [`api`] is its HTTP side with [`events`], and [`home`] the folder it lives in.
//!
//! ```
//! use nanocore::workflow::{Graph, ServerSet, validate};
//!
//! let graph = Graph::parse(r#"{"nodes": [{"id": 1, "uid": "text-input", "serverUid": "builtin"},
//!                                        {"id": 1, "uid": "viewer", "serverUid": "builtin"}]}"#)?;
//! let problems = validate(&graph, &ServerSet::default(), &Default::default());
//! assert_eq!(problems[0].to_string(), "error duplicate_node_id: two nodes have the id 1");
//! # Ok::<(), nanocore::workflow::InvalidGraph>(())
//! ```
//!
//! Invariants: node servers are reached through the public client of the `nanograph` crate, or by [`nats`], only; a graph names no
//! command and no path to execute; every queue, retry and wait has a limit.

#![forbid(unsafe_code)]

pub mod api;
pub mod assets;
mod connections;
pub mod daemon;
pub mod db;
pub mod events;
pub mod home;
pub mod nats;
pub mod process;
mod refusal;
pub mod register;
pub mod registry;
mod request;
pub mod runs;
pub mod supervisor;
pub mod workflow;

//! Where a run notes what it has done, so that it can be resumed. spec: nanograph 16.5

use std::time::Duration;

use futures_util::future::BoxFuture;
use nodewire_json::Json;

/// Keeps the steps of one run.
///
/// With a step log, a node on a server counts as complete only after [`StepLog::finished`] resolved: its event and the
/// dispatch of its successors wait for that, its place on the server does not. Nodes that need no server (builtin
/// inputs, viewers, muted nodes, pins) are not logged: they give the same outputs again. Nor are nodes that the run was
/// [given as finished](super::RunOptions::finished).
pub trait StepLog: Send + Sync {
    /// An attempt is about to be sent to its server. Must return at once.
    fn started(&self, node_id: u64, attempt: u32);

    /// As [`Self::started`], of a node that must not be executed twice (`exec.idempotent: false`). It is sent after this
    /// resolved, unless the run was stopped meanwhile; an error fails the attempt, which is not sent then.
    ///
    /// The engine drops the future when the run was aborted and its grace time is over.
    fn starting(&self, node_id: u64, attempt: u32) -> BoxFuture<'static, Result<(), StepLogError>>;

    /// A node has outputs. Resolves when they are kept; an error fails the node with
    /// [`StepNotLogged`](super::NodeErrorCode::StepNotLogged).
    ///
    /// The engine drops the future when the run was aborted and its grace time is over.
    fn finished(&self, step: FinishedStep) -> BoxFuture<'static, Result<(), StepLogError>>;
}

/// A node that has its outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedStep {
    /// The node.
    pub node_id: u64,
    /// Which attempt made them, from 1; 0 if they came from the result cache.
    pub attempt: u32,
    /// The server that made them, or would have.
    pub server_uid: String,
    /// What was sent to the node: lists of values by input port, an object.
    pub inputs: Json,
    /// Lists of values by output port: an object.
    pub outputs: Json,
    /// They came from the result cache.
    pub cached: bool,
    /// From dispatch on.
    pub duration: Duration,
}

/// A step could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("the step could not be logged: {reason}")]
pub struct StepLogError {
    /// For people: why, and what to do.
    pub reason: String,
    /// What it follows from.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StepLogError {
    /// An error for this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }
}

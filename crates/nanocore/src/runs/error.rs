//! Why a run is refused, and why a question about one has no answer.

use crate::db::DatabaseError;
use crate::workflow::{Problem, lacks_offers_only};

/// Why a run was not accepted. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The graph cannot run.
    #[error("the graph cannot run: {}{}", count_of(problems.len()), hint(problems))]
    Invalid {
        /// Everything that was found; at least one is an error.
        problems: Vec<Problem>,
    },
    /// The request is wrong apart from its graph.
    #[error("{message}")]
    BadRequest {
        /// What is wrong, and what to do.
        message: String,
    },
    /// The request is too large.
    #[error("the request has {bytes} bytes, {bytes_max} are allowed; pass large values as assets")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Too many runs wait.
    #[error("{waiting_max} runs wait already; try again later, or remove some from the queue")]
    QueueFull {
        /// The limit.
        waiting_max: usize,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request, of run {run_id}; use a new key")]
    KeyReused {
        /// The run it belongs to.
        run_id: String,
    },
    /// There is no run that could be run again.
    #[error("there is no run {run_id}")]
    NotFound {
        /// The run that was named.
        run_id: String,
    },
    /// The process is being stopped.
    #[error("the daemon is stopping; submit again when it is back")]
    Stopping,
    /// The database did not keep it.
    #[error("the run could not be kept")]
    Database(#[from] DatabaseError),
}

/// Why something could not be done with a run.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no such run.
    #[error("there is no run {run_id}")]
    NotFound {
        /// The run that was named.
        run_id: String,
    },
    /// The run has no such node, or will not execute it.
    #[error("run {run_id} has no node {node_id}")]
    NodeNotFound {
        /// The run.
        run_id: String,
        /// The node that was named.
        node_id: u64,
    },
    /// It is being executed.
    #[error("run {run_id} is being executed; abort it first")]
    Active {
        /// The run.
        run_id: String,
    },
    /// A page's cursor is not one that was given out.
    #[error("\"{cursor}\" is no cursor; use the `nextCursor` of a page")]
    BadCursor {
        /// What was given.
        cursor: String,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a [`RunManager`](super::RunManager) could not start.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The runs of the process before could not be looked through.
    #[error("the runs of the last time could not be read")]
    Database(#[from] DatabaseError),
}

/// What helps if nothing but servers is missing, such as one that is just being restarted.
fn hint(problems: &[Problem]) -> &'static str {
    if !lacks_offers_only(problems) {
        return "";
    }
    "; if the server is only away, such as for a restart, submit it with `waitServers` (`--wait-servers`): it runs once its nodes are offered"
}

fn count_of(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        more => format!("{more} problems"),
    }
}
